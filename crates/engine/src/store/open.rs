//! Opening a data directory: one engine at a time, and never over something that it does not know.

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use rustix::fs::{FallocateFlags, fallocate};

use super::error::OpenError;
use super::{DATABASE_FILE, damage_mark, migrations};
use crate::files::{User, check_allowed, check_trusted, own_file};
use crate::spare_room::with_room;

const LOCK_FILE: &str = "lock";

/// Pages of the database kept in memory, in KiB. The operating system caches the file as well.
const CACHE_KIB: u32 = 16 * 1_024;

/// Pages after which the write-ahead log is copied into the database, in one go.
pub(super) const CHECKPOINT_PAGES: u32 = 4_000;

/// What the write-ahead log is cut back to after that, in bytes.
pub(super) const LOG_BYTES_KEPT: u32 = 64 * 1_024 * 1_024;

/// What it has from the start and keeps also where the disk has no room, in bytes: it is written again and
/// again in place, and this is more than one request writes.
pub(super) const LOG_BYTES_LEAST: u32 = 4 * 1_024 * 1_024;

/// How long to wait for somebody else who has the database, such as an operator's `sqlite3`.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Statements kept prepared: all of this module's.
const STATEMENTS_KEPT: usize = 128;

/// Holds the data directory for as long as it lives; the system lets go of it when the process dies.
pub(super) struct DirectoryLock(#[expect(dead_code, reason = "held, not used")] File);

/// Makes the directory if needed, and takes it, if nobody but `user` and root has put anything there.
pub(super) fn lock(dir: &Path, user: User) -> Result<DirectoryLock, OpenError> {
    let unusable = |source| OpenError::Directory { dir: dir.to_owned(), source };
    // What it will hold is for nobody else to read.
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(unusable)?;
    check_trusted(dir, user)?;
    let file = dir.join(LOCK_FILE);
    check_allowed(&file)?;
    let file = own_file().truncate(false).write(true).open(file).map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => Ok(DirectoryLock(file)),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { dir: dir.to_owned() }),
        Err(TryLockError::Error(source)) => Err(unusable(source)),
    }
}

/// Opens the database in a directory that is locked; creates it only where there is none.
pub(super) fn database(dir: &Path) -> Result<Connection, OpenError> {
    let file = dir.join(DATABASE_FILE);
    if !file.exists() {
        let log = dir.join(format!("{DATABASE_FILE}-wal"));
        if log.exists() {
            return Err(corrupt(&file, "its write-ahead log is there, but it is not"));
        }
        create(dir, &file)?;
    }
    // SQLite says of none of them which it is, nor why.
    for end in ["", "-wal", "-shm"] {
        check_allowed(&dir.join(format!("{DATABASE_FILE}{end}")))?;
    }
    if fs::metadata(&file).is_ok_and(|metadata| metadata.len() == 0) {
        return Err(corrupt(&file, "it is empty"));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let failed = |source| refusal(&file, source);
    let open = || {
        let mut connection = not_through_a_link(&file, flags).map_err(failed)?;
        let version = version(&connection, &file)?;
        configure(&connection).map_err(failed)?;
        damage_mark::before_use(&connection, dir)?;
        migrations::migrate(&mut connection, version).map_err(failed)?;
        Ok(connection)
    };
    let connection = with_room(dir, OpenError::is_full, open)?;
    hold_log(dir);
    Ok(connection)
}

/// Has the write-ahead log take the room that it keeps. What is behind its end is no part of it, as `SQLite`
/// knows its own pages by their checksums.
fn hold_log(dir: &Path) {
    let log = own_file().truncate(false).write(true).open(dir.join(format!("{DATABASE_FILE}-wal")));
    // Where there is no room, or none can be promised, it grows as it is written.
    let _none_held =
        log.map(|log| fallocate(log, FallocateFlags::empty(), 0, u64::from(LOG_BYTES_LEAST)));
}

/// Another connection to the database in a directory that is open, which can change nothing.
pub(super) fn reader(dir: &Path) -> Result<Connection, OpenError> {
    let file = dir.join(DATABASE_FILE);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        let connection = not_through_a_link(&file, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        keep_statements(&connection)?;
        connection.execute_batch("PRAGMA query_only = TRUE; PRAGMA temp_store = MEMORY;")?;
        Ok(connection)
    };
    open().map_err(|source| refusal(&file, source))
}

/// Opens a database that is its directory's own: not through a link that its owner has put there since it
/// was looked at, when another user, such as root, works for that one. The directory may be a link.
pub(super) fn not_through_a_link(file: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let invalid = || rusqlite::Error::InvalidPath(file.to_owned());
    let dir = file.parent().and_then(|dir| dir.canonicalize().ok()).ok_or_else(invalid)?;
    let file = dir.join(file.file_name().ok_or_else(invalid)?);
    Connection::open_with_flags(file, flags | OpenFlags::SQLITE_OPEN_NOFOLLOW)
}

/// A database that is gone when it is closed.
pub(super) fn in_memory() -> Result<Connection, OpenError> {
    let open = || {
        let mut connection = Connection::open_in_memory()?;
        migrations::migrate(&mut connection, 0)?;
        configure(&connection)?;
        Ok(connection)
    };
    open().map_err(|source| OpenError::Database { file: PathBuf::from(":memory:"), source })
}

/// A database in memory that others of the same name share, and that is gone when the last of them is closed.
/// `SQLite` gives it the locks that a file has. Source: sqlite.org, "URI filenames", vfs=memdb.
pub(super) fn shared_in_memory(name: &str) -> Result<Connection, OpenError> {
    let file = format!("file:/{name}?vfs=memdb");
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        let mut connection = Connection::open_with_flags(&file, flags)?;
        let version: u16 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        migrations::migrate(&mut connection, version.into())?;
        configure(&connection)?;
        Ok(connection)
    };
    open().map_err(|source| OpenError::Database { file: PathBuf::from(&file), source })
}

