//! What an engine keeps, opened in the order in which one thing needs the other: room, then the queues
//! with the lock on the directory, then what only who holds that lock may write.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use domain::config::LogLevel;

use crate::access::Access;
use crate::clock::Clock;
use crate::disk::{Disk, make_room_to_start};
use crate::error::EngineError;
use crate::files::close_to_others;
use crate::log::Log;
use crate::log_file::LogFile;
use crate::storage_health::StorageHealth;
use crate::store::{DATABASE_FILE, Store};

/// Where messages are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Storage {
    /// In a directory, which this engine holds alone.
    Directory(PathBuf),
    /// Nowhere: they are gone when the engine stops.
    Memory,
}

impl Storage {
    /// The data directory, if there is one.
    pub(crate) fn dir(&self) -> Option<&Path> {
        match self {
            Self::Directory(dir) => Some(dir),
            Self::Memory => None,
        }
    }
}

/// What is open.
pub(crate) struct Kept {
    pub(crate) store: Store,
    pub(crate) access: Arc<Access>,
    pub(crate) log: Log,
    pub(crate) health: StorageHealth,
    /// `None` where nothing is kept on a disk.
    pub(crate) disk: Option<Arc<Disk>>,
}

impl Kept {
    pub(crate) fn open(
        data_dir: Option<&Path>,
        log_level: LogLevel,
        api_hosts: Vec<String>,
        reserve_bytes: u64,
        clock: Arc<dyn Clock>,
        log: Box<dyn Write + Send>,
    ) -> Result<Self, EngineError> {
        let failed = |what| move |source| EngineError::File { what, source };
        let is_first = data_dir.is_none_or(|dir| !dir.join(DATABASE_FILE).exists());
        let store = match data_dir {
            Some(dir) => {
                make_room_to_start(dir, reserve_bytes).map_err(failed("looking for room"))?;
                Store::open(dir, Arc::clone(&clock))?
            }
            None => Store::in_memory(Arc::clone(&clock))?,
        };
        if let Some(dir) = data_dir {
            close_to_others(dir).map_err(failed("closing files to others"))?;
        }
        let access =
            Access::open(data_dir, api_hosts).map_err(failed("keeping the access key id"))?;
        let mut outs = vec![log];
        if let Some(dir) = data_dir {
            outs.push(Box::new(LogFile::open(dir, is_first).map_err(EngineError::Log)?));
        }
        let log = Log::new(clock, log_level, outs, store.failures()).map_err(EngineError::Log)?;
        let health = StorageHealth::new(log.clone());
        let disk = |dir| Disk::new(dir, store.growth(), reserve_bytes, log.clone());
        let disk = data_dir.map(disk).transpose();
        let disk = disk.map_err(failed("looking for room"))?.map(Arc::new);
        Ok(Self { store, access: Arc::new(access), log, health, disk })
    }
}
