//! A database's file, and its log, get smaller with what is in it.

use std::path::Path;

use rusqlite::OpenFlags;

use super::DATABASE_FILE;
use super::error::StoreError;
use super::open::{BUSY_TIMEOUT, LOG_BYTES_KEPT, LOG_BYTES_LEAST, not_through_a_link};
use super::tx::Tx;

/// Free pages of the database that stay in the file while the disk has room: 16 MiB.
const FREE_PAGES_KEPT: i64 = 4_096;

/// Pages that go at a time: 4 MiB.
const PAGES_FREED_AT_ONCE: i64 = 1_024;

/// Gives free pages of the database back to the disk, as many as hold nobody up; tells whether there are
/// more. [`FREE_PAGES_KEPT`] stay for what comes next, unless `all` are asked for.
pub(super) fn shrink(tx: &mut Tx<'_>, all: bool) -> Result<bool, StoreError> {
    let number = |pragma: &str| tx.first(pragma, [], |row| row.get::<_, i64>(0));
    let kept = if all { 0 } else { FREE_PAGES_KEPT };
    let spare = number("PRAGMA freelist_count")?.unwrap_or_default() - kept;
    // 2 is incremental; a database of a former version keeps its pages until it is compacted.
    if spare <= 0 || number("PRAGMA auto_vacuum")? != Some(2) {
        return Ok(false);
    }
    let pages = spare.min(PAGES_FREED_AT_ONCE);
    tx.all(&format!("PRAGMA incremental_vacuum({pages})"), [], |_| Ok(()))?;
    Ok(spare > pages)
}

/// Has the write-ahead log keep no more than it always keeps from its next beginning on, or as much as is
/// good for its speed.
pub(super) fn limit_log(tx: &mut Tx<'_>, short: bool) -> Result<(), StoreError> {
    let bytes = if short { LOG_BYTES_LEAST } else { LOG_BYTES_KEPT };
    // It is set when it is prepared: one that was kept prepared would do nothing.
    tx.set(&format!("PRAGMA journal_size_limit = {bytes}"))?;
    Ok(())
}

/// Writes something, as the first transaction of a log that begins anew cuts it: the number that comes
/// next is used up.
pub(super) fn begin_log(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    let number = tx.next_number();
    // What is as it was would not be written.
    tx.execute("UPDATE progress SET next_number = ?1", [number])?;
    Ok(())
}

/// Puts the write-ahead log into the database, so that the next transaction begins it anew, in place.
/// Another connection does that, as it is nothing for a transaction; it waits for who reads or writes just
/// then.
pub(super) fn empty_log(dir: &Path) -> rusqlite::Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = not_through_a_link(&dir.join(DATABASE_FILE), flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(()))
}
