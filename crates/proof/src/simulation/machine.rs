//! What a day on one machine has in place of AWS's queues: the engine's own store, by the calls that the
//! engine's API makes of it. It is not there while no engine runs.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use domain::config::Config;
use domain::message::{Message, Origin, Received};
use domain::time::{Timestamp, Uptime};
use engine::clock::{Clock, Wait};
use engine::simulation::{Database, parsed};
use engine::store::{
    MessageAttribute, NewMessage, PeekFrom, Peeked, ReceiveRequest, ReceivedMessage, Result,
    Retried, SequenceNumber, Store, StoreError,
};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::sqs::Sending;
use super::world::{INGEST, World};

/// How long an operator has what he has received.
const IN_HAND_SECONDS: u32 = 60;
/// Groups that are looked at together.
const GROUPS_MAX: u32 = 1_000;

/// A machine, with what outlives the engines on it.
pub(super) struct Machine {
    pub(super) clock: Arc<MachineClock>,
    pub(super) database: Database,
    /// Where the pauses are kept.
    pub(super) data_dir: TempDir,
    queue: String,
    dead_letter_queue: String,
    /// Of the engine that runs.
    store: RefCell<Option<Store>>,
    /// Dead letters that were noted, by their sequence numbers.
    noted: RefCell<BTreeSet<String>>,
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Machine").field("database", &self.database).finish_non_exhaustive()
    }
}

/// Why something was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Undone {
    /// The engine said so.
    Refused,
    /// There is no engine, or it died before it answered.
    Unheard,
}

impl From<StoreError> for Undone {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Storage(engine::store::StorageError::Closed) => Self::Unheard,
            _ => Self::Refused,
        }
    }
}

/// What of a machine's letters is in somebody's hands.
pub(super) type Letters = Vec<Message>;

