//! What the writer asks before it commits: whether a test wants that to fail.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};

use tokio::sync::oneshot;

use super::error::StorageError;

/// What the writer asks.
#[derive(Debug, Default)]
pub(super) struct FaultSwitches {
    pub(super) commits_fail: AtomicBool,
    pub(super) syncs_fail: AtomicBool,
    pub(super) writer_panics: AtomicBool,
    hold: Mutex<Option<Hold>>,
}

impl FaultSwitches {
    fn lock_hold(&self) -> MutexGuard<'_, Option<Hold>> {
        self.hold.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next commit is held, until what is returned is dropped.
    pub(super) fn hold_commits(&self) -> HeldCommits {
        let (let_go, wait) = mpsc::channel();
        let (holds, held) = oneshot::channel();
        *self.lock_hold() = Some((holds, wait));
        HeldCommits { held: Some(held), _let_go: let_go }
    }

    pub(super) fn check_commit(&self) -> Result<(), StorageError> {
        if self.commits_fail.load(Ordering::Relaxed) {
            return Err(StorageError::Injected);
        }
        // Not locked while it is held: the one after it may be asked for meanwhile.
        let hold = self.lock_hold().take();
        if let Some((holds, wait)) = hold {
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

/// Tells that a commit is held, and hears when it is let go.
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
