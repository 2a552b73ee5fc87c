//! Looking for what an operator asks about: the groups that wait, an event, why dead letters died.
//! Nothing is received by it, and no look keeps the writer for long.

use domain::time::Timestamp;
use rusqlite::params;

use super::error::StoreError;
use super::ledger::{EVENT_ID_SQL, ROUTE_SQL};
use super::message::SequenceNumber;
use super::queue::Queue;
use super::queue_time::QueueTime;
use super::view::View;

/// Messages that one transaction looks at, in a search.
const SEARCHED_AT_ONCE: i64 = 5_000;

/// Dead letters up to which they are counted by reason.
const DEAD_LETTERS_COUNTED_MAX: i64 = 2_000;

/// A group whose first message was received before and is not being worked on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingGroup {
    /// `MessageGroupId`.
    pub group: String,
    /// The event that the group waits for.
    pub event_id: String,
    /// Its `SequenceNumber`.
    pub sequence_number: SequenceNumber,
    /// Its route; "" if it names none.
    pub route: String,
    /// When it was sent.
    pub sent_at: Timestamp,
    /// When it was first received.
    pub first_received_at: Timestamp,
    /// How often it was received.
    pub receive_count: u32,
    /// When it can be received again; `None` if it can now.
    pub visible_at: Option<Timestamp>,
    /// Messages of the group behind it.
    pub behind: u64,
}

/// Where a message is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The queue.
    pub queue: String,
    /// `MessageId`.
    pub message_id: String,
    /// `MessageGroupId`.
    pub group: String,
    /// `SequenceNumber`.
    pub sequence_number: SequenceNumber,
    /// When it was sent.
    pub sent_at: Timestamp,
    /// How often it was received.
    pub receive_count: u32,
    /// When it can be received again, if it is in flight.
    pub visible_at: Option<Timestamp>,
    /// Messages of its group before it.
    pub ahead: u64,
}

/// Which groups are looked at.
#[derive(Debug, Clone, Copy)]
pub(super) enum Which {
    /// Those whose first message was received before, and is in nobody's hands.
    Waiting,
    /// The same, and those whose first message was received more than once, also while it is in somebody's
    /// hands again.
    Failing,
}

/// The groups of a queue, those with the oldest events first, at most `most`, whose events come after
/// `after`.
pub(super) fn groups_behind_a_failure(
    view: &View<'_>,
    name: &str,
    which: Which,
    after: SequenceNumber,
    most: u32,
) -> Result<Vec<WaitingGroup>, StoreError> {
    let from = match which {
        Which::Waiting => WAITING_SQL.to_owned(),
        Which::Failing => {
            WAITING_SQL.replace("d.receiver IS NULL", "d.receive_count > 1 OR d.receiver IS NULL")
        }
    };
    let queue = Queue::stored(view, name)?;
    let groups = view.all(
        &format!(
            "SELECT g.name, {EVENT_ID_SQL}, {ROUTE_SQL}, m.sent_ms, d.first_received_ms,
                    d.receive_count, d.visible_at_ms,
                    (SELECT count(*) - 1 FROM message WHERE group_id = g.id), d.sequence
             {from} AND d.sequence > ?4 ORDER BY d.sequence LIMIT ?3"
        ),
        params![queue.id, view.now(), most, after.0],
        |row| {
            Ok(WaitingGroup {
                group: row.get(0)?,
                event_id: row.get(1)?,
                route: row.get(2)?,
                sent_at: view.shown(row.get(3)?),
                first_received_at: view.shown(row.get(4)?),
                receive_count: row.get(5)?,
                visible_at: still_hidden(view, row.get(6)?),
                behind: row.get::<_, i64>(7)?.unsigned_abs(),
                sequence_number: SequenceNumber(row.get(8)?),
            })
        },
    )?;
    Ok(groups)
}

/// First messages that were received and are in nobody's hands: the function gave them a visibility
/// timeout, or it has run out.
const WAITING_SQL: &str = "
    FROM delivery d CROSS JOIN message m ON m.sequence = d.sequence
    CROSS JOIN message_group g ON g.id = m.group_id AND g.head_sequence = d.sequence
    WHERE d.queue_id = ?1 AND (d.receiver IS NULL OR ifnull(d.visible_at_ms, 0) <= ?2)";

/// A time of becoming visible that is still to come.
fn still_hidden(view: &View<'_>, visible_at: Option<QueueTime>) -> Option<Timestamp> {
    visible_at.filter(|at| *at > view.now()).map(|at| view.shown(at))
}

/// A message group and how many messages it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupCount {
    /// `MessageGroupId`.
    pub group: String,
    /// All of its messages, those in flight included.
    pub messages: u64,
}

