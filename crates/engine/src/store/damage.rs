//! Messages that cannot be delivered as they were accepted: a digest is kept with each at its send, and
//! compared at each receive.
//!
//! A damaged one is set aside: it is in flight for good, so that it holds back what is behind it in its
//! group and nothing else, until an operator has looked at it and drops it, or its retention ends.

use domain::time::Timestamp;
use md5::{Digest as _, Md5};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, params};

use super::departure::{Departure, Why};
use super::error::StoreError;
use super::groups::{self, Removal};
use super::ledger::EVENT_ID_SQL;
use super::message::{MessageAttributes, SequenceNumber};
use super::queue::Queue;
use super::queue_time::{NEVER, QueueTime};
use super::stored::StoredMessage;
use super::tx::Tx;
use super::view::View;

/// A message that was set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedMessage {
    /// Its queue.
    pub queue: String,
    /// `SequenceNumber`.
    pub sequence_number: SequenceNumber,
    /// `MessageGroupId`, of the group that waits for it.
    pub group: String,
    /// Its event's id, as far as it can be read: what names the event to who sent it.
    pub event_id: String,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// What is wrong with it.
    pub reason: String,
    /// When that was found.
    pub found_at: Timestamp,
    /// Messages of the group behind it, which wait.
    pub behind: u64,
}

/// What is stored of a message, as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawMessage {
    /// The body's bytes.
    pub body: Vec<u8>,
    /// The bytes of its attributes, JSON unless that is what is damaged.
    pub attributes: Vec<u8>,
}

/// What is kept of a message to know it again.
pub(super) fn digest(body: &str, attributes: Option<&str>) -> [u8; 16] {
    // No text has this byte.
    let digest = Md5::new().chain_update(body).chain_update([0xff]);
    digest.chain_update(attributes.unwrap_or_default()).finalize().into()
}

/// A message as it was read, or why it is not the one that was sent.
pub(super) fn sound(
    row: rusqlite::Result<StoredMessage>,
    kept: rusqlite::Result<Option<Vec<u8>>>,
) -> Result<StoredMessage, String> {
    let row = row.map_err(|error| error.to_string())?;
    let is_sound = if let Some(kept) = kept.map_err(|error| error.to_string())? {
        kept == digest(&row.body, row.attributes.as_deref())
    } else {
        let text = row.attributes.as_deref().unwrap_or("{}");
        serde_json::from_str::<MessageAttributes>(text).is_ok()
    };
    if is_sound { Ok(row) } else { Err("it is not what was stored".to_owned()) }
}

/// Sets a message aside.
pub(super) fn set_aside(
    tx: &mut Tx<'_>,
    queue: &Queue,
    group_id: i64,
    sequence: i64,
    reason: &str,
) -> Result<(), StoreError> {
    let number = tx.next_number();
    tx.execute(
        "INSERT INTO delivery (sequence, queue_id, receive_count, first_received_ms, received_ms,
                               receive_number, visible_at_ms, receiver)
         VALUES (?1, ?2, 0, ?3, ?3, ?4, ?5, 'damaged')
         ON CONFLICT (sequence) DO UPDATE SET
             receive_number = excluded.receive_number, visible_at_ms = excluded.visible_at_ms,
             receiver = excluded.receiver",
        params![sequence, queue.id, tx.now(), number, NEVER],
    )?;
    groups::change_in_flight(tx, queue.id, group_id, 1)?;
    tx.execute(
        "INSERT INTO damaged VALUES (?1, ?2, ?3, ?4)",
        params![sequence, queue.id, reason, tx.now()],
    )?;
    let queue = queue.name.clone();
    let event_id = Some(SequenceNumber(sequence).to_string());
    tx.depart(Departure { queue, why: Why::Damaged, route: String::new(), messages: 1, event_id });
    Ok(())
}

