//! Sending.

use rusqlite::params;
use uuid::Uuid;

use super::error::StoreError;
use super::ledger::{self, Way};
use super::message::{MessageAttributes, NewMessage, Sent, SequenceNumber};
use super::queue::Queue;
use super::sender::Sender;
use super::tx::Tx;
use super::{damage, deduplication, groups, retention};

/// Puts a message at the end of its group, or recognises it as a repeat.
pub(super) fn send(
    tx: &mut Tx<'_>,
    queue: &Queue,
    message: &NewMessage,
    sender: Sender,
) -> Result<Sent, StoreError> {
    message.check(queue.settings.max_message_bytes)?;
    let deduplication_id = deduplication::id(queue, message)?;
    let key = deduplication::key(queue, &message.group_id, &deduplication_id);
    if let Some(first) = deduplication::first_send(tx, &key)? {
        return Ok(first);
    }
    retention::expire(tx, queue, retention::PER_SEND)?;
    let sent = Sent {
        message_id: Uuid::new_v4().to_string(),
        sequence_number: SequenceNumber(tx.next_number()),
        duplicate: false,
    };
    deduplication::remember(tx, &key, &sent)?;
    insert(tx, queue, message, sender, &deduplication_id, &sent)?;
    let way = Way::in_by(sender, &message.attributes);
    tx.count(queue.id, ledger::route(&message.attributes), way);
    Ok(sent)
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
