//! The one thread that owns the database connection, and group commit.
//!
//! Callers hand over jobs; all jobs that are waiting run in one transaction and are answered after
//! its commit, so that one write to the disk serves all of them. When one of them fails half-way,
//! or the commit does, the transaction is rolled back and each job runs again in one of its own:
//! a failure is answered to whom it belongs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::error::{StorageError, StoreError};
use super::fault_switches::FaultSwitches;
use super::queue_time::QueueClock;
use super::tx::{Memory, Tx};
use super::wake::Wakers;
use super::{Others, damage_mark};
use crate::error_text::in_full;
use crate::failure::{Failure, Failures};
use crate::spare_room::give_up_one;

/// Jobs in one transaction. Bounds how long the first of them waits.
const JOBS_PER_COMMIT_MAX: usize = 256;

/// Jobs that may wait; whoever comes later waits to hand one over.
const JOBS_WAITING_MAX: usize = 1_024;

/// Expired deduplication ids that are removed in one commit, per job and beyond: more than a job
/// adds, so that their number settles.
const TRIM_PER_JOB: usize = 2;

/// What the writer is about to do, of a simulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// To carry out a transaction, and commit it.
    Commit,
    /// To answer those whose transaction is committed.
    Answer,
}

/// How long each step of a simulated writer waits.
pub type Pace = Box<dyn FnMut(Step) -> Duration + Send>;

/// Whether what a job did shall stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Keep,
    RollBack,
}

/// Which room on the disk something may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UseOfRoom {
    /// What there is: it can be refused.
    Free,
    /// Also what is held for those who bring what is there to its end.
    Held,
}

/// Something to run in a transaction; it may run twice.
trait Job: Send {
    fn run(&mut self, tx: &mut Tx<'_>) -> Verdict;
    fn use_of_room(&self) -> UseOfRoom;
    /// Whether that is why it was rolled back: there was none.
    fn found_no_room(&self) -> bool;
    fn answer(self: Box<Self>);
    fn fail(self: Box<Self>, error: StorageError);
}

struct Call<F, T> {
    body: F,
    use_of_room: UseOfRoom,
    result: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<F, T> Job for Call<F, T>
where
    F: FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send,
    T: Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> Verdict {
        if self.reply.is_closed() {
            return Verdict::Keep; // Nobody waits for it any more: leave it undone.
        }
        let changes_before = tx.changes();
        let result = (self.body)(tx);
        let half_done = match &result {
            Ok(_) => false,
            Err(StoreError::Storage(error)) => {
                tx.note_damage(error);
                true
            }
            Err(_) => tx.changes() != changes_before,
        };
        self.result = Some(result);
        if half_done { Verdict::RollBack } else { Verdict::Keep }
    }

    fn use_of_room(&self) -> UseOfRoom {
        self.use_of_room
    }

    fn found_no_room(&self) -> bool {
        matches!(&self.result, Some(Err(StoreError::Storage(error))) if error.is_full())
    }

    fn answer(self: Box<Self>) {
        if let Some(result) = self.result {
            drop(self.reply.send(result)); // A caller that has gone needs no answer.
        }
    }

    fn fail(self: Box<Self>, error: StorageError) {
        drop(self.reply.send(Err(error.into())));
    }
}

/// Where jobs are handed over.
#[derive(Clone)]
pub(super) struct Jobs {
    sender: mpsc::Sender<Box<dyn Job>>,
}

impl Jobs {
    /// Runs `body` in a transaction and returns what it returned, once that is durable.
    ///
    /// `body` runs twice if the transaction it was in fails because of another job.
    pub(super) async fn run<F, T>(&self, body: F) -> Result<T, StoreError>
    where
        F: FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
        T: Send + 'static,
    {
        self.run_in(UseOfRoom::Held, body).await
    }

    /// The same for what brings something new, which is refused where the disk is full.
    pub(super) async fn run_new<F, T>(&self, body: F) -> Result<T, StoreError>
    where
        F: FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
        T: Send + 'static,
    {
        self.run_in(UseOfRoom::Free, body).await
    }

    async fn run_in<F, T>(&self, use_of_room: UseOfRoom, body: F) -> Result<T, StoreError>
    where
        F: FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
        T: Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let call = Call { body, use_of_room, result: None, reply };
        self.sender.send(Box::new(call)).await.map_err(|_| StorageError::Closed)?;
        answer.await.map_err(|_| StorageError::Closed)?
    }
}

impl Jobs {
    /// A handle that does not keep the store open.
    pub(super) fn downgrade(&self) -> WeakJobs {
        WeakJobs { sender: self.sender.downgrade() }
    }
}

/// See [`Jobs::downgrade`].
#[derive(Clone)]
pub(super) struct WeakJobs {
    sender: mpsc::WeakSender<Box<dyn Job>>,
}

