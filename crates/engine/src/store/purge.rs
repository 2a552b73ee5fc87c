//! Emptying queues, a part at a time, and deleting them.

use std::time::{Duration, Instant};

use rusqlite::params;

use super::departure::{Departure, Why};
use super::error::StoreError;
use super::groups::{self, Removal};
use super::limits;
use super::open::CHECKPOINT_PAGES;
use super::tx::Tx;
use super::wake::Wake;

/// Messages that one transaction of a purge looks at, at most, and how long it goes on with them:
/// whoever sends meanwhile waits for it, and machines differ in what they do in a time.
const EMPTIED_AT_ONCE: i64 = 100;
pub(super) const EMPTIED_FOR: Duration = Duration::from_millis(10);

/// Pages after which the write-ahead log is copied into the database meanwhile: a purge touches them all
/// over the file, and whoever sends waits for the disk to have them. Measured with 530,000 messages: no
/// accept was held for longer than 41 ms, with [`CHECKPOINT_PAGES`] for 56 ms.
const CHECKPOINT_PAGES_MEANWHILE: u32 = 1_000;

/// How long who purges waits for its end. Clients wait for 60 s at most, and try again; SQS deletes for as
/// long after its answer. Source: SQS API reference, `PurgeQueue`.
pub(super) const ANSWERED_WITHIN: Duration = Duration::from_secs(10);

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

    /// Removes the next ones, one at least, for about this `time`.
    pub(super) fn step(self, tx: &mut Tx<'_>, time: Duration) -> Result<Self, StoreError> {
        let left = self.removed_for(tx, time)?;
        let pages = if left.is_done() { CHECKPOINT_PAGES } else { CHECKPOINT_PAGES_MEANWHILE };
        tx.set(&format!("PRAGMA wal_autocheckpoint = {pages}"))?;
        Ok(left)
    }

    fn removed_for(mut self, tx: &mut Tx<'_>, time: Duration) -> Result<Self, StoreError> {
        let began = Instant::now();
        let name: Option<String> =
            tx.first("SELECT name FROM queue WHERE id = ?1", [self.queue_id], |row| row.get(0))?;
        let Some(name) = name else {
            self.after = self.before;
            return Ok(self);
        };
        let queue = tx.queue(&name)?;
        let next: Vec<(i64, i64)> = tx.all(
            "SELECT sequence, queue_id FROM message WHERE sequence > ?1 AND sequence < ?2
             ORDER BY sequence LIMIT ?3",
            [self.after, self.before, EMPTIED_AT_ONCE],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        if next.is_empty() {
            self.after = self.before;
        }
        for (sequence, queue_id) in next {
            if queue_id == self.queue_id {
                groups::remove(tx, &queue, sequence, &Removal::Purged)?;
            }
            self.after = sequence;
            if began.elapsed() >= time {
                break;
            }
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{NewMessage, Store, Tags};
    use super::*;
    use crate::clock::SystemClock;

    const QUEUE: &str = "a.fifo";

    /// A queue with so many messages.
    async fn store_with(messages: i64) -> Store {
        let store = Store::in_memory(Arc::new(SystemClock::new())).unwrap();
        let fifo = [("FifoQueue".to_owned(), "true".to_owned())].into();
        store.create_queue(QUEUE, &fifo, &Tags::new()).await.unwrap();
        for number in 0..messages {
            let message = NewMessage {
                body: "b".to_owned(),
                group_id: "g".to_owned(),
                deduplication_id: Some(number.to_string()),
                ..NewMessage::default()
            };
            store.send(QUEUE, message).await.unwrap();
        }
        store
    }

    /// Whoever sends meanwhile waits for one step at most.
    #[tokio::test]
    async fn a_step_removes_a_hundred_messages_at_most_however_much_time_it_has() {
        let store = store_with(EMPTIED_AT_ONCE + 20).await;
        let emptying = store.jobs.run(|tx| purge(tx, QUEUE)).await.unwrap();
        store.jobs.run(move |tx| emptying.step(tx, Duration::MAX)).await.unwrap();
        assert_eq!(store.statistics(QUEUE).await.unwrap().visible, 20);
        assert_eq!(EMPTIED_AT_ONCE, 100);
    }

    /// So that it holds up nobody for longer on a machine that is slow.
    #[tokio::test]
    async fn a_step_ends_with_its_time_and_goes_on_where_it_was() {
        let store = store_with(5).await;
        let mut emptying = store.jobs.run(|tx| purge(tx, QUEUE)).await.unwrap();
        let pages =
            |tx: &mut Tx<'_>| Ok(tx.first("PRAGMA wal_autocheckpoint", [], |row| row.get(0))?);
        for (time, left) in [(Duration::ZERO, 4), (Duration::ZERO, 3), (Duration::MAX, 0)] {
            emptying = store.jobs.run(move |tx| emptying.step(tx, time)).await.unwrap();
            assert_eq!(store.statistics(QUEUE).await.unwrap().visible, left);
            assert_eq!(store.jobs.run(pages).await.unwrap(), Some(CHECKPOINT_PAGES_MEANWHILE));
        }
        assert!(!emptying.is_done(), "nobody has looked whether that was all");
        let emptying = store.jobs.run(move |tx| emptying.step(tx, Duration::ZERO)).await.unwrap();
        assert!(emptying.is_done());
        assert_eq!(store.jobs.run(pages).await.unwrap(), Some(CHECKPOINT_PAGES));
    }

    /// It is the connection's, which lives on: what comes later would be slower for good.
    #[tokio::test]
    async fn a_purge_whose_queue_is_deleted_leaves_the_log_as_it_was() {
        let store = store_with(2).await;
        let pages =
            |tx: &mut Tx<'_>| Ok(tx.first("PRAGMA wal_autocheckpoint", [], |row| row.get(0))?);
        let emptying = store.jobs.run(|tx| purge(tx, QUEUE)).await.unwrap();
        let emptying = store.jobs.run(move |tx| emptying.step(tx, Duration::ZERO)).await.unwrap();
        assert_eq!(store.jobs.run(pages).await.unwrap(), Some(CHECKPOINT_PAGES_MEANWHILE));
        store.jobs.run(|tx| delete(tx, QUEUE)).await.unwrap();
        let emptying = store.jobs.run(move |tx| emptying.step(tx, Duration::ZERO)).await.unwrap();
        assert!(emptying.is_done());
        assert_eq!(store.jobs.run(pages).await.unwrap(), Some(CHECKPOINT_PAGES));
    }

    /// Clients would take an answer that is late for a failure.
    #[tokio::test]
    async fn who_purges_is_answered_in_time_and_everything_goes_all_the_same() {
        // More than some steps remove.
        let store = store_with(6 * EMPTIED_AT_ONCE).await;
        store.purge_queue_within(QUEUE, Duration::ZERO).await.unwrap();
        assert_ne!(store.statistics(QUEUE).await.unwrap().visible, 0);
        while store.statistics(QUEUE).await.unwrap().visible > 0 {}
    }

    /// It was sent between the last step of emptying the queue and this.
    #[tokio::test]
    async fn what_goes_with_its_queue_is_told_as_purged() {
        let store = Store::in_memory(Arc::new(SystemClock::new())).unwrap();
        let mut departures = store.departures().unwrap();
        let fifo = [("FifoQueue".to_owned(), "true".to_owned())].into();
        store.create_queue("q.fifo", &fifo, &Tags::new()).await.unwrap();
        let message = NewMessage {
            body: "late".to_owned(),
            group_id: "a".to_owned(),
            deduplication_id: Some("late".to_owned()),
            ..NewMessage::default()
        };
        store.send("q.fifo", message).await.unwrap();
        store.jobs.run(|tx| delete(tx, "q.fifo")).await.unwrap();
        let told = departures.try_recv().unwrap();
        assert_eq!((told.why, told.route.as_str(), told.messages), (Why::Purged, "", 1));
        let left = store.jobs.run(|tx| Ok(tx.ledger().held(1))).await.unwrap();
        assert_eq!(left, []);
    }
}
