//! Whether storage works, as those who use it saw last: said once when it stops working and once when
//! it works again, however many requests fail in between.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use domain::config::LogLevel;
use serde_json::json;

use crate::error_text::in_full;
use crate::log::Log;
use crate::store::{Store, StoreError, Tags};

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

    /// Whether storage fails now: if it did, it is tried, so that one which works again is noticed without
    /// a message.
    pub(crate) async fn is_still_failing(&self, store: &Store, queue: &str) -> bool {
        if self.is_failing() {
            // Writes the queue's tags as they are.
            let _noted = self.wrote(store.change_tags(queue, &Tags::new(), &[]).await);
        }
        self.is_failing()
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
