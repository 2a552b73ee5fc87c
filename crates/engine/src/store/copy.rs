//! A copy of a data directory in one file, and back: for last night's copy, for another machine, for
//! going back to a former version. And a database that is made as small as what is in it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt as _, fchown};
use std::path::{Path, PathBuf};

use domain::time::Timestamp;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags, Row, params};

use super::error::OpenError;
use super::{DATABASE_FILE, damage, damage_mark, open};
use crate::files::{User, check_trusted, own_file, read_own, write_durably};

/// Small files of a data directory that are in a copy: which pauses there are, with two files of a former
/// version, and which events are skipped.
const FILES: [&str; 4] =
    ["pauses.json", "event-source-mapping.json", "schedule.json", "skips.json"];

/// By how much the numbering of messages jumps at a restore: more than any engine gave out since the
/// copy was made, a thousand a second for thirty years.
const NUMBERS_JUMPED: i64 = 1_000_000_000_000;

/// Pages that are copied between two words on how far it is: 40 MiB.
const PAGES_AT_ONCE: i32 = 10_000;

/// Why a copy is not made, or not put into its place.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// There is no database.
    #[error("there are no queues in {0}")]
    NoQueues(PathBuf),
    /// A file of this name is there.
    #[error("{0} is there already; nothing is overwritten: choose another name")]
    Exists(PathBuf),
    /// The data directory has queues.
    #[error("{0} has queues already; --replace puts them aside and takes the copy's")]
    HasQueues(PathBuf),
    /// The database, or the copy, cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A file cannot be read or written.
    #[error("{file} cannot be read or written")]
    File {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The database refused.
    #[error("{file}: the database refused")]
    Database {
        /// The file.
        file: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// The disk has too little room.
    #[error("the disk has {free_bytes} bytes of room, {needed_bytes} are needed")]
    NoRoom {
        /// What there is.
        free_bytes: u64,
        /// What is needed.
        needed_bytes: u64,
    },
}

/// A copy, or what was put back from one.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Copied {
    /// When the copy was made, milliseconds since the Unix epoch; `None` of one that does not say.
    pub taken_at_ms: Option<u64>,
    /// Size of the database, in bytes.
    pub bytes: u64,
    /// Messages in each queue, by name.
    pub messages: Vec<(String, u64)>,
    /// How many of them are not what was accepted.
    pub damaged: u64,
    /// Where the queues are now that were there before.
    pub replaced: Option<PathBuf>,
}

/// Copies a data directory's queues, and whether delivery is paused, into a new file. An engine may be
/// at work: what was accepted before this began is in the copy. `progress` is told how many pages are
/// left, and of how many.
///
/// # Errors
///
/// [`CopyError`]; no file of that name is left then.
pub fn backup(
    data_dir: &Path,
    file: &Path,
    now: Timestamp,
    progress: impl FnMut(u32, u32),
) -> Result<Copied, CopyError> {
    let source = data_dir.join(DATABASE_FILE);
    there_are_queues(data_dir, &source)?;
    check_trusted(data_dir, User::OfTheDirectory).map_err(OpenError::from)?;
    if file.exists() {
        return Err(CopyError::Exists(file.to_owned()));
    }
    let part = beside(file, ".part");
    let made = write_copy(&source, data_dir, &part, now, progress).and_then(|()| {
        let copied = look(&part)?;
        // Not a rename, which would take the place of a file that has come to be there.
        fs::hard_link(&part, file).map_err(in_file(file))?;
        sync_dir(file)?;
        Ok(copied)
    });
    remove(&part)?;
    remove(&beside(&part, "-journal"))?;
    made
}

/// Who may not look is told that, and not that there is nothing.
fn there_are_queues(data_dir: &Path, database: &Path) -> Result<(), CopyError> {
    match fs::metadata(database) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(CopyError::NoQueues(data_dir.to_owned()))
        }
        Err(error) => Err(in_file(database)(error)),
    }
}

