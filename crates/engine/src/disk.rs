//! Room on the disk: what was accepted can be delivered when somebody fills it.
//!
//! Delivering needs room as well: a receive and a delete write, and so do dead letters, a pause and a
//! start. So events are no longer accepted once there is little room left, and files in the data
//! directory hold some that nobody else can take. They are given up when the rest is used up, and made
//! again when there is room.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use domain::config::LogLevel;
use rustix::fs::{FallocateFlags, fallocate, statvfs};
use serde::Serialize;
use serde_json::json;

use crate::clock::Clock;
use crate::files::own_file;
use crate::log::Log;
use crate::spare_room::spare_files;
use crate::store::{DATABASE_FILE, Growth};

/// Room that is kept from new events unless told otherwise, in bytes: the write-ahead log's 64 MiB, and
/// as much again for dead letters and the log.
pub const RESERVE_BYTES: u64 = 128 * 1024 * 1024;

/// The files that hold a half of it: one for each that a pause, a start and the log need to make where a
/// file system has only so many.
const RESERVE_FILES: [&str; 4] = ["reserve.0", "reserve.1", "reserve.2", "reserve.3"];

/// What a small file holds at the least, in bytes: the index of the write-ahead log, and a few blocks.
const SPARE_BYTES_LEAST: u64 = 64 * 1024;

/// How often room is looked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Files that can still be made, at the least, while the reserve is held.
const FILES_LEAST: u64 = 16;

/// The disk that holds a data directory.
pub(crate) struct Disk {
    dir: PathBuf,
    growth: Growth,
    reserve_bytes: u64,
    free_bytes: AtomicU64,
    has_room: AtomicBool,
    /// Accepted since the last look.
    accepted_bytes: AtomicU64,
    log: Log,
}

/// How much room there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct DiskStatus {
    /// What the engine can use, the reserve included.
    pub(crate) free_bytes: u64,
    /// Below this no events are accepted.
    pub(crate) reserve_bytes: u64,
    /// Whether they are.
    pub(crate) accepting: bool,
    /// Size of the queues' file and of its log.
    pub(crate) database_bytes: u64,
}

/// What is not there, or cannot be looked at, takes no room that we know of.
fn database_bytes(dir: &Path) -> u64 {
    file_bytes(dir, "") + log_bytes(dir)
}

fn log_bytes(dir: &Path) -> u64 {
    file_bytes(dir, "-wal")
}

fn file_bytes(dir: &Path, end: &str) -> u64 {
    fs::metadata(dir.join(format!("{DATABASE_FILE}{end}"))).map_or(0, |it| it.len())
}

/// Gives up the reserve in a data directory where a start would find no room.
pub(crate) fn make_room_to_start(dir: &Path, reserve_bytes: u64) -> io::Result<()> {
    if !dir.exists() {
        return Ok(());
    }
    let room = Room::of(dir)?;
    if room.is_used_up(reserve_bytes) { give_up(dir) } else { Ok(()) }
}

impl Disk {
    /// Looks for the first time.
    pub(crate) fn new(
        dir: &Path,
        growth: Growth,
        reserve_bytes: u64,
        log: Log,
    ) -> io::Result<Self> {
        let disk = Self {
            dir: dir.to_owned(),
            growth,
            reserve_bytes,
            free_bytes: AtomicU64::new(0),
            has_room: AtomicBool::new(true),
            accepted_bytes: AtomicU64::new(0),
            log,
        };
        disk.look()?;
        Ok(disk)
    }

    /// Whether an event of this size may be accepted.
    pub(crate) fn has_room_for(&self, bytes: usize) -> bool {
        let accepted = self.accepted_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        // A disk that does not tell is one that fails, which is for those to tell who write.
        let _told_by_others = if accepted > self.reserve_bytes / 16 { self.look() } else { Ok(()) };
        self.has_room.load(Ordering::Relaxed)
    }

    /// Looks at once: a write has failed, for want of room perhaps.
    pub(crate) fn look_after_failure(&self) {
        let _told_by_others = self.look();
    }

