//! A place on disk for what a command has to remember of every dead letter, so that the memory it
//! needs does not grow with their number: a `SQLite` database that has no name, is nobody else's, and
//! is gone with the command.
//!
//! Source: `SQLite`, "In-Memory Databases", temporary databases; its file is made in `SQLITE_TMPDIR`,
//! `TMPDIR`, or else `/var/tmp`, for its owner only.

use anyhow::Context as _;
use rusqlite::{Connection, OptionalExtension as _, Params, Row};

/// Such a database, with tables.
#[derive(Debug)]
pub(crate) struct Scratch(Connection);

impl Scratch {
    /// Makes it, with `tables`.
    pub(crate) fn with(tables: &str) -> anyhow::Result<Self> {
        let made = Connection::open("").and_then(|database| {
            // Nobody reads it after a crash.
            database.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;")?;
            database.execute_batch(tables)?;
            Ok(database)
        });
        made.map(Self).context("making a temporary database")
    }

    /// Changes rows, and says how many.
    pub(crate) fn change(&self, sql: &str, parameters: impl Params) -> anyhow::Result<usize> {
        let changed =
            self.0.prepare_cached(sql).and_then(|mut statement| statement.execute(parameters));
        changed.context("writing to a temporary database")
    }

    /// The first row, if there is one.
    pub(crate) fn first<T>(
        &self,
        sql: &str,
        parameters: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> anyhow::Result<Option<T>> {
        let first = self
            .0
            .prepare_cached(sql)
            .and_then(|mut statement| statement.query_row(parameters, read).optional());
        first.context("reading a temporary database")
    }

    /// All rows: for queries that have a limit.
    pub(crate) fn all<T>(
        &self,
        sql: &str,
        parameters: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> anyhow::Result<Vec<T>> {
        let all = self
            .0
            .prepare_cached(sql)
            .and_then(|mut statement| statement.query_map(parameters, read)?.collect());
        all.context("reading a temporary database")
    }

    /// Each row, one after the other.
    pub(crate) fn each<T>(
        &self,
        sql: &str,
        parameters: impl Params,
        mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
        mut use_row: impl FnMut(T) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut statement = self.0.prepare_cached(sql).context("reading a temporary database")?;
        let mut rows = statement.query(parameters).context("reading a temporary database")?;
        while let Some(row) = rows.next().context("reading a temporary database")? {
            use_row(read(row).context("reading a temporary database")?)?;
        }
        Ok(())
    }
}
