//! Faults that a test can switch on. Nothing here does anything unless told.

use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};

use tokio::sync::oneshot;

use super::error::StoreError;
use super::fault_switches::{FaultSwitches, HeldCommits};
use super::reader::Reader;
use super::writer::Jobs;

/// Makes a store's disk fail, for tests.
pub struct Faults {
    pub(super) jobs: Jobs,
    pub(super) reader: Reader,
    pub(super) switches: Arc<FaultSwitches>,
}

impl Faults {
    /// From now on commits fail, or no longer.
    pub fn set_commits_fail(&self, fail: bool) {
        self.switches.commits_fail.store(fail, Ordering::Relaxed);
    }

    /// The next commit is held, until what is returned is dropped.
    #[must_use]
    pub fn hold_commits(&self) -> HeldCommits {
        self.switches.hold_commits()
    }

    /// Looks as long as what is returned lives: other looks wait. Ready once it has begun.
    pub async fn hold_looks(&self) -> HeldLooks {
        let (let_go, wait) = mpsc::channel();
        let (holds, held) = oneshot::channel();
        let (reader, mut holds) = (self.reader.clone(), Some(holds));
        let look = async move {
            let look = reader.look(move |view| {
                view.first("SELECT count(*) FROM message", [], |_| Ok(()))?;
                // Both ends say the same: go on.
                let _gone = holds.take().map(|holds| holds.send(()));
                let _let_go = wait.recv();
                Ok(())
            });
            // A store that is closed holds nothing any more.
            drop(look.await);
        };
        tokio::spawn(look);
        let _closed = held.await;
        HeldLooks { _let_go: let_go }
    }

    /// From now on the disk does not keep what is committed.
    pub fn make_syncs_fail(&self) {
        self.switches.syncs_fail.store(true, Ordering::Relaxed);
    }

    /// The next commit panics.
    pub fn make_writer_panic(&self) {
        self.switches.writer_panics.store(true, Ordering::Relaxed);
    }

    /// Allows the database no more pages than it has now: `SQLite` itself then says that the disk
    /// is full.
    pub async fn fill_disk(&self) -> Result<(), StoreError> {
        self.set_page_count_max(1).await
    }

    /// Takes back [`fill_disk`](Self::fill_disk).
    pub async fn empty_disk(&self) -> Result<(), StoreError> {
        self.set_page_count_max(i64::from(u32::MAX - 1)).await
    }

    async fn set_page_count_max(&self, pages: i64) -> Result<(), StoreError> {
        self.jobs
            .run(move |tx| {
                tx.first(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))?;
                Ok(())
            })
            .await
    }
}

/// A look that goes on for as long as this lives.
pub struct HeldLooks {
    _let_go: mpsc::Sender<()>,
}
