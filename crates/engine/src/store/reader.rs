//! The reader beside the writer: whoever looks waits behind no commit, and no commit behind him.
//!
//! It is a connection of its own on a thread of its own, which can change nothing. A look sees what
//! was committed when it began: whoever was answered before finds what he did.

use std::sync::Arc;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::InUse;
use super::error::{StorageError, StoreError};

use super::queue_time::QueueClock;
use super::view::View;
use super::writer::Jobs;
use crate::failure::Failures;

/// Looks that may wait for the one before them.
const LOOKS_WAITING_MAX: usize = 64;

type Look = Box<dyn FnOnce(&Connection, &QueueClock) + Send>;

/// Where looks are handed over.
#[derive(Clone)]
pub(super) enum Reader {
    /// To the thread.
    Beside(mpsc::Sender<Look>),
    /// To the writer: a database in memory has one connection.
    Within(Jobs),
}

impl Reader {
    /// Starts the thread, which ends when the last `Reader` is dropped.
    pub(super) fn start(
        connection: Connection,
        clock: Arc<QueueClock>,
        in_use: InUse,
        failures: &Failures,
    ) -> std::io::Result<Self> {
        let (sender, mut looks) = mpsc::channel::<Look>(LOOKS_WAITING_MAX);
        failures.thread("store-reader", move || {
            while let Some(look) = looks.blocking_recv() {
                look(&connection, &clock);
            }
            drop(connection);
            drop(in_use);
        })?;
        Ok(Self::Beside(sender))
    }

    /// Looks, and returns what was seen.
    pub(super) async fn look<F, T>(&self, mut look: F) -> Result<T, StoreError>
    where
        F: FnMut(&View<'_>) -> Result<T, StoreError> + Send + 'static,
        T: Send + 'static,
    {
        let sender = match self {
            Self::Within(jobs) => return jobs.run(move |tx| look(tx)).await,
            Self::Beside(sender) => sender,
        };
        let (reply, answer) = oneshot::channel();
        let look: Look = Box::new(move |connection, clock| {
            // Whoever asked and has gone needs no answer.
            drop(reply.send(at_one_moment(connection, clock, look)));
        });
        sender.send(look).await.map_err(|_| StorageError::Closed)?;
        answer.await.map_err(|_| StorageError::Closed)?
    }
}

fn at_one_moment<T>(
    connection: &Connection,
    clock: &QueueClock,
    mut look: impl FnMut(&View<'_>) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let transaction = connection.unchecked_transaction()?;
    look(&View { connection: &transaction, moment: clock.now() })
}
