//! Queues themselves: create, find, change. [`purge`](super::purge) empties and deletes them.

use std::collections::BTreeMap;

use domain::quota;
use rusqlite::params;
use serde::Serialize;

use super::arn;
use super::error::StoreError;
use super::limits;
use super::queue::{Queue, read_json};
use super::settings::{self, Attributes, QueueSettings};
use super::tx::Tx;
use super::view::View;

/// Tags of a queue.
pub type Tags = BTreeMap<String, String>;

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
    Queue::stored(view, name)?;
    let mut sources = Vec::new();
    for other in list(view, "")? {
        let queue = Queue::stored(view, &other)?;
        let policy = queue.settings.redrive_policy.as_ref();
        if policy
            .is_some_and(|policy| arn::queue_name(&policy.dead_letter_target_arn) == Some(name))
        {
            sources.push(other);
        }
    }
    Ok(sources)
}

/// The queue's tags.
pub(super) fn tags(view: &View<'_>, name: &str) -> Result<Tags, StoreError> {
    let queue = Queue::stored(view, name)?;
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
