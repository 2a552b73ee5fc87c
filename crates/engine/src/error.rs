//! Why an engine does not start.

use std::io;
use std::net::SocketAddr;

use crate::event_source_mapping::MappingError;
use crate::failure::Failure;
use crate::store::{OpenError, StoreError};

/// Why an engine does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The data directory is in use, damaged, or cannot be written.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It has failed already.
    #[error(transparent)]
    Failed(Failure),
    /// The queues cannot be created.
    #[error("the queues cannot be set up")]
    Queues(#[source] StoreError),
    /// What the last run held cannot be released.
    #[error("what was in flight cannot be released")]
    Release(#[source] StoreError),
    /// Events wait that were accepted for other destinations, and are not to go elsewhere.
    #[error("events wait that were accepted for other destinations ({waiting} do): {moved}")]
    Destinations {
        /// How many wait.
        waiting: u64,
        /// What moved, for people.
        moved: String,
    },
    /// An address is in use, or not this machine's.
    #[error("cannot listen at {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A file of the data directory cannot be read or written.
    #[error("{what} in the data directory failed")]
    File {
        /// What was done.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The system gives no thread for the log, or its file cannot be written.
    #[error("the log cannot start")]
    Log(#[source] io::Error),
}

impl From<MappingError> for EngineError {
    fn from(error: MappingError) -> Self {
        match error {
            MappingError::Store(source) => Self::Release(source),
            MappingError::Pauses(source) => Self::File { what: "reading the pauses", source },
        }
    }
}
