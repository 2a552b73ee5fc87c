//! Messages as they lie in the queues, wherever they are: visible, in flight, behind others, dead. Who
//! looks here receives nothing: no visibility and no receive count changes.

use domain::time::Timestamp;
use rusqlite::{Row, params};

use super::damage;
use super::error::StoreError;
use super::message::{MessageAttributes, SequenceNumber};
use super::queue::{Queue, read_json};
use super::queue_time::QueueTime;
use super::stored;
use super::view::View;

/// What one look reads at most, in bytes and messages, so that no other look waits for long.
const PAGE_BYTES: usize = 1024 * 1024;
const PAGE_MESSAGES: usize = 1_000;

/// A message, and how it is.
#[derive(Debug, Clone)]
pub struct Peeked {
    /// The queue.
    pub queue: String,
    /// `MessageGroupId`.
    pub group: String,
    /// `MessageId`.
    pub message_id: String,
    /// `MessageDeduplicationId`.
    pub deduplication_id: String,
    /// `SequenceNumber`.
    pub sequence_number: SequenceNumber,
    /// When it was sent; of a dead letter, when it became one.
    pub sent_at: Timestamp,
    /// When it was first received, if it was.
    pub first_received_at: Option<Timestamp>,
    /// How often it was received.
    pub receive_count: u32,
    /// When it can be received again; `None` if it is not in flight.
    pub visible_at: Option<Timestamp>,
    /// Whether the function holds it: it is being attempted.
    pub is_held: bool,
    /// Message attributes.
    pub attributes: MessageAttributes,
    /// The system attribute `AWSTraceHeader`.
    pub trace_header: Option<String>,
    /// The body.
    pub body: String,
}

/// Where a look over all messages of a queue goes on: after this message of this group.
#[derive(Debug, Clone, Default)]
pub struct PeekFrom {
    group: String,
    sequence: i64,
}

/// Some messages of a queue.
#[derive(Debug)]
pub struct PeekPage {
    /// The messages, by group and in the order of each.
    pub messages: Vec<Peeked>,
    /// Those that are not what was accepted, and are left out.
    pub damaged: u64,
    /// Where to go on, unless this is the last.
    pub next: Option<PeekFrom>,
}

/// What [`stored::read_row`] reads, and what else is read here.
const COLUMNS: &str = "m.sequence, sent_ms, message_id, deduplication_id, dead_letter_source,
    trace_header, attributes, body, receive_count, first_received_ms, from_api, visible_at_ms,
    receiver, digest, g.name";

/// Messages of a queue, those after `from`. They are in the order of their groups' names, which stays
/// while messages come and go and are received: what is there all the time is seen once.
pub(super) fn page(view: &View<'_>, name: &str, from: &PeekFrom) -> Result<PeekPage, StoreError> {
    let queue = Queue::stored(view, name)?;
    let mut statement = view.connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM message_group g CROSS JOIN message m ON m.group_id = g.id
         LEFT JOIN delivery d ON d.sequence = m.sequence
         WHERE g.queue_id = ?1 AND g.name >= ?2 AND (g.name > ?2 OR m.sequence > ?3)
         ORDER BY g.name, m.sequence"
    ))?;
    let mut rows = statement.query(params![queue.id, from.group, from.sequence])?;
    let mut page = PeekPage { messages: Vec::new(), damaged: 0, next: None };
    let (mut bytes, mut count) = (0, 0);
    while let Some(row) = rows.next()? {
        let (group, sequence): (String, i64) = (row.get(14)?, row.get(0)?);
        match read(view, name, row)? {
            Some(message) => {
                bytes += message.body.len();
                page.messages.push(message);
            }
            None => page.damaged += 1,
        }
        count += 1;
        if bytes >= PAGE_BYTES || count >= PAGE_MESSAGES {
            page.next = Some(PeekFrom { group, sequence });
            break;
        }
    }
    Ok(page)
}

