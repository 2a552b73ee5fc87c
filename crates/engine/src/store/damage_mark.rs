//! Damage of the whole database: how it is found, and the mark in the data directory that makes the next
//! start look before it accepts anything.

use std::fs;
use std::io;
use std::path::Path;

use rusqlite::{Connection, ErrorCode};

use super::DATABASE_FILE;
use super::error::OpenError;
use crate::failure::{Failure, Failures};

/// Is in the data directory once damage was found: the next start looks before it accepts anything.
const DAMAGED_FILE: &str = "queues.db.damaged";

/// Checks a database in which damage was found before. Nothing uses it yet.
pub(super) fn before_use(connection: &Connection, dir: &Path) -> Result<(), OpenError> {
    let mark = dir.join(DAMAGED_FILE);
    if !mark.exists() {
        return Ok(());
    }
    if let Some(detail) = damage(connection) {
        return Err(OpenError::Corrupt { file: dir.join(DATABASE_FILE), detail });
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
    failures.tell(Failure::Damaged { file: dir.join(DATABASE_FILE), detail });
}

/// Messages that no receive would find: their queue or their group is gone.
fn homeless(connection: &Connection) -> Option<String> {
    let count = "SELECT count(*) FROM message m LEFT JOIN queue q ON q.id = m.queue_id
                 LEFT JOIN message_group g ON g.id = m.group_id WHERE q.id IS NULL OR g.id IS NULL";
    match connection.query_row(count, [], |row| row.get::<_, i64>(0)) {
        Ok(0) => None,
        Ok(count) => Some(format!("{count} messages belong to no queue or to no group")),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => None,
        Err(error) => Some(error.to_string()),
    }
}

/// What is wrong with a database, if something is.
pub(super) fn damage(connection: &Connection) -> Option<String> {
    let verdict = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    match verdict {
        Ok(verdict) if verdict == "ok" => homeless(connection),
        Ok(verdict) => Some(verdict),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => None,
        Err(error) => Some(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_damage() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("queues.db");
        fs::write(&file, [b'x'; 4_096]).unwrap();
        let connection = Connection::open(&file).unwrap();
        assert_eq!(damage(&connection).unwrap(), "file is not a database");
        let connection = Connection::open_in_memory().unwrap();
        assert!(homeless(&connection).unwrap().starts_with("no such table"));
    }

    #[test]
    fn a_mark_that_cannot_be_removed_is_told() {
        let dir = tempfile::tempdir().unwrap();
        forget_damage(dir.path()).unwrap();
        fs::create_dir(dir.path().join(DAMAGED_FILE)).unwrap();
        forget_damage(dir.path()).unwrap_err();
    }

    /// So a look ends when its store is closed meanwhile.
    #[test]
    fn a_look_that_was_interrupted_found_nothing() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(super::super::schema::FIRST).unwrap();
        connection.progress_handler(1, Some(|| true)).unwrap();
        let interrupted = connection.query_row("PRAGMA quick_check(1)", [], |_| Ok(()));
        let code = interrupted.unwrap_err().sqlite_error_code();
        assert_eq!(code, Some(ErrorCode::OperationInterrupted));
        assert_eq!(damage(&connection), None);
        assert_eq!(homeless(&connection), None);
    }
}