/// Writes the empty database beside its place and moves it there when it is complete, so that a
/// half-made one is never found, and an empty file is always a damaged one.
fn create(dir: &Path, file: &Path) -> Result<(), OpenError> {
    let unusable = |source| OpenError::Directory { dir: dir.to_owned(), source };
    let new = dir.join(format!("{DATABASE_FILE}.new"));
    if new.exists() {
        fs::remove_file(&new).map_err(unusable)?;
    }
    let make = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let mut connection = not_through_a_link(&new, flags)?;
        connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA auto_vacuum = INCREMENTAL;")?;
        migrations::migrate(&mut connection, 0)?;
        connection.close().map_err(|(_, source)| source)
    };
    make().map_err(|source| OpenError::Database { file: new.clone(), source })?;
    fs::rename(&new, file).map_err(unusable)?;
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(unusable)
}

/// Has each statement prepared once. Without the planner's stability guarantee one with a parameter in its
/// limit is prepared anew for each value: a third of the writer's time went there.
fn keep_statements(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    keep_statements(connection)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // `FULL`: a commit that was answered survives a power cut.
    connection.execute_batch(&format!(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}; PRAGMA journal_size_limit = {LOG_BYTES_KEPT};
         PRAGMA cache_size = -{CACHE_KIB}; PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY;"
    ))
}

/// The version of a database that is ours.
pub(super) fn version(connection: &Connection, file: &Path) -> Result<usize, OpenError> {
    let failed = |source| refusal(file, source);
    let number =
        |pragma: &str| connection.query_row(pragma, [], |row| row.get::<_, i64>(0)).map_err(failed);
    let application = number("PRAGMA application_id")?;
    if application != migrations::APPLICATION_ID {
        return Err(corrupt(file, "it is the database of another application"));
    }
    let found = number("PRAGMA user_version")?;
    match usize::try_from(found) {
        Ok(version @ 1..=migrations::VERSION) => Ok(version),
        Ok(1..) => {
            Err(OpenError::Newer { file: file.to_owned(), found, known: migrations::VERSION })
        }
        _ => Err(corrupt(file, format!("its version is {found}"))),
    }
}

fn corrupt(file: &Path, detail: impl Into<String>) -> OpenError {
    OpenError::Corrupt { file: file.to_owned(), detail: detail.into() }
}

pub(super) fn refusal(file: &Path, source: rusqlite::Error) -> OpenError {
    match source.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            corrupt(file, source.to_string())
        }
        _ => OpenError::Database { file: file.to_owned(), source },
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;
    use rusqlite::types::FromSql;

    use super::*;

    fn pragma<T: FromSql>(connection: &Connection, name: &str) -> T {
        connection.pragma_query_value(None, name, |row| row.get(0)).unwrap()
    }

    /// When it is made, and when it is opened again.
    #[test]
    fn what_is_committed_is_on_disk_and_the_reader_changes_nothing() {
        const FULL: u8 = 2;
        let dir = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            let writer = database(dir.path()).unwrap();
            assert_eq!(pragma::<u8>(&writer, "synchronous"), FULL);
            assert_eq!(pragma::<String>(&writer, "journal_mode"), "wal");
            let reader = reader(dir.path()).unwrap();
            assert!(pragma::<bool>(&reader, "query_only"));
            assert!(reader.is_readonly(rusqlite::MAIN_DB).unwrap());
            reader.execute("UPDATE progress SET next_number = 1", []).unwrap_err();
        }
    }

    #[test]
    fn a_database_is_its_directory_s_own_which_may_be_reached_through_a_link() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("private")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("private"), dir.path().join("data")).unwrap();
        let data = dir.path().join("data");
        drop(database(&data).unwrap());
        fs::rename(data.join(DATABASE_FILE), dir.path().join("another")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("another"), data.join(DATABASE_FILE)).unwrap();
        database(&data).unwrap_err();
        reader(&data).unwrap_err();
    }

    #[test]
    fn a_statement_is_prepared_once_whatever_its_parameters_are() {
        let dir = tempfile::tempdir().unwrap();
        for connection in
            [database(dir.path()).unwrap(), reader(dir.path()).unwrap(), in_memory().unwrap()]
        {
            let sql =
                "SELECT sequence FROM message WHERE group_id = ?1 AND sequence >= ?2 LIMIT ?3";
            let mut statement = connection.prepare(sql).unwrap();
            for value in 0..5 {
                let mut rows = statement.query([value; 3]).unwrap();
                assert!(rows.next().unwrap().is_none());
            }
            assert_eq!(statement.get_status(StatementStatus::RePrepare), 0);
        }
    }
}
