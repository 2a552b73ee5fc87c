//! The log in the data directory, from which an event can be traced: the newest lines in
//! `engine.log`, older ones in `engine.1.log` to `engine.9.log`. What is older still is gone.
//!
//! Each file begins with a mark, numbered through, so that whoever reads them sees what is missing: who
//! moves a file away, or empties it, takes lines along that nobody may take for never written.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, ErrorKind, Read as _, Seek as _, SeekFrom, Write};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use domain::time::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::files::{explained, own_file};

/// How a mark begins; its number follows, and a brace. Other lines begin with their time.
const MARK: &[u8] = br#"{"message":"log_file","number":"#;

/// The length of how a line begins that has a time: `{"timestamp":"2026-01-01T00:00:00.000Z"`, in bytes.
const TIME_BYTES: usize = 39;

/// What follows the time where lines were left out.
const LEFT_OUT: &[u8] = br#","level":"WARN","message":"log lines left out""#;

/// The number of the first file of a data directory: nothing was before it.
const FIRST: u64 = 1;

/// Size at which a file is put aside, in bytes.
const FILE_BYTES_MAX: u64 = 10 * 1024 * 1024;

/// Files that are kept, the one that is written included.
const FILES: u32 = 10;

/// A log of bounded size. What is written at once stays in one file.
pub(crate) struct LogFile {
    dir: PathBuf,
    file: File,
    /// The last mark's.
    number: u64,
    /// How long the file is, its mark included.
    bytes: u64,
    /// How long it may become, its mark not counted.
    bytes_max: u64,
    /// Whether the last line has no end: the last run died in the middle of it, or the disk was full.
    is_torn: bool,
}

impl LogFile {
    /// Goes on with the log in `dir`, which is made if it is not there. `is_first` is the engine's first
    /// start there: nothing can be missing.
    pub(crate) fn open(dir: &Path, is_first: bool) -> io::Result<Self> {
        Self::with_size(dir, is_first, FILE_BYTES_MAX)
    }

    fn with_size(dir: &Path, is_first: bool, bytes_max: u64) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let name = path(dir, 0);
        let file = own_file().append(true).read(true).open(&name).map_err(explained(&name))?;
        let mut log =
            Self { dir: dir.to_owned(), file, number: 0, bytes: 0, bytes_max, is_torn: false };
        log.bytes = log.file.metadata()?.len();
        if log.bytes == 0 {
            let before = last_mark(&path(dir, 1))?;
            // An engine that died while it put a file aside has left the next one.
            let is_whole = is_first || new_path(dir).exists();
            // A full disk takes none, and that is no reason not to start.
            let _unmarked = log.mark(before.unwrap_or_default() + if is_whole { 1 } else { 2 });
        } else {
            log.number = last_mark(&path(dir, 0))?.unwrap_or_default();
            log.is_torn = is_torn(&mut log.file)?;
        }
        Ok(log)
    }

    fn mark(&mut self, number: u64) -> io::Result<()> {
        let mark = mark(number);
        let bytes = self.file.metadata()?.len();
        let end: &[u8] = if self.is_torn { b"\n" } else { b"" };
        if let Err(error) = self.file.write_all(&[end, &mark].concat()) {
            self.file.set_len(bytes)?;
            return Err(error);
        }
        self.is_torn = false;
        self.bytes = bytes + (end.len() + mark.len()) as u64;
        self.number = number;
        Ok(())
    }

    /// Goes on in a file that has its place, and says so in it, where somebody has taken away what was
    /// written: the file, or what it held.
    fn find_again(&mut self) -> io::Result<()> {
        let here = self.file.metadata()?;
        let there = match fs::symlink_metadata(path(&self.dir, 0)) {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            there => Some(there?),
        };
        if there.is_none_or(|there| (there.dev(), there.ino()) != (here.dev(), here.ino())) {
            self.file = own_file().append(true).read(true).open(path(&self.dir, 0))?;
            self.is_torn = is_torn(&mut self.file)?;
        } else if here.len() >= self.bytes {
            return Ok(());
        }
        // No file has the number between.
        self.mark(self.number + 2)
    }

    /// The next file comes first: without it nothing is moved, and nothing lost.
    fn put_aside(&mut self) -> io::Result<()> {
        let new = new_path(&self.dir);
        let mut file = own_file().append(true).read(true).open(&new)?;
        file.set_len(0)?;
        let mark = mark(self.number + 1);
        file.write_all(&mark)?;
        for number in (0..FILES - 1).rev() {
            match fs::rename(path(&self.dir, number), path(&self.dir, number + 1)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(new, path(&self.dir, 0))?;
        self.file = file;
        self.number += 1;
        self.bytes = mark.len() as u64;
        self.is_torn = false;
        Ok(())
    }
}

/// What the log does not tell.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Gap {
    /// The time of the first line behind it; `None` if there is none.
    until: Option<Timestamp>,
    why: String,
}

