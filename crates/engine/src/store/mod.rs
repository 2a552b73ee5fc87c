//! Durable FIFO queues with SQS's semantics, on `SQLite`.
//!
//! [`Store`] is the handle; it can be cloned freely. One thread writes: it runs what all handles ask
//! for, many requests in one transaction. A method returns once what it did is durable, and an error
//! means that nothing was done. Another thread looks, so that no look keeps a request waiting.
//!
//! Not here: the SQS protocol ([`sqs`](crate::sqs)), who receives and what becomes of it, access
//! control, encryption, throttling.

pub mod arn;
mod check;
mod copy;
mod damage;
mod damage_mark;
mod deduplication;
mod departure;
mod error;
mod fault_switches;
mod faults;
mod groups;
mod growth;
mod kept;
mod lease;
mod ledger;
pub mod limits;
mod look;
mod message;
mod migrations;
mod move_task;
mod open;
mod peek;
mod purge;
mod queue;
mod queue_time;
mod queues;
mod reader;
mod receipt;
mod receive;
mod receive_attempt;
mod redrive;
mod retention;
mod retry;
mod schema;
mod send;
mod sender;
mod settings;
mod shrink;
mod statistics;
mod stored;
mod tx;
mod view;
mod visibility;
mod wake;
mod writer;

use std::collections::BTreeSet;
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::config::KeepDelivered;
use domain::lease::Lease;
use domain::time::Timestamp;
use rusqlite::Connection;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

pub use self::copy::{Copied, CopyError, backup, compact, restore};
pub use self::damage::{DamagedMessage, RawMessage};
pub use self::departure::{Departure, Departures, Why};
pub use self::error::{OpenError, StorageError, StoreError};
pub use self::fault_switches::HeldCommits;
pub use self::faults::Faults;
pub use self::groups::GroupLock;
pub(crate) use self::growth::Growth;
pub use self::kept::{Kept, KeptTotal};
pub use self::lease::{LeaseProgress, LeaseRequest};
pub use self::ledger::{QueueLedger, Ways};
pub use self::look::{GroupCount, Place, WaitingGroup};
pub use self::message::{
    AttributeValue, MessageAttribute, MessageAttributes, NewMessage, ReceivedMessage, Sent,
    SequenceNumber,
};
pub use self::move_task::{MoveTask, MoveTaskStatus};
pub use self::peek::{PeekFrom, PeekPage, Peeked};
pub use self::queues::Tags;
pub use self::receive::ReceiveRequest;
pub use self::retry::Retried;
pub use self::sender::{API_SENDER_ID, INGEST_SENDER_ID, Sender};
pub use self::settings::{
    Attributes, DeduplicationScope, QueueSettings, RedriveAllowPolicy, RedrivePermission,
    RedrivePolicy, ThroughputLimit,
};
pub use self::statistics::QueueStatistics;
pub use self::writer::{Pace, Step};

use self::fault_switches::FaultSwitches;
use self::groups::Removal;
use self::ledger::{Committed, Ledger};
use self::move_task::Drive;
use self::purge::Emptying;
use self::queue::Queue;
use self::queue_time::{QueueClock, QueueTime, seconds};
use self::reader::Reader;
use self::receive::Batch;
use self::send::Prepared;
use self::tx::{Memory, Tx};
use self::view::View;
use self::wake::Wakers;
use self::writer::{Jobs, Writer};

use crate::clock::Clock;
use crate::failure::{Failure, Failures};
use crate::files::User;

/// The database's file in the data directory.
pub(crate) const DATABASE_FILE: &str = "queues.db";

/// Hears of the end of the writer, which is the last of the threads to end.
type Ended = watch::Receiver<()>;

/// Held by the other threads for as long as they have the database open.
type InUse = std::sync::mpsc::Sender<()>;

/// Where the writer hears that no other thread has the database open any more.
type Others = std::sync::mpsc::Receiver<()>;

/// A result of the store.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// The queues of one data directory. Queues go by name (`NAME.fifo`).
///
/// The store closes when its last handle is dropped. It is opened and used within a tokio runtime.
#[derive(Clone)]
pub struct Store {
    jobs: Jobs,
    reader: Reader,
    counts: Committed,
    clock: Arc<QueueClock>,
    wakers: Arc<Wakers>,
    switches: Arc<FaultSwitches>,
    ended: Ended,
    failures: Failures,
    departures: Arc<Mutex<Option<Departures>>>,
    /// Where the database is, unless in memory.
    dir: Option<Arc<Path>>,
    growth: Growth,
    group_lock: GroupLock,
}

