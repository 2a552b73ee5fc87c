//! Messages as they are stored, and what their receiver gets.

use rusqlite::Row;

use super::error::StoreError;
use super::message::{MessageAttributes, ReceivedMessage, SequenceNumber};
use super::queue::{Queue, read_json};
use super::queue_time::QueueTime;
use super::receipt::Receipt;
use super::sender::Sender;
use super::tx::Tx;

/// One receive: its number, its times.
pub(super) struct Receive<'a> {
    pub(super) number: i64,
    pub(super) visible_at: QueueTime,
    pub(super) receiver: Option<&'a str>,
}

/// A message as it is stored.
pub(super) struct StoredMessage {
    pub(super) sequence: i64,
    pub(super) sent: QueueTime,
    pub(super) message_id: String,
    pub(super) deduplication_id: String,
    dead_letter_source: Option<String>,
    pub(super) trace_header: Option<String>,
    pub(super) attributes: Option<String>,
    pub(super) body: String,
    pub(super) receive_count: i64,
    pub(super) first_received: Option<QueueTime>,
    sender: Sender,
}

pub(super) fn read_row(row: &Row<'_>) -> rusqlite::Result<StoredMessage> {
    Ok(StoredMessage {
        sequence: row.get(0)?,
        sent: row.get(1)?,
        message_id: row.get(2)?,
        deduplication_id: row.get(3)?,
        dead_letter_source: row.get(4)?,
        trace_header: row.get(5)?,
        attributes: row.get(6)?,
        body: row.get(7)?,
        receive_count: row.get::<_, Option<i64>>(8)?.unwrap_or_default(),
        first_received: row.get(9)?,
        sender: row.get(10)?,
    })
}

/// What the receiver of a stored message gets.
pub(super) fn received(
    tx: &Tx<'_>,
    queue: &Queue,
    group: &str,
    row: StoredMessage,
    receive_number: i64,
) -> Result<ReceivedMessage, StoreError> {
    let receipt = Receipt { queue_id: queue.id, sequence: row.sequence, receive_number };
    let attributes = match &row.attributes {
        Some(text) => read_json("message attributes", text)?,
        None => MessageAttributes::new(),
    };
    Ok(ReceivedMessage {
        message_id: row.message_id,
        receipt_handle: receipt.handle(),
        body: row.body,
        group_id: group.to_owned(),
        deduplication_id: row.deduplication_id,
        attributes,
        trace_header: row.trace_header,
        sequence_number: SequenceNumber(row.sequence),
        sender: row.sender,
        sent_at: tx.shown(row.sent),
        receive_count: u32::try_from(row.receive_count).unwrap_or(u32::MAX),
        first_received_at: tx.shown(row.first_received.unwrap_or(row.sent)),
        dead_letter_source: row.dead_letter_source,
    })
}
