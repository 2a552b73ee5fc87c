//! Now instead of at the next step of the schedule: what a group waits for becomes visible at once.

use domain::retry::may_be_early;
use rusqlite::params;

use super::error::StoreError;
use super::queue::Queue;
use super::tx::Tx;
use super::{redrive, visibility};

/// What came of asking for a group's next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retried {
    /// So many of its messages can be received now: the first, and those behind it that waited too.
    Now(u64),
    /// There is no group of this name with messages.
    NoGroup,
    /// Nothing of it waits for a time: it is being attempted, or can be received already.
    NotWaiting,
    /// Its first message was received too often for one more: the queue's redrive policy would move it
    /// to the dead-letter queue soon, as it does with what crashes the function.
    TooOften {
        /// How often it was received.
        receive_count: u32,
        /// `maxReceiveCount`.
        max_receive_count: u32,
    },
}

/// Shows a group's messages that somebody, other than who holds them, gave a time. Their receive counts
/// and what they were received for stay. It is one step, so nobody receives a follower before its head.
pub(super) fn group(tx: &mut Tx<'_>, queue: &Queue, name: &str) -> Result<Retried, StoreError> {
    visibility::expire(tx, queue)?;
    let group = tx.first(
        "SELECT id, head_sequence FROM message_group WHERE queue_id = ?1 AND name = ?2",
        params![queue.id, name],
        |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)),
    )?;
    let Some((group_id, head)) = group else { return Ok(Retried::NoGroup) };
    // The function has said when they are to come back, so nobody holds them any more.
    let waiting: Vec<(i64, i64)> = tx.all(
        "SELECT d.sequence, d.receive_count FROM message m CROSS JOIN delivery d USING (sequence)
         WHERE m.group_id = ?1 AND d.receiver IS NULL AND d.visible_at_ms IS NOT NULL
           AND d.sequence NOT IN (SELECT sequence FROM damaged) ORDER BY d.sequence",
        [group_id],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let Some(&(first, receive_count)) = waiting.first() else { return Ok(Retried::NotWaiting) };
    if first != head {
        // What stands before it is held by somebody, or damaged: it cannot be received.
        return Ok(Retried::NotWaiting);
    }
    if let Some(target) = redrive::target(tx, queue)? {
        let receive_count = u32::try_from(receive_count).unwrap_or(u32::MAX);
        let max_receive_count = target.max_receive_count;
        if !may_be_early(receive_count, max_receive_count) {
            return Ok(Retried::TooOften { receive_count, max_receive_count });
        }
    }
    for &(sequence, _) in &waiting {
        visibility::show(tx, queue.id, sequence, group_id)?;
    }
    Ok(Retried::Now(waiting.len() as u64))
}
