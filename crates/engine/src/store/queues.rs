//! Queues themselves: create, find, change, empty, delete.

use std::collections::BTreeMap;

use domain::quota;
use rusqlite::params;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::arn;
use super::departure::{Departure, Why};
use super::error::{StorageError, StoreError};
use super::groups::{self, Removal};
use super::limits;
use super::queue_time::{QueueTime, SharedQueueTime};
use super::settings::{self, Attributes, QueueSettings};
use super::tx::Tx;
use super::view::View;

/// Messages that one transaction of a purge looks at.
const EMPTIED_AT_ONCE: i64 = 500;

/// Free pages of the database that stay in the file: 16 MiB.
pub(super) const FREE_PAGES_KEPT: i64 = 4_096;

/// Pages that go at a time: 1 MiB.
const PAGES_FREED_AT_ONCE: i64 = 256;

/// Tags of a queue.
pub type Tags = BTreeMap<String, String>;

/// A queue, as the writer knows it.
pub(super) struct Queue {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) settings: QueueSettings,
    pub(super) created: QueueTime,
    pub(super) modified: QueueTime,
    purged: Option<QueueTime>,
    /// None of its messages expires before. Each is sent later than those before it, so this holds
    /// until the queue's settings change; it is forgotten with the rest of this then.
    pub(super) nothing_expires_before: SharedQueueTime,
}

impl Queue {
    pub(super) fn load(view: &View<'_>, name: &str) -> Result<Option<Self>, StoreError> {
        let row = view.first(
            "SELECT id, settings, created_ms, modified_ms, purged_ms FROM queue WHERE name = ?1",
            [name],
            |row| {
                let settings: String = row.get(1)?;
                Ok((row.get(0)?, settings, row.get(2)?, row.get(3)?, row.get(4)?))
            },
        )?;
        let Some((id, settings, created, modified, purged)) = row else {
            return Ok(None);
        };
        let settings = read_json("queue settings", &settings)?;
        Ok(Some(Self {
            id,
            name: name.to_owned(),
            settings,
            created,
            modified,
            purged,
            nothing_expires_before: SharedQueueTime::default(),
        }))
    }

    pub(super) fn arn(&self) -> String {
        arn::of_queue(&self.name)
    }
}

/// Creates the queue, or finds that it is there with these attributes.
pub(super) fn create(
    tx: &mut Tx<'_>,
    name: &str,
    attributes: &Attributes,
    tags: &Tags,
) -> Result<(), StoreError> {
    check_name(name)?;
    let fifo = attributes.get("FifoQueue").map(|value| settings::boolean("FifoQueue", value));
    if !fifo.transpose()?.unwrap_or_default() {
        return Err(StoreError::InvalidParameterValue(format!(
            "{name}: only FIFO queues are supported, and they need the attribute FifoQueue"
        )));
    }
    if let Some(queue) = Queue::load(tx, name)? {
        return same_attributes(&queue, attributes);
    }
    let settings = QueueSettings::default().with(attributes)?;
    check_redrive(tx, name, &settings)?;
    check_tags(tags)?;
    let now = tx.now();
    tx.execute(
        "INSERT INTO queue (name, settings, tags, created_ms, modified_ms)
         VALUES (?1, ?2, ?3, ?4, ?4)",
        params![name, write_json(&settings), write_json(tags), now],
    )?;
    tx.execute("INSERT INTO queue_count VALUES (?1, 0, 0, 0)", [tx.last_row()])?;
    Ok(())
}

fn same_attributes(queue: &Queue, attributes: &Attributes) -> Result<(), StoreError> {
    let (is, asked) = (&queue.settings, queue.settings.clone().with(attributes)?);
    let differing = is.attributes().into_iter().find(|(name, value)| {
        attributes.contains_key(name) && asked.attributes().get(name) != Some(value)
    });
    if let Some((name, _)) = differing {
        return Err(StoreError::QueueNameExists(queue.name.clone(), name));
    }
    match asked.attributes().into_keys().find(|name| !is.attributes().contains_key(name)) {
        Some(name) => Err(StoreError::QueueNameExists(queue.name.clone(), name)),
        None => Ok(()),
    }
}

