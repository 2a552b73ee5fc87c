//! What an engine does not go on after: its process is to end, and to start again from what is on the
//! disk.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::pin::pin;
use std::task::Poll;

use tokio::sync::watch;

/// Why an engine cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// A thread or a task panicked, and nobody is left to do its work.
    #[error("{0} has panicked")]
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

/// Where threads and tasks tell of it. The first failure stays.
#[derive(Clone)]
pub(crate) struct Failures(watch::Sender<Option<Failure>>);

impl Failures {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    pub(crate) fn tell(&self, failure: Failure) {
        self.0.send_if_modified(|first| {
            let is_first = first.is_none();
            first.get_or_insert(failure);
            is_first
        });
    }

    /// The failure, if there is one.
    pub(crate) fn first(&self) -> Option<Failure> {
        self.0.borrow().clone()
    }

    /// Is ready once there is one.
    pub(crate) async fn heard(&self) -> Failure {
        let mut failures = self.0.subscribe();
        let failure = failures.wait_for(Option::is_some).await;
        failure.expect("this is a sender itself").clone().expect("it was waited for")
    }

    /// Starts a thread whose panic is a failure.
    pub(crate) fn thread(
        &self,
        thread: &'static str,
        body: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<()> {
        let failures = self.clone();
        std::thread::Builder::new().name(thread.to_owned()).spawn(move || {
            if catch_unwind(AssertUnwindSafe(body)).is_err() {
                failures.tell(Failure::Panicked(thread));
            }
        })?;
        Ok(())
    }

    /// A task whose panic is a failure.
    pub(crate) async fn task(self, name: &'static str, body: impl Future<Output = ()>) {
        let mut body = pin!(body);
        let ended = poll_fn(|context| {
            match catch_unwind(AssertUnwindSafe(|| body.as_mut().poll(context))) {
                Ok(poll) => poll.map(Ok),
                Err(panic) => Poll::Ready(Err(panic)),
            }
        });
        if ended.await.is_err() {
            self.tell(Failure::Panicked(name));
        }
    }
}
