//! Why a store refuses a request, or fails. The variants are SQS's errors; how they are spelled on
//! the wire is [`sqs`](crate::sqs)'s business.

use std::fmt::Display;
use std::path::PathBuf;

use domain::quota;
use rusqlite::{ErrorCode, ffi};

use super::limits;
use crate::files::{Denied, Untrusted};

/// Why a request was not carried out. Nothing was changed by it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The queue is not there.
    #[error("the specified queue does not exist: {0}")]
    QueueDoesNotExist(String),
    /// A queue of this name has other attributes.
    #[error("a queue named {0} already exists with a different value for attribute {1}")]
    QueueNameExists(String, String),
    /// Emptied less than a minute ago.
    #[error("only one purge of {0} is allowed every 60 seconds")]
    PurgeQueueInProgress(String),
    /// No such queue attribute.
    #[error("unknown attribute {0}")]
    InvalidAttributeName(String),
    /// The queue attribute has a value that it cannot have.
    #[error("invalid value for the parameter {name}: {reason}")]
    InvalidAttributeValue {
        /// The attribute.
        name: String,
        /// What is wrong with the value.
        reason: String,
    },
    /// A parameter that is needed is missing.
    #[error("the request must contain the parameter {0}")]
    MissingParameter(&'static str),
    /// A parameter has a value that it cannot have.
    #[error("{0}")]
    InvalidParameterValue(String),
    /// The body or an attribute contains a character that SQS refuses, or nothing.
    #[error("{0}")]
    InvalidMessageContents(String),
    /// Not a receipt handle of this queue.
    #[error("the receipt handle is not valid: {0}")]
    ReceiptHandleIsInvalid(String),
    /// The message is visible again.
    #[error("the message referred to is not in flight")]
    MessageNotInflight,
    /// No such move task or source queue.
    #[error("{0}")]
    ResourceNotFound(String),
    /// SQS has this, FIFO queues or this engine do not.
    #[error("{0}")]
    UnsupportedOperation(String),
    /// The disk is full, broken, or the store is closing. Trying again later may work.
    #[error("storage failed")]
    Storage(#[from] StorageError),
}

impl StoreError {
    /// A number that a receive or a change of a visibility timeout cannot have.
    pub(crate) fn out_of_range(parameter: &str, value: impl Display) -> Self {
        let range = match parameter {
            "MaxNumberOfMessages" => format!("between 1 and {}", limits::BATCH_ENTRIES_MAX),
            "WaitTimeSeconds" => format!(">= 0 and <= {}", limits::WAIT_SECONDS_MAX),
            _ => format!("between 0 and {}", quota::VISIBILITY_TIMEOUT_SECONDS_MAX),
        };
        Self::InvalidParameterValue(format!(
            "Value {value} for parameter {parameter} is invalid. Reason: Must be {range}, if provided."
        ))
    }

    /// A send without an id to a queue that makes none.
    pub(crate) fn no_deduplication_id() -> Self {
        Self::InvalidParameterValue(
            "The queue should either have ContentBasedDeduplication enabled or \
             MessageDeduplicationId provided explicitly"
                .to_owned(),
        )
    }
}

/// Why storage failed.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The database did not do it.
    #[error("the database refused the transaction")]
    Database(#[from] rusqlite::Error),
    /// What is stored cannot be read back.
    #[error("stored {what} cannot be read")]
    Unreadable {
        /// What it was.
        what: &'static str,
        /// Why it cannot be read.
        source: serde_json::Error,
    },
    /// The writer has ended.
    #[error("the store is closed")]
    Closed,
    /// A test asked for it.
    #[error("a fault was injected")]
    Injected,
}

impl StorageError {
    /// What is wrong with the database, if it is damaged.
    pub(super) fn damage(&self) -> Option<String> {
        let Self::Database(error) = self else { return None };
        let code = error.sqlite_error_code()?;
        matches!(code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
            .then(|| error.to_string())
    }

    /// Whether it is for want of room.
    pub(super) fn is_full(&self) -> bool {
        matches!(self, Self::Database(error) if is_full(error))
    }

    /// Whether the same may work at another time. After an fsync that failed nothing does: the system
    /// forgets what it could not write.
    pub(super) fn is_passing(&self) -> bool {
        let Self::Database(rusqlite::Error::SqliteFailure(error, _)) = self else { return true };
        !matches!(error.extended_code, ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC)
    }
}

/// Whether it is for want of room that a database failed.
pub(super) fn is_full(error: &rusqlite::Error) -> bool {
    let rusqlite::Error::SqliteFailure(error, _) = error else { return false };
    // The second is that of the index of the write-ahead log, a file of its own.
    error.code == ErrorCode::DiskFull || error.extended_code == ffi::SQLITE_IOERR_SHMSIZE
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Storage(error.into())
    }
}

/// Why a store cannot be opened. Whatever is on disk is left as it is.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory cannot be used.
    #[error("data directory {dir} cannot be used")]
    Directory {
        /// The data directory.
        dir: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another user may have put there what is in it.
    #[error(transparent)]
    Untrusted(#[from] Untrusted),
    /// Another engine holds it.
    #[error("data directory {dir} is in use by another engine")]
    InUse {
        /// The data directory.
        dir: PathBuf,
    },
    /// The database file is damaged, or is no database.
    #[error(
        "{file} is damaged ({detail}); it is left as it is: restore a copy, or move it away to start empty"
    )]
    Corrupt {
        /// The database file.
        file: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// The database was written by a newer engine.
    #[error("{file} has schema version {found}, this engine knows {known}; use a newer engine")]
    Newer {
        /// The database file.
        file: PathBuf,
        /// The version of the file.
        found: i64,
        /// The version of this engine.
        known: usize,
    },
    /// The owner or the permissions of a file keep the engine's own user from it.
    #[error(transparent)]
    Forbidden(#[from] Denied),
    /// The database cannot be opened.
    #[error("{file} cannot be opened")]
    Database {
        /// The database file.
        file: PathBuf,
        /// What `SQLite` said.
        source: rusqlite::Error,
    },
}

impl OpenError {
    /// Whether it is for want of room.
    pub(super) fn is_full(&self) -> bool {
        matches!(self, Self::Database { source, .. } if is_full(source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: i32) -> rusqlite::Error {
        rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)
    }

    #[test]
    fn want_of_room_is_told_from_other_failures() {
        for code in [ffi::SQLITE_FULL, ffi::SQLITE_IOERR_SHMSIZE] {
            assert!(is_full(&failure(code)), "{code}");
        }
        for code in [ffi::SQLITE_BUSY, ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_CORRUPT] {
            assert!(!is_full(&failure(code)), "{code}");
        }
        assert!(!is_full(&rusqlite::Error::InvalidQuery));
        let opening =
            |code| OpenError::Database { file: PathBuf::from("queues.db"), source: failure(code) };
        assert!(opening(ffi::SQLITE_FULL).is_full() && !opening(ffi::SQLITE_BUSY).is_full());
        assert!(!OpenError::InUse { dir: PathBuf::from("data") }.is_full());
    }
}
