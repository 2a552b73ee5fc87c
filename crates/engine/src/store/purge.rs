//! Emptying queues, a part at a time, and deleting them.

use rusqlite::params;

use super::departure::{Departure, Why};
use super::error::StoreError;
use super::groups::{self, Removal};
use super::limits;
use super::tx::Tx;
use super::wake::Wake;

/// Messages that one transaction of a purge looks at.
const EMPTIED_AT_ONCE: i64 = 500;

/// Deletes the queue and its messages. Its deduplication ids run out by themselves: a queue of the
/// same name is another queue.
pub(super) fn delete(tx: &mut Tx<'_>, name: &str) -> Result<(), StoreError> {
    let queue = tx.queue(name)?;
    remove_messages(tx, queue.id)?;
    let purged = tx.ledger().purge(queue.id);
    tell(tx, name, purged);
    tx.execute("DELETE FROM queue_count WHERE queue_id = ?1", [queue.id])?;
    tx.execute("DELETE FROM move_task WHERE source = ?1", [name])?;
    tx.execute("DELETE FROM queue WHERE id = ?1", [queue.id])?;
    tx.forget_queue(name);
    tx.wake(Wake::All(queue.id));
    Ok(())
}

/// Begins to delete the queue's messages, those in flight too.
pub(super) fn purge(tx: &mut Tx<'_>, name: &str) -> Result<Emptying, StoreError> {
    let queue = tx.queue(name)?;
    let now = tx.now();
    if queue.purged.is_some_and(|purged| now < purged.plus(limits::PURGE_INTERVAL)) {
        return Err(StoreError::PurgeQueueInProgress(name.to_owned()));
    }
    tx.execute("UPDATE queue SET purged_ms = ?2 WHERE id = ?1", params![queue.id, now])?;
    tx.forget_queue(name);
    emptying(tx, name)
}

/// What is left to do of a purge.
#[derive(Debug, Clone, Copy)]
pub(super) struct Emptying {
    queue_id: i64,
    /// The last message that was looked at.
    after: i64,
    /// Messages with this number and greater ones came later.
    before: i64,
}

/// Tells of all that is in a queue that it goes, and gives what removes it.
pub(super) fn emptying(tx: &mut Tx<'_>, name: &str) -> Result<Emptying, StoreError> {
    let queue = tx.queue(name)?;
    let held = tx.ledger().held(queue.id);
    tell(tx, name, held);
    Ok(Emptying { queue_id: queue.id, after: 0, before: tx.next_number() })
}

/// Tells that messages go, by route.
fn tell(tx: &mut Tx<'_>, queue: &str, purged: Vec<(String, i64)>) {
    for (route, messages) in purged {
        let queue = queue.to_owned();
        tx.depart(Departure { queue, why: Why::Purged, route, messages, event_id: None });
    }
}

impl Emptying {
    pub(super) fn is_done(self) -> bool {
        self.after >= self.before
    }

    /// Removes the next ones.
    pub(super) fn step(mut self, tx: &mut Tx<'_>) -> Result<Self, StoreError> {
        let name: Option<String> =
            tx.first("SELECT name FROM queue WHERE id = ?1", [self.queue_id], |row| row.get(0))?;
        let Some(name) = name else { return Ok(Self { after: self.before, ..self }) };
        let queue = tx.queue(&name)?;
        let next = tx.all(
            "SELECT sequence, queue_id FROM message WHERE sequence > ?1 AND sequence < ?2
             ORDER BY sequence LIMIT ?3",
            [self.after, self.before, EMPTIED_AT_ONCE],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        self.after = next.last().map_or(self.before, |(sequence, _): &(i64, i64)| *sequence);
        for (sequence, _) in next.into_iter().filter(|(_, queue_id)| *queue_id == self.queue_id) {
            groups::remove(tx, &queue, sequence, &Removal::Purged)?;
        }
        Ok(self)
    }
}

fn remove_messages(tx: &Tx<'_>, queue_id: i64) -> Result<(), StoreError> {
    for sql in [
        "DELETE FROM message WHERE group_id IN (SELECT id FROM message_group WHERE queue_id = ?1)",
        "DELETE FROM delivery WHERE queue_id = ?1",
        "DELETE FROM message_group WHERE queue_id = ?1",
        "DELETE FROM receive_attempt WHERE queue_id = ?1",
        "UPDATE queue_count SET queued = 0, in_flight = 0, message_groups = 0 WHERE queue_id = ?1",
    ] {
        tx.execute(sql, [queue_id])?;
    }
    Ok(())
}
