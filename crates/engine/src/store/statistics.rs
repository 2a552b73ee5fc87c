//! How much is in a queue.

use std::time::Duration;

use rusqlite::params;

use super::error::StoreError;
use super::queue_time::seconds;
use super::queues::Queue;
use super::tx::Tx;
use super::{groups, retention, visibility};
use domain::time::Timestamp;

/// What is in a queue, and how old it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueStatistics {
    /// `ApproximateNumberOfMessages`: neither in flight nor delayed. A message behind one in flight
    /// of its group counts, as on SQS.
    pub visible: u64,
    /// `ApproximateNumberOfMessagesNotVisible`: in flight.
    pub in_flight: u64,
    /// `ApproximateNumberOfMessagesDelayed`: in the queue's delay.
    pub delayed: u64,
    /// Message groups that have messages.
    pub message_groups: u64,
    /// `ApproximateNumberOfGroupsWithInflightMessages`.
    pub locked_groups: u64,
    /// Since the oldest message was sent (for a dead letter: became one), in flight or not.
    pub oldest_age: Option<Duration>,
    /// `CreatedTimestamp`.
    pub created_at: Timestamp,
    /// `LastModifiedTimestamp`.
    pub modified_at: Timestamp,
}

pub(super) fn of(tx: &mut Tx<'_>, name: &str) -> Result<QueueStatistics, StoreError> {
    let queue = tx.queue(name)?;
    visibility::expire(tx, &queue)?;
    retention::expire(tx, &queue, retention::PER_LOOK)?;
    let counts = tx.first(
        "SELECT queued, in_flight, message_groups FROM queue_count WHERE queue_id = ?1",
        [queue.id],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    let locked_groups: Option<i64> = tx.first(
        "SELECT count(*) FROM message_group WHERE queue_id = ?1 AND locked = 1",
        [queue.id],
        |row| row.get(0),
    )?;
    let (queued, in_flight, message_groups): (i64, i64, i64) = counts.unwrap_or_default();
    let delayed = delayed(tx, &queue)?;
    Ok(QueueStatistics {
        visible: whole(queued - in_flight - delayed),
        in_flight: whole(in_flight),
        delayed: whole(delayed),
        message_groups: whole(message_groups),
        locked_groups: whole(locked_groups.unwrap_or_default()),
        oldest_age: groups::oldest(tx, queue.id)?.map(|(_, sent)| tx.now().since(sent)),
        created_at: tx.shown(queue.created),
        modified_at: tx.shown(queue.modified),
    })
}

/// The newest messages, counted only where a delay makes it needed. (None of them is in flight.)
fn delayed(tx: &Tx<'_>, queue: &Queue) -> Result<i64, StoreError> {
    if queue.settings.delay_seconds == 0 {
        return Ok(0);
    }
    let due = tx.now().minus(seconds(queue.settings.delay_seconds));
    // Messages lie in the order of their sends, so the search ends at the first that is due.
    let last_due: Option<i64> = tx.first(
        "SELECT sequence FROM message WHERE sent_ms <= ?1 ORDER BY sequence DESC LIMIT 1",
        [due],
        |row| row.get(0),
    )?;
    let delayed = tx.first(
        "SELECT count(*) FROM message WHERE sequence > ?1 AND queue_id = ?2",
        params![last_due.unwrap_or_default(), queue.id],
        |row| row.get(0),
    )?;
    Ok(delayed.unwrap_or_default())
}

fn whole(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}
