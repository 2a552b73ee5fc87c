//! Room for a write that found none: small files in the data directory, held by [`disk`](crate::disk),
//! one of which is given up at that moment.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// How the names of the files begin, and how many there are.
const FILES: &str = "reserve.spare.";
const FILES_COUNT: u32 = 16;

/// Does what writes into a data directory, again with some of the room that is held for it where it finds
/// none, as `is_full` says of its error.
pub(crate) fn with_room<T, E>(
    dir: &Path,
    is_full: impl Fn(&E) -> bool,
    mut write: impl FnMut() -> Result<T, E>,
) -> Result<T, E> {
    loop {
        match write() {
            Err(error) if is_full(&error) && give_up_one(dir) => {}
            done => return done,
        }
    }
}

/// Whether it is for want of room that something was not written.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Where such files are in a data directory, or may be.
pub(crate) fn spare_files(dir: &Path) -> impl Iterator<Item = PathBuf> {
    (0..FILES_COUNT).map(move |number| dir.join(format!("{FILES}{number}")))
}

/// Has one of them be `file`, with the room that it has: nobody else can take that meanwhile. Tells whether
/// there was one.
pub(crate) fn hand_over_one(dir: &Path, file: &Path) -> bool {
    spare_files(dir).any(|spare| fs::rename(spare, file).is_ok())
}

/// Gives up one of them; tells whether there was one.
pub(crate) fn give_up_one(dir: &Path) -> bool {
    spare_files(dir).any(|file| fs::remove_file(file).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_handed_over_keeps_its_room() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "in part").unwrap();
        assert!(!hand_over_one(dir.path(), &file));
        for spare in spare_files(dir.path()).take(2) {
            fs::write(spare, [0; 9]).unwrap();
        }
        assert!(hand_over_one(dir.path(), &file));
        assert_eq!(fs::read(&file).unwrap(), [0; 9]);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "one at a time");
    }

    #[test]
    fn a_write_that_finds_no_room_is_done_again_as_long_as_there_is_some_to_give_up() {
        let dir = tempfile::tempdir().unwrap();
        for file in spare_files(dir.path()).take(2) {
            fs::write(file, "").unwrap();
        }
        let (mut writes, full) = (0, || io::Error::from(io::ErrorKind::StorageFull));
        let twice = with_room(dir.path(), is_full, || {
            writes += 1;
            if writes == 2 { Ok(()) } else { Err(full()) }
        });
        assert!(twice.is_ok());
        let never = with_room(dir.path(), is_full, || {
            writes += 1;
            Err::<(), _>(full())
        });
        assert_eq!((never.unwrap_err().kind(), writes), (io::ErrorKind::StorageFull, 4));
        fs::write(spare_files(dir.path()).last().unwrap(), "").unwrap();
        let other = io::Error::from(io::ErrorKind::PermissionDenied);
        let other = with_room(dir.path(), is_full, || Err::<(), _>(io::Error::from(other.kind())));
        assert_eq!(other.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "room of no use is kept");
    }
}
