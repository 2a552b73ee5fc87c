//! Receiving: as many as possible of one group, in order, then of the next, oldest group first.

use rusqlite::params;

use super::damage;
use super::error::StoreError;
use super::groups::{self, FreeGroup, GroupLock};
use super::limits;
use super::message::{ReceivedMessage, check_id};
use super::queue::Queue;
use super::queue_time::{QueueTime, seconds};
use super::stored::{Receive, StoredMessage, read_row, received};
use super::tx::Tx;
use super::{receive_attempt, redrive, retention, visibility};
use crate::deliberate;
use domain::quota;

/// What to receive.
#[derive(Debug, Clone)]
pub struct ReceiveRequest {
    /// Messages at most, 1 to 10.
    pub max_messages: usize,
    /// How long they stay in flight; the queue's visibility timeout unless set.
    pub visibility_timeout_seconds: Option<u32>,
    /// How long to wait for the first one; what the queue says unless set.
    pub wait_seconds: Option<u32>,
    /// `ReceiveRequestAttemptId`: the same id within 5 minutes gives the same batch again, as long
    /// as none of it was deleted or changed.
    pub attempt_id: Option<String>,
    /// Who receives, for [`release_in_flight`](super::Store::release_in_flight).
    pub receiver: Option<String>,
}

impl Default for ReceiveRequest {
    fn default() -> Self {
        Self {
            max_messages: 1,
            visibility_timeout_seconds: None,
            wait_seconds: None,
            attempt_id: None,
            receiver: None,
        }
    }
}

impl ReceiveRequest {
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let within = |name: &str, value: u64, least: u64, most: u64| {
            if (least..=most).contains(&value) {
                return Ok(());
            }
            Err(StoreError::out_of_range(name, value))
        };
        let most = limits::BATCH_ENTRIES_MAX as u64;
        within("MaxNumberOfMessages", self.max_messages as u64, 1, most)?;
        let wait = self.wait_seconds.unwrap_or_default();
        within("WaitTimeSeconds", wait.into(), 0, limits::WAIT_SECONDS_MAX.into())?;
        let visibility = self.visibility_timeout_seconds.unwrap_or_default();
        let most = quota::VISIBILITY_TIMEOUT_SECONDS_MAX;
        within("VisibilityTimeout", visibility.into(), 0, most.into())?;
        self.attempt_id.as_ref().map_or(Ok(()), |id| check_id("ReceiveRequestAttemptId", id))
    }
}

/// What a receive found.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) messages: Vec<ReceivedMessage>,
    /// Nothing yet, but look again at once: this look was busy with removing what expired.
    pub(super) look_again: bool,
    /// When the next message can be received, if nothing else happens first.
    pub(super) next: Option<QueueTime>,
}

/// Receives what can be received now.
pub(super) fn receive(
    tx: &mut Tx<'_>,
    queue: &Queue,
    request: &ReceiveRequest,
    lock: GroupLock,
) -> Result<Batch, StoreError> {
    visibility::expire(tx, queue)?;
    if retention::expire(tx, queue, retention::PER_LOOK)? {
        return Ok(Batch { look_again: true, ..Batch::default() });
    }
    let timeout =
        request.visibility_timeout_seconds.unwrap_or(queue.settings.visibility_timeout_seconds);
    let receive = Receive {
        number: tx.next_number(),
        visible_at: tx.now().plus(seconds(timeout)),
        receiver: request.receiver.as_deref(),
    };
    if let Some(id) = &request.attempt_id
        && let Some(messages) = receive_attempt::repeat(tx, queue, id, &receive)?
    {
        return Ok(Batch { messages, ..Batch::default() });
    }
    let batch = take(tx, queue, request.max_messages, &receive, lock)?;
    if let Some(id) = &request.attempt_id
        && !batch.messages.is_empty()
    {
        receive_attempt::remember(tx, queue, id, &receive, &batch.messages)?;
    }
    Ok(batch)
}

fn take(
    tx: &mut Tx<'_>,
    queue: &Queue,
    most: usize,
    receive: &Receive<'_>,
    lock: GroupLock,
) -> Result<Batch, StoreError> {
    let mut batch = Batch::default();
    let most = most.min(room_in_flight(tx, queue)?);
    while batch.messages.len() < most {
        let Some(group) = groups::first_free(tx, queue.id, lock)? else { break };
        // Groups come by their first message's age, so no later one is due if this one is not.
        let due = group.head_sent.plus(seconds(queue.settings.delay_seconds));
        if due > tx.now() {
            batch.next = Some(due);
            break;
        }
        let room = most - batch.messages.len();
        let Some(messages) = take_of_group(tx, queue, &group, room, receive)? else { break };
        batch.messages.extend(messages);
        if deliberate::is_there("second-first") {
            break;
        }
    }
    if !batch.messages.is_empty() {
        tx.wake_at(queue.id, receive.visible_at);
    }
    let next_visible = visibility::next(tx, queue.id)?;
    batch.next = batch.next.into_iter().chain(next_visible).min();
    Ok(batch)
}

