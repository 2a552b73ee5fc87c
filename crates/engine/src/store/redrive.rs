//! Moving a message to another queue: to the dead-letter queue, and back.

use std::sync::Arc;

use rusqlite::params;

use super::error::StoreError;
use super::groups::Removal;
use super::ledger::{ROUTE_SQL, Way};
use super::queue::Queue;
use super::sender::Sender;
use super::tx::Tx;
use super::{arn, groups};

/// Where messages go that were received too often.
pub(super) struct Target {
    pub(super) queue: Arc<Queue>,
    pub(super) max_receive_count: u32,
}

/// The queue's dead-letter queue. A dead-letter queue that was deleted is none: messages stay.
pub(super) fn target(tx: &mut Tx<'_>, queue: &Queue) -> Result<Option<Target>, StoreError> {
    let Some(policy) = &queue.settings.redrive_policy else { return Ok(None) };
    let name = arn::queue_name(&policy.dead_letter_target_arn).unwrap_or_default();
    match tx.queue(name) {
        Ok(queue) => Ok(Some(Target { queue, max_receive_count: policy.max_receive_count })),
        Err(StoreError::QueueDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Moves a message to the dead-letter queue. It keeps its message id, which also becomes its
/// deduplication id; its retention starts again.
pub(super) fn bury(
    tx: &mut Tx<'_>,
    queue: &Queue,
    sequence: i64,
    dead_letter_queue: &Queue,
) -> Result<(), StoreError> {
    let identity =
        Identity { message_id: None, dead_letter_source: Some(queue.arn()), sender: None };
    relocate(tx, queue, sequence, dead_letter_queue, &identity)
}

/// What a message becomes in the queue that it goes to.
pub(super) struct Identity {
    /// Its id there; `None` keeps it, and makes it the deduplication id.
    pub(super) message_id: Option<String>,
    /// `DeadLetterQueueSourceArn`.
    pub(super) dead_letter_source: Option<String>,
    /// Who has sent it there; `None` keeps who did before.
    pub(super) sender: Option<Sender>,
}

/// Takes a message out of one queue and puts it at the end of its group in another, in one step.
pub(super) fn relocate(
    tx: &mut Tx<'_>,
    from: &Queue,
    sequence: i64,
    to: &Queue,
    identity: &Identity,
) -> Result<(), StoreError> {
    let found: Option<(String, String)> = tx.first(
        &format!(
            "SELECT name, {ROUTE_SQL} FROM message
             JOIN message_group ON message_group.id = group_id WHERE sequence = ?1"
        ),
        [sequence],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let Some((group, route)) = found else { return Ok(()) };
    let moved = tx.next_number();
    let group_id = groups::for_message(tx, to, &group, moved)?;
    tx.execute(
        "INSERT INTO message (sequence, queue_id, group_id, sent_ms, message_id, deduplication_id,
                              dead_letter_source, trace_header, attributes, body, from_api,
                              digest)
         SELECT ?2, ?3, ?4, ?5, ifnull(?6, message_id), iif(?6 IS NULL, message_id, deduplication_id),
                ?7, trace_header, attributes, body, ifnull(?8, from_api), digest
         FROM message WHERE sequence = ?1",
        params![
            sequence,
            moved,
            to.id,
            group_id,
            tx.now(),
            identity.message_id,
            identity.dead_letter_source,
            identity.sender
        ],
    )?;
    // A dead letter's receives are counted on, as recorded on SQS; where it can become one again, from
    // the start, or it would at once.
    if identity.dead_letter_source.is_some() && to.settings.redrive_policy.is_none() {
        tx.execute(
            "INSERT INTO delivery (sequence, queue_id, receive_count, first_received_ms, received_ms,
                                   receive_number)
             SELECT ?2, ?3, receive_count, first_received_ms, received_ms, receive_number
             FROM delivery WHERE sequence = ?1",
            params![sequence, moved, to.id],
        )?;
    }
    groups::count(tx, to.id, 1, 0)?;
    tx.count(to.id, &route, Way::MovedIn);
    groups::remove(tx, from, sequence, &Removal::Moved)
}