impl Machine {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            clock: Arc::new(MachineClock::new()),
            database: Database::new().expect("a database in memory can be made"),
            data_dir: tempfile::tempdir().expect("a directory can be made"),
            queue: config.queue_name(),
            dead_letter_queue: config.dead_letter_queue_name(),
            store: RefCell::default(),
            noted: RefCell::default(),
        }
    }

    /// An engine runs now.
    pub(super) fn opened(&self, store: Store) {
        *self.store.borrow_mut() = Some(store);
    }

    /// None does.
    pub(super) fn closed(&self) {
        *self.store.borrow_mut() = None;
    }

    pub(super) fn is_open(&self) -> bool {
        self.store.borrow().is_some()
    }

    pub(super) fn store(&self) -> Result<Store, Undone> {
        self.store.borrow().clone().ok_or(Undone::Unheard)
    }

    pub(super) async fn send(&self, sending: Sending) -> Result<(), Undone> {
        let (store, is_event) = (self.store()?, sending.sender == INGEST);
        let message = new_message(sending);
        if is_event {
            store.accept(&self.queue, message).await?;
        } else {
            store.send(&self.queue, message).await?;
        }
        Ok(())
    }

    pub(super) async fn send_dead_letter(&self, sending: Sending) -> Result<(), Undone> {
        self.store()?.send(&self.dead_letter_queue, new_message(sending)).await?;
        Ok(())
    }

    pub(super) async fn change_visibility(
        &self,
        timeouts: Vec<(String, u32)>,
    ) -> Result<Vec<Result<()>>, Undone> {
        Ok(self.store()?.change_visibility_batch(&self.queue, timeouts).await?)
    }

    /// Everything in a queue, in the order of its groups; nothing while there is no engine.
    async fn all(&self, queue: &str) -> Vec<Peeked> {
        let (mut all, mut from) = (Vec::new(), Some(PeekFrom::default()));
        while let Some(after) = from {
            let Ok(store) = self.store() else { return Vec::new() };
            let Ok(page) = store.peek(queue, after).await else { return Vec::new() };
            all.extend(page.messages);
            from = page.next;
        }
        all
    }

    /// Messages that wait or are in flight.
    pub(super) async fn waiting(&self) -> Vec<Message> {
        self.all(&self.queue).await.into_iter().map(parsed).collect()
    }

    /// The first message of each group that waits for its next attempt.
    pub(super) async fn hidden_heads(&self) -> Vec<Message> {
        let mut heads = self.all(&self.queue).await;
        heads.dedup_by(|later, first| later.group == first.group);
        heads.retain(|head| head.visible_at.is_some());
        heads.into_iter().map(parsed).collect()
    }

    pub(super) async fn letters(&self) -> Letters {
        self.all(&self.dead_letter_queue).await.into_iter().map(parsed).collect()
    }

    /// Those that have not been noted yet.
    pub(super) async fn new_letters(&self) -> Letters {
        let letters = self.letters().await;
        let mut noted = self.noted.borrow_mut();
        letters.into_iter().filter(|it| noted.insert(it.sequence_number.clone())).collect()
    }

    /// Takes all letters that nobody else has into somebody's hands.
    pub(super) async fn take_letters(&self) -> Result<Letters, Undone> {
        let mut taken = Vec::new();
        loop {
            let request = ReceiveRequest {
                max_messages: 10,
                visibility_timeout_seconds: Some(IN_HAND_SECONDS),
                wait_seconds: Some(0),
                ..ReceiveRequest::default()
            };
            let received = self.store()?.receive(&self.dead_letter_queue, request).await?;
            if received.is_empty() {
                return Ok(taken);
            }
            taken.extend(received.into_iter().map(message));
        }
    }

    /// Gives letters back.
    pub(super) async fn give_back(&self, letters: &[Message]) {
        let handles = letters.iter().map(|letter| (letter.receipt_handle.clone(), 0));
        for handles in handles.collect::<Vec<_>>().chunks(10) {
            let Ok(store) = self.store() else { return };
            let given = store.change_visibility_batch(&self.dead_letter_queue, handles.to_vec());
            // Else they are there again soon.
            let _later = given.await;
        }
    }

    pub(super) async fn delete_letter(&self, letter: &Message) -> Result<(), Undone> {
        Ok(self.store()?.delete(&self.dead_letter_queue, &letter.receipt_handle).await?)
    }

    /// Moves all letters back by the engine itself; tells how many.
    pub(super) async fn move_letters(&self) -> Result<u64, Undone> {
        let (store, from) = (self.store()?, &self.dead_letter_queue);
        let id = store.start_move_task(from, Some(&self.queue), None).await?;
        drop(store);
        loop {
            sleep(Duration::from_secs(1)).await;
            let tasks = self.store()?.move_tasks(&self.dead_letter_queue, 1).await?;
            match tasks.into_iter().find(|task| task.id == id) {
                Some(task) if task.status.is_active() => {}
                Some(task) => return Ok(task.moved),
                None => return Err(Undone::Refused),
            }
        }
    }

    /// Shows what waits for its next attempt, in all groups; tells how many messages.
    pub(super) async fn retry(&self) -> Result<u64, Undone> {
        let mut shown = 0;
        for group in self.store()?.waiting_groups(&self.queue, GROUPS_MAX).await? {
            if let Retried::Now(messages) =
                self.store()?.retry_group(&self.queue, &group.group).await?
            {
                shown += messages;
            }
        }
        Ok(shown)
    }

    /// Keeps nothing for a time, as if the disk were full.
    pub(super) async fn fill_for(&self, time: Duration) {
        let Ok(store) = self.store() else { return };
        store.faults().set_commits_fail(true);
        sleep(time).await;
        store.faults().set_commits_fail(false);
    }

    /// Damages what is stored of a message, or mends it; tells whether it is still there.
    pub(super) fn damage(&self, sequence_number: &str) -> bool {
        let sequence = SequenceNumber::parse(sequence_number).expect("the store gave it");
        self.database.damage(sequence).expect("memory can be written")
    }

    /// Whether a message was found to be damaged.
    pub(super) async fn is_set_aside(&self, sequence_number: &str) -> Result<bool, Undone> {
        let damaged = self.store()?.damaged().await?;
        Ok(damaged.iter().any(|it| it.sequence_number.to_string() == sequence_number))
    }

    /// Drops a damaged message.
    pub(super) async fn drop_damaged(&self, sequence_number: &str) -> Result<bool, Undone> {
        let sequence = SequenceNumber::parse(sequence_number).expect("the store gave it");
        Ok(self.store()?.delete_damaged(sequence).await?)
    }
}

