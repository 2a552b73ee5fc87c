//! What a store does not go on after: the process is to end, and to start again from what is on the
//! disk.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use tokio::sync::watch;

/// Why a store cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreFailure {
    /// A thread panicked, and nobody is left to do its work.
    #[error("thread {0} of the store has panicked")]
    Panicked(&'static str),
    /// The disk could not keep what was written. What is on it is not known then, and asking again
    /// would be answered as if it were: fsync(2) tells of an error once.
    #[error("the disk does not keep what is written ({0})")]
    NotKept(String),
    /// The database file is damaged.
    #[error(
        "{file} is damaged ({detail}); it is left as it is: restore a copy, or move it away to start empty"
    )]
    Damaged {
        /// The database file.
        file: PathBuf,
        /// What is wrong.
        detail: String,
    },
}

/// Where the store's threads tell of it. The first failure stays.
#[derive(Clone)]
pub(super) struct Failures(watch::Sender<Option<StoreFailure>>);

impl Failures {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    pub(super) fn tell(&self, failure: StoreFailure) {
        self.0.send_if_modified(|first| {
            let is_first = first.is_none();
            first.get_or_insert(failure);
            is_first
        });
    }

    /// Is ready once there is one.
    pub(super) async fn heard(&self) -> StoreFailure {
        let mut failures = self.0.subscribe();
        let failure = failures.wait_for(Option::is_some).await;
        failure.expect("this is a sender itself").clone().expect("it was waited for")
    }

    /// Starts a thread whose panic is a failure.
    pub(super) fn watch(
        &self,
        thread: &'static str,
        body: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<()> {
        let failures = self.clone();
        std::thread::Builder::new().name(thread.to_owned()).spawn(move || {
            if catch_unwind(AssertUnwindSafe(body)).is_err() {
                failures.tell(StoreFailure::Panicked(thread));
            }
        })?;
        Ok(())
    }
}
