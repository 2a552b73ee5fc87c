//! Files of events: a line of JSON each, bodies included.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use serde::Serialize;
use tempfile::NamedTempFile;

use crate::people;

/// Where events are written that are taken away, if nothing else is said: `WHAT-TIME.jsonl`.
pub(crate) fn default_file(what: &str) -> PathBuf {
    let now = people::now().to_string();
    format!("{what}-{}.jsonl", now.replace([':', '-'], "")).into()
}

/// A new file that only its owner can read, and that is there once it is complete; or standard output.
pub(crate) struct ExportFile {
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
    pub(crate) fn create(path: &Path) -> anyhow::Result<Self> {
        let path = path.to_owned();
        if path == Path::new("-") {
            return Ok(Self { path, out: Out::Stdout(io::stdout()), count: 0 });
        }
        let exists =
            || format!("{} is there already, and may hold what is nowhere else", path.display());
        ensure!(!path.try_exists().unwrap_or(true), exists());
        // Readable for its owner only. Source: tempfile, "Security".
        let file = NamedTempFile::with_prefix_in(".exported-", dir_of(&path));
        let file = file.with_context(|| format!("creating {}", path.display()))?;
        Ok(Self { path, out: Out::File(BufWriter::new(file)), count: 0 })
    }

    pub(crate) fn is_stdout(&self) -> bool {
        matches!(self.out, Out::Stdout(_))
    }

    /// A line of JSON.
    pub(crate) fn write(&mut self, it: &impl Serialize) -> anyhow::Result<()> {
        let line = serde_json::to_string(it)?;
        let out: &mut dyn Write = match &mut self.out {
            Out::File(file) => file,
            Out::Stdout(stdout) => stdout,
        };
        writeln!(out, "{line}").with_context(|| format!("writing {}", self.path.display()))?;
        self.count += 1;
        Ok(())
    }

    /// Makes it durable, gives it its name, and says how many it holds.
    pub(crate) fn finish(self) -> anyhow::Result<u64> {
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