fn write_copy(
    source: &Path,
    data_dir: &Path,
    part: &Path,
    now: Timestamp,
    mut progress: impl FnMut(u32, u32),
) -> Result<(), CopyError> {
    remove(part)?;
    remove(&beside(part, "-journal"))?;
    new_file(part)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let from = open::not_through_a_link(source, flags).map_err(in_database(source))?;
    open::version(&from, source)?;
    let mut to = Connection::open(part).map_err(in_database(part))?;
    let mut copy = || {
        // One moment of it, however long the copy takes.
        from.execute_batch("BEGIN; SELECT count(*) FROM queue;")?;
        let backup = Backup::new(&from, &mut to)?;
        while backup.step(PAGES_AT_ONCE)? != StepResult::Done {
            let pages = backup.progress();
            progress(pages.remaining.unsigned_abs(), pages.pagecount.unsigned_abs());
        }
        drop(backup);
        to.execute_batch(
            "PRAGMA journal_mode = DELETE; PRAGMA synchronous = FULL;
             CREATE TABLE copy (taken_ms INTEGER NOT NULL) STRICT;
             CREATE TABLE copy_file (name TEXT PRIMARY KEY, content BLOB NOT NULL) STRICT;",
        )?;
        let taken_ms = i64::try_from(now.as_ms()).unwrap_or(i64::MAX);
        to.execute("INSERT INTO copy VALUES (?1)", [taken_ms])?;
        rusqlite::Result::Ok(())
    };
    copy().map_err(in_database(part))?;
    for name in FILES {
        let file = data_dir.join(name);
        match read_own(&file) {
            Ok(content) => {
                let insert = "INSERT INTO copy_file VALUES (?1, ?2)";
                to.execute(insert, params![name, content]).map_err(in_database(part))?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(CopyError::File { file, source }),
        }
    }
    to.close().map_err(|(_, source)| CopyError::Database { file: part.to_owned(), source })
}

/// Puts a copy into a data directory that no engine uses. What was accepted after the copy was made is
/// not in it, and what was delivered since is delivered again. With `replace`, queues that are there are
/// put aside.
///
/// # Errors
///
/// [`CopyError`]; the queues that were there are as they were then.
pub fn restore(file: &Path, data_dir: &Path, replace: bool) -> Result<Copied, CopyError> {
    let copied = look(file)?;
    let _lock = open::lock(data_dir, User::OfTheDirectory)?;
    let database = data_dir.join(DATABASE_FILE);
    let log = beside(&database, "-wal");
    let is_there = database.exists() || log.exists();
    if is_there && !replace {
        return Err(CopyError::HasQueues(data_dir.to_owned()));
    }
    let new = beside(&database, ".new");
    remove(&new)?;
    let prepared = copy_to(file, &new);
    if prepared.is_err() {
        // It takes room that somebody needs.
        remove(&new)?;
        remove(&beside(&new, "-journal"))?;
    }
    let files = prepared?;

    let replaced = if is_there { Some(put_aside(&database)?) } else { None };
    fs::rename(&new, &database).map_err(in_file(&database))?;
    sync_dir(&database)?;
    damage_mark::forget_damage(data_dir).map_err(in_file(data_dir))?;
    for name in FILES {
        let file = data_dir.join(name);
        match files.iter().find(|(known, _)| known == name) {
            Some((_, content)) => {
                write_durably(&file, content).map_err(in_file(&file))?;
            }
            None => remove(&file)?,
        }
    }
    give_to_owner_of(data_dir)?;
    Ok(Copied { replaced, ..copied })
}

fn copy_to(file: &Path, new: &Path) -> Result<Vec<(String, Vec<u8>)>, CopyError> {
    let mut from = File::open(file).map_err(in_file(file))?;
    io::copy(&mut from, &mut new_file(new)?).map_err(in_file(new))?;
    let files = prepare(new).map_err(in_database(new))?;
    File::open(new).and_then(|new| new.sync_all()).map_err(in_file(new))?;
    Ok(files)
}

/// Makes a copy's database one to go on with; gives the small files that were in it.
fn prepare(new: &Path) -> rusqlite::Result<Vec<(String, Vec<u8>)>> {
    let connection = open::not_through_a_link(new, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.execute_batch("PRAGMA synchronous = FULL; BEGIN")?;
    let files = if is_ours(&connection)? {
        connection
            .prepare("SELECT name, content FROM copy_file")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?
    } else {
        Vec::new()
    };
    connection.execute_batch("DROP TABLE IF EXISTS copy; DROP TABLE IF EXISTS copy_file;")?;
    connection.execute("UPDATE progress SET next_number = next_number + ?1", [NUMBERS_JUMPED])?;
    connection.execute_batch("COMMIT")?;
    connection.close().map_err(|(_, error)| error)?;
    Ok(files)
}

/// Whether [`backup`] made the database, which else is somebody's copy of the file.
fn is_ours(connection: &Connection) -> rusqlite::Result<bool> {
    let count = "SELECT count(*) = 2 FROM sqlite_schema WHERE name IN ('copy', 'copy_file')";
    connection.query_row(count, [], |row| row.get(0))
}

/// Reads a copy from its beginning to its end, and tells what is in it.
fn look(file: &Path) -> Result<Copied, CopyError> {
    let bytes = fs::metadata(file).map_err(in_file(file))?.len();
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags).map_err(in_database(file))?;
    open::version(&connection, file)?;
    if let Some(detail) = damage_mark::damage(&connection) {
        return Err(OpenError::Corrupt { file: file.to_owned(), detail }.into());
    }
    let read = || {
        let taken_at_ms = if is_ours(&connection)? {
            Some(connection.query_row("SELECT taken_ms FROM copy", [], whole(0))?)
        } else {
            None
        };
        let messages = connection
            .prepare(
                "SELECT name, queued FROM queue JOIN queue_count ON queue_id = id ORDER BY name",
            )?
            .query_map([], |row| Ok((row.get(0)?, whole(1)(row)?)))?
            .collect::<rusqlite::Result<_>>()?;
        let damaged = damage::count_all(&connection)?;
        rusqlite::Result::Ok(Copied { taken_at_ms, bytes, messages, damaged, replaced: None })
    };
    read().map_err(in_database(file))
}

/// Makes a database that no engine uses as small as what is in it, and one that shrinks by itself from
/// then on. Gives its size before and after, in bytes.
///
/// # Errors
///
/// [`CopyError`], [`NoRoom`](CopyError::NoRoom) before anything is written; the database is as it was.
pub fn compact(data_dir: &Path) -> Result<(u64, u64), CopyError> {
    let file = data_dir.join(DATABASE_FILE);
    there_are_queues(data_dir, &file)?;
    let _lock = open::lock(data_dir, User::OfTheDirectory)?;
    let connection = open::database(data_dir)?;
    let size = || fs::metadata(&file).map(|it| it.len()).map_err(in_file(&file));
    let before = size()?;
    let number = |pragma: &str| connection.query_row(pragma, [], whole(0));
    let pages = || {
        Ok(Pages {
            all: number("PRAGMA page_count")?,
            free: number("PRAGMA freelist_count")?,
            bytes_each: number("PRAGMA page_size")?,
        })
    };
    let pages = pages().map_err(in_database(&file))?;
    let disk = rustix::fs::statvfs(data_dir).map_err(|error| in_file(data_dir)(error.into()))?;
    pages.check_room(disk.f_bavail.saturating_mul(disk.f_frsize))?;
    connection
        .execute_batch(
            "PRAGMA temp_store = FILE; PRAGMA auto_vacuum = INCREMENTAL; VACUUM;
             PRAGMA wal_checkpoint(TRUNCATE);",
        )
        .map_err(in_database(&file))?;
    connection.close().map_err(|(_, source)| in_database(&file)(source))?;
    give_to_owner_of(data_dir)?;
    Ok((before, size()?))
}

/// What a database consists of.
struct Pages {
    all: u64,
    free: u64,
    bytes_each: u64,
}

impl Pages {
    /// Whether the disk has room for writing those in use twice: into a file beside the database, and from
    /// there into the write-ahead log.
    fn check_room(&self, free_bytes: u64) -> Result<(), CopyError> {
        let needed_bytes = 2 * self.bytes_each * (self.all - self.free);
        if free_bytes < needed_bytes {
            return Err(CopyError::NoRoom { free_bytes, needed_bytes });
        }
        Ok(())
    }
}

/// Moves a database away, and its log with it, whole or damaged as they are.
fn put_aside(database: &Path) -> Result<PathBuf, CopyError> {
    let free = |number: &u32| !beside(database, &format!(".replaced-{number}")).exists();
    let number = (1..u32::MAX).find(free).unwrap_or_default();
    let aside = beside(database, &format!(".replaced-{number}"));
    // The database first: a log without one is told of at a start.
    for end in ["", "-wal", "-shm"] {
        match fs::rename(beside(database, end), beside(&aside, end)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(CopyError::File { file: beside(database, end), source: error });
            }
            _ => {}
        }
    }
    Ok(aside)
}

