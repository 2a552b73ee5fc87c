//! Events that were delivered and are kept for a while, to be shown and sent again. They are in no queue:
//! nothing counts them as queued, and nothing waits for them.
//!
//! An event is kept in the transaction that deletes its message, so it is in one place at every moment.
//! Where the disk has no room, keeping is what gives way.

use domain::attribute::{Attribute, Attributes};
use domain::config::KeepDelivered;
use domain::signature::token;
use domain::time::Timestamp;
use rusqlite::{Row, params};

use super::error::StoreError;
use super::ledger::EVENT_ID_SQL;
use super::message::{MessageAttribute, MessageAttributes, SequenceNumber};
use super::queue::{Queue, read_json};
use super::queue_time::QueueTime;
use super::sender::Sender;
use super::tx::Tx;
use super::view::View;

/// Events that are removed in one transaction, at most, where more are there than shall be.
const REMOVED_AT_ONCE: u32 = 1_000;

/// Events, and bytes of them, that one look reads at most, so that no other look waits for long.
const PAGE_EVENTS: usize = 1_000;
const PAGE_BYTES: usize = 1024 * 1024;

/// An event that was delivered.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Which of those that are kept: the greater, the later.
    pub number: i64,
    /// The event's id.
    pub event_id: String,
    /// `MessageGroupId`.
    pub group: String,
    /// `MessageId`.
    pub message_id: String,
    /// `MessageDeduplicationId`.
    pub deduplication_id: String,
    /// `SequenceNumber`.
    pub sequence_number: SequenceNumber,
    /// Who sent it.
    pub sender: Sender,
    /// When it was sent.
    pub sent_at: Timestamp,
    /// When it was delivered.
    pub delivered_at: Timestamp,
    /// How often it was received.
    pub receive_count: u32,
    /// Message attributes; the token of a provider who does not sign is sealed.
    pub attributes: MessageAttributes,
    /// The system attribute `AWSTraceHeader`.
    pub trace_header: Option<String>,
    /// The body.
    pub body: String,
}

/// How much is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeptTotal {
    /// Events.
    pub events: u64,
    /// Bytes of their bodies, attributes and names.
    pub bytes: u64,
}

/// What is kept of a message, read before it is deleted.
pub(super) struct Leaving {
    sequence: i64,
    event_id: String,
    group: String,
    message_id: String,
    deduplication_id: String,
    sent: QueueTime,
    receive_count: i64,
    sender: Sender,
    trace_header: Option<String>,
    attributes: Option<String>,
    body: String,
}

impl Leaving {
    /// Of the message at `sequence`; `None` where nothing is kept, or the message is damaged.
    pub(super) fn of(tx: &Tx<'_>, sequence: i64) -> Result<Option<Self>, StoreError> {
        if tx.keeps().is_none() {
            return Ok(None);
        }
        let found = tx.first(
            &format!(
                "SELECT {EVENT_ID_SQL}, g.name, message_id, deduplication_id, sent_ms,
                        ifnull(receive_count, 0), from_api, trace_header, attributes, body
                 FROM message m CROSS JOIN message_group g ON g.id = m.group_id
                 LEFT JOIN delivery d ON d.sequence = m.sequence WHERE m.sequence = ?1"
            ),
            [sequence],
            |row| {
                let read = |row: &Row<'_>| -> rusqlite::Result<Self> {
                    Ok(Self {
                        sequence,
                        event_id: row.get(0)?,
                        group: row.get(1)?,
                        message_id: row.get(2)?,
                        deduplication_id: row.get(3)?,
                        sent: row.get(4)?,
                        receive_count: row.get(5)?,
                        sender: row.get(6)?,
                        trace_header: row.get(7)?,
                        attributes: row.get(8)?,
                        body: row.get(9)?,
                    })
                };
                // What cannot be read is not kept, and leaves all the same.
                Ok(read(row).ok())
            },
        )?;
        Ok(found.flatten())
    }

    /// Keeps it, and removes the oldest where that is more than shall be kept.
    pub(super) fn keep(self, tx: &mut Tx<'_>, queue: &Queue) -> Result<(), StoreError> {
        let Some(bounds) = tx.keeps() else { return Ok(()) };
        let attributes = self.sealed();
        let texts = [&self.event_id, &self.group, &self.body];
        let bytes = texts.iter().map(|text| text.len()).sum::<usize>()
            + attributes.as_ref().map_or(0, String::len);
        // One that has no room alone would take the place of all others.
        let Some(bytes) = i64::try_from(bytes).ok().filter(|it| *it <= bounds.bytes().into())
        else {
            return Ok(());
        };
        tx.execute(
            "INSERT INTO kept (queue_id, event_id, group_name, message_id, deduplication_id, sequence,
                 sent_ms, delivered_ms, receive_count, from_api, bytes, trace_header, attributes, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
            params![
                queue.id,
                self.event_id,
                self.group,
                self.message_id,
                self.deduplication_id,
                self.sequence,
                self.sent,
                tx.now(),
                self.receive_count,
                self.sender,
                bytes,
                self.trace_header,
                attributes,
                self.body
            ],
        )?;
        count(tx, 1, bytes)?;
        trim(tx, Some(bounds))?;
        Ok(())
    }

    /// Its attributes with a seal in place of a token, as a dead letter has it: what is kept is shown.
    fn sealed(&self) -> Option<String> {
        let text = self.attributes.as_ref()?;
        let Ok(mut attributes) = serde_json::from_str::<MessageAttributes>(text) else {
            return Some(text.clone());
        };
        if attributes.contains_key(domain::attribute::TOKEN) {
            let of = |(name, it): (&String, &MessageAttribute)| (name.clone(), Attribute::from(it));
            let all: Attributes = attributes.iter().map(of).collect();
            let sealed = token::sealed(all, &self.event_id, &self.body);
            let seal = sealed.get(domain::attribute::TOKEN).map(|it| it.value.clone());
            let seal = MessageAttribute::string(seal.unwrap_or_default());
            attributes.insert(domain::attribute::TOKEN.to_owned(), seal);
        }
        serde_json::to_string(&attributes).ok()
    }
}