/// The messages of a group, the first `most` of them, and how many there are.
pub(super) fn of_group(
    view: &View<'_>,
    name: &str,
    group: &str,
    most: u32,
) -> Result<(Vec<Peeked>, u64), StoreError> {
    let queue = Queue::stored(view, name)?;
    let read = view.all(
        &format!(
            "SELECT {COLUMNS} FROM message_group g CROSS JOIN message m ON m.group_id = g.id
             LEFT JOIN delivery d ON d.sequence = m.sequence
             WHERE g.queue_id = ?1 AND g.name = ?2 ORDER BY m.sequence LIMIT ?3"
        ),
        params![queue.id, group, most],
        |row| Ok(self::read(view, name, row)),
    )?;
    let messages: Result<Vec<Option<Peeked>>, StoreError> = read.into_iter().collect();
    let count: Option<i64> = view.first(
        "SELECT count(*) FROM message_group g CROSS JOIN message m ON m.group_id = g.id
         WHERE g.queue_id = ?1 AND g.name = ?2",
        params![queue.id, group],
        |row| row.get(0),
    )?;
    Ok((messages?.into_iter().flatten().collect(), count.unwrap_or_default().unsigned_abs()))
}

/// One message; `None` if it has left, or is not what was accepted.
pub(super) fn one(
    view: &View<'_>,
    name: &str,
    sequence: SequenceNumber,
) -> Result<Option<Peeked>, StoreError> {
    let found = view.first(
        &format!(
            "SELECT {COLUMNS} FROM message m CROSS JOIN message_group g ON g.id = m.group_id
             LEFT JOIN delivery d ON d.sequence = m.sequence WHERE m.sequence = ?1"
        ),
        [sequence.0],
        |row| Ok(read(view, name, row)),
    )?;
    found.transpose().map(Option::flatten)
}

/// When the next dead letter, or other message, that is in flight can be received again, and the last.
pub(super) fn hidden_until(
    view: &View<'_>,
    name: &str,
) -> Result<Option<(Timestamp, Timestamp)>, StoreError> {
    let queue = Queue::stored(view, name)?;
    let times = view.first(
        "SELECT min(visible_at_ms), max(visible_at_ms) FROM delivery
         WHERE queue_id = ?1 AND visible_at_ms > ?2
           AND sequence NOT IN (SELECT sequence FROM damaged)",
        params![queue.id, view.now()],
        |row| Ok((row.get::<_, Option<QueueTime>>(0)?, row.get::<_, Option<QueueTime>>(1)?)),
    )?;
    let (first, last) = times.unwrap_or_default();
    Ok(first.zip(last).map(|(first, last)| (view.shown(first), view.shown(last))))
}

fn read(view: &View<'_>, queue: &str, row: &Row<'_>) -> Result<Option<Peeked>, StoreError> {
    let visible_at: Option<QueueTime> = row.get(11)?;
    let is_held = row.get::<_, Option<String>>(12)?.is_some();
    let Ok(stored) = damage::sound(stored::read_row(row), row.get(13)) else { return Ok(None) };
    let visible_at = visible_at.filter(|at| *at > view.now()).map(|at| view.shown(at));
    let attributes = match &stored.attributes {
        Some(text) => read_json("message attributes", text)?,
        None => MessageAttributes::new(),
    };
    Ok(Some(Peeked {
        queue: queue.to_owned(),
        group: row.get(14)?,
        message_id: stored.message_id,
        deduplication_id: stored.deduplication_id,
        trace_header: stored.trace_header,
        sequence_number: SequenceNumber(stored.sequence),
        sent_at: view.shown(stored.sent),
        first_received_at: stored.first_received.map(|at| view.shown(at)),
        receive_count: u32::try_from(stored.receive_count).unwrap_or(u32::MAX),
        is_held: is_held && visible_at.is_some(),
        visible_at,
        attributes,
        body: stored.body,
    }))
}