/// Gives files that root made to whom the directory belongs, whose engine is to use them. Whoever that
/// is may replace each meanwhile: what is given away is what was looked at.
fn give_to_owner_of(data_dir: &Path) -> Result<(), CopyError> {
    let owner = fs::metadata(data_dir).map_err(in_file(data_dir))?;
    for entry in fs::read_dir(data_dir).map_err(in_file(data_dir))? {
        let file = entry.map_err(in_file(data_dir))?.path();
        let metadata = fs::symlink_metadata(&file).map_err(in_file(&file))?;
        if metadata.is_file() && metadata.uid() != owner.uid() {
            let opened = own_file().create(false).read(true).open(&file).map_err(in_file(&file))?;
            if opened.metadata().map_err(in_file(&file))?.nlink() == 1 {
                let given = fchown(&opened, Some(owner.uid()), Some(owner.gid()));
                given.map_err(in_file(&file))?;
            }
        }
    }
    Ok(())
}

/// A file for nobody else to read, whatever the umask is.
fn new_file(file: &Path) -> Result<File, CopyError> {
    own_file().write(true).create_new(true).open(file).map_err(in_file(file))
}

fn remove(file: &Path) -> Result<(), CopyError> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(in_file(file)(error)),
        _ => Ok(()),
    }
}

