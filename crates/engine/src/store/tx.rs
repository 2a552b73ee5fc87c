//! What a job works with: the open transaction, the time it counts as, and the little that the
//! writer keeps in memory (queues; nothing per message, nothing per group).

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;

use domain::config::KeepDelivered;
use rusqlite::{Connection, Params, params};

use super::departure::{Departure, Told};
use super::error::{StorageError, StoreError};
use super::ledger::{Ledger, Way};
use super::queue::Queue;
use super::queue_time::{QueueClock, QueueTime};
use super::view::View;
use super::wake::Wake;

/// What the writer remembers between transactions. All of it can be read from the database again.
#[derive(Default)]
pub(super) struct Memory {
    next_number: i64,
    queues: HashMap<String, Arc<Queue>>,
    wakes: Vec<Wake>,
    ledger: Ledger,
    departures: Vec<Departure>,
    damage: Option<String>,
    told: Option<Told>,
    /// How much of what was delivered is kept.
    keep: Option<KeepDelivered>,
    /// Whether nothing more of it is, as the disk has no room.
    is_short: bool,
}

/// Where a transaction that is rolled back goes back to.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    next_number: i64,
}

impl Memory {
    pub(super) fn new(next_number: i64, ledger: Ledger, told: Told) -> Self {
        Self { next_number, ledger, told: Some(told), ..Self::default() }
    }

    pub(super) fn mark(&self) -> Mark {
        Mark { next_number: self.next_number }
    }

    pub(super) fn back_to(&mut self, mark: Mark) {
        self.next_number = mark.next_number;
        self.queues.clear();
        self.wakes.clear();
        self.departures.clear();
        self.ledger.rolled_back();
    }

    /// To be called when the transaction is committed.
    pub(super) fn committed(&mut self) {
        self.ledger.committed();
        for departure in self.departures.drain(..) {
            // Where nobody listens, nobody is told.
            let _unheard = self.told.as_ref().map(|told| told.send(departure));
        }
    }

    /// Keeps nothing more until there is room; tells whether anything was kept so far.
    pub(super) fn stop_keeping(&mut self) -> bool {
        let kept = self.keep.is_some() && !self.is_short;
        self.is_short = true;
        kept
    }

    /// What was found to be wrong with the database.
    pub(super) fn take_damage(&mut self) -> Option<String> {
        self.damage.take()
    }

    pub(super) fn take_wakes(&mut self) -> Vec<Wake> {
        std::mem::take(&mut self.wakes)
    }
}

/// An open transaction.
pub(super) struct Tx<'a> {
    view: View<'a>,
    clock: &'a QueueClock,
    memory: &'a mut Memory,
}

impl<'a> Deref for Tx<'a> {
    type Target = View<'a>;

    fn deref(&self) -> &View<'a> {
        &self.view
    }
}

impl<'a> Tx<'a> {
    pub(super) fn new(
        connection: &'a Connection,
        clock: &'a QueueClock,
        memory: &'a mut Memory,
    ) -> Self {
        Self { view: View { connection, moment: clock.now() }, clock, memory }
    }

    /// Rows changed since the database was opened.
    pub(super) fn changes(&self) -> u64 {
        self.connection.total_changes()
    }

    /// Runs a statement; returns how many rows it changed.
    pub(super) fn execute(&self, sql: &str, params: impl Params) -> rusqlite::Result<usize> {
        self.connection.prepare_cached(sql)?.execute(params)
    }

    /// The row that was just inserted.
    pub(super) fn last_row(&self) -> i64 {
        self.connection.last_insert_rowid()
    }

    /// A number greater than all before it: the next sequence number or receive number.
    pub(super) fn next_number(&mut self) -> i64 {
        let number = self.memory.next_number;
        self.memory.next_number += 1;
        number
    }

    /// The queue of this name.
    pub(super) fn queue(&mut self, name: &str) -> Result<Arc<Queue>, StoreError> {
        if let Some(queue) = self.memory.queues.get(name) {
            return Ok(Arc::clone(queue));
        }
        let queue = Arc::new(Queue::stored(&self.view, name)?);
        self.memory.queues.insert(name.to_owned(), Arc::clone(&queue));
        Ok(queue)
    }

    /// Must be called when a queue was changed.
    pub(super) fn forget_queue(&mut self, name: &str) {
        self.memory.queues.remove(name);
    }

    /// Counts a message that comes in or leaves.
    pub(super) fn count(&mut self, queue_id: i64, route: &str, way: Way) {
        self.memory.ledger.count(queue_id, route, way);
    }

    /// Notes what is wrong with the database, if that is why something failed.
    pub(super) fn note_damage(&mut self, error: &StorageError) {
        if let Some(damage) = error.damage() {
            self.memory.damage.get_or_insert(damage);
        }
    }

    /// Tells that messages have left, once that is durable.
    pub(super) fn depart(&mut self, departure: Departure) {
        self.memory.departures.push(departure);
    }

    /// How much of what was delivered is to be kept; `None` if nothing is, now.
    pub(super) fn keeps(&self) -> Option<KeepDelivered> {
        self.memory.keep.filter(|_| !self.memory.is_short)
    }

    /// How much is to be kept from now on.
    pub(super) fn keep(&mut self, keep: Option<KeepDelivered>) {
        self.memory.keep = keep;
    }

    /// Whether the disk has no room for what is kept.
    pub(super) fn set_short(&mut self, short: bool) {
        self.memory.is_short = short;
    }

    /// The ledger, to purge.
    pub(super) fn ledger(&mut self) -> &mut Ledger {
        &mut self.memory.ledger
    }

    /// Wakes a receive after the commit.
    pub(super) fn wake(&mut self, wake: Wake) {
        self.memory.wakes.push(wake);
    }

    /// Tells receives that wait, after the commit, that something can be received at `at`.
    pub(super) fn wake_at(&mut self, queue_id: i64, at: QueueTime) {
        self.wake(Wake::At { queue_id, now: self.now(), at });
    }

    /// Writes down what must not be used or lived through twice, and removes up to `trim` of each
    /// thing that has outlived its time.
    pub(super) fn record_progress(&self, trim: usize) -> Result<(), StorageError> {
        let now = self.now();
        self.clock.record(self.connection, &self.moment, self.memory.next_number)?;
        self.memory.ledger.write(self.connection)?;
        let trim = i64::try_from(trim).unwrap_or(i64::MAX);
        self.execute(
            "DELETE FROM deduplication WHERE key IN (SELECT key FROM deduplication
             WHERE expires_ms <= ?1 ORDER BY expires_ms LIMIT ?2)",
            params![now, trim],
        )?;
        self.execute(
            "DELETE FROM receive_attempt WHERE (queue_id, attempt_id) IN
             (SELECT queue_id, attempt_id FROM receive_attempt
              WHERE expires_ms <= ?1 ORDER BY expires_ms LIMIT ?2)",
            params![now, trim],
        )?;
        Ok(())
    }
}