/// The groups that take another message for their first one than they have, by queue.
pub(super) fn wrong_heads(connection: &Connection) -> rusqlite::Result<Vec<(i64, i64)>> {
    let wrong = "SELECT queue_id, id FROM message_group g WHERE head_sequence
                 IS NOT (SELECT min(sequence) FROM message WHERE group_id = g.id)";
    let mut wrong = connection.prepare(wrong)?;
    wrong.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// How many messages of a database are not what was stored. Looks at every message.
pub(super) fn count_all(connection: &Connection) -> rusqlite::Result<u64> {
    let has_digests = "SELECT count(*) FROM pragma_table_info('message') WHERE name = 'digest'";
    if connection.query_row(has_digests, [], |row| row.get::<_, i64>(0))? == 0 {
        return Ok(0);
    }
    let mut rows = connection.prepare("SELECT body, attributes, digest FROM message")?;
    let mut rows = rows.query([])?;
    let mut damaged = 0;
    while let Some(row) = rows.next()? {
        let (body, attributes, kept) =
            (row.get::<_, String>(0), row.get::<_, Option<String>>(1), row.get(2));
        let is_sound = match (body, attributes, kept) {
            (Ok(body), Ok(attributes), Ok(Some(kept))) => {
                Vec::<u8>::as_slice(&kept) == digest(&body, attributes.as_deref())
            }
            (Ok(_), Ok(_), Ok(None)) => true,
            _ => false,
        };
        damaged += u64::from(!is_sound);
    }
    Ok(damaged)
}

/// All that are set aside.
pub(super) fn list(view: &View<'_>) -> Result<Vec<DamagedMessage>, StoreError> {
    let sql = format!(
        "SELECT q.name, d.sequence, g.name, d.reason, d.found_ms,
                (SELECT count(*) FROM message o WHERE o.group_id = m.group_id AND o.sequence > m.sequence),
                m.sent_ms, {EVENT_ID_SQL}
         FROM damaged d JOIN message m USING (sequence) JOIN message_group g ON g.id = m.group_id
         JOIN queue q ON q.id = d.queue_id ORDER BY d.sequence"
    );
    let damaged = view.all(&sql, [], |row| {
        Ok(DamagedMessage {
            queue: row.get(0)?,
            sequence_number: SequenceNumber(row.get(1)?),
            group: row.get(2)?,
            reason: row.get(3)?,
            found_at: view.shown(row.get::<_, QueueTime>(4)?),
            behind: row.get::<_, i64>(5)?.unsigned_abs(),
            accepted_at: view.shown(row.get::<_, QueueTime>(6)?),
            // Whatever is damaged of it, the others are listed.
            event_id: row.get(7).unwrap_or_default(),
        })
    })?;
    Ok(damaged)
}

/// How many of a queue are set aside.
pub(super) fn count(view: &View<'_>, queue_id: i64) -> Result<i64, StoreError> {
    let count = "SELECT count(*) FROM damaged WHERE queue_id = ?1";
    Ok(view.first(count, [queue_id], |row| row.get(0))?.unwrap_or_default())
}

/// What is stored of one that is set aside.
pub(super) fn raw(view: &View<'_>, sequence: i64) -> Result<Option<RawMessage>, StoreError> {
    let bytes = |value: ValueRef<'_>| value.as_bytes_or_null().ok().flatten().map(<[u8]>::to_vec);
    let raw = view.first(
        "SELECT body, attributes FROM message JOIN damaged USING (sequence) WHERE sequence = ?1",
        [sequence],
        |row| {
            let [body, attributes] = [bytes(row.get_ref(0)?), bytes(row.get_ref(1)?)];
            Ok(RawMessage {
                body: body.unwrap_or_default(),
                attributes: attributes.unwrap_or_default(),
            })
        },
    )?;
    Ok(raw)
}

/// Deletes one that is set aside, and its group goes on; tells whether there is one.
pub(super) fn delete(tx: &mut Tx<'_>, sequence: i64) -> Result<bool, StoreError> {
    let queue: Option<String> = tx.first(
        "SELECT name FROM damaged JOIN queue ON queue.id = queue_id WHERE sequence = ?1",
        [sequence],
        |row| row.get(0),
    )?;
    let Some(queue) = queue else { return Ok(false) };
    let queue = tx.queue(&queue)?;
    groups::remove(tx, &queue, sequence, &Removal::Deleted)?;
    Ok(true)
}