impl WeakJobs {
    /// Whether the store is closed.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.strong_count() == 0
    }

    /// `None` once the store is closed.
    pub(super) fn upgrade(&self) -> Option<Jobs> {
        self.sender.upgrade().map(|sender| Jobs { sender })
    }
}

/// The writer's side.
pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) clock: Arc<QueueClock>,
    pub(super) memory: Memory,
    pub(super) wakers: Arc<Wakers>,
    pub(super) faults: Arc<FaultSwitches>,
    pub(super) failures: Failures,
    /// Where the database is, unless in memory.
    pub(super) dir: Option<PathBuf>,
}

impl Writer {
    /// Starts the thread. It ends, and closes the database, when the last [`Jobs`] is dropped and no
    /// sender of `others` is left: whoever closes the database last is to put its log into it, which who
    /// only reads cannot. `held` is dropped after that.
    pub(super) fn start(
        mut self,
        others: Others,
        held: impl Send + 'static,
    ) -> std::io::Result<Jobs> {
        let (sender, receiver) = mpsc::channel(JOBS_WAITING_MAX);
        let failures = self.failures.clone();
        failures.thread("store", move || {
            self.serve(receiver);
            // Nothing is ever sent: this is their end.
            let _ended = others.recv();
            drop(self);
            drop(held);
        })?;
        Ok(Jobs { sender })
    }

    /// Does the same in a task among others, at the pace of a simulation. `held` is dropped at its end, also
    /// when the task is dropped: whatever was not committed then was not done.
    pub(super) fn among_tasks(
        mut self,
        mut pace: Pace,
        held: impl Send + 'static,
    ) -> (Jobs, impl Future<Output = ()> + Send) {
        let (sender, mut waiting) = mpsc::channel(JOBS_WAITING_MAX);
        let serve = async move {
            let _held = held;
            while let Some(first) = waiting.recv().await {
                tokio::time::sleep(pace(Step::Commit)).await;
                let Ok(group) = self.commit(first, &mut waiting) else { return };
                tokio::time::sleep(pace(Step::Answer)).await;
                group.into_iter().for_each(Job::answer);
                if self.failures.first().is_some() {
                    return;
                }
            }
        };
        (Jobs { sender }, serve)
    }

    fn serve(&mut self, mut waiting: mpsc::Receiver<Box<dyn Job>>) {
        while let Some(first) = waiting.blocking_recv() {
            let Ok(group) = self.commit(first, &mut waiting) else { return };
            group.into_iter().for_each(Job::answer);
            if self.failures.first().is_some() {
                return;
            }
        }
    }

    /// Runs a job, and those that wait behind it, in one transaction; gives what is to be answered now that
    /// it is committed. When it was not, each has run alone and is answered already.
    fn commit(
        &mut self,
        first: Box<dyn Job>,
        waiting: &mut mpsc::Receiver<Box<dyn Job>>,
    ) -> Result<Vec<Box<dyn Job>>, NotKept> {
        let mut group = vec![first];
        let committed = self.transaction(|tx| run_all(tx, &mut group, waiting));
        match committed {
            Ok(()) => Ok(group),
            Err(RolledBack::ByStorage(error)) if !error.is_passing() => {
                self.failures.tell(Failure::NotKept(in_full(&error)));
                // Whoever waits hears that the store is closed, and so does whoever comes.
                Err(NotKept)
            }
            Err(_) => {
                for job in group {
                    self.run_alone(job);
                }
                Ok(Vec::new())
            }
        }
    }

    fn run_alone(&mut self, mut job: Box<dyn Job>) {
        let mut tried = false;
        loop {
            let done = self.transaction(|tx| (job.run(tx), 1));
            let is_full = match &done {
                Ok(()) => false,
                Err(RolledBack::ByJob) => job.found_no_room(),
                Err(RolledBack::ByStorage(error)) => error.is_full(),
            };
            // What is only kept for later gives way first.
            if is_full && self.memory.stop_keeping() {
                continue;
            }
            let may_use_held = job.use_of_room() == UseOfRoom::Held;
            if is_full && may_use_held && self.make_room(&mut tried) {
                continue;
            }
            return match done {
                Ok(()) | Err(RolledBack::ByJob) => job.answer(),
                Err(RolledBack::ByStorage(error)) => job.fail(error),
            };
        }
    }

    /// Has the write-ahead log begin anew, in place, and from the second time on gives up some of the room
    /// that is held for that; tells whether there was any.
    fn make_room(&mut self, tried: &mut bool) -> bool {
        let Some(dir) = &self.dir else { return false };
        if std::mem::replace(tried, true) && !give_up_one(dir) {
            return false;
        }
        // What cannot be put into the database now may be with what is given up next.
        let _still_full =
            self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        true
    }