fn count(tx: &Tx<'_>, events: i64, bytes: i64) -> Result<(), StoreError> {
    let sql = "UPDATE kept_total SET events = events + ?1, bytes = bytes + ?2";
    tx.execute(sql, params![events, bytes])?;
    Ok(())
}

/// Removes the oldest while more is kept than `bounds` say, all without them; tells whether there is more
/// to remove.
pub(super) fn trim(tx: &mut Tx<'_>, bounds: Option<KeepDelivered>) -> Result<bool, StoreError> {
    let (events, bytes) =
        bounds.map_or((0, 0), |it| (u64::from(it.count()), u64::from(it.bytes())));
    for _ in 0..REMOVED_AT_ONCE {
        let now = total(tx)?;
        if (now.events <= events && now.bytes <= bytes) || !remove_oldest(tx)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Removes some of the oldest, for those who need the room.
pub(super) fn make_room(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    for _ in 0..REMOVED_AT_ONCE {
        if !remove_oldest(tx)? {
            break;
        }
    }
    Ok(())
}

fn remove_oldest(tx: &Tx<'_>) -> Result<bool, StoreError> {
    let bytes: Option<i64> = tx.first(
        "DELETE FROM kept WHERE id = (SELECT min(id) FROM kept) RETURNING bytes",
        [],
        |row| row.get(0),
    )?;
    let Some(bytes) = bytes else { return Ok(false) };
    count(tx, -1, -bytes)?;
    Ok(true)
}

/// How much is kept.
pub(super) fn total(view: &View<'_>) -> Result<KeptTotal, StoreError> {
    let total = view.first("SELECT events, bytes FROM kept_total", [], |row| {
        let (events, bytes): (i64, i64) = (row.get(0)?, row.get(1)?);
        Ok(KeptTotal { events: events.unsigned_abs(), bytes: bytes.unsigned_abs() })
    })?;
    Ok(total.unwrap_or_default())
}

const COLUMNS: &str =
    "id, event_id, group_name, message_id, deduplication_id, sequence, from_api, sent_ms,
    delivered_ms, receive_count, attributes, trace_header, body";

/// The event of this id; the last one, where several had it.
pub(super) fn of_event(
    view: &View<'_>,
    queue: &str,
    event_id: &str,
) -> Result<Option<Kept>, StoreError> {
    let queue = Queue::stored(view, queue)?;
    let found = view.first(
        &format!(
            "SELECT {COLUMNS} FROM kept WHERE queue_id = ?1 AND event_id = ?2 ORDER BY id DESC LIMIT 1"
        ),
        params![queue.id, event_id],
        |row| Ok(read(view, row)),
    )?;
    found.transpose()
}

/// The ids of kept events that begin with this, at most `most`.
pub(super) fn beginning(
    view: &View<'_>,
    queue: &str,
    beginning: &str,
    most: usize,
) -> Result<Vec<String>, StoreError> {
    let queue = Queue::stored(view, queue)?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    // By their bytes those that begin so come first.
    let mut ids: Vec<String> = view.all(
        "SELECT DISTINCT event_id FROM kept WHERE queue_id = ?1 AND event_id >= ?2
         ORDER BY event_id LIMIT ?3",
        params![queue.id, beginning, most],
        |row| row.get(0),
    )?;
    ids.retain(|id| id.starts_with(beginning));
    Ok(ids)
}

/// Kept events, the newest first, of those before `before`; and whether there are more.
pub(super) fn page(
    view: &View<'_>,
    queue: &str,
    before: i64,
) -> Result<(Vec<Kept>, bool), StoreError> {
    let queue = Queue::stored(view, queue)?;
    let mut statement = view.connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM kept WHERE queue_id = ?1 AND id < ?2 ORDER BY id DESC"
    ))?;
    let mut rows = statement.query(params![queue.id, before])?;
    let (mut found, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let kept = read(view, row)?;
        bytes += kept.body.len();
        found.push(kept);
        if found.len() >= PAGE_EVENTS || bytes >= PAGE_BYTES {
            return Ok((found, true));
        }
    }
    Ok((found, false))
}

fn read(view: &View<'_>, row: &Row<'_>) -> Result<Kept, StoreError> {
    let attributes: Option<String> = row.get(10)?;
    let attributes = match attributes {
        Some(text) => read_json("message attributes", &text)?,
        None => MessageAttributes::new(),
    };
    Ok(Kept {
        number: row.get(0)?,
        event_id: row.get(1)?,
        group: row.get(2)?,
        message_id: row.get(3)?,
        deduplication_id: row.get(4)?,
        sequence_number: SequenceNumber(row.get(5)?),
        sender: row.get(6)?,
        sent_at: view.shown(row.get(7)?),
        delivered_at: view.shown(row.get(8)?),
        receive_count: row.get(9)?,
        attributes,
        trace_header: row.get(11)?,
        body: row.get(12)?,
    })
}
