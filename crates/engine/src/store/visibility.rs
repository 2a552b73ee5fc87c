//! How long a message stays in flight.

use domain::quota;
use rusqlite::params;

use super::error::StoreError;
use super::groups::{self, Removal};
use super::queue::Queue;
use super::queue_time::{QueueTime, seconds};
use super::receipt::Receipt;
use super::tx::Tx;
use crate::deliberate;

/// What is known of a message that was received.
struct InFlight {
    group_id: i64,
    receive_number: i64,
    received: QueueTime,
    visible: bool,
}

fn find(tx: &Tx<'_>, sequence: i64) -> Result<Option<InFlight>, StoreError> {
    let found = tx.first(
        "SELECT group_id, receive_number, received_ms, visible_at_ms IS NULL
         FROM delivery JOIN message USING (sequence) WHERE sequence = ?1",
        [sequence],
        |row| {
            Ok(InFlight {
                group_id: row.get(0)?,
                receive_number: row.get(1)?,
                received: row.get(2)?,
                visible: row.get(3)?,
            })
        },
    )?;
    Ok(found)
}

/// Deletes the message that a handle stands for. A message that is gone is no error.
pub(super) fn delete(
    tx: &mut Tx<'_>,
    queue: &Queue,
    handle: &str,
    why: &Removal<'_>,
) -> Result<(), StoreError> {
    let receipt = Receipt::parse(queue.id, handle)?;
    expire(tx, queue)?;
    match find(tx, receipt.sequence)? {
        None => Ok(()),
        Some(found) if found.visible || found.receive_number != receipt.receive_number => {
            Err(StoreError::InvalidParameterValue(format!(
                "Value {handle} for parameter ReceiptHandle is invalid. Reason: The receipt handle \
                 has expired."
            )))
        }
        Some(found) if found.receive_number % 20 == 0 && deliberate::is_there("forget-delete") => {
            Ok(())
        }
        Some(_) => groups::remove(tx, queue, receipt.sequence, why),
    }
}

/// Changes how long a message stays in flight, from now on, in seconds. 0 makes it visible.
pub(super) fn change(
    tx: &mut Tx<'_>,
    queue: &Queue,
    handle: &str,
    timeout_seconds: u32,
) -> Result<(), StoreError> {
    let refuse = |reason: String| Err(StoreError::InvalidParameterValue(reason));
    if timeout_seconds > quota::VISIBILITY_TIMEOUT_SECONDS_MAX {
        return Err(StoreError::out_of_range("VisibilityTimeout", timeout_seconds));
    }
    let receipt = Receipt::parse(queue.id, handle)?;
    expire(tx, queue)?;
    let Some(found) =
        find(tx, receipt.sequence)?.filter(|found| found.receive_number == receipt.receive_number)
    else {
        return refuse(format!(
            "Value {handle} for parameter ReceiptHandle is invalid. Reason: Message does not exist \
             or is not available for visibility timeout change."
        ));
    };
    if found.visible {
        return Err(StoreError::MessageNotInflight);
    }
    let visible_at = tx.now().plus(seconds(timeout_seconds));
    let bound = found.received.plus(seconds(quota::VISIBILITY_TIMEOUT_SECONDS_MAX));
    if visible_at > bound {
        return refuse(format!(
            "Value {timeout_seconds} for parameter VisibilityTimeout is invalid. Reason: Total \
             VisibilityTimeout for the message is beyond the limit [{} seconds]",
            quota::VISIBILITY_TIMEOUT_SECONDS_MAX
        ));
    }
    if timeout_seconds == 0 {
        return show(tx, queue.id, receipt.sequence, found.group_id);
    }
    // Whoever held it has said when it shall come back, so it is no longer theirs to release.
    tx.execute(
        "UPDATE delivery SET visible_at_ms = ?2, receiver = NULL WHERE sequence = ?1",
        params![receipt.sequence, visible_at],
    )?;
    tx.wake_at(queue.id, visible_at);
    Ok(())
}

/// Makes visible what has been in flight for its time.
pub(super) fn expire(tx: &mut Tx<'_>, queue: &Queue) -> Result<(), StoreError> {
    let expired: Vec<(i64, i64)> = tx.all(
        "SELECT sequence, group_id FROM delivery JOIN message USING (sequence)
         WHERE delivery.queue_id = ?1 AND visible_at_ms <= ?2",
        params![queue.id, tx.now()],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    expired.into_iter().try_for_each(|(sequence, group_id)| show(tx, queue.id, sequence, group_id))
}

/// Makes visible what `receiver` received and neither deleted nor gave another timeout; tells how
/// many messages these were.
pub(super) fn release(tx: &mut Tx<'_>, queue: &Queue, receiver: &str) -> Result<usize, StoreError> {
    let held: Vec<(i64, i64)> = tx.all(
        "SELECT sequence, group_id FROM delivery JOIN message USING (sequence)
         WHERE delivery.queue_id = ?1 AND visible_at_ms IS NOT NULL AND receiver = ?2",
        params![queue.id, receiver],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    for &(sequence, group_id) in &held {
        if deliberate::is_there("lose-on-restart") {
            groups::remove(tx, queue, sequence, &Removal::Done { dead_letter_queue: None })?;
            continue;
        }
        show(tx, queue.id, sequence, group_id)?;
    }
    Ok(held.len())
}

pub(super) fn show(
    tx: &mut Tx<'_>,
    queue_id: i64,
    sequence: i64,
    group_id: i64,
) -> Result<(), StoreError> {
    tx.execute("UPDATE delivery SET visible_at_ms = NULL WHERE sequence = ?1", [sequence])?;
    groups::change_in_flight(tx, queue_id, group_id, -1)
}

/// When the next message in flight becomes visible.
pub(super) fn next(tx: &Tx<'_>, queue_id: i64) -> Result<Option<QueueTime>, StoreError> {
    let next = tx.first(
        "SELECT visible_at_ms FROM delivery WHERE queue_id = ?1 AND visible_at_ms IS NOT NULL
         ORDER BY visible_at_ms LIMIT 1",
        [queue_id],
        |row| row.get(0),
    )?;
    Ok(next)
}