fn room_in_flight(tx: &Tx<'_>, queue: &Queue) -> Result<usize, StoreError> {
    let in_flight: Option<i64> =
        tx.first("SELECT in_flight FROM queue_count WHERE queue_id = ?1", [queue.id], |row| {
            row.get(0)
        })?;
    let room = limits::IN_FLIGHT_MAX - in_flight.unwrap_or_default();
    Ok(usize::try_from(room).unwrap_or_default())
}

/// Takes up to `most` messages from the front of a group, none behind one in flight; those that were received too often go to
/// the dead-letter queue instead. `None` if there was nothing to take, which is to be asked only once.
fn take_of_group(
    tx: &mut Tx<'_>,
    queue: &Queue,
    group: &FreeGroup,
    most: usize,
    receive: &Receive<'_>,
) -> Result<Option<Vec<ReceivedMessage>>, StoreError> {
    let due = tx.now().minus(seconds(queue.settings.delay_seconds));
    let found = tx.all(
        "SELECT sequence, sent_ms, message_id, deduplication_id, dead_letter_source, trace_header,
                attributes, body, receive_count, first_received_ms, from_api, visible_at_ms IS NULL,
                digest
         FROM message LEFT JOIN delivery USING (sequence)
         WHERE group_id = ?1 AND sequence >= ?2 ORDER BY sequence LIMIT ?3",
        params![group.id, group.head_sequence, i64::try_from(most).unwrap_or(i64::MAX)],
        |row| Ok((row.get(0)?, row.get::<_, bool>(11)?, read_row(row), row.get(12))),
    )?;
    let dead_letter_queue = redrive::target(tx, queue)?;
    let mut messages = Vec::with_capacity(found.len());
    let is_due =
        |row: &rusqlite::Result<StoredMessage>| row.as_ref().map_or(true, |it| it.sent <= due);
    let overtakes = deliberate::is_there("second-first")
        && found.get(1).is_some_and(|(_, visible, row, _)| *visible && is_due(row));
    let found = found.into_iter().skip(usize::from(overtakes));
    let mut front = found.take_while(|(_, visible, row, _)| *visible && is_due(row)).peekable();
    if front.peek().is_none() {
        return Ok(None);
    }
    for (sequence, _, row, digest) in front {
        let row = match damage::sound(row, digest) {
            Ok(row) => row,
            Err(reason) => {
                damage::set_aside(tx, queue, group.id, sequence, &reason)?;
                break;
            }
        };
        match &dead_letter_queue {
            Some(target) if row.receive_count >= i64::from(target.max_receive_count) => {
                redrive::bury(tx, queue, row.sequence, &target.queue)?;
            }
            _ => messages.push(deliver(tx, queue, group, row, receive)?),
        }
    }
    let taken = i64::try_from(messages.len()).unwrap_or(i64::MAX);
    groups::change_in_flight(tx, queue.id, group.id, taken)?;
    Ok(Some(messages))
}

fn deliver(
    tx: &Tx<'_>,
    queue: &Queue,
    group: &FreeGroup,
    mut row: StoredMessage,
    receive: &Receive<'_>,
) -> Result<ReceivedMessage, StoreError> {
    tx.execute(
        "INSERT INTO delivery (sequence, queue_id, receive_count, first_received_ms, received_ms,
                               receive_number, visible_at_ms, receiver)
         VALUES (?1, ?2, 1, ?3, ?3, ?4, ?5, ?6)
         ON CONFLICT (sequence) DO UPDATE SET
             receive_count = receive_count + 1, received_ms = excluded.received_ms,
             receive_number = excluded.receive_number, visible_at_ms = excluded.visible_at_ms,
             receiver = excluded.receiver",
        params![
            row.sequence,
            queue.id,
            tx.now(),
            receive.number,
            receive.visible_at,
            receive.receiver
        ],
    )?;
    row.receive_count += 1;
    row.first_received = row.first_received.or(Some(tx.now()));
    received(tx, queue, &group.name, row, receive.number)
}
