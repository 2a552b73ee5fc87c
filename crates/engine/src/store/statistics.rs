//! How much is in a queue.

use std::time::Duration;

use rusqlite::params;

use super::error::StoreError;
use super::queue::Queue;
use super::queue_time::seconds;
use super::view::View;
use super::{damage, groups};
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
    pub groups_in_flight: u64,
    /// Messages that cannot be delivered as they were accepted: they count as in flight, too.
    pub damaged: u64,
    /// Since the oldest message was sent (for a dead letter: became one), in flight or not.
    pub oldest_age: Option<Duration>,
    /// `CreatedTimestamp`.
    pub created_at: Timestamp,
    /// `LastModifiedTimestamp`.
    pub modified_at: Timestamp,
}

/// What is in a queue now. A message whose visibility timeout has run out counts as visible, though only
/// the next receive takes note of that; one that expired counts until it is removed.
pub(super) fn of(view: &View<'_>, name: &str) -> Result<QueueStatistics, StoreError> {
    let queue = Queue::stored(view, name)?;
    let counts = view.first(
        "SELECT queued, message_groups FROM queue_count WHERE queue_id = ?1",
        [queue.id],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let hidden = view.first(
        "SELECT count(*), count(DISTINCT group_id) FROM delivery JOIN message USING (sequence)
         WHERE delivery.queue_id = ?1 AND visible_at_ms > ?2",
        params![queue.id, view.now()],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let (queued, message_groups): (i64, i64) = counts.unwrap_or_default();
    let (in_flight, groups_in_flight): (i64, i64) = hidden.unwrap_or_default();
    let delayed = delayed(view, &queue)?;
    Ok(QueueStatistics {
        visible: whole(queued - in_flight - delayed),
        in_flight: whole(in_flight),
        delayed: whole(delayed),
        message_groups: whole(message_groups),
        groups_in_flight: whole(groups_in_flight),
        damaged: whole(damage::count(view, queue.id)?),
        oldest_age: groups::oldest(view, queue.id)?.map(|(_, sent)| view.now().since(sent)),
        created_at: view.shown(queue.created),
        modified_at: view.shown(queue.modified),
    })
}

/// The newest messages, counted only where a delay makes it needed. (None of them is in flight.)
fn delayed(view: &View<'_>, queue: &Queue) -> Result<i64, StoreError> {
    if queue.settings.delay_seconds == 0 {
        return Ok(0);
    }
    let due = view.now().minus(seconds(queue.settings.delay_seconds));
    // Messages lie in the order of their sends, so the search ends at the first that is due.
    let last_due: Option<i64> = view.first(
        "SELECT sequence FROM message WHERE sent_ms <= ?1 ORDER BY sequence DESC LIMIT 1",
        [due],
        |row| row.get(0),
    )?;
    let delayed = view.first(
        "SELECT count(*) FROM message WHERE sequence > ?1 AND queue_id = ?2",
        params![last_due.unwrap_or_default(), queue.id],
        |row| row.get(0),
    )?;
    Ok(delayed.unwrap_or_default())
}

fn whole(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}
