//! A store on a manual clock, and short ways to use it.

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