/// Changes the attributes that are named.
pub(super) fn set_attributes(
    tx: &mut Tx<'_>,
    name: &str,
    attributes: &Attributes,
) -> Result<(), StoreError> {
    let queue = tx.queue(name)?;
    let settings = queue.settings.clone().with(attributes)?;
    check_redrive(tx, name, &settings)?;
    if settings == queue.settings {
        return Ok(());
    }
    tx.execute(
        "UPDATE queue SET settings = ?2, modified_ms = ?3 WHERE id = ?1",
        params![queue.id, write_json(&settings), tx.now()],
    )?;
    tx.forget_queue(name);
    tx.wake(super::wake::Wake::All(queue.id));
    Ok(())
}

/// Names of queues that begin with `prefix`, in order.
pub(super) fn list(view: &View<'_>, prefix: &str) -> Result<Vec<String>, StoreError> {
    let names = view.all("SELECT name FROM queue ORDER BY name", [], |row| row.get(0))?;
    Ok(names.into_iter().filter(|name: &String| name.starts_with(prefix)).collect())
}

/// Names of the queues whose dead-letter queue is `name`.
pub(super) fn dead_letter_sources(view: &View<'_>, name: &str) -> Result<Vec<String>, StoreError> {
    view.stored_queue(name)?;
    let mut sources = Vec::new();
    for other in list(view, "")? {
        let queue = view.stored_queue(&other)?;
        let policy = queue.settings.redrive_policy.as_ref();
        if policy
            .is_some_and(|policy| arn::queue_name(&policy.dead_letter_target_arn) == Some(name))
        {
            sources.push(other);
        }
    }
    Ok(sources)
}

/// Deletes the queue and its messages. Its deduplication ids run out by themselves: a queue of the
/// same name is another queue.
pub(super) fn delete(tx: &mut Tx<'_>, name: &str) -> Result<(), StoreError> {
    let queue = tx.queue(name)?;
    remove_messages(tx, queue.id)?;
    for (route, messages) in tx.ledger().purge(queue.id) {
        let queue = name.to_owned();
        tx.depart(Departure { queue, why: Why::Purged, route, messages, event_id: None });
    }
    tx.execute("DELETE FROM queue_count WHERE queue_id = ?1", [queue.id])?;
    tx.execute("DELETE FROM move_task WHERE source = ?1", [name])?;
    tx.execute("DELETE FROM queue WHERE id = ?1", [queue.id])?;
    tx.forget_queue(name);
    tx.wake(super::wake::Wake::All(queue.id));
    Ok(())
}

/// Begins to delete the queue's messages, those in flight too.
pub(super) fn purge(tx: &mut Tx<'_>, name: &str) -> Result<Emptying, StoreError> {
    let queue = tx.queue(name)?;
    let now = tx.now();
    if queue.purged.is_some_and(|purged| now < purged.plus(limits::PURGE_INTERVAL)) {
        return Err(StoreError::PurgeQueueInProgress(name.to_owned()));
    }
    tx.execute("UPDATE queue SET purged_ms = ?2 WHERE id = ?1", params![queue.id, now])?;
    tx.forget_queue(name);
    emptying(tx, name)
}

/// What is left to do of a purge.
#[derive(Debug, Clone, Copy)]
pub(super) struct Emptying {
    queue_id: i64,
    /// The last message that was looked at.
    after: i64,
    /// Messages with this number and greater ones came later.
    before: i64,
}

/// Tells of all that is in a queue that it goes, and gives what removes it.
pub(super) fn emptying(tx: &mut Tx<'_>, name: &str) -> Result<Emptying, StoreError> {
    let queue = tx.queue(name)?;
    for (route, messages) in tx.ledger().held(queue.id) {
        let queue = name.to_owned();
        tx.depart(Departure { queue, why: Why::Purged, route, messages, event_id: None });
    }
    Ok(Emptying { queue_id: queue.id, after: 0, before: tx.next_number() })
}

impl Emptying {
    pub(super) fn is_done(self) -> bool {
        self.after >= self.before
    }

