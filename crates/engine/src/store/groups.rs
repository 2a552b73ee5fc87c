//! Message groups: which message is first, and whether it is in flight.

use rusqlite::{Row, params};

use super::deduplication;
use super::departure::{Departure, Why};
use super::error::StoreError;
use super::kept::Leaving;
use super::ledger::{EVENT_ID_SQL, ROUTE_SQL, Way};
use super::limits;
use super::queue::Queue;
use super::queue_time::{NEVER, QueueTime, seconds};
use super::tx::Tx;
use super::view::View;
use super::wake::Wake;

/// What a message in flight holds back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum GroupLock {
    /// The messages behind it: those before the first one in flight can be received. So it was
    /// recorded on SQS.
    #[default]
    Behind,
    /// Its whole group, as SQS's guide can be read. Deliveries keep their order under both, and
    /// tests hold them against both.
    Group,
}

/// A group whose first message can be received.
pub(super) struct FreeGroup {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) head_sequence: i64,
    pub(super) head_sent: QueueTime,
}

/// The group that `sequence` goes to the end of; its first message if the group is new.
pub(super) fn for_message(
    tx: &mut Tx<'_>,
    queue: &Queue,
    name: &str,
    sequence: i64,
) -> Result<i64, StoreError> {
    let group: Option<(i64, bool)> = tx.first(
        "SELECT id, head_in_flight FROM message_group WHERE queue_id = ?1 AND name = ?2",
        params![queue.id, name],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let (group_id, head_in_flight) = match group {
        Some(group) => group,
        None => (create(tx, queue.id, name, sequence)?, false),
    };
    match queue.settings.delay_seconds {
        _ if head_in_flight => {}
        0 => tx.wake(Wake::One(queue.id)),
        delay => tx.wake_at(queue.id, tx.now().plus(seconds(delay))),
    }
    Ok(group_id)
}

fn create(tx: &Tx<'_>, queue_id: i64, name: &str, head: i64) -> Result<i64, StoreError> {
    tx.execute(
        "INSERT INTO message_group (queue_id, name, head_sequence) VALUES (?1, ?2, ?3)",
        params![queue_id, name, head],
    )?;
    let group_id = tx.last_row();
    count_groups(tx, queue_id, 1)?;
    Ok(group_id)
}

/// The free group whose first message is the oldest.
pub(super) fn first_free(
    tx: &Tx<'_>,
    queue_id: i64,
    lock: GroupLock,
) -> Result<Option<FreeGroup>, StoreError> {
    let group = tx.first(
        "SELECT g.id, g.name, g.head_sequence, m.sent_ms
         FROM message_group g JOIN message m ON m.sequence = g.head_sequence
         WHERE g.queue_id = ?1 AND g.head_in_flight = 0 AND (?2 OR NOT EXISTS (
             SELECT 1 FROM message JOIN delivery USING (sequence)
             WHERE group_id = g.id AND visible_at_ms IS NOT NULL))
         ORDER BY g.head_sequence LIMIT 1",
        params![queue_id, lock == GroupLock::Behind],
        |row| {
            Ok(FreeGroup {
                id: row.get(0)?,
                name: row.get(1)?,
                head_sequence: row.get(2)?,
                head_sent: row.get(3)?,
            })
        },
    )?;
    Ok(group)
}

/// The queue's oldest message, in flight or not, and when it was sent.
pub(super) fn oldest(
    view: &View<'_>,
    queue_id: i64,
) -> Result<Option<(i64, QueueTime)>, StoreError> {
    let of = |head_in_flight: bool| {
        view.first(
            "SELECT g.head_sequence, m.sent_ms
             FROM message_group g JOIN message m ON m.sequence = g.head_sequence
             WHERE g.queue_id = ?1 AND g.head_in_flight = ?2 ORDER BY g.head_sequence LIMIT 1",
            params![queue_id, head_in_flight],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    };
    let heads: [Option<(i64, QueueTime)>; 2] = [of(false)?, of(true)?];
    Ok(heads.into_iter().flatten().min())
}

/// Counts `messages` of a group as in flight (or, negative, as no longer), once their deliveries say
/// so.
pub(super) fn change_in_flight(
    tx: &mut Tx<'_>,
    queue_id: i64,
    group_id: i64,
    messages: i64,
) -> Result<(), StoreError> {
    let in_flight: Option<i64> = tx.first(
        "UPDATE queue_count SET in_flight = in_flight + ?2 WHERE queue_id = ?1 RETURNING in_flight",
        [queue_id, messages],
        |row| row.get(0),
    )?;
    // Who met the limit waits for room, in whatever group.
    let full = |in_flight: i64| in_flight >= limits::IN_FLIGHT_MAX;
    if in_flight.is_some_and(|now| !full(now) && full(now - messages)) {
        tx.wake(Wake::One(queue_id));
    }
    look_at_head(tx, queue_id, group_id)
}

/// Takes note of whether a group's first message is in flight; if it is not, it can be received.
fn look_at_head(tx: &mut Tx<'_>, queue_id: i64, group_id: i64) -> Result<(), StoreError> {
    let head_in_flight = tx.first(
        "UPDATE message_group SET head_in_flight = EXISTS (
             SELECT 1 FROM delivery WHERE sequence = head_sequence AND visible_at_ms IS NOT NULL)
         WHERE id = ?1 RETURNING head_in_flight",
        [group_id],
        |row| row.get(0),
    )?;
    if head_in_flight == Some(false) {
        tx.wake(Wake::One(queue_id));
    }
    Ok(())
}

/// Adds to the queue's counts of messages and of messages in flight.
pub(super) fn count(
    tx: &Tx<'_>,
    queue_id: i64,
    queued: i64,
    in_flight: i64,
) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE queue_count SET queued = queued + ?2, in_flight = in_flight + ?3
         WHERE queue_id = ?1",
        params![queue_id, queued, in_flight],
    )?;
    Ok(())
}