/// What the reader is started beside.
struct Beside<'a> {
    jobs: &'a Jobs,
    clock: Arc<QueueClock>,
    in_use: InUse,
    failures: &'a Failures,
}

impl Store {
    /// Opens the queues in a data directory, which is made if it is not there, and takes hold of it.
    pub fn open(data_dir: &Path, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let lock = open::lock(data_dir, User::OfThisProcess)?;
        let connection = open::database(data_dir)?;
        let file = growth::open(data_dir).map_err(in_dir(data_dir))?;
        let growth = Growth::of(&file);
        let held = (file, lock);
        let store =
            Self::start(connection, clock, Some(data_dir), held, Writer::start, |beside| {
                let connection = open::reader(data_dir)?;
                let in_use = beside.in_use.clone();
                let reader = Reader::start(connection, beside.clock, in_use, beside.failures)
                    .map_err(in_dir(data_dir))?;
                let jobs = beside.jobs.downgrade();
                check::beside_use(data_dir, jobs, beside.in_use, beside.failures)?;
                Ok(reader)
            })?;
        Ok(Self { growth, ..store })
    }

    /// Queues that are gone when the last handle is dropped.
    pub fn in_memory(clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let within = |beside: Beside<'_>| Ok(Reader::Within(beside.jobs.clone()));
        Self::start(open::in_memory()?, clock, None, (), Writer::start, within)
    }

    /// Opens such a database, and makes it if there is none of this name.
    pub(crate) fn database_in_memory(name: &str) -> Result<Connection, OpenError> {
        open::shared_in_memory(name)
    }

    /// A simulated engine's queues, in a database in memory that outlives it; and its writer, which is a task
    /// among others instead of a thread, and takes a simulation's time. When that is ended, nothing more is
    /// committed.
    pub(crate) fn simulated(
        database: &str,
        clock: Arc<dyn Clock>,
        pace: Pace,
    ) -> Result<(Self, AbortHandle), OpenError> {
        let mut task = None;
        let launch = |writer: Writer, _others, held| {
            let failures = writer.failures.clone();
            let (jobs, serve) = writer.among_tasks(pace, held);
            task = Some(tokio::spawn(failures.task("store", serve)).abort_handle());
            Ok(jobs)
        };
        let within = |beside: Beside<'_>| Ok(Reader::Within(beside.jobs.clone()));
        let connection = open::shared_in_memory(database)?;
        let store = Self::start(connection, clock, None, (), launch, within)?;
        Ok((store, task.expect("a store that is open has started its writer")))
    }

    fn start<H: Send + 'static>(
        connection: Connection,
        clock: Arc<dyn Clock>,
        dir: Option<&Path>,
        held: H,
        launch: impl FnOnce(Writer, Others, (H, watch::Sender<()>)) -> std::io::Result<Jobs>,
        reader: impl FnOnce(Beside<'_>) -> Result<Reader, OpenError>,
    ) -> Result<Self, OpenError> {
        let shown = dir.unwrap_or(Path::new(":memory:"));
        let failed = |source| open::refusal(&shown.join(DATABASE_FILE), source);
        let next_number = connection
            .query_row("SELECT next_number FROM progress", [], |row| row.get(0))
            .map_err(failed)?;
        let clock = Arc::new(QueueClock::open(&connection, clock).map_err(failed)?);
        let ledger = Ledger::open(&connection, clock.now().queue).map_err(failed)?;
        let counts = ledger.committed_counts();
        let unfinished = move_task::unfinished(&connection).map_err(failed)?;
        let (wakers, switches) = (Arc::<Wakers>::default(), Arc::<FaultSwitches>::default());
        let (told, departures) = mpsc::unbounded_channel();
        let failures = Failures::new();
        let writer = Writer {
            connection,
            clock: Arc::clone(&clock),
            memory: Memory::new(next_number, ledger, told),
            wakers: Arc::clone(&wakers),
            faults: Arc::clone(&switches),
            failures: failures.clone(),
            dir: dir.map(Path::to_owned),
        };
        let (running, ended) = watch::channel(());
        let (in_use, others) = std::sync::mpsc::channel();
        let jobs = launch(writer, others, (held, running)).map_err(in_dir(shown))?;
        let beside = Beside { jobs: &jobs, clock: Arc::clone(&clock), in_use, failures: &failures };
        let reader = reader(beside)?;
        let departures = Arc::new(Mutex::new(Some(departures)));
        let store = Self {
            jobs,
            reader,
            counts,
            clock,
            wakers,
            switches,
            ended,
            failures,
            departures,
            dir: dir.map(Arc::from),
            growth: Growth::default(),
            group_lock: GroupLock::default(),
        };
        for task in unfinished {
            store.drive(task);
        }
        Ok(store)
    }

