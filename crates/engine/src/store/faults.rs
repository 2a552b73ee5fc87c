//! Faults that a test can switch on. Nothing here does anything unless told.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

use tokio::sync::oneshot;

use super::error::{StorageError, StoreError};
use super::writer::Jobs;

/// What the writer asks.
#[derive(Debug, Default)]
pub(super) struct FaultSwitches {
    commits_fail: AtomicBool,
    syncs_fail: AtomicBool,
    writer_panics: AtomicBool,
    hold: Mutex<Option<Hold>>,
}

impl FaultSwitches {
    fn lock_hold(&self) -> MutexGuard<'_, Option<Hold>> {
        self.hold.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn check_commit(&self) -> Result<(), StorageError> {
        if self.commits_fail.load(Ordering::Relaxed) {
            return Err(StorageError::Injected);
        }
        if let Some((holds, wait)) = self.lock_hold().take() {
            // Both ends say the same: go on.
            let _gone = holds.send(());
            let _let_go = wait.recv();
        }
        assert!(!self.writer_panics.load(Ordering::Relaxed), "a fault was injected");
        if self.syncs_fail.load(Ordering::Relaxed) {
            let error = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_FSYNC);
            return Err(rusqlite::Error::SqliteFailure(error, None).into());
        }
        Ok(())
    }
}

type Hold = (oneshot::Sender<()>, mpsc::Receiver<()>);

/// A commit that is held for as long as this lives.
pub struct HeldCommits {
    held: Option<oneshot::Receiver<()>>,
    _let_go: mpsc::Sender<()>,
}

impl HeldCommits {
    /// Is ready once a commit is held.
    pub async fn held(&mut self) {
        if let Some(held) = self.held.take() {
            // A store that is closed holds nothing any more.
            let _closed = held.await;
        }
    }
}

/// Makes a store's disk fail, for tests.
pub struct Faults {
    pub(super) jobs: Jobs,
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
        let (let_go, wait) = mpsc::channel();
        let (holds, held) = oneshot::channel();
        *self.switches.lock_hold() = Some((holds, wait));
        HeldCommits { held: Some(held), _let_go: let_go }
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
