//! Whether storage works, as those who use it saw last: said once when it stops working and once when
//! it works again, however many requests fail in between.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use domain::config::LogLevel;
use serde::Serialize;
use serde_json::json;

use crate::disk::Disk;
use crate::error_text::in_full;
use crate::log::Log;
use crate::store::{Store, StoreError, Tags};

/// How storage is, in the word that every answer has for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StorageState {
    /// Events can be kept.
    Ok,
    /// There is too little room on the disk for new ones.
    Full,
    /// Its last use failed.
    Failing,
}

/// Shared by everything that uses the store.
#[derive(Clone)]
pub(crate) struct StorageHealth {
    failing: Arc<AtomicBool>,
    log: Log,
}

impl StorageHealth {
    pub(crate) fn new(log: Log) -> Self {
        Self { failing: Arc::default(), log }
    }

    /// Whether the last use failed.
    pub(crate) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// How storage is now: if it failed, it is tried, so that one which works again is noticed without a
    /// message. `disk` is where it keeps what it keeps.
    pub(crate) async fn state(
        &self,
        store: &Store,
        queue: &str,
        disk: Option<&Disk>,
    ) -> StorageState {
        if self.is_failing() {
            // Writes the queue's tags as they are.
            let _noted = self.wrote(store.change_tags(queue, &Tags::new(), &[]).await);
        }
        if self.is_failing() {
            StorageState::Failing
        } else if disk.is_some_and(|disk| !disk.status().accepting) {
            StorageState::Full
        } else {
            StorageState::Ok
        }
    }

    /// Takes note of how a write ended, and gives it back.
    pub(crate) fn wrote<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if result.is_ok() && self.is_failing() && self.failing.swap(false, Ordering::Relaxed) {
            self.log.line(LogLevel::Info, "storage works again", json!({}));
        }
        self.read(result)
    }

    /// Takes note of how a read ended, and gives it back. That reading works says nothing of writing.
    pub(crate) fn read<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(error @ StoreError::Storage(_)) = &result
            && !self.failing.swap(true, Ordering::Relaxed)
        {
            let error = in_full(error);
            self.log.line(LogLevel::Error, "storage failed", json!({ "error": error }));
        }
        result
    }
}
