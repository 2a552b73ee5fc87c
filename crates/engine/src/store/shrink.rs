//! A database's file gets smaller with what is in it.

use super::error::StoreError;
use super::tx::Tx;

/// Free pages of the database that stay in the file: 16 MiB.
const FREE_PAGES_KEPT: i64 = 4_096;

/// Pages that go at a time: 1 MiB.
const PAGES_FREED_AT_ONCE: i64 = 256;

/// Gives free pages of the database back to the disk, as many as hold nobody up. As many as
/// [`FREE_PAGES_KEPT`] stay, for what comes next.
pub(super) fn shrink(tx: &mut Tx<'_>) -> Result<bool, StoreError> {
    let number = |pragma: &str| tx.first(pragma, [], |row| row.get::<_, i64>(0));
    let free = number("PRAGMA freelist_count")?.unwrap_or_default();
    // 2 is incremental; a database of a former version keeps its pages until it is compacted.
    if free <= FREE_PAGES_KEPT || number("PRAGMA auto_vacuum")? != Some(2) {
        return Ok(false);
    }
    tx.all(&format!("PRAGMA incremental_vacuum({PAGES_FREED_AT_ONCE})"), [], |_| Ok(()))?;
    Ok(true)
}