    pub(crate) fn status(&self) -> DiskStatus {
        DiskStatus {
            free_bytes: self.free_bytes.load(Ordering::Relaxed),
            reserve_bytes: self.reserve_bytes,
            accepting: self.has_room.load(Ordering::Relaxed),
            database_bytes: database_bytes(&self.dir),
        }
    }

    /// Looks again and again.
    pub(crate) async fn watch(self: Arc<Self>, clock: Arc<dyn Clock>) {
        loop {
            clock.wait_until(clock.uptime().plus(LOOK_EVERY)).await;
            let _told_by_others = self.look();
        }
    }

    fn look(&self) -> io::Result<()> {
        self.accepted_bytes.store(0, Ordering::Relaxed);
        let room = Room::of(&self.dir)?;
        if room.is_used_up(self.reserve_bytes) {
            give_up(&self.dir)?;
        } else if room.held_bytes == 0 && room.free_bytes > self.reserve_bytes {
            take(&self.dir, self.reserve_bytes / 2);
        }
        if room.free_bytes > self.reserve_bytes {
            take_spare(&self.dir, self.reserve_bytes);
            self.growth
                .hold(log_bytes(&self.dir).min(self.reserve_bytes / 4) + self.reserve_bytes / 8);
        }
        let free_bytes = room.free_bytes + room.held_bytes + self.growth.held_bytes();
        self.free_bytes.store(free_bytes, Ordering::Relaxed);
        let has_room = free_bytes >= self.reserve_bytes;
        if self.has_room.swap(has_room, Ordering::Relaxed) != has_room {
            let fields = json!({ "free_bytes": free_bytes, "reserve_bytes": self.reserve_bytes });
            if has_room {
                self.log.line(
                    LogLevel::Info,
                    "the disk has room again: events are accepted",
                    fields,
                );
            } else {
                let message =
                    "the disk is nearly full: no events are accepted, what is queued is delivered";
                self.log.line(LogLevel::Error, message, fields);
            }
        }
        Ok(())
    }
}

struct Room {
    free_bytes: u64,
    free_files: u64,
    /// By the reserve.
    held_bytes: u64,
}

impl Room {
    fn of(dir: &Path) -> io::Result<Self> {
        let disk = statvfs(dir)?;
        let held = |name| fs::metadata(dir.join(name)).map_or(0, |held| held.len());
        Ok(Self {
            free_bytes: disk.f_bavail.saturating_mul(disk.f_frsize),
            // File systems without such a limit say that there are none.
            free_files: if disk.f_files == 0 { u64::MAX } else { disk.f_favail },
            held_bytes: RESERVE_FILES.into_iter().map(held).sum(),
        })
    }

    fn is_used_up(&self, reserve_bytes: u64) -> bool {
        self.free_bytes < reserve_bytes / 8 || self.free_files < FILES_LEAST
    }
}

fn give_up(dir: &Path) -> io::Result<()> {
    RESERVE_FILES.into_iter().try_for_each(|name| match fs::remove_file(dir.join(name)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    })
}

/// Makes those of the small files that are not there.
fn take_spare(dir: &Path, reserve_bytes: u64) {
    if reserve_bytes == 0 {
        return;
    }
    let bytes = (reserve_bytes / 128).max(SPARE_BYTES_LEAST);
    for path in spare_files(dir).filter(|path| !path.exists()) {
        let held = own_file().write(true).create_new(true).open(&path);
        let held = held.and_then(|it| Ok(fallocate(&it, FallocateFlags::empty(), 0, bytes)?));
        if held.is_err() {
            let _none_there = fs::remove_file(path);
            return;
        }
    }
}

/// Holds room. Where the file system cannot promise any, events are refused early all the same.
fn take(dir: &Path, bytes: u64) {
    let each = bytes / RESERVE_FILES.len() as u64;
    let make = |name| {
        let file = own_file().write(true).truncate(true).open(dir.join(name))?;
        io::Result::Ok(fallocate(&file, FallocateFlags::empty(), 0, each)?)
    };
    if RESERVE_FILES.into_iter().try_for_each(make).is_err() {
        let _none_there = give_up(dir);
    }
}