/// Finds the gaps of a log, as it is read.
#[derive(Debug, Default)]
pub(crate) struct Gaps {
    found: Vec<Gap>,
    /// Why lines are missing before the next one that has a time.
    open: Option<String>,
    /// The last mark's number.
    number: Option<u64>,
    begins: bool,
    name: String,
}

impl Gaps {
    /// A file comes next.
    pub(crate) fn file(&mut self, path: &Path) {
        self.close(None);
        self.name =
            path.file_name().map(|it| it.to_string_lossy().into_owned()).unwrap_or_default();
        self.begins = true;
    }

    /// The lines of a file cannot be read, or not to its end.
    pub(crate) fn unreadable(&mut self, error: &io::Error) {
        self.open(&format!("{} cannot be read: {error}", self.name));
        self.begins = false;
    }

    /// A file was read to its end.
    pub(crate) fn end_of_file(&mut self) {
        if std::mem::take(&mut self.begins) {
            self.open(&format!("{} has been emptied", self.name));
        }
    }

    /// The newest file is not there.
    pub(crate) fn gone(&mut self) {
        self.open(&format!("{} has been moved away or removed", self.name));
        self.begins = false;
    }

    /// Notes the next line, and whether it is one of the log's own marks.
    pub(crate) fn line(&mut self, line: &[u8]) -> bool {
        let begins = std::mem::take(&mut self.begins);
        if let Some(number) = number_of(line) {
            let is_next = number == FIRST || self.number.is_some_and(|last| number == last + 1);
            // A file of an engine of before has no mark, and the one that follows it is the first.
            if !is_next {
                let what = if begins { "what came before it" } else { "a part of it" };
                self.open(&format!("{}: {what} has been moved away or removed", self.name));
            }
            self.number = Some(number);
            return true;
        }
        if begins {
            let why = "its beginning is missing, or an engine of before has written it";
            self.open(&format!("{}: {why}", self.name));
        }
        if line.get(TIME_BYTES..).is_some_and(|rest| rest.starts_with(LEFT_OUT)) {
            self.open("lines could not be written");
        }
        if self.open.is_some() {
            self.close(time_of(line));
        }
        false
    }

    /// All that were found, once everything is read.
    pub(crate) fn found(mut self) -> Vec<Gap> {
        if let Some(why) = self.open.take() {
            self.found.push(Gap { until: None, why });
        }
        self.found
    }

    fn open(&mut self, why: &str) {
        match &mut self.open {
            Some(open) if !open.contains(why) => *open = format!("{open}; {why}"),
            Some(_) => {}
            None => self.open = Some(why.to_owned()),
        }
    }

    fn close(&mut self, until: Option<Timestamp>) {
        if let Some((until, why)) = until.and_then(|until| Some((until, self.open.take()?))) {
            self.found.push(Gap { until: Some(until), why });
        }
    }
}

fn mark(number: u64) -> Vec<u8> {
    [MARK, number.to_string().as_bytes(), b"}\n"].concat()
}

fn number_of(line: &[u8]) -> Option<u64> {
    let number = line.trim_ascii_end().strip_prefix(MARK)?.strip_suffix(b"}")?;
    str::from_utf8(number).ok()?.parse().ok()
}

fn time_of(line: &[u8]) -> Option<Timestamp> {
    serde_json::from_value(serde_json::from_slice::<Value>(line).ok()?["timestamp"].take()).ok()
}

/// The number of a file's last mark; `None` if it has none, or is not there.
fn last_mark(path: &Path) -> io::Result<Option<u64>> {
    let lines = match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        lines => lines?,
    };
    Ok(lines.rsplit(|byte| *byte == b'\n').find_map(number_of))
}

/// Up to where the log was read: in the file that begins with this mark, 0 if it has none, so many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Position {
    file: u64,
    bytes: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.file, self.bytes)
    }
}

