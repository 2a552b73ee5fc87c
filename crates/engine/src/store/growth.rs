//! Room behind the end of the database's file, which is its own already: what the write-ahead log holds can be
//! put there on a full disk, so that the log goes on in place.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, Weak};

use rustix::fs::{FallocateFlags, fallocate};

use super::DATABASE_FILE;
use crate::files::own_file;

/// A block of `stat`'s, in bytes. Source: stat(2), `st_blocks`.
const STAT_BLOCK_BYTES: u64 = 512;

/// The database's file for as long as connections are open; none for a database in memory.
///
/// Whoever opens it with [`open`] closes it after the last connection: with it go the locks that `SQLite` has
/// on it in this process. Source: <https://www.sqlite.org/howtocorrupt.html>, 2.2.
#[derive(Debug, Clone, Default)]
pub(crate) struct Growth(Weak<File>);

/// Opens the file of a database that is there.
pub(super) fn open(dir: &Path) -> io::Result<Arc<File>> {
    own_file().create(false).write(true).open(dir.join(DATABASE_FILE)).map(Arc::new)
}

impl Growth {
    pub(super) fn of(database: &Arc<File>) -> Self {
        Self(Arc::downgrade(database))
    }

    /// Has the file hold so many bytes behind its end.
    pub(crate) fn hold(&self, bytes: u64) {
        if let Some(database) = self.0.upgrade()
            && let Ok(metadata) = database.metadata()
        {
            // Where the file system promises none, as also of no bytes, the database grows as it is written.
            let keep_size = FallocateFlags::KEEP_SIZE;
            let _none_held = fallocate(database, keep_size, metadata.len(), bytes);
        }
    }

    /// What it holds, in bytes.
    pub(crate) fn held_bytes(&self) -> u64 {
        let held = |it: Metadata| (it.blocks() * STAT_BLOCK_BYTES).saturating_sub(it.len());
        self.0.upgrade().and_then(|database| database.metadata().ok()).map_or(0, held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_behind_the_end_until_the_file_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(DATABASE_FILE), [0; 8_192]).unwrap();
        let database = open(dir.path()).unwrap();
        let growth = Growth::of(&database);
        assert_eq!(growth.held_bytes(), 0);
        growth.hold(1_024 * 1_024);
        assert_eq!(growth.held_bytes(), 1_024 * 1_024);
        assert_eq!(database.metadata().unwrap().len(), 8_192);
        drop(database);
        growth.hold(2 * 1_024 * 1_024);
        assert_eq!(growth.held_bytes(), 0, "who looks does not keep it open");
    }
}
