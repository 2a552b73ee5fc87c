//! The log in the data directory, from which an event can be traced: the newest lines in
//! `engine.log`, older ones in `engine.1.log` to `engine.9.log`. What is older still is gone.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::files::own_file;

/// Size at which a file is put aside, in bytes.
const FILE_BYTES_MAX: u64 = 10 * 1024 * 1024;

/// Files that are kept, the one that is written included.
const FILES: u32 = 10;

/// A log of bounded size. What is written at once stays in one file.
pub(crate) struct LogFile {
    dir: PathBuf,
    file: File,
    bytes: u64,
    bytes_max: u64,
}

impl LogFile {
    /// Goes on with the log in `dir`, which is made if it is not there.
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        Self::with_size(dir, FILE_BYTES_MAX)
    }

    fn with_size(dir: &Path, bytes_max: u64) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let mut file = own_file().append(true).read(true).open(path(dir, 0))?;
        let mut bytes = file.metadata()?.len();
        if bytes > 0 && last_byte(&mut file)? != b'\n' {
            // The last run died in the middle of a line.
            file.write_all(b"\n")?;
            bytes += 1;
        }
        Ok(Self { dir: dir.to_owned(), file, bytes, bytes_max })
    }

    /// The next file comes first: without it nothing is moved, and nothing lost.
    fn put_aside(&mut self) -> io::Result<()> {
        let new = self.dir.join("engine.new.log");
        let file = own_file().append(true).open(&new)?;
        for number in (0..FILES - 1).rev() {
            match fs::rename(path(&self.dir, number), path(&self.dir, number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(new, path(&self.dir, 0))?;
        self.file = file;
        self.bytes = 0;
        Ok(())
    }
}

/// The files that there may be in `dir`, the oldest first.
pub(crate) fn oldest_first(dir: &Path) -> impl Iterator<Item = PathBuf> {
    (0..FILES).rev().map(|number| path(dir, number))
}

fn path(dir: &Path, number: u32) -> PathBuf {
    match number {
        0 => dir.join("engine.log"),
        number => dir.join(format!("engine.{number}.log")),
    }
}

fn last_byte(file: &mut File) -> io::Result<u8> {
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last[0])
}

impl Write for LogFile {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let length = u64::try_from(lines.len()).unwrap_or(u64::MAX);
        if self.bytes > 0 && self.bytes.saturating_add(length) > self.bytes_max {
            self.put_aside()?;
        }
        self.file.write_all(lines)?;
        self.bytes += length;
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(dir: &Path, name: &str) -> String {
        fs::read_to_string(dir.join(name)).unwrap()
    }

    #[test]
    fn old_files_are_put_aside_and_the_oldest_goes() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = LogFile::with_size(dir.path(), 4).unwrap();
        for number in 0..15 {
            log.write_all(format!("{number:02}\n").as_bytes()).unwrap();
        }
        assert_eq!(text(dir.path(), "engine.log"), "14\n");
        assert_eq!(text(dir.path(), "engine.9.log"), "05\n");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 10);
    }

    #[test]
    fn a_line_that_was_cut_off_does_not_spoil_the_next() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("engine.log"), "{\"half").unwrap();
        LogFile::open(dir.path()).unwrap().write_all(b"{}\n").unwrap();
        assert_eq!(text(dir.path(), "engine.log"), "{\"half\n{}\n");
    }

    /// As where no file descriptor or no room is left.
    #[test]
    fn a_file_that_cannot_be_put_aside_loses_no_history() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = LogFile::with_size(dir.path(), 4).unwrap();
        for number in 0..3 {
            log.write_all(format!("{number:02}\n").as_bytes()).unwrap();
        }
        fs::create_dir(dir.path().join("engine.new.log")).unwrap();
        for _ in 0..10 {
            log.write_all(b"no\n").unwrap_err();
        }
        fs::remove_dir(dir.path().join("engine.new.log")).unwrap();
        log.write_all(b"03\n").unwrap();
        for (file, line) in
            [("engine.log", "03\n"), ("engine.1.log", "02\n"), ("engine.3.log", "00\n")]
        {
            assert_eq!(text(dir.path(), file), line);
        }
    }
}