    /// Runs `body`, which says whether to commit and how many jobs it ran.
    fn transaction(
        &mut self,
        body: impl FnOnce(&mut Tx<'_>) -> (Verdict, usize),
    ) -> Result<(), RolledBack> {
        let mark = self.memory.mark();
        let result = self.try_transaction(body);
        if result.is_ok() {
            self.memory.committed();
        } else {
            if !self.connection.is_autocommit() {
                // If even this fails, the next transaction cannot begin and says so.
                drop(self.connection.execute_batch("ROLLBACK"));
            }
            self.memory.back_to(mark);
        }
        if let (Some(damage), Some(dir)) = (self.memory.take_damage(), &self.dir) {
            damage_mark::found(dir, damage, &self.failures);
        }
        self.wakers.wake(self.memory.take_wakes());
        result
    }

    fn try_transaction(
        &mut self,
        body: impl FnOnce(&mut Tx<'_>) -> (Verdict, usize),
    ) -> Result<(), RolledBack> {
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let mut tx = Tx::new(&self.connection, &self.clock, &mut self.memory);
        let changes_before = tx.changes();
        let (verdict, jobs) = body(&mut tx);
        if verdict == Verdict::RollBack {
            return Err(RolledBack::ByJob);
        }
        if tx.changes() != changes_before {
            tx.record_progress(jobs.saturating_mul(TRIM_PER_JOB))?;
            self.faults.check_commit()?;
        }
        self.connection.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }
}

fn run_all(
    tx: &mut Tx<'_>,
    group: &mut Vec<Box<dyn Job>>,
    waiting: &mut mpsc::Receiver<Box<dyn Job>>,
) -> (Verdict, usize) {
    let mut done = 0;
    while let Some(job) = group.get_mut(done) {
        if job.run(tx) == Verdict::RollBack {
            return (Verdict::RollBack, done);
        }
        done += 1;
        if done == group.len() && done < JOBS_PER_COMMIT_MAX {
            group.extend(waiting.try_recv());
        }
    }
    (Verdict::Keep, done)
}

/// The disk does not keep what is committed: nothing more is.
struct NotKept;

/// Why a transaction did not stay.
enum RolledBack {
    /// A job failed half-way and holds its error.
    ByJob,
    /// The transaction failed.
    ByStorage(StorageError),
}

impl<E: Into<StorageError>> From<E> for RolledBack {
    fn from(error: E) -> Self {
        Self::ByStorage(error.into())
    }
}

#[cfg(test)]
mod tests {
    use domain::config::KeepDelivered;
    use domain::time::Timestamp;
    use rusqlite::ffi;

    use super::super::{Store, open};
    use super::*;
    use crate::clock::ManualClock;

    fn clock() -> Arc<ManualClock> {
        Arc::new(ManualClock::at(Timestamp::from_ms(1_800_000_000_000)))
    }

    #[tokio::test]
    async fn what_was_refused_half_way_leaves_nothing_and_is_no_want_of_room() {
        let store = Store::in_memory(clock()).unwrap();
        store.keep_delivered(Some(KeepDelivered::new(1, 1_000).unwrap())).await.unwrap();
        let half_way = |tx: &mut Tx<'_>| {
            tx.execute("UPDATE kept_total SET events = 7", [])?;
            Err::<(), _>(StoreError::MissingParameter("the rest"))
        };
        store.jobs.run(half_way).await.unwrap_err();
        assert_eq!(store.kept_total().await.unwrap().events, 0);
        assert!(store.jobs.run(|tx| Ok(tx.keeps().is_some())).await.unwrap());
    }

    #[tokio::test]
    async fn damage_that_a_request_meets_is_told_and_marked() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), clock()).unwrap();
        let corrupt = |_: &mut Tx<'_>| {
            let error = ffi::Error::new(ffi::SQLITE_CORRUPT);
            Err::<(), _>(rusqlite::Error::SqliteFailure(error, None).into())
        };
        store.jobs.run(corrupt).await.unwrap_err();
        assert!(matches!(store.failed().await, Failure::Damaged { .. }));
        assert!(dir.path().join("queues.db.damaged").exists());
    }

    #[test]
    fn a_transaction_runs_all_that_wait_and_no_more_than_it_may() {
        let connection = open::in_memory().unwrap();
        let clock = QueueClock::open(&connection, clock()).unwrap();
        for (given, expected) in [(1, 1), (256, 256), (300, 256)] {
            let (sender, mut waiting) = mpsc::channel(given);
            let mut answers = Vec::new();
            let mut job = || -> Box<dyn Job> {
                let (reply, answer) = oneshot::channel();
                answers.push(answer);
                let body = |_: &mut Tx<'_>| Ok(());
                Box::new(Call { body, use_of_room: UseOfRoom::Held, result: None, reply })
            };
            let mut group = vec![job()];
            for _ in 1..given {
                assert!(sender.try_send(job()).is_ok());
            }
            let mut memory = Memory::default();
            let mut tx = Tx::new(&connection, &clock, &mut memory);
            let done = run_all(&mut tx, &mut group, &mut waiting);
            assert_eq!((done, group.len()), ((Verdict::Keep, expected), expected));
            assert_eq!(waiting.len(), given - expected);
        }
    }
}