fn sync_dir(file: &Path) -> Result<(), CopyError> {
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(in_file(dir))
}

fn whole(column: usize) -> impl Fn(&Row<'_>) -> rusqlite::Result<u64> {
    move |row| Ok(row.get::<_, i64>(column)?.unsigned_abs())
}

fn beside(file: &Path, end: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(end);
    name.into()
}

fn in_file(file: &Path) -> impl Fn(io::Error) -> CopyError {
    move |source| CopyError::File { file: file.to_owned(), source }
}

fn in_database(file: &Path) -> impl Fn(rusqlite::Error) -> CopyError {
    move |source| CopyError::Database { file: file.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_use_has_to_have_room_twice() {
        let pages = Pages { all: 10, free: 3, bytes_each: 4_096 };
        pages.check_room(57_344).unwrap();
        let error = pages.check_room(57_343).unwrap_err().to_string();
        assert_eq!(error, "the disk has 57343 bytes of room, 57344 are needed");
    }

    #[test]
    fn what_cannot_be_removed_or_moved_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join(DATABASE_FILE);
        remove(&database).unwrap();
        fs::write(beside(&database, "-wal"), "").unwrap();
        fs::create_dir(beside(&database, ".replaced-1-wal")).unwrap();
        assert!(matches!(put_aside(&database), Err(CopyError::File { .. })));
        fs::create_dir(&database).unwrap();
        assert!(matches!(remove(&database), Err(CopyError::File { .. })));
    }
}
