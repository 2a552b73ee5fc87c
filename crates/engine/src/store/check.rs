//! The whole database is read once after each start, beside everything else: damage is found before
//! somebody needs what is damaged, and a start takes no longer the more is queued.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::Connection;
use tokio::runtime::Handle;

use super::departure::{Departure, Why};
use super::error::OpenError;
use super::writer::WeakJobs;
use super::{DATABASE_FILE, InUse, StoreError, damage, damage_mark, groups, ledger, open};
use crate::failure::Failures;

/// Instructions of the database between two looks at whether the store is closed.
const INSTRUCTIONS_AT_ONCE: i32 = 100_000;

/// Starts to check a database that is in use. The check ends early when the store is closed.
pub(super) fn beside_use(
    dir: &Path,
    jobs: WeakJobs,
    in_use: InUse,
    failures: &Failures,
) -> Result<(), OpenError> {
    let mut connection = open::reader(dir)?;
    let closed = jobs.clone();
    connection
        .progress_handler(INSTRUCTIONS_AT_ONCE, Some(move || closed.is_closed()))
        .map_err(|source| OpenError::Database { file: dir.join(DATABASE_FILE), source })?;
    let (dir, runtime, told) = (dir.to_owned(), Handle::current(), failures.clone());
    let in_dir = dir.clone();
    let thread = move || {
        if let Some(detail) = damage_mark::damage(&connection) {
            damage_mark::found(&dir, detail, &told);
        } else if let (Ok(differences), Ok(heads)) =
            (miscounted(&connection), damage::wrong_heads(&connection))
        {
            // A store that is closing, or failing, counts at its next start.
            let _closing = runtime.block_on(correct(&jobs, differences, heads));
        }
        drop(connection);
        drop(in_use);
    };
    failures
        .thread("store-check", thread)
        .map_err(|source| OpenError::Directory { dir: in_dir, source })
}

/// By how many messages the rows differ from what was counted as they came and went, by queue and
/// route.
fn miscounted(connection: &Connection) -> rusqlite::Result<BTreeMap<(i64, String), i64>> {
    let moment = connection.unchecked_transaction()?;
    let mut differences = ledger::count_rows(&moment)?;
    for (key, messages) in ledger::queued(&moment)? {
        *differences.entry(key).or_default() -= messages;
    }
    differences.retain(|_, messages| *messages != 0);
    Ok(differences)
}

/// Counts what is there from now on, so that what is missing shows as that.
async fn correct(
    jobs: &WeakJobs,
    differences: BTreeMap<(i64, String), i64>,
    heads: Vec<(i64, i64)>,
) -> Result<(), StoreError> {
    if differences.is_empty() && heads.is_empty() {
        return Ok(());
    }
    let Some(jobs) = jobs.upgrade() else { return Ok(()) };
    jobs.run(move |tx| {
        for (queue_id, group_id) in &heads {
            groups::mend_head(tx, *queue_id, *group_id)?;
        }
        for ((queue_id, route), messages) in &differences {
            tx.ledger().recount(*queue_id, route, *messages);
            groups::count(tx, *queue_id, *messages, 0)?;
            let name =
                tx.first("SELECT name FROM queue WHERE id = ?1", [queue_id], |row| row.get(0))?;
            let (queue, route) = (name.unwrap_or_default(), route.clone());
            let messages = -messages;
            tx.depart(Departure { queue, why: Why::Gone, route, messages, event_id: None });
        }
        Ok(())
    })
    .await
}
