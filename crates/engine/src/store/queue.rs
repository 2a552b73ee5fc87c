//! One queue, as it is stored.

use serde::de::DeserializeOwned;

use super::arn;
use super::error::{StorageError, StoreError};
use super::queue_time::{QueueTime, SharedQueueTime};
use super::settings::QueueSettings;
use super::view::View;

/// A queue, as the writer knows it.
pub(super) struct Queue {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) settings: QueueSettings,
    pub(super) created: QueueTime,
    pub(super) modified: QueueTime,
    pub(super) purged: Option<QueueTime>,
    /// None of its messages expires before. Each is sent later than those before it, so this holds
    /// until the queue's settings change; it is forgotten with the rest of this then.
    pub(super) nothing_expires_before: SharedQueueTime,
}

impl Queue {
    /// The queue of this name, read anew.
    pub(super) fn stored(view: &View<'_>, name: &str) -> Result<Self, StoreError> {
        Self::load(view, name)?.ok_or_else(|| StoreError::QueueDoesNotExist(name.to_owned()))
    }

    /// The queue of this name, if there is one.
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

/// What was stored as JSON.
pub(super) fn read_json<T: DeserializeOwned>(
    what: &'static str,
    text: &str,
) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|source| StorageError::Unreadable { what, source }.into())
}
