//! `ReceiveRequestAttemptId`: a receive whose answer was lost can be repeated, and gets the same
//! batch, as long as nothing has happened to any of it.

use rusqlite::params;

use super::error::StoreError;
use super::limits;
use super::message::ReceivedMessage;
use super::queue::{Queue, read_json};
use super::queue_time::QueueTime;
use super::stored::{Receive, read_row, received};
use super::tx::Tx;

struct Attempt {
    receive_number: i64,
    visible_at: QueueTime,
    sequences: String,
}

/// The batch that this attempt got before, with its visibility timeout started again.
pub(super) fn repeat(
    tx: &mut Tx<'_>,
    queue: &Queue,
    attempt_id: &str,
    again: &Receive<'_>,
) -> Result<Option<Vec<ReceivedMessage>>, StoreError> {
    let attempt = tx.first(
        "SELECT receive_number, visible_at_ms, sequences FROM receive_attempt
         WHERE queue_id = ?1 AND attempt_id = ?2 AND expires_ms > ?3",
        params![queue.id, attempt_id, tx.now()],
        |row| {
            Ok(Attempt {
                receive_number: row.get(0)?,
                visible_at: row.get(1)?,
                sequences: row.get(2)?,
            })
        },
    )?;
    let Some(attempt) = attempt else { return Ok(None) };
    let sequences: Vec<i64> = read_json("receive attempt", &attempt.sequences)?;
    let mut messages = Vec::with_capacity(sequences.len());
    for &sequence in &sequences {
        match unchanged(tx, queue, sequence, &attempt)? {
            Some(message) => messages.push(message),
            None => return Ok(None),
        }
    }
    tx.execute(
        "UPDATE delivery SET visible_at_ms = ?3 WHERE queue_id = ?1 AND receive_number = ?2
         AND visible_at_ms IS NOT NULL",
        params![queue.id, attempt.receive_number, again.visible_at],
    )?;
    tx.execute(
        "UPDATE receive_attempt SET visible_at_ms = ?3 WHERE queue_id = ?1 AND attempt_id = ?2",
        params![queue.id, attempt_id, again.visible_at],
    )?;
    Ok(Some(messages))
}

fn unchanged(
    tx: &Tx<'_>,
    queue: &Queue,
    sequence: i64,
    attempt: &Attempt,
) -> Result<Option<ReceivedMessage>, StoreError> {
    let found = tx.first(
        "SELECT sequence, sent_ms, message_id, deduplication_id, dead_letter_source, trace_header,
                attributes, body, receive_count, first_received_ms, from_api,
                (SELECT name FROM message_group WHERE id = group_id)
         FROM message JOIN delivery USING (sequence)
         WHERE sequence = ?1 AND receive_number = ?2 AND visible_at_ms = ?3",
        params![sequence, attempt.receive_number, attempt.visible_at],
        |row| Ok((read_row(row)?, row.get::<_, String>(11)?)),
    )?;
    found.map(|(row, group)| received(tx, queue, &group, row, attempt.receive_number)).transpose()
}

/// Remembers which batch an attempt got.
pub(super) fn remember(
    tx: &Tx<'_>,
    queue: &Queue,
    attempt_id: &str,
    receive: &Receive<'_>,
    messages: &[ReceivedMessage],
) -> Result<(), StoreError> {
    let sequences: Vec<i64> = messages.iter().map(|message| message.sequence_number.0).collect();
    tx.execute(
        "INSERT OR REPLACE INTO receive_attempt
         (queue_id, attempt_id, expires_ms, receive_number, visible_at_ms, sequences)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            queue.id,
            attempt_id,
            tx.now().plus(limits::RECEIVE_ATTEMPT),
            receive.number,
            receive.visible_at,
            serde_json::to_string(&sequences).expect("numbers are JSON"),
        ],
    )?;
    Ok(())
}