    /// This store's queues under another lock, for tests of what has to keep order under both.
    #[must_use]
    pub fn with_group_lock(self, group_lock: GroupLock) -> Self {
        Self { group_lock, ..self }
    }

    fn drive(&self, task: Drive) {
        let run = task.run(self.jobs.downgrade(), Arc::clone(self.clock()));
        tokio::spawn(self.failures.clone().task("a message move task", run));
    }

    /// Gives this handle up and waits until all others are and the data directory is free.
    pub async fn close(self) {
        let Self { jobs, reader, mut ended, .. } = self;
        drop((jobs, reader));
        // The only thing that can be heard is the writer's end.
        while ended.changed().await.is_ok() {}
    }

    /// Is ready once the store cannot go on.
    pub async fn failed(&self) -> Failure {
        self.failures.heard().await
    }

    /// Where the database holds room to grow.
    pub(crate) fn growth(&self) -> Growth {
        self.growth.clone()
    }

    /// Where else to tell of what ends it.
    pub(crate) fn failures(&self) -> &Failures {
        &self.failures
    }

    /// What tells of messages that leave in another way than by delivery; `None` for whoever asks
    /// after the first.
    #[must_use]
    pub fn departures(&self) -> Option<Departures> {
        self.departures.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Whether the thread that writes takes what it is asked to do, be it that the disk refuses.
    pub async fn answers(&self) -> bool {
        let answer = self.jobs.run(|_tx| Ok(())).await;
        !matches!(answer, Err(StoreError::Storage(StorageError::Closed)))
    }

    /// The clocks that everything here is measured with.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        self.clock.clock()
    }

    /// What makes the disk fail, for tests.
    #[must_use]
    pub fn faults(&self) -> Faults {
        let (jobs, reader) = (self.jobs.clone(), self.reader.clone());
        Faults { jobs, reader, switches: Arc::clone(&self.switches) }
    }

    /// Creates a queue. One that exists already must have these attributes.
    pub async fn create_queue(
        &self,
        name: &str,
        attributes: &Attributes,
        tags: &Tags,
    ) -> Result<()> {
        let (name, attributes, tags) = (name.to_owned(), attributes.clone(), tags.clone());
        self.jobs.run(move |tx| queues::create(tx, &name, &attributes, &tags)).await
    }

    /// Creates a queue, or gives one that exists these attributes.
    pub async fn ensure_queue(&self, name: &str, attributes: &Attributes) -> Result<()> {
        let (name, attributes) = (name.to_owned(), attributes.clone());
        self.jobs
            .run(move |tx| match queues::set_attributes(tx, &name, &attributes) {
                Err(StoreError::QueueDoesNotExist(_)) => {
                    queues::create(tx, &name, &attributes, &Tags::new())
                }
                other => other,
            })
            .await
    }

    /// Deletes a queue with its messages.
    pub async fn delete_queue(&self, name: &str) -> Result<()> {
        let name = name.to_owned();
        // So that what is left to do at once is little.
        let queue = name.clone();
        let emptying = self.jobs.run(move |tx| purge::emptying(tx, &queue)).await?;
        self.empty(emptying).await?;
        self.jobs.run(move |tx| purge::delete(tx, &name)).await
    }

    /// Deletes all messages that are in a queue now, at most once in 60 seconds. Many may still be there
    /// when this ends; they go as well.
    pub async fn purge_queue(&self, name: &str) -> Result<()> {
        self.purge_queue_within(name, purge::ANSWERED_WITHIN).await
    }

    async fn purge_queue_within(&self, name: &str, limit: Duration) -> Result<()> {
        let name = name.to_owned();
        let emptying = self.jobs.run(move |tx| purge::purge(tx, &name)).await?;
        tokio::time::timeout(limit, self.empty(emptying)).await.unwrap_or(Ok(()))
    }

    /// Removes messages, a part of them at a time. As a task: whoever asked and has gone has asked.
    async fn empty(&self, mut emptying: Emptying) -> Result<()> {
        let jobs = self.jobs.clone();
        let task = async move {
            while !emptying.is_done() {
                emptying = jobs.run(move |tx| emptying.step(tx, purge::EMPTIED_FOR)).await?;
            }
            Ok(())
        };
        tokio::spawn(task).await.map_err(|_panicked| StorageError::Closed)?
    }

