//! `dlq export`: dead letters into a file, complete.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use commands::dlq::Export;
use serde_json::json;
use tempfile::NamedTempFile;

use super::choice::Choice;
use super::look::look;
use super::note_none_chosen;
use crate::letter::{DeadLetter, Letter};
use crate::queue::Looked;
use crate::{environment, people};

pub(super) async fn run(given: Export) -> anyhow::Result<ExitCode> {
    let environment = environment::connect(&given.of.environment).await?;
    let select = given.select.select();
    let now = environment.queue_time().await?;
    let mut choice = Choice::of(&select, now)?;
    let mut out = ExportFile::create(&given.of.file)?;
    let file = given.of.file.display().to_string();
    let what = json!({ "file": file, "selection": select.audited(now) });
    let action = environment.audit().begin("dlq export", None, what, given.audit).await?;
    let is_stdout = out.is_stdout();
    let written = async {
        let write = |letter: &DeadLetter| {
            if choice.includes(letter) { out.write(letter) } else { Ok(()) }
        };
        let looked = look(&environment, write).await?;
        choice.check(looked)?;
        Ok((looked, out.finish()?))
    };
    let written = written.await;
    let (looked, count) = match &written {
        Ok((looked, count)) => (Some(*looked), Some(*count)),
        Err(_) => (None, None),
    };
    let unseen = looked.map(Looked::unseen);
    let what = json!({ "file": file, "count": count, "unseen": unseen });
    let (looked, count) = action.end(what, written).await?;
    if count == 0 {
        note_none_chosen(&environment, looked, &select).await?;
    }
    let said = if given.json {
        json!({ "file": file, "count": count, "unseen": looked.unseen() }).to_string()
    } else {
        let written = people::count(count, "dead letter");
        format!("{written} written to {file}, and still in the queue")
    };
    // The letters themselves are there.
    if is_stdout {
        eprintln!("{said}");
    } else {
        println!("{said}");
    }
    Ok(looked.exit_code())
}

/// A new file that only its owner can read, and that is there once it is complete; or standard output.
pub(super) struct ExportFile {
    path: PathBuf,
    out: Out,
    count: u64,
}

enum Out {
    File(BufWriter<NamedTempFile>),
    Stdout(io::Stdout),
}

impl ExportFile {
    /// Begins it.
    ///
    /// # Errors
    ///
    /// When there is one already: what it holds may be all that is left of dead letters.
    pub(super) fn create(path: &Path) -> anyhow::Result<Self> {
        let path = path.to_owned();
        if path == Path::new("-") {
            return Ok(Self { path, out: Out::Stdout(io::stdout()), count: 0 });
        }
        let exists =
            || format!("{} is there already, and may hold what is nowhere else", path.display());
        ensure!(!path.try_exists().unwrap_or(true), exists());
        // Readable for its owner only. Source: tempfile, "Security".
        let file = NamedTempFile::with_prefix_in(".dead-letters-", dir_of(&path));
        let file = file.with_context(|| format!("creating {}", path.display()))?;
        Ok(Self { path, out: Out::File(BufWriter::new(file)), count: 0 })
    }

    pub(super) fn is_stdout(&self) -> bool {
        matches!(self.out, Out::Stdout(_))
    }

    pub(super) fn write(&mut self, letter: &DeadLetter) -> anyhow::Result<()> {
        let line = serde_json::to_string(&Letter::from(letter))?;
        let out: &mut dyn Write = match &mut self.out {
            Out::File(file) => file,
            Out::Stdout(stdout) => stdout,
        };
        writeln!(out, "{line}").with_context(|| format!("writing {}", self.path.display()))?;
        self.count += 1;
        Ok(())
    }

    /// Makes it durable, gives it its name, and says how many it holds.
    pub(super) fn finish(self) -> anyhow::Result<u64> {
        let writing = || format!("writing {}", self.path.display());
        match self.out {
            Out::Stdout(mut stdout) => stdout.flush().with_context(writing)?,
            Out::File(file) => {
                let file = file.into_inner().map_err(io::IntoInnerError::into_error);
                let file = file.with_context(writing)?;
                file.as_file().sync_all().with_context(writing)?;
                file.persist_noclobber(&self.path).with_context(writing)?;
                let dir = std::fs::File::open(dir_of(&self.path)).with_context(writing)?;
                dir.sync_all().with_context(writing)?;
            }
        }
        Ok(self.count)
    }
}

/// The directory that a file is in.
fn dir_of(file: &Path) -> &Path {
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty());
    dir.unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_is_there_when_it_is_complete_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("all.jsonl");
        drop(ExportFile::create(&path).unwrap());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing of it is left");
        let (one, other) = (ExportFile::create(&path).unwrap(), ExportFile::create(&path).unwrap());
        one.finish().unwrap();
        assert!(other.finish().is_err(), "somebody else was quicker");
        assert!(ExportFile::create(&path).is_err());
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_file_without_a_directory_is_in_this_one() {
        let dir = |file: &'static str| dir_of(Path::new(file)).to_str().unwrap();
        assert_eq!([dir("all.jsonl"), dir("a/all.jsonl"), dir("/all.jsonl")], [".", "a", "/"]);
    }
}
