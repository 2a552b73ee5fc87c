//! Sending.

use rusqlite::params;
use uuid::Uuid;

use super::error::StoreError;
use super::ledger::{self, Way};
use super::message::{MessageAttributes, NewMessage, Sent, SequenceNumber};
use super::queue::Queue;
use super::sender::Sender;
use super::tx::Tx;
use super::{damage, deduplication, groups, redrive, retention};
use crate::deliberate;

/// A message, and what can be worked out of it before its turn comes, as all senders wait for the one
/// thread that writes.
pub(super) struct Prepared {
    message: NewMessage,
    has_sound_contents: bool,
    message_id: String,
    attributes: Option<String>,
    digest: [u8; 16],
}

impl Prepared {
    pub(super) fn new(message: NewMessage) -> Self {
        let attributes = attributes_json(&message.attributes);
        Self {
            has_sound_contents: message.check_contents().is_ok(),
            message_id: Uuid::new_v4().to_string(),
            digest: damage::digest(&message.body, attributes.as_deref()),
            attributes,
            message,
        }
    }
}

/// Puts a message at the end of its group, or recognises it as a repeat.
pub(super) fn send(
    tx: &mut Tx<'_>,
    queue: &Queue,
    prepared: &Prepared,
    sender: Sender,
) -> Result<Sent, StoreError> {
    let message = &prepared.message;
    if !prepared.has_sound_contents {
        message.check_contents()?;
    }
    message.check_size(queue.settings.max_message_bytes)?;
    let deduplication_id = deduplication::id(queue, message)?;
    let key = deduplication::key(queue, &message.group_id, &deduplication_id);
    if let Some(first) = deduplication::first_send(tx, queue, &key)? {
        return Ok(first);
    }
    retention::expire(tx, queue, retention::PER_SEND)?;
    let sent = Sent {
        message_id: prepared.message_id.clone(),
        sequence_number: SequenceNumber(tx.next_number()),
        duplicate: false,
    };
    let is_again = sender == Sender::Api && redrive::target(tx, queue)?.is_some();
    if is_again && deliberate::is_there("lose-what-is-sent-again") {
        return Ok(sent);
    }
    deduplication::remember(tx, &key, &sent)?;
    insert(tx, queue, prepared, sender, &deduplication_id, &sent)?;
    let way = Way::in_by(sender, &message.attributes);
    tx.count(queue.id, ledger::route(&message.attributes), way);
    if deliberate::is_there("count-twice") {
        tx.count(queue.id, ledger::route(&message.attributes), way);
    }
    Ok(sent)
}

fn insert(
    tx: &mut Tx<'_>,
    queue: &Queue,
    prepared: &Prepared,
    sender: Sender,
    deduplication_id: &str,
    sent: &Sent,
) -> Result<(), StoreError> {
    let Prepared { message, attributes, digest, .. } = prepared;
    let sequence = sent.sequence_number.0;
    let group = groups::for_message(tx, queue, &message.group_id, sequence)?;
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