    /// The names of the queues that begin with `prefix`, in order.
    pub async fn queue_names(&self, prefix: &str) -> Result<Vec<String>> {
        let prefix = prefix.to_owned();
        self.reader.look(move |view| queues::list(view, &prefix)).await
    }

    /// The names of the queues whose redrive policy names `name`.
    pub async fn dead_letter_source_queues(&self, name: &str) -> Result<Vec<String>> {
        let name = name.to_owned();
        self.reader.look(move |view| queues::dead_letter_sources(view, &name)).await
    }

    /// Changes the attributes that are named. What messages are already in flight for stays.
    pub async fn set_attributes(&self, name: &str, attributes: &Attributes) -> Result<()> {
        let (name, attributes) = (name.to_owned(), attributes.clone());
        self.jobs.run(move |tx| queues::set_attributes(tx, &name, &attributes)).await
    }

    /// What a queue is set to.
    pub async fn settings(&self, name: &str) -> Result<QueueSettings> {
        let name = name.to_owned();
        self.reader.look(move |view| Ok(Queue::stored(view, &name)?.settings)).await
    }

    /// How much is in a queue, and how old it is.
    pub async fn statistics(&self, name: &str) -> Result<QueueStatistics> {
        let name = name.to_owned();
        self.reader.look(move |view| statistics::of(view, &name)).await
    }

    /// How the messages of a queue and of its dead-letter queue came and went, by route, at one
    /// moment.
    pub async fn ledgers(
        &self,
        queue: &str,
        dead_letter_queue: &str,
    ) -> Result<(QueueLedger, QueueLedger)> {
        let (names, counts) =
            ([queue.to_owned(), dead_letter_queue.to_owned()], self.counts.clone());
        self.reader
            .look(move |view| {
                let [queue, dead_letter_queue] =
                    [Queue::stored(view, &names[0])?.id, Queue::stored(view, &names[1])?.id];
                Ok(counts.of([queue, dead_letter_queue], &view.moment).into())
            })
            .await
    }

    /// The groups that wait for their first message, which was received before: those with the
    /// oldest events first, at most `most`.
    pub async fn waiting_groups(&self, queue: &str, most: u32) -> Result<Vec<WaitingGroup>> {
        self.waiting_groups_after(queue, SequenceNumber::FIRST, most).await
    }

    /// The same, of those whose first message comes after `after`.
    pub async fn waiting_groups_after(
        &self,
        queue: &str,
        after: SequenceNumber,
        most: u32,
    ) -> Result<Vec<WaitingGroup>> {
        self.groups_behind_a_failure(queue, look::Which::Waiting, after, most).await
    }

    /// The same, with those whose first message was received more than once and is in somebody's hands
    /// again.
    pub async fn failing_groups_after(
        &self,
        queue: &str,
        after: SequenceNumber,
        most: u32,
    ) -> Result<Vec<WaitingGroup>> {
        self.groups_behind_a_failure(queue, look::Which::Failing, after, most).await
    }

    async fn groups_behind_a_failure(
        &self,
        queue: &str,
        which: look::Which,
        after: SequenceNumber,
        most: u32,
    ) -> Result<Vec<WaitingGroup>> {
        let queue = queue.to_owned();
        let look =
            move |view: &View<'_>| look::groups_behind_a_failure(view, &queue, which, after, most);
        self.reader.look(look).await
    }

    /// The groups of a queue that have messages, in the order of their names: those after `after`, at
    /// most `most`.
    pub async fn groups(&self, queue: &str, after: &str, most: u32) -> Result<Vec<GroupCount>> {
        let (queue, after) = (queue.to_owned(), after.to_owned());
        self.reader.look(move |view| look::groups(view, &queue, &after, most)).await
    }

    /// How many groups wait like that.
    pub async fn waiting_group_count(&self, queue: &str) -> Result<u64> {
        let queue = queue.to_owned();
        self.reader.look(move |view| look::waiting(view, &queue)).await
    }

    /// Where an event is: in which queues, and how far from their groups' beginnings. Looks at
    /// every message, a part of them at a time.
    pub async fn find_event(&self, event_id: &str) -> Result<Vec<Place>> {
        let (mut found, mut from) = (Vec::new(), Some(0));
        while let Some(after) = from {
            let event_id = event_id.to_owned();
            let (places, next) =
                self.reader.look(move |view| look::find(view, &event_id, after)).await?;
            found.extend(places);
            from = next;
        }
        Ok(found)
    }

