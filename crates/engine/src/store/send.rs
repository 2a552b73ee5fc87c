//! Sending, and recognising what was sent before.

use domain::quota::DEDUPLICATION_INTERVAL;
use rusqlite::params;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::damage;
use super::error::StoreError;
use super::groups;
use super::ledger::{self, Way};
use super::message::{MessageAttributes, NewMessage, Sent, SequenceNumber};
use super::queues::Queue;
use super::retention;
use super::sender::Sender;
use super::settings::DeduplicationScope;
use super::tx::Tx;

/// Puts a message at the end of its group, or recognises it as a repeat.
pub(super) fn send(
    tx: &mut Tx<'_>,
    queue: &Queue,
    message: &NewMessage,
    sender: Sender,
) -> Result<Sent, StoreError> {
    message.check(queue.settings.max_message_bytes)?;
    let deduplication_id = deduplication_id(queue, message)?;
    let key = deduplication_key(queue, &message.group_id, &deduplication_id);
    if let Some(first) = first_send(tx, &key)? {
        return Ok(first);
    }
    retention::expire(tx, queue, retention::PER_SEND)?;
    let sent = Sent {
        message_id: Uuid::new_v4().to_string(),
        sequence_number: SequenceNumber(tx.next_number()),
        duplicate: false,
    };
    remember(tx, &key, &sent)?;
    insert(tx, queue, message, sender, &deduplication_id, &sent)?;
    let way = Way::in_by(sender, &message.attributes);
    tx.count(queue.id, ledger::route(&message.attributes), way);
    Ok(sent)
}

fn deduplication_id(queue: &Queue, message: &NewMessage) -> Result<String, StoreError> {
    match &message.deduplication_id {
        Some(id) => Ok(id.clone()),
        None if queue.settings.content_based_deduplication => {
            Ok(hex(&Sha256::digest(&message.body)))
        }
        None => Err(StoreError::no_deduplication_id()),
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |half: u8| char::from(DIGITS[usize::from(half)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Half a SHA-256 of where the id counts and the id: short, of one length, and no two ids share one.
fn deduplication_key(queue: &Queue, group: &str, id: &str) -> [u8; 16] {
    let group = match queue.settings.deduplication_scope {
        DeduplicationScope::Queue => "",
        DeduplicationScope::MessageGroup => group,
    };
    // Neither a group id nor a deduplication id can contain the separator.
    let digest = Sha256::new()
        .chain_update(queue.id.to_le_bytes())
        .chain_update(group)
        .chain_update(b"\0")
        .chain_update(id)
        .finalize();
    let mut key = [0; 16];
    key.copy_from_slice(&digest[..16]);
    key
}

/// Whether a message was sent with this deduplication id, not long ago.
pub(super) fn was_sent(
    tx: &Tx<'_>,
    queue: &Queue,
    group: &str,
    id: &str,
) -> Result<bool, StoreError> {
    let key = deduplication_key(queue, group, id);
    let found = tx.first("SELECT 1 FROM deduplication WHERE key = ?1", [key], |_| Ok(()))?;
    Ok(found.is_some())
}

fn first_send(tx: &Tx<'_>, key: &[u8; 16]) -> Result<Option<Sent>, StoreError> {
    let first = tx.first(
        "SELECT sequence, message_id FROM deduplication WHERE key = ?1 AND expires_ms > ?2",
        params![key, tx.now()],
        |row| {
            let sequence_number = SequenceNumber(row.get(0)?);
            Ok(Sent { message_id: row.get(1)?, sequence_number, duplicate: true })
        },
    )?;
    Ok(first)
}

fn remember(tx: &Tx<'_>, key: &[u8; 16], sent: &Sent) -> Result<(), StoreError> {
    let expires = tx.now().plus(DEDUPLICATION_INTERVAL);
    tx.execute(
        "INSERT OR REPLACE INTO deduplication (key, expires_ms, sequence, message_id)
         VALUES (?1, ?2, ?3, ?4)",
        params![key, expires, sent.sequence_number.0, sent.message_id],
    )?;
    Ok(())
}

fn insert(
    tx: &mut Tx<'_>,
    queue: &Queue,
    message: &NewMessage,
    sender: Sender,
    deduplication_id: &str,
    sent: &Sent,
) -> Result<(), StoreError> {
    let sequence = sent.sequence_number.0;
    let group = groups::for_message(tx, queue, &message.group_id, sequence)?;
    let attributes = attributes_json(&message.attributes);
    let digest = damage::digest(&message.body, attributes.as_deref());
    tx.execute(
        "INSERT INTO message (sequence, queue_id, group_id, sent_ms, message_id, deduplication_id,
         trace_header, attributes, body, from_api, digest)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        params![
            sequence,
            queue.id,
            group,
            tx.now(),
            sent.message_id,
            deduplication_id,
            message.trace_header,
            attributes,
            message.body,
            sender,
            digest,
        ],
    )?;
    groups::count(tx, queue.id, 1, 0)?;
    Ok(())
}

fn attributes_json(attributes: &MessageAttributes) -> Option<String> {
    (!attributes.is_empty())
        .then(|| serde_json::to_string(attributes).expect("attributes have string keys only"))
}