fn count_groups(tx: &Tx<'_>, queue_id: i64, groups: i64) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE queue_count SET message_groups = message_groups + ?2 WHERE queue_id = ?1",
        params![queue_id, groups],
    )?;
    Ok(())
}

/// Why a message leaves its queue.
pub(super) enum Removal<'a> {
    /// The function was done with it; had it made a dead letter of it, that would be in this queue.
    Done { dead_letter_queue: Option<&'a Queue> },
    /// Somebody deleted it.
    Deleted,
    /// It goes to another queue.
    Moved,
    /// It is older than the retention.
    Expired,
    /// Its queue is purged, which is told of once for all messages.
    Purged,
}

impl Removal<'_> {
    fn way(&self, tx: &Tx<'_>, message_id: &str) -> Result<Way, StoreError> {
        Ok(match self {
            // The forwarder gives a dead letter its message's id: see `domain::dead_letter`.
            Self::Done { dead_letter_queue: Some(queue) }
                if deduplication::was_sent(tx, queue, message_id, message_id)? =>
            {
                Way::DeadLettered
            }
            Self::Done { .. } => Way::Done,
            Self::Deleted => Way::Deleted,
            Self::Moved => Way::MovedOut,
            Self::Expired => Way::Expired,
            Self::Purged => Way::Purged,
        })
    }
}

/// A text, empty where it is damaged.
fn text(row: &Row<'_>, column: usize) -> String {
    row.get(column).unwrap_or_default()
}

