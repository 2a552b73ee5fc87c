//! Recognising what was sent before.

use domain::quota::DEDUPLICATION_INTERVAL;
use rusqlite::params;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::error::StoreError;
use super::message::{NewMessage, Sent, SequenceNumber};
use super::queue::Queue;
use super::settings::DeduplicationScope;
use super::tx::Tx;
use crate::deliberate;

/// The id that a message is recognised by: its own, or its body's digest.
pub(super) fn id(queue: &Queue, message: &NewMessage) -> Result<String, StoreError> {
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
///
/// A UUID of version 7 begins with its time, and so does its key: what comes in turn lies together, where
/// digests would have a commit write a page for each of them. Of such an id nothing is lost in its key.
pub(super) fn key(queue: &Queue, group: &str, id: &str) -> [u8; 16] {
    let id = if deliberate::is_there("deduplicate-by-group") { group } else { id };
    let group = match queue.settings.deduplication_scope {
        DeduplicationScope::Queue => "",
        DeduplicationScope::MessageGroup => group,
    };
    match Uuid::parse_str(id) {
        // In the one way to write it that is ours: another is another id.
        Ok(uuid) if uuid.get_version_num() == 7 && uuid.to_string() == id => {
            let place = digest(queue, group, "");
            let mut key = uuid.into_bytes();
            for (byte, place) in key[8..].iter_mut().zip(place) {
                *byte ^= place;
            }
            key
        }
        _ => digest(queue, group, id),
    }
}

fn digest(queue: &Queue, group: &str, id: &str) -> [u8; 16] {
    // Neither a group id nor a deduplication id can contain the separator.
    let digest = Sha256::new()
        .chain_update(queue.id.to_le_bytes())
        .chain_update(group)
        .chain_update(b"\0")
        .chain_update(id)
        .finalize();
    let mut half = [0; 16];
    half.copy_from_slice(&digest[..16]);
    half
}

/// Whether a message was sent with this deduplication id, not long ago.
pub(super) fn was_sent(
    tx: &Tx<'_>,
    queue: &Queue,
    group: &str,
    id: &str,
) -> Result<bool, StoreError> {
    let key = key(queue, group, id);
    let found = tx.first("SELECT 1 FROM deduplication WHERE key = ?1", [key], |_| Ok(()))?;
    Ok(found.is_some())
}

/// What the first send with this key was answered, if that was not long ago, nor before the queue was
/// purged: what was removed can be sent again, as recorded on SQS.
pub(super) fn first_send(
    tx: &Tx<'_>,
    queue: &Queue,
    key: &[u8; 16],
) -> Result<Option<Sent>, StoreError> {
    let purged = queue.purged.map(|purged| purged.plus(DEDUPLICATION_INTERVAL));
    let first = tx.first(
        "SELECT sequence, message_id FROM deduplication
         WHERE key = ?1 AND expires_ms > max(?2, ifnull(?3, ?2))",
        params![key, tx.now(), purged],
        |row| {
            let sequence_number = SequenceNumber(row.get(0)?);
            Ok(Sent { message_id: row.get(1)?, sequence_number, duplicate: true })
        },
    )?;
    Ok(first)
}

/// Remembers what a send with this key is answered.
pub(super) fn remember(tx: &Tx<'_>, key: &[u8; 16], sent: &Sent) -> Result<(), StoreError> {
    let expires = tx.now().plus(DEDUPLICATION_INTERVAL);
    tx.execute(
        "INSERT OR REPLACE INTO deduplication (key, expires_ms, sequence, message_id)
         VALUES (?1, ?2, ?3, ?4)",
        params![key, expires, sent.sequence_number.0, sent.message_id],
    )?;
    Ok(())
}