fn new_message(sending: Sending) -> NewMessage {
    let Sending { body, group_id, deduplication_id, attributes, .. } = sending;
    let attributes = attributes.into_iter().map(|(name, attribute)| {
        (name, MessageAttribute::try_from(attribute).expect("nothing simulated sends bytes"))
    });
    NewMessage {
        body,
        group_id,
        deduplication_id: Some(deduplication_id),
        attributes: attributes.collect(),
        trace_header: None,
    }
}

fn message(received: ReceivedMessage) -> Message {
    let attributes = received.attributes.iter().map(|(name, it)| (name.clone(), it.into()));
    let received = Received {
        attributes: attributes.collect(),
        message_id: received.message_id,
        receipt_handle: received.receipt_handle,
        body: received.body,
        group_id: received.group_id,
        sequence_number: received.sequence_number.to_string(),
        receive_count: received.receive_count,
        sent_at: received.sent_at,
        trace_header: received.trace_header,
    };
    Message::parse(received, Origin::Sender).expect("what was sent is a message")
}

/// The clocks of a machine in a simulated time.
#[derive(Debug)]
pub(super) struct MachineClock {
    began: Instant,
    /// How far the wall clock is off, in milliseconds.
    is_off_ms: AtomicI64,
    was_set: AtomicBool,
    boots: AtomicU64,
    /// When the machine was started last, in microseconds of the day.
    booted_at: AtomicU64,
}

/// How long a wait for a wall clock's time goes on without a look at it.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long the machine has been up when an engine can first be started.
const UP: Duration = Duration::from_secs(20);

impl MachineClock {
    fn new() -> Self {
        let (is_off_ms, was_set, boots, booted_at) = Default::default();
        Self { began: Instant::now(), is_off_ms, was_set, boots, booted_at }
    }

    /// Starts the machine anew.
    pub(super) fn reboot(&self) {
        self.boots.fetch_add(1, Ordering::Relaxed);
        self.booted_at.store(self.micros(), Ordering::Relaxed);
    }

    fn micros(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Sets the wall clock, so far off.
    pub(super) fn set(&self, is_off_ms: i64) {
        self.is_off_ms.store(is_off_ms, Ordering::Relaxed);
        self.was_set.store(true, Ordering::Relaxed);
    }

    /// Whether it was: nobody knows how old what was accepted before is.
    pub(super) fn was_set(&self) -> bool {
        self.was_set.load(Ordering::Relaxed)
    }
}

impl Clock for MachineClock {
    fn wall(&self) -> Timestamp {
        let right = World::wall_at(self.micros()).as_ms();
        Timestamp::from_ms(right.saturating_add_signed(self.is_off_ms.load(Ordering::Relaxed)))
    }

    fn uptime(&self) -> Uptime {
        let since = self.micros() - self.booted_at.load(Ordering::Relaxed);
        Uptime::from_start(UP + Duration::from_micros(since))
    }

    fn boot(&self) -> Option<String> {
        Some(format!("boot {}", self.boots.load(Ordering::Relaxed)))
    }

    fn wait_until(&self, time: Uptime) -> Wait<'_> {
        Box::pin(async move {
            loop {
                let left = time.since(self.uptime());
                if left.is_zero() {
                    return;
                }
                sleep(left).await;
            }
        })
    }

    fn wait_until_wall(&self, time: Timestamp) -> Wait<'_> {
        Box::pin(async move {
            loop {
                let left = time.since(self.wall());
                if left.is_zero() {
                    return;
                }
                sleep(left.min(LOOK_EVERY)).await;
            }
        })
    }
}