    /// Removes the next ones.
    pub(super) fn step(mut self, tx: &mut Tx<'_>) -> Result<Self, StoreError> {
        let name: Option<String> =
            tx.first("SELECT name FROM queue WHERE id = ?1", [self.queue_id], |row| row.get(0))?;
        let Some(name) = name else { return Ok(Self { after: self.before, ..self }) };
        let queue = tx.queue(&name)?;
        let next = tx.all(
            "SELECT sequence, queue_id FROM message WHERE sequence > ?1 AND sequence < ?2
             ORDER BY sequence LIMIT ?3",
            [self.after, self.before, EMPTIED_AT_ONCE],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        self.after = next.last().map_or(self.before, |(sequence, _): &(i64, i64)| *sequence);
        for (sequence, _) in next.into_iter().filter(|(_, queue_id)| *queue_id == self.queue_id) {
            groups::remove(tx, &queue, sequence, &Removal::Purged)?;
        }
        Ok(self)
    }
}

fn remove_messages(tx: &Tx<'_>, queue_id: i64) -> Result<(), StoreError> {
    for sql in [
        "DELETE FROM message WHERE group_id IN (SELECT id FROM message_group WHERE queue_id = ?1)",
        "DELETE FROM delivery WHERE queue_id = ?1",
        "DELETE FROM message_group WHERE queue_id = ?1",
        "DELETE FROM receive_attempt WHERE queue_id = ?1",
        "UPDATE queue_count SET queued = 0, in_flight = 0, message_groups = 0 WHERE queue_id = ?1",
    ] {
        tx.execute(sql, [queue_id])?;
    }
    Ok(())
}

/// Gives free pages of the database back to the disk, as many as hold nobody up. As many as
/// [`FREE_PAGES_KEPT`] stay, for what comes next.
pub(super) fn shrink(tx: &mut Tx<'_>) -> Result<bool, StoreError> {
    let number = |pragma: &str| tx.first(pragma, [], |row| row.get::<_, i64>(0));
    let free = number("PRAGMA freelist_count")?.unwrap_or_default();
    // 2 is incremental; a database of a former version keeps its pages until it is compacted.
    if free <= FREE_PAGES_KEPT || number("PRAGMA auto_vacuum")? != Some(2) {
        return Ok(false);
    }
    tx.all(&format!("PRAGMA incremental_vacuum({PAGES_FREED_AT_ONCE})"), [], |_| Ok(()))?;
    Ok(true)
}

/// The queue's tags.
pub(super) fn tags(view: &View<'_>, name: &str) -> Result<Tags, StoreError> {
    let queue = view.stored_queue(name)?;
    let tags: Option<String> =
        view.first("SELECT tags FROM queue WHERE id = ?1", [queue.id], |row| row.get(0))?;
    tags.map_or_else(|| Ok(Tags::new()), |tags| read_json("tags", &tags))
}

/// Replaces the queue's tags.
pub(super) fn set_tags(tx: &mut Tx<'_>, name: &str, tags: &Tags) -> Result<(), StoreError> {
    check_tags(tags)?;
    let queue = tx.queue(name)?;
    tx.execute("UPDATE queue SET tags = ?2 WHERE id = ?1", params![queue.id, write_json(tags)])?;
    Ok(())
}

fn check_tags(tags: &Tags) -> Result<(), StoreError> {
    if tags.len() > limits::TAGS_MAX {
        return Err(StoreError::InvalidParameterValue(format!(
            "A queue can have {} tags, and these are {}.",
            limits::TAGS_MAX,
            tags.len()
        )));
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), StoreError> {
    let stem = name.strip_suffix(".fifo").unwrap_or_default();
    let fits = name.len() <= quota::QUEUE_NAME_CHARS_MAX;
    let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if fits && !stem.is_empty() && stem.bytes().all(good) {
        return Ok(());
    }
    Err(StoreError::InvalidParameterValue(format!(
        "The name of a FIFO queue can only include alphanumeric characters, hyphens, or \
         underscores, must end with .fifo suffix and be 1 to 80 in length: {name:?}."
    )))
}

fn check_redrive(tx: &mut Tx<'_>, name: &str, settings: &QueueSettings) -> Result<(), StoreError> {
    let Some(policy) = &settings.redrive_policy else { return Ok(()) };
    let refuse =
        |reason: &str| Err(settings::invalid_policy("RedrivePolicy", &write_json(policy), reason));
    let target = arn::queue_name(&policy.dead_letter_target_arn).unwrap_or_default();
    let queue = match tx.queue(target) {
        Err(StoreError::QueueDoesNotExist(_)) => {
            return refuse("Dead letter target does not exist");
        }
        other => other?,
    };
    let allow = queue.settings.redrive_allow_policy.as_ref();
    if allow.is_some_and(|allow| !allow.allows(&arn::of_queue(name))) {
        return refuse(&format!("the redrive allow policy of {target} does not allow {name}"));
    }
    Ok(())
}

fn write_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("settings and tags have string keys only")
}

pub(super) fn read_json<T: DeserializeOwned>(
    what: &'static str,
    text: &str,
) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|source| StorageError::Unreadable { what, source }.into())
}
