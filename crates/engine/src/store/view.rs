//! What a look at the queues works with: one moment of the database, and the time it counts as.

use domain::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Params, Row};

use super::queue_time::{Now, QueueTime};

/// An open transaction that changes nothing. A job's [`Tx`](super::tx::Tx) is one as well.
pub(super) struct View<'a> {
    pub(super) connection: &'a Connection,
    pub(super) moment: Now,
}

impl View<'_> {
    /// The time of everything in this transaction.
    pub(super) fn now(&self) -> QueueTime {
        self.moment.queue
    }

    /// A time as it is to leave the store: by the wall clock.
    pub(super) fn shown(&self, time: QueueTime) -> Timestamp {
        self.moment.shown(time)
    }

    /// The first row, if there is one.
    pub(super) fn first<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Option<T>> {
        self.connection.prepare_cached(sql)?.query_row(params, read).optional()
    }

    /// Carries out a pragma, prepared anew.
    pub(super) fn set(&self, pragma: &str) -> rusqlite::Result<()> {
        self.connection.execute_batch(pragma)
    }

    /// All rows.
    pub(super) fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        self.connection.prepare_cached(sql)?.query_map(params, read)?.collect()
    }
}