    /// The ids that begin with this, of events in all queues; at most `most` of them.
    pub async fn event_ids_beginning(
        &self,
        beginning: &str,
        most: usize,
    ) -> Result<BTreeSet<String>> {
        let (mut found, mut from) = (BTreeSet::new(), Some(0));
        while let Some(after) = from.filter(|_| found.len() < most) {
            let beginning = beginning.to_owned();
            let (ids, next) =
                self.reader.look(move |view| look::beginning(view, &beginning, after)).await?;
            found.extend(ids);
            from = next;
        }
        Ok(found.into_iter().take(most).collect())
    }

    /// Messages of a queue as they lie there, those after `from`: nothing is received.
    pub async fn peek(&self, queue: &str, from: PeekFrom) -> Result<PeekPage> {
        let queue = queue.to_owned();
        self.reader.look(move |view| peek::page(view, &queue, &from)).await
    }

    /// One message as it lies in a queue; `None` if it has left.
    pub async fn peek_at(&self, queue: &str, sequence: SequenceNumber) -> Result<Option<Peeked>> {
        let queue = queue.to_owned();
        self.reader.look(move |view| peek::one(view, &queue, sequence)).await
    }

    /// The first messages of a group as they lie in a queue, at most `most`, and how many there are.
    pub async fn peek_group(
        &self,
        queue: &str,
        group: &str,
        most: u32,
    ) -> Result<(Vec<Peeked>, u64)> {
        let (queue, group) = (queue.to_owned(), group.to_owned());
        self.reader.look(move |view| peek::of_group(view, &queue, &group, most)).await
    }

    /// When the first and the last of what is in flight in a queue can be received again; `None` if
    /// nothing is.
    pub async fn hidden_until(&self, queue: &str) -> Result<Option<(Timestamp, Timestamp)>> {
        let queue = queue.to_owned();
        self.reader.look(move |view| peek::hidden_until(view, &queue)).await
    }

    /// Makes visible at once what waits for its next attempt in a group; see [`Retried`].
    pub async fn retry_group(&self, queue: &str, group: &str) -> Result<Retried> {
        let (queue, group) = (queue.to_owned(), group.to_owned());
        self.jobs
            .run(move |tx| {
                let queue = tx.queue(&queue)?;
                retry::group(tx, &queue, &group)
            })
            .await
    }

    /// How many dead letters have which class of failure, "" for those that a redrive policy moved;
    /// `None` when there are more than can be counted quickly.
    pub async fn dead_letter_reasons(&self, queue: &str) -> Result<Option<Vec<(String, u64)>>> {
        let queue = queue.to_owned();
        self.reader.look(move |view| look::reasons(view, &queue)).await
    }

    /// All messages that cannot be delivered as they were accepted.
    pub async fn damaged(&self) -> Result<Vec<DamagedMessage>> {
        self.reader.look(damage::list).await
    }

    /// What is stored of one of them; `None` if it is none of them.
    pub async fn damaged_message(&self, sequence: SequenceNumber) -> Result<Option<RawMessage>> {
        self.reader.look(move |view| damage::raw(view, sequence.0)).await
    }

    /// Deletes one of them, and its group goes on; tells whether it was one of them.
    pub async fn delete_damaged(&self, sequence: SequenceNumber) -> Result<bool> {
        self.jobs.run(move |tx| damage::delete(tx, sequence.0)).await
    }

    /// Whose the lease of this name is.
    pub async fn lease(&self, name: &str) -> Result<Option<Lease>> {
        let name = name.to_owned();
        self.reader.look(move |view| lease::look(view, &name)).await
    }

    /// Takes a lease unless somebody else has it, and gives whoever's it is then.
    pub async fn acquire_lease(&self, name: &str, request: LeaseRequest) -> Result<Option<Lease>> {
        let name = name.to_owned();
        self.jobs.run(move |tx| lease::acquire(tx, &name, &request)).await
    }

    /// Renews the lease that `token` was taken with, and gives whoever's it is then; `None` if it has
    /// expired or was released.
    pub async fn renew_lease(
        &self,
        name: &str,
        token: &str,
        time: Duration,
        progress: LeaseProgress,
    ) -> Result<Option<Lease>> {
        let (name, token) = (name.to_owned(), token.to_owned());
        self.jobs.run(move |tx| lease::renew(tx, &name, &token, time, progress)).await
    }

