//! The whole database is read once after each start, beside everything else: damage is found before
//! somebody needs what is damaged, and a start takes no longer the more is queued.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use rusqlite::{Connection, ErrorCode};
use tokio::runtime::Handle;

use super::departure::{Departure, Why};
use super::error::OpenError;

use super::writer::WeakJobs;
use super::{InUse, StoreError, damage, groups, ledger, open};
use crate::failure::{Failure, Failures};

/// Is in the data directory once damage was found: the next start looks before it accepts anything.
const DAMAGED_FILE: &str = "queues.db.damaged";

/// Instructions of the database between two looks at whether the store is closed.
const INSTRUCTIONS_AT_ONCE: i32 = 100_000;

/// Checks a database in which damage was found before. Nothing uses it yet.
pub(super) fn before_use(connection: &Connection, dir: &Path) -> Result<(), OpenError> {
    let mark = dir.join(DAMAGED_FILE);
    if !mark.exists() {
        return Ok(());
    }
    if let Some(detail) = damage(connection) {
        return Err(OpenError::Corrupt { file: dir.join(open::DATABASE_FILE), detail });
    }
    forget_damage(dir).map_err(|source| OpenError::Directory { dir: dir.to_owned(), source })
}

/// To be called when a database that was damaged is not any more.
pub(super) fn forget_damage(dir: &Path) -> io::Result<()> {
    match fs::remove_file(dir.join(DAMAGED_FILE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Tells that a database turned out to be damaged.
pub(super) fn found(dir: &Path, detail: String, failures: &Failures) {
    // Without the mark the next start finds it as this one did.
    let _marked = fs::write(dir.join(DAMAGED_FILE), &detail);
    failures.tell(Failure::Damaged { file: dir.join(open::DATABASE_FILE), detail });
}

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
        .map_err(|source| OpenError::Database { file: dir.join(open::DATABASE_FILE), source })?;
    let (dir, runtime, told) = (dir.to_owned(), Handle::current(), failures.clone());
    let in_dir = dir.clone();
    let thread = move || {
        if let Some(detail) = damage(&connection) {
            found(&dir, detail, &told);
        } else if let Ok(differences) = miscounted(&connection)
            && !differences.is_empty()
        {
            // A store that is closing, or failing, counts at its next start.
            let _closing = runtime.block_on(correct(&jobs, differences));
        }
        drop(connection);
        drop(in_use);
    };
    failures
        .thread("store-check", thread)
        .map_err(|source| OpenError::Directory { dir: in_dir, source })
}

/// What is wrong with a database, if something is.
pub(super) fn damage(connection: &Connection) -> Option<String> {
    let verdict = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    match verdict {
        Ok(verdict) if verdict == "ok" => None,
        Ok(verdict) => Some(verdict),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => None,
        Err(error) => Some(error.to_string()),
    }
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
) -> Result<(), StoreError> {
    let Some(jobs) = jobs.upgrade() else { return Ok(()) };
    jobs.run(move |tx| {
        damage::mend_heads(tx)?;
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