impl FromStr for Position {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (file, bytes) = text.split_once('-').ok_or(())?;
        let number = |text: &str| text.parse().map_err(drop);
        Ok(Self { file: number(file)?, bytes: number(bytes)? })
    }
}

/// Reads the log in `dir`, the oldest lines first, until `take` wants no more. What cannot be read is a
/// gap.
pub(crate) fn read(dir: &Path, gaps: &mut Gaps, take: impl FnMut(&[u8]) -> bool) {
    read_files(files(dir), false, gaps, take);
}

/// The same from where somebody has read to, the default for the beginning; and where this ends. What is
/// written just now, a line without its end, is left to the next time.
pub(crate) fn read_after(
    dir: &Path,
    after: Position,
    gaps: &mut Gaps,
    take: impl FnMut(&[u8]) -> bool,
) -> Position {
    let mut files = files(dir);
    if after == Position::default() {
        return read_files(files, true, gaps, take).unwrap_or(after);
    }
    let number = |(_, file): &(PathBuf, io::Result<File>)| file.as_ref().map_or(0, first_mark);
    let read_last = files.iter().rposition(|file| number(file) == after.file);
    if let Some(place) = read_last {
        files.drain(..place);
        if let Some((_, Ok(file))) = files.first_mut() {
            // It is there, as its mark was read.
            let _at = file.seek(SeekFrom::Start(after.bytes));
        }
        gaps.number = Some(after.file);
    } else {
        files.retain(|file| number(file) > after.file);
        gaps.open("engine.log: what was read last has been moved away or removed");
    }
    read_files(files, true, gaps, take).unwrap_or(after)
}

/// The number of the mark that a file begins with, 0 if with none.
fn first_mark(file: &File) -> u64 {
    let mut head = [0; 64];
    let read = file.read_at(&mut head, 0).unwrap_or_default();
    head[..read].split(|byte| *byte == b'\n').next().and_then(number_of).unwrap_or_default()
}

/// The files that there are, opened, the oldest first.
fn files(dir: &Path) -> Vec<(PathBuf, io::Result<File>)> {
    // Opened from the newest on: one that is put aside meanwhile is met twice, and none missed.
    let mut files: Vec<(PathBuf, io::Result<File>)> = Vec::new();
    let mut seen = Vec::new();
    for number in 0..FILES {
        let path = path(dir, number);
        let file = File::open(&path);
        let is_missing = file.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotFound);
        let inode = file.as_ref().ok().and_then(|file| file.metadata().ok()).map(|it| it.ino());
        if (number == 0 || !is_missing) && inode.is_none_or(|inode| !seen.contains(&inode)) {
            seen.extend(inode);
            files.push((path, file));
        }
    }
    files.reverse();
    files
}

/// Reads them, each from where it is, and says up to where.
fn read_files(
    files: Vec<(PathBuf, io::Result<File>)>,
    is_followed: bool,
    gaps: &mut Gaps,
    mut take: impl FnMut(&[u8]) -> bool,
) -> Option<Position> {
    let mut position = None;
    for (path, file) in files {
        gaps.file(&path);
        let mut file = match file {
            Ok(file) => BufReader::new(file),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                gaps.gone();
                continue;
            }
            Err(error) => {
                gaps.unreadable(&error);
                continue;
            }
        };
        let mut at = Position {
            file: first_mark(file.get_ref()),
            bytes: file.stream_position().unwrap_or_default(),
        };
        gaps.begins &= at.bytes == 0;
        let mut line = Vec::new();
        loop {
            position = Some(at);
            line.clear();
            match file.read_until(b'\n', &mut line) {
                Ok(0) => break gaps.end_of_file(),
                Ok(_) => {}
                Err(error) => break gaps.unreadable(&error),
            }
            if !line.ends_with(b"\n") {
                if is_followed {
                    break;
                }
                line.push(b'\n');
            }
            at.bytes += line.len() as u64;
            if !gaps.line(&line) && !take(&line) {
                return position;
            }
        }
    }
    position
}

fn new_path(dir: &Path) -> PathBuf {
    dir.join("engine.new.log")
}

fn path(dir: &Path, number: u32) -> PathBuf {
    match number {
        0 => dir.join("engine.log"),
        number => dir.join(format!("engine.{number}.log")),
    }
}