    /// Gives up the lease that `token` was taken with; another's stays.
    pub async fn release_lease(&self, name: &str, token: &str) -> Result<()> {
        let (name, token) = (name.to_owned(), token.to_owned());
        self.jobs.run(move |tx| lease::release(tx, &name, &token)).await
    }

    /// From now on keeps so much of what is delivered, and no more of what was; nothing, unless given.
    pub async fn keep_delivered(&self, keep: Option<KeepDelivered>) -> Result<()> {
        let mut is_more = true;
        while is_more {
            let trim = move |tx: &mut Tx<'_>| {
                tx.keep(keep);
                kept::trim(tx, keep)
            };
            is_more = self.jobs.run(trim).await?;
        }
        Ok(())
    }

    /// How much is kept of what was delivered.
    pub async fn kept_total(&self) -> Result<KeptTotal> {
        self.reader.look(kept::total).await
    }

    /// The event of this id that was delivered, if it is kept.
    pub async fn kept(&self, queue: &str, event_id: &str) -> Result<Option<Kept>> {
        let (queue, event_id) = (queue.to_owned(), event_id.to_owned());
        self.reader.look(move |view| kept::of_event(view, &queue, &event_id)).await
    }

    /// The ids of kept events that begin with this, at most `most`.
    pub async fn kept_beginning(
        &self,
        queue: &str,
        beginning: &str,
        most: usize,
    ) -> Result<Vec<String>> {
        let (queue, beginning) = (queue.to_owned(), beginning.to_owned());
        self.reader.look(move |view| kept::beginning(view, &queue, &beginning, most)).await
    }

    /// Kept events, the newest first, some of those before the one of this number; and whether there are
    /// more.
    pub async fn kept_before(&self, queue: &str, before: i64) -> Result<(Vec<Kept>, bool)> {
        let queue = queue.to_owned();
        self.reader.look(move |view| kept::page(view, &queue, before)).await
    }

    /// A queue's tags.
    pub async fn tags(&self, name: &str) -> Result<Tags> {
        let name = name.to_owned();
        self.reader.look(move |view| queues::tags(view, &name)).await
    }

    /// Adds and removes tags of a queue.
    pub async fn change_tags(&self, name: &str, add: &Tags, remove: &[String]) -> Result<()> {
        let (name, add, remove) = (name.to_owned(), add.clone(), remove.to_vec());
        self.jobs
            .run(move |tx| {
                let mut tags = queues::tags(tx, &name)?;
                tags.retain(|key, _| !remove.contains(key));
                tags.extend(add.clone());
                queues::set_tags(tx, &name, &tags)
            })
            .await
    }

    /// Sends a message. It is durable when this returns; a repeat of one that was sent within 5
    /// minutes is answered as that one was.
    pub async fn send(&self, queue: &str, message: NewMessage) -> Result<Sent> {
        self.send_from(Sender::Api, queue, message).await
    }

    /// Sends a message as [`send`](Self::send) does, and counts it as an event that was accepted.
    pub async fn accept(&self, queue: &str, message: NewMessage) -> Result<Sent> {
        self.send_from(Sender::Ingest, queue, message).await
    }

    async fn send_from(&self, sender: Sender, queue: &str, message: NewMessage) -> Result<Sent> {
        let (queue, message) = (queue.to_owned(), Prepared::new(message));
        let send = move |tx: &mut Tx<'_>| {
            let queue = tx.queue(&queue)?;
            send::send(tx, &queue, &message, sender)
        };
        match sender {
            Sender::Ingest => self.jobs.run_new(send).await,
            Sender::Api => self.jobs.run(send).await,
        }
    }

    /// Sends up to ten messages in one transaction; each has a result of its own.
    pub async fn send_batch(
        &self,
        queue: &str,
        messages: Vec<NewMessage>,
    ) -> Result<Vec<Result<Sent>>> {
        let queue = queue.to_owned();
        let messages: Vec<Prepared> = messages.into_iter().map(Prepared::new).collect();
        self.jobs
            .run(move |tx| {
                let queue = tx.queue(&queue)?;
                each(&messages, |message| send::send(tx, &queue, message, Sender::Api))
            })
            .await
    }

    /// Receives messages, and waits for the first one as long as the request says.
    pub async fn receive(
        &self,
        queue: &str,
        request: ReceiveRequest,
    ) -> Result<Vec<ReceivedMessage>> {
        self.receive_unless(queue, request, std::future::pending()).await
    }

    /// Like [`receive`](Self::receive), but `stop` ends the waiting. It never ends a look at the
    /// queue, which may have taken messages already, so none is left in flight with nobody.
    pub async fn receive_unless(
        &self,
        queue: &str,
        request: ReceiveRequest,
        stop: impl Future<Output = ()>,
    ) -> Result<Vec<ReceivedMessage>> {
        request.check()?;
        let (queue_id, wait_seconds, batch) = self.look(queue, &request).await?;
        if !batch.messages.is_empty() || (wait_seconds == 0 && !batch.look_again) {
            return Ok(batch.messages);
        }
        let deadline = self.clock.now().queue.plus(seconds(wait_seconds));
        self.receive_until(queue, queue_id, &request, deadline, stop).await
    }

    async fn receive_until(
        &self,
        queue: &str,
        queue_id: i64,
        request: &ReceiveRequest,
        deadline: QueueTime,
        stop: impl Future<Output = ()>,
    ) -> Result<Vec<ReceivedMessage>> {
        let mut stop = pin!(stop);
        let waker = self.wakers.of(queue_id);
        loop {
            // Listening begins before the look, or a message sent right after it would go unheard.
            let mut woken = pin!(waker.notified());
            woken.as_mut().enable();
            let (_, _, batch) = self.look(queue, request).await?;
            let over = self.clock.now().queue >= deadline && !batch.look_again;
            if over || !batch.messages.is_empty() {
                return Ok(batch.messages);
            }
            if !batch.look_again {
                let announced = waker.announced_after(self.clock.now().queue);
                let next = batch.next.into_iter().chain(announced).fold(deadline, QueueTime::min);
                tokio::select! {
                    biased;
                    () = &mut stop => return Ok(Vec::new()),
                    () = woken => {}
                    () = self.clock.wait_until(next) => {}
                }
            }
        }
    }

    async fn look(&self, queue: &str, request: &ReceiveRequest) -> Result<(i64, u32, Batch)> {
        let (queue, request, lock) = (queue.to_owned(), request.clone(), self.group_lock);
        self.jobs
            .run(move |tx| {
                let queue = tx.queue(&queue)?;
                let wait = request.wait_seconds.unwrap_or(queue.settings.receive_wait_seconds);
                Ok((queue.id, wait, receive::receive(tx, &queue, &request, lock)?))
            })
            .await
    }

    /// Deletes a message by the handle of its latest receive, while it is in flight. A message that
    /// is gone already is no error.
    pub async fn delete(&self, queue: &str, receipt_handle: &str) -> Result<()> {
        let (queue, handle) = (queue.to_owned(), receipt_handle.to_owned());
        self.jobs
            .run(move |tx| {
                let queue = tx.queue(&queue)?;
                visibility::delete(tx, &queue, &handle, &Removal::Deleted)
            })
            .await
    }

    /// Deletes messages as [`delete`](Self::delete) does, in one transaction; each has a result of
    /// its own.
    pub async fn delete_batch(
        &self,
        queue: &str,
        receipt_handles: Vec<String>,
    ) -> Result<Vec<Result<()>>> {
        let queue = queue.to_owned();
        self.jobs
            .run(move |tx| {
                let queue = tx.queue(&queue)?;
                each(&receipt_handles, |handle| {
                    visibility::delete(tx, &queue, handle, &Removal::Deleted)
                })
            })
            .await
    }

    /// Deletes messages that the function is done with, as [`delete_batch`](Self::delete_batch)
    /// does, and counts them as that.
    pub async fn finish_batch(
        &self,
        queue: &str,
        receipt_handles: Vec<String>,
    ) -> Result<Vec<Result<()>>> {
        let queue = queue.to_owned();
        self.jobs
            .run(move |tx| {
                let queue = tx.queue(&queue)?;
                let target = redrive::target(tx, &queue)?;
                let dead_letter_queue = target.as_ref().map(|target| &*target.queue);
                let done = Removal::Done { dead_letter_queue };
                each(&receipt_handles, |handle| visibility::delete(tx, &queue, handle, &done))
            })
            .await
    }

    /// Sets when a message in flight becomes visible: `timeout_seconds` from now, 0 at once, at most
    /// 12 hours after it was received.
    pub async fn change_visibility(
        &self,
        queue: &str,
        receipt_handle: &str,
        timeout_seconds: u32,
    ) -> Result<()> {
        let (queue, handle) = (queue.to_owned(), receipt_handle.to_owned());
        self.jobs
            .run(move |tx| {
                let queue = tx.queue(&queue)?;
                visibility::change(tx, &queue, &handle, timeout_seconds)
            })
            .await
    }

    /// Changes visibility as [`change_visibility`](Self::change_visibility) does, in one transaction;
    /// each handle, with its timeout in seconds, has a result of its own.
    pub async fn change_visibility_batch(
        &self,
        queue: &str,
        timeouts: Vec<(String, u32)>,
    ) -> Result<Vec<Result<()>>> {
        let queue = queue.to_owned();
        self.jobs
            .run(move |tx| {
                let queue = tx.queue(&queue)?;
                each(&timeouts, |(handle, timeout_seconds)| {
                    visibility::change(tx, &queue, handle, *timeout_seconds)
                })
            })
            .await
    }

    /// Starts to move messages out of a dead-letter queue, to `destination` or else to where each
    /// came from, at most `per_second` a second; returns the task's id.
    pub async fn start_move_task(
        &self,
        source: &str,
        destination: Option<&str>,
        per_second: Option<u32>,
    ) -> Result<String> {
        let (source, destination) = (source.to_owned(), destination.map(str::to_owned));
        let start = move |tx: &mut Tx<'_>| {
            move_task::start(tx, &source, destination.as_deref(), per_second)
        };
        let id = self.jobs.run(start).await?;
        self.drive(Drive { id: id.clone(), per_second });
        Ok(id)
    }

    /// The latest `most` (1 to 10) move tasks of a source, the latest first.
    pub async fn move_tasks(&self, source: &str, most: u32) -> Result<Vec<MoveTask>> {
        let source = source.to_owned();
        self.jobs.run(move |tx| move_task::list(tx, &source, most)).await
    }

    /// Stops a move task; returns how many messages it has moved, which stay where they are.
    pub async fn cancel_move_task(&self, id: &str) -> Result<u64> {
        let id = id.to_owned();
        self.jobs.run(move |tx| move_task::cancel(tx, &id)).await
    }

    /// Gives some room in the database that nothing uses back to the disk; tells whether there is more.
    /// Takes the writer for some milliseconds. Where the disk is `short` of room nothing is kept for later,
    /// and of the write-ahead log what is written in place.
    pub async fn shrink(&self, short: bool) -> Result<bool> {
        let shrink = move |tx: &mut Tx<'_>| {
            tx.set_short(short);
            if short {
                kept::make_room(tx)?;
            }
            shrink::limit_log(tx, short)?;
            shrink::shrink(tx, short)
        };
        let is_more = self.jobs.run(shrink).await?;
        if let (true, false, Some(dir)) = (short, is_more, self.dir.clone()) {
            let emptied = tokio::task::spawn_blocking(move || shrink::empty_log(&dir)).await;
            emptied.map_err(|_panicked| StorageError::Closed)??;
            self.jobs.run(shrink::begin_log).await?;
        }
        Ok(is_more)
    }

    /// Removes what is older than its queue's retention, where nobody receives who would. Each that
    /// leaves is told as a [`Departure`].
    pub async fn expire(&self) -> Result<()> {
        for name in self.queue_names("").await? {
            let mut is_more = true;
            while is_more {
                let queue = name.clone();
                let look = move |tx: &mut Tx<'_>| {
                    let queue = tx.queue(&queue)?;
                    retention::expire(tx, &queue, retention::PER_LOOK)
                };
                is_more = match self.jobs.run(look).await {
                    Err(StoreError::QueueDoesNotExist(_)) => false,
                    other => other?,
                };
            }
        }
        Ok(())
    }

    /// Makes visible at once what `receiver` received and neither deleted nor gave another
    /// visibility timeout, for a receiver that starts again after a crash. Returns how many messages
    /// that were.
    pub async fn release_in_flight(&self, queue: &str, receiver: &str) -> Result<usize> {
        let (queue, receiver) = (queue.to_owned(), receiver.to_owned());
        self.jobs
            .run(move |tx| {
                let queue = tx.queue(&queue)?;
                visibility::release(tx, &queue, &receiver)
            })
            .await
    }
}

fn in_dir(dir: &Path) -> impl Fn(std::io::Error) -> OpenError {
    move |source| OpenError::Directory { dir: dir.to_owned(), source }
}

/// Does something to each entry. A refusal is the entry's; a failure of storage is everybody's.
fn each<E, T>(entries: &[E], mut act: impl FnMut(&E) -> Result<T>) -> Result<Vec<Result<T>>> {
    let keep_refusal = |result| match result {
        Err(StoreError::Storage(error)) => Err(StoreError::Storage(error)),
        other => Ok(other),
    };
    entries.iter().map(|entry| keep_refusal(act(entry))).collect()
}