/// The groups of a queue by name, those after `after`, at most `most`.
pub(super) fn groups(
    view: &View<'_>,
    name: &str,
    after: &str,
    most: u32,
) -> Result<Vec<GroupCount>, StoreError> {
    let queue = Queue::stored(view, name)?;
    let groups = view.all(
        "SELECT name, (SELECT count(*) FROM message WHERE group_id = g.id)
         FROM message_group g WHERE queue_id = ?1 AND name > ?2 ORDER BY name LIMIT ?3",
        params![queue.id, after, most],
        |row| Ok(GroupCount { group: row.get(0)?, messages: row.get::<_, i64>(1)?.unsigned_abs() }),
    )?;
    Ok(groups)
}

/// How many groups of a queue wait.
pub(super) fn waiting(view: &View<'_>, name: &str) -> Result<u64, StoreError> {
    let queue = Queue::stored(view, name)?;
    let count: Option<i64> = view.first(
        &format!("SELECT count(*) {WAITING_SQL}"),
        params![queue.id, view.now()],
        |row| row.get(0),
    )?;
    Ok(count.unwrap_or_default().unsigned_abs())
}

/// Where a look at a part of the messages, those after sequence `from`, ends; `None` at the last one.
fn end_of_part(view: &View<'_>, from: i64) -> Result<Option<i64>, StoreError> {
    let last = view.first(
        "SELECT sequence FROM message WHERE sequence > ?1 ORDER BY sequence LIMIT 1 OFFSET ?2",
        [from, SEARCHED_AT_ONCE],
        |row| row.get(0),
    )?;
    Ok(last)
}

/// Looks for events in all queues whose ids begin with this, as [`find`] does.
pub(super) fn beginning(
    view: &View<'_>,
    beginning: &str,
    from: i64,
) -> Result<(Vec<String>, Option<i64>), StoreError> {
    let last = end_of_part(view, from)?;
    let ids = view.all(
        &format!(
            "SELECT {EVENT_ID_SQL} FROM message WHERE sequence > ?1 AND sequence <= ?2
               AND substr({EVENT_ID_SQL}, 1, length(?3)) = ?3"
        ),
        params![from, last.unwrap_or(i64::MAX), beginning],
        |row| row.get(0),
    )?;
    Ok((ids, last))
}

/// Looks for an event in all queues, a part of the messages at a time: from after sequence `from`.
/// Gives what was found, and where to go on.
pub(super) fn find(
    view: &View<'_>,
    event_id: &str,
    from: i64,
) -> Result<(Vec<Place>, Option<i64>), StoreError> {
    let last = end_of_part(view, from)?;
    let places = view.all(
        &format!(
            "SELECT q.name, m.message_id, g.name, m.sequence, m.sent_ms,
                    ifnull(d.receive_count, 0), d.visible_at_ms,
                    (SELECT count(*) FROM message o
                     WHERE o.group_id = m.group_id AND o.sequence < m.sequence)
             FROM message m CROSS JOIN queue q ON q.id = m.queue_id
             CROSS JOIN message_group g ON g.id = m.group_id
             LEFT JOIN delivery d ON d.sequence = m.sequence
             WHERE m.sequence > ?1 AND m.sequence <= ?2
               AND ({EVENT_ID_SQL} = ?3 OR message_id = ?3)"
        ),
        params![from, last.unwrap_or(i64::MAX), event_id],
        |row| {
            Ok(Place {
                queue: row.get(0)?,
                message_id: row.get(1)?,
                group: row.get(2)?,
                sequence_number: SequenceNumber(row.get(3)?),
                sent_at: view.shown(row.get(4)?),
                receive_count: row.get(5)?,
                visible_at: still_hidden(view, row.get(6)?),
                ahead: row.get::<_, i64>(7)?.unsigned_abs(),
            })
        },
    )?;
    Ok((places, last))
}

fn queued(view: &View<'_>, queue_id: i64) -> Result<i64, StoreError> {
    let queued: Option<i64> =
        view.first("SELECT queued FROM queue_count WHERE queue_id = ?1", [queue_id], |row| {
            row.get(0)
        })?;
    Ok(queued.unwrap_or_default())
}

/// How many dead letters have which class of failure, "" for those that SQS's policy moved; `None`
/// when there are too many to count at once.
pub(super) fn reasons(
    view: &View<'_>,
    name: &str,
) -> Result<Option<Vec<(String, u64)>>, StoreError> {
    let queue = Queue::stored(view, name)?;
    if queued(view, queue.id)? > DEAD_LETTERS_COUNTED_MAX {
        return Ok(None);
    }
    let reasons = view.all(
        "SELECT iif(json_valid(failure), ifnull(failure ->> '$.class', ''), ''), count(*)
         FROM (SELECT attributes ->> '$.failure.value.text' AS failure
               FROM message_group g CROSS JOIN message m ON m.group_id = g.id WHERE g.queue_id = ?1)
         GROUP BY 1",
        [queue.id],
        |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())),
    )?;
    Ok(Some(reasons))
}