fn is_torn(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

impl Write for LogFile {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let length = u64::try_from(lines.len()).unwrap_or(u64::MAX);
        self.find_again()?;
        let mark = mark(self.number).len() as u64;
        if self.bytes > mark && self.bytes + length > self.bytes_max.saturating_add(mark) {
            self.put_aside()?;
        }
        if self.is_torn {
            self.file.write_all(b"\n")?;
            self.bytes += 1;
        }
        let written = self.file.write_all(lines);
        self.is_torn = written.is_err() && is_torn(&mut self.file).unwrap_or(true);
        written?;
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

    /// The lines of a file without its mark, which must be there.
    fn text(dir: &Path, name: &str) -> String {
        let text = fs::read_to_string(dir.join(name)).unwrap();
        let (mark, lines) = text.split_once('\n').unwrap();
        assert!(number_of(mark.as_bytes()).is_some(), "{text}");
        lines.to_owned()
    }

    /// Why something is missing, and before which second.
    fn gaps(dir: &Path) -> Vec<(String, Option<u64>)> {
        let mut gaps = Gaps::default();
        read(dir, &mut gaps, |_line| true);
        let of = |gap: Gap| (gap.why, gap.until.map(|until| until.as_ms() / 1_000));
        gaps.found().into_iter().map(of).collect()
    }

    fn line(second: u32) -> Vec<u8> {
        format!("{{\"timestamp\":\"1970-01-01T00:00:{second:02}.000Z\",\"level\":\"INFO\"}}\n")
            .into()
    }

    #[test]
    fn old_files_are_put_aside_and_the_oldest_goes() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = LogFile::with_size(dir.path(), true, 4).unwrap();
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
        LogFile::open(dir.path(), false).unwrap().write_all(b"{}\n").unwrap();
        let text = fs::read_to_string(dir.path().join("engine.log")).unwrap();
        assert_eq!(text, "{\"half\n{}\n");
    }

    #[test]
    fn a_log_that_is_whole_has_no_gap_wherever_it_was_put_aside_or_gone_on_with() {
        let dir = tempfile::tempdir().unwrap();
        for second in 0..8 {
            let mut log = LogFile::with_size(dir.path(), second == 0, 90).unwrap();
            log.write_all(&line(second)).unwrap();
        }
        assert!(dir.path().join("engine.3.log").exists());
        assert_eq!(gaps(dir.path()), []);
    }

    #[test]
    fn what_somebody_took_away_is_a_gap_up_to_the_next_line() {
        let check = |take: &dyn Fn(&Path), is_open: &str, then: &str| {
            let dir = tempfile::tempdir().unwrap();
            let mut log = LogFile::with_size(dir.path(), true, 90).unwrap();
            for second in 0..5 {
                log.write_all(&line(second)).unwrap();
            }
            take(dir.path());
            if is_open.is_empty() {
                assert_eq!(gaps(dir.path()), []);
            } else {
                assert_eq!(gaps(dir.path()), [(is_open.to_owned(), None)]);
            }
            log.write_all(&line(9)).unwrap();
            let [(why, until)] = gaps(dir.path()).try_into().unwrap();
            assert!(why.starts_with(then), "{why}");
            // Gone on with, it is told again.
            drop(log);
            LogFile::open(dir.path(), false).unwrap().write_all(&line(10)).unwrap();
            assert_eq!(gaps(dir.path()), [(why, until)]);
        };
        let file = |dir: &Path| dir.join("engine.log");
        let moved = |dir: &Path| fs::rename(file(dir), dir.join("away")).unwrap();
        check(
            &moved,
            "engine.log has been moved away or removed",
            "engine.log: what came before it",
        );
        let emptied = |dir: &Path| fs::write(file(dir), "").unwrap();
        check(&emptied, "engine.log has been emptied", "engine.log: what came before it");
    }

    #[test]
    fn a_file_that_is_gone_from_the_middle_or_while_nobody_writes_is_a_gap() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = LogFile::with_size(dir.path(), true, 90).unwrap();
        for second in 0..8 {
            log.write_all(&line(second)).unwrap();
        }
        let before = "what came before it has been moved away or removed";
        fs::remove_file(dir.path().join("engine.2.log")).unwrap();
        assert_eq!(gaps(dir.path()), [(format!("engine.1.log: {before}"), Some(6))]);
        fs::remove_file(dir.path().join("engine.3.log")).unwrap();
        drop(log);
        fs::remove_file(dir.path().join("engine.log")).unwrap();
        LogFile::with_size(dir.path(), false, 90).unwrap().write_all(&line(9)).unwrap();
        let engine_log = (format!("engine.log: {before}"), Some(9));
        assert_eq!(
            gaps(dir.path()),
            [(format!("engine.1.log: {before}"), Some(6)), engine_log.clone()]
        );
        fs::remove_file(dir.path().join("engine.1.log")).unwrap();
        assert_eq!(gaps(dir.path()), [engine_log]);
    }

    #[test]
    fn a_directory_that_had_an_engine_before_has_had_a_log() {
        let dir = tempfile::tempdir().unwrap();
        LogFile::open(dir.path(), false).unwrap().write_all(&line(3)).unwrap();
        let before = "engine.log: what came before it has been moved away or removed";
        assert_eq!(gaps(dir.path()), [(before.to_owned(), Some(3))]);
        let of_before = tempfile::tempdir().unwrap();
        fs::write(of_before.path().join("engine.log"), line(3)).unwrap();
        let why = "engine.log: its beginning is missing, or an engine of before has written it";
        assert_eq!(gaps(of_before.path()), [(why.to_owned(), Some(3))]);
    }

    /// The seconds of the lines behind a position, where they end, and how many gaps there are.
    fn after(dir: &Path, position: Position) -> (Vec<u64>, Position, usize) {
        let (mut seconds, mut gaps) = (Vec::new(), Gaps::default());
        let position = read_after(dir, position, &mut gaps, |line| {
            seconds.push(time_of(line).unwrap().as_ms() / 1_000);
            true
        });
        (seconds, position.to_string().parse().unwrap(), gaps.found().len())
    }

    #[test]
    fn a_log_is_followed_without_a_gap_and_without_a_line_twice() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = LogFile::with_size(dir.path(), true, 150).unwrap();
        let (mut position, mut followed) = (Position::default(), Vec::new());
        for second in 0..30 {
            log.write_all(&line(second)).unwrap();
            // Sometimes several files are put aside between two looks.
            if second % 7 < 3 {
                let (seconds, at, gaps) = after(dir.path(), position);
                assert_eq!(gaps, 0, "{seconds:?}");
                followed.extend(seconds);
                position = at;
            }
        }
        followed.extend(after(dir.path(), position).0);
        assert_eq!(followed, (0..30).collect::<Vec<_>>());
    }

    #[test]
    fn of_a_line_that_is_written_just_now_the_end_is_awaited() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = LogFile::open(dir.path(), true).unwrap();
        let (begin, end) = (&line(1)[..20], &line(1)[20..]);
        log.write_all(begin).unwrap();
        let (seconds, position, _) = after(dir.path(), Position::default());
        assert_eq!(seconds, [0; 0]);
        log.write_all(end).unwrap();
        let (seconds, position, gaps) = after(dir.path(), position);
        assert_eq!((seconds, gaps), (vec![1], 0));
        assert_eq!(after(dir.path(), position).0, [0; 0]);
    }

    #[test]
    fn who_follows_a_log_that_is_moved_away_or_emptied_is_told() {
        for empty in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let mut log = LogFile::open(dir.path(), true).unwrap();
            log.write_all(&line(1)).unwrap();
            let (_, position, _) = after(dir.path(), Position::default());
            let file = dir.path().join("engine.log");
            if empty { fs::write(file, "") } else { fs::rename(file, dir.path().join("x")) }
                .unwrap();
            log.write_all(&line(2)).unwrap();
            let (seconds, position, gaps) = after(dir.path(), position);
            assert_eq!((seconds, gaps), (vec![2], 1));
            log.write_all(&line(3)).unwrap();
            let (seconds, _, gaps) = after(dir.path(), position);
            assert_eq!((seconds, gaps), (vec![3], 0), "told once");
        }
    }

    #[test]
    fn lines_that_could_not_be_written_are_a_gap() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = LogFile::open(dir.path(), true).unwrap();
        let left_out = br#"{"timestamp":"1970-01-01T00:00:04.000Z","level":"WARN","message":"log lines left out","lines":3}"#;
        log.write_all(&[&line(3), &left_out[..], b"\n"].concat()).unwrap();
        assert_eq!(gaps(dir.path()), [("lines could not be written".to_owned(), Some(4))]);
    }

    /// As where no file descriptor or no room is left.
    #[test]
    fn a_file_that_cannot_be_put_aside_loses_no_history() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = LogFile::with_size(dir.path(), true, 4).unwrap();
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
