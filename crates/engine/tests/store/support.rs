//! A store on a manual clock, and short ways to use it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use domain::time::Timestamp;
use engine::clock::ManualClock;
use engine::store::{Attributes, NewMessage, ReceiveRequest, ReceivedMessage, Sent, Store, Tags};

/// The queue that [`Fixture`] makes.
pub(crate) const QUEUE: &str = "webhook.fifo";

/// Its dead-letter queue, once [`Fixture::with_dead_letters`] was called.
pub(crate) const DEAD: &str = "webhook-dlq.fifo";

/// A store in memory with one queue, and its clock.
pub(crate) struct Fixture {
    pub(crate) store: Store,
    pub(crate) clock: Arc<ManualClock>,
}

pub(crate) fn attributes<const N: usize>(attributes: [(&str, &str); N]) -> Attributes {
    attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

pub(crate) fn manual_clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Timestamp::from_ms(1_800_000_000_000)))
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        Self::with(attributes([])).await
    }

    pub(crate) async fn with(extra: Attributes) -> Self {
        let clock = manual_clock();
        let store = Store::in_memory(clock.clone()).unwrap();
        let mut all = attributes([("FifoQueue", "true"), ("VisibilityTimeout", "30")]);
        all.extend(extra);
        store.create_queue(QUEUE, &all, &Tags::new()).await.unwrap();
        Self { store, clock }
    }

    /// A dead-letter queue behind the queue.
    pub(crate) async fn with_dead_letters(max_receive_count: u32) -> Self {
        let fixture = Self::new().await;
        let fifo = attributes([("FifoQueue", "true")]);
        fixture.store.create_queue(DEAD, &fifo, &Tags::new()).await.unwrap();
        let policy = format!(
            r#"{{"deadLetterTargetArn":"{}","maxReceiveCount":{max_receive_count}}}"#,
            engine::store::arn::of_queue(DEAD)
        );
        fixture.set("RedrivePolicy", &policy).await;
        fixture
    }

    pub(crate) async fn set(&self, name: &str, value: &str) {
        self.store.set_attributes(QUEUE, &attributes([(name, value)])).await.unwrap();
    }

    pub(crate) fn advance_seconds(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// Sends `body`, which is its own deduplication id, to `group`.
    pub(crate) async fn send(&self, group: &str, body: &str) -> Sent {
        self.store.send(QUEUE, message(group, body)).await.unwrap()
    }

    pub(crate) async fn receive(&self, max_messages: usize) -> Vec<ReceivedMessage> {
        self.receive_from(QUEUE, max_messages).await
    }

    pub(crate) async fn receive_from(
        &self,
        queue: &str,
        max_messages: usize,
    ) -> Vec<ReceivedMessage> {
        let request = ReceiveRequest { max_messages, ..ReceiveRequest::default() };
        self.store.receive(queue, request).await.unwrap()
    }

    pub(crate) async fn delete(&self, message: &ReceivedMessage) {
        self.store.delete(QUEUE, &message.receipt_handle).await.unwrap();
    }
}

/// The queue of [`version_1`]'s database, with three messages.
pub(crate) const FORMER_QUEUE: &str = "local-webhook.fifo";

/// Its dead-letter queue, with one message that is in flight for 30 s.
pub(crate) const FORMER_DEAD: &str = "local-webhook-dlq.fifo";

/// Puts a database that an engine of version 1 wrote last at `written` into a directory, and gives it
/// to `change`.
pub(crate) fn version_1(dir: &Path, written: Timestamp, change: &str) {
    const WRITTEN_MS: u64 = 1_795_666_162_770;
    let by = i64::try_from(written.as_ms()).unwrap() - i64::try_from(WRITTEN_MS).unwrap();
    let database = rusqlite::Connection::open(dir.join("queues.db")).unwrap();
    database.execute_batch(include_str!("version-1.sql")).unwrap();
    database
        .execute_batch(&format!(
            "UPDATE progress SET last_time_ms = last_time_ms + {by}, ledger_since_ms = ledger_since_ms + {by},
                 clock_time_ms = clock_time_ms + {by}, clock_wall_ms = clock_wall_ms + {by};
             UPDATE message SET sent_ms = sent_ms + {by};
             UPDATE delivery SET first_received_ms = first_received_ms + {by},
                 received_ms = received_ms + {by}, visible_at_ms = visible_at_ms + {by};
             UPDATE deduplication SET expires_ms = expires_ms + {by};
             {change}"
        ))
        .unwrap();
    database.close().unwrap();
}

/// Takes the clocks out of a database of version 1, as the first engines of that version left it.
pub(crate) const WITHOUT_CLOCKS: &str = "
    ALTER TABLE progress DROP COLUMN clock_time_ms; ALTER TABLE progress DROP COLUMN clock_wall_ms;
    ALTER TABLE progress DROP COLUMN clock_uptime_ms; ALTER TABLE progress DROP COLUMN clock_boot;";

pub(crate) fn message(group: &str, body: &str) -> NewMessage {
    NewMessage {
        body: body.to_owned(),
        group_id: group.to_owned(),
        deduplication_id: Some(body.to_owned()),
        ..NewMessage::default()
    }
}

pub(crate) fn bodies(messages: &[ReceivedMessage]) -> Vec<&str> {
    messages.iter().map(|message| message.body.as_str()).collect()
}