/// Removes a message: its group's next one moves up, or the group goes with its last.
pub(super) fn remove(
    tx: &mut Tx<'_>,
    queue: &Queue,
    sequence: i64,
    why: &Removal<'_>,
) -> Result<(), StoreError> {
    let queue_id = queue.id;
    let leaving = match why {
        Removal::Done { .. } => Leaving::of(tx, sequence)?,
        _ => None,
    };
    let removed: Option<(i64, String, String, String)> = tx.first(
        &format!(
            "DELETE FROM message WHERE sequence = ?1
             RETURNING group_id, {ROUTE_SQL}, message_id, {EVENT_ID_SQL}"
        ),
        [sequence],
        |row| Ok((row.get(0)?, text(row, 1), text(row, 2), text(row, 3))),
    )?;
    let Some((group_id, route, message_id, event_id)) = removed else { return Ok(()) };
    let way = why.way(tx, &message_id)?;
    tx.count(queue_id, &route, way);
    if let (Way::Done, Some(leaving)) = (way, leaving) {
        leaving.keep(tx, queue)?;
    }
    let gone = match why {
        Removal::Expired => Some(Why::Expired),
        Removal::Deleted => Some(Why::Deleted),
        Removal::Done { .. } | Removal::Moved | Removal::Purged => None,
    };
    if let Some(why) = gone {
        let queue = queue.name.clone();
        tx.depart(Departure { queue, why, route, messages: 1, event_id: Some(event_id) });
    }
    let delivery: Option<(bool, bool)> = tx.first(
        "DELETE FROM delivery WHERE sequence = ?1
         RETURNING visible_at_ms IS NOT NULL, ifnull(visible_at_ms, 0) = ?2",
        params![sequence, NEVER],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let (in_flight, is_damaged) = delivery.unwrap_or_default();
    if is_damaged {
        tx.execute("DELETE FROM damaged WHERE sequence = ?1", [sequence])?;
    }
    count(tx, queue_id, -1, 0)?;
    move_up(tx, queue_id, group_id)?;
    change_in_flight(tx, queue_id, group_id, -i64::from(in_flight))
}

/// Finds a group's first message again, or takes the group away: what it took for that is gone, or is
/// not the first.
pub(super) fn mend_head(tx: &mut Tx<'_>, queue_id: i64, group_id: i64) -> Result<(), StoreError> {
    let lost: Option<bool> = tx.first(
        "DELETE FROM delivery WHERE sequence = (SELECT head_sequence FROM message_group WHERE id = ?1)
         AND sequence NOT IN (SELECT sequence FROM message)
         RETURNING visible_at_ms IS NOT NULL",
        [group_id],
        |row| row.get(0),
    )?;
    let first = "SELECT min(sequence) FROM message WHERE group_id = ?1";
    let first: Option<Option<i64>> = tx.first(first, [group_id], |row| row.get(0))?;
    if let Some(first) = first.flatten() {
        let sql = "UPDATE message_group SET head_sequence = ?2 WHERE id = ?1";
        tx.execute(sql, params![group_id, first])?;
    } else if tx.execute("DELETE FROM message_group WHERE id = ?1", [group_id])? > 0 {
        count_groups(tx, queue_id, -1)?;
    }
    change_in_flight(tx, queue_id, group_id, -i64::from(lost == Some(true)))
}

fn move_up(tx: &Tx<'_>, queue_id: i64, group_id: i64) -> Result<(), StoreError> {
    let next: Option<i64> = tx.first(
        "SELECT sequence FROM message WHERE group_id = ?1 ORDER BY sequence LIMIT 1",
        [group_id],
        |row| row.get(0),
    )?;
    if let Some(next) = next {
        let sql = "UPDATE message_group SET head_sequence = ?2 WHERE id = ?1";
        tx.execute(sql, params![group_id, next])?;
    } else {
        tx.execute("DELETE FROM message_group WHERE id = ?1", [group_id])?;
        count_groups(tx, queue_id, -1)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use domain::time::Timestamp;

    use super::super::{Attributes, NewMessage, ReceiveRequest, Store, Tags};
    use super::*;
    use crate::clock::ManualClock;

    const QUEUE: &str = "q.fifo";

    /// Two messages of a group in a queue, which are in flight for 30 seconds.
    async fn two_in_flight() -> (Store, Arc<ManualClock>, Vec<String>) {
        let clock = Arc::new(ManualClock::at(Timestamp::from_ms(1_800_000_000_000)));
        let store = Store::in_memory(clock.clone()).unwrap();
        let fifo = Attributes::from([("FifoQueue".to_owned(), "true".to_owned())]);
        store.create_queue(QUEUE, &fifo, &Tags::new()).await.unwrap();
        for body in ["1", "2"] {
            let message = NewMessage {
                body: body.to_owned(),
                group_id: "a".to_owned(),
                deduplication_id: Some(body.to_owned()),
                ..NewMessage::default()
            };
            store.send(QUEUE, message).await.unwrap();
        }
        let handles = receive(&store).await;
        assert_eq!((handles.len(), counts(&store).await), (2, (2, 2, 1)));
        (store, clock, handles)
    }

    async fn receive(store: &Store) -> Vec<String> {
        let request = ReceiveRequest { max_messages: 10, ..ReceiveRequest::default() };
        let received = store.receive(QUEUE, request).await.unwrap();
        received.into_iter().map(|message| message.receipt_handle).collect()
    }

    /// Messages, those in flight, and groups, as they are counted.
    async fn counts(store: &Store) -> (i64, i64, i64) {
        let sql = "SELECT queued, in_flight, message_groups FROM queue_count";
        let counts = store.jobs.run(move |tx| {
            let counts = tx.first(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            Ok(counts.unwrap())
        });
        counts.await.unwrap()
    }

    /// A count that grew by each message that comes back would end at the limit, and nothing be received.
    #[tokio::test]
    async fn what_is_not_in_flight_any_more_is_not_counted_as_that() {
        let (store, clock, _) = two_in_flight().await;
        clock.advance(std::time::Duration::from_secs(30));
        let handles = receive(&store).await;
        assert_eq!(counts(&store).await, (2, 2, 1));
        store.change_visibility(QUEUE, &handles[1], 0).await.unwrap();
        assert_eq!(counts(&store).await, (2, 1, 1));
        store.delete(QUEUE, &handles[0]).await.unwrap();
        assert_eq!(counts(&store).await, (1, 0, 1));
    }

    #[tokio::test]
    async fn a_group_whose_messages_are_gone_goes_once() {
        let (store, ..) = two_in_flight().await;
        let mend = async |sql: &'static str| {
            let mend = move |tx: &mut Tx<'_>| {
                tx.execute(sql, [])?;
                mend_head(tx, 1, 1)
            };
            store.jobs.run(mend).await.unwrap();
            let (_, in_flight, groups) = counts(&store).await;
            (in_flight, groups)
        };
        assert_eq!(mend("DELETE FROM message WHERE body = '1'").await, (1, 1));
        assert_eq!(mend("DELETE FROM message").await, (0, 0));
        assert_eq!(mend("DELETE FROM message").await, (0, 0));
    }
}
