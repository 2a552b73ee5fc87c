//! One run at a time works on an environment on this machine: the lock dies with its process, and a
//! Terraform that outlives the run that started it is waited for.
//!
//! Across machines nothing is locked but the state while Terraform works on it; a plan that was made
//! before somebody else's change is refused by Terraform as stale.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::terraform;

/// The name of the file that is locked.
const LOCK_FILE: &str = "lock";

/// The lock of an environment, held while this lives.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of `environment`, whose files are in `dir`: waits for another run, and for a
    /// Terraform that a killed one has left behind.
    ///
    /// # Errors
    ///
    /// When the files in `dir` cannot be opened.
    pub(crate) fn take(environment: &str, dir: &Path) -> anyhow::Result<Self> {
        let path = dir.join(LOCK_FILE);
        let mut open = OpenOptions::new();
        let file = open.read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = file.with_context(|| format!("opening {}", path.display()))?;
        wait_for(&file, || {
            let mut holder = String::new();
            let mut said = &file;
            let _unknown = said.read_to_string(&mut holder);
            eprintln!("waiting: {} works on {environment}", holder.trim());
        })
        .with_context(|| format!("locking {}", path.display()))?;
        for log in logs(dir)? {
            let opened = File::open(&log).with_context(|| format!("opening {}", log.display()))?;
            wait_for(&opened, || {
                eprintln!(
                    "waiting: terraform (process {}) of a run that was killed still works on \
                     {environment}; Ctrl-C ends the waiting, and not Terraform",
                    terraform::running(environment).join(", ")
                );
            })
            .with_context(|| format!("waiting for the end of {}", log.display()))?;
        }
        file.set_len(0)?;
        file.rewind()?;
        write!(file, "`{}` (process {})", typed(), std::process::id())?;
        Ok(Self { _file: file })
    }
}

/// Locks `file`; says so first if that takes until somebody else lets go.
fn wait_for(file: &File, say: impl FnOnce()) -> std::io::Result<()> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::Error(error)) => Err(error),
        Err(TryLockError::WouldBlock) => {
            say();
            file.lock()
        }
    }
}

/// What Terraform writes its output into; locked as long as it does.
fn logs(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = dir.read_dir().with_context(|| format!("looking into {}", dir.display()))?;
    let mut logs = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            logs.push(path);
        }
    }
    Ok(logs)
}

/// The command that was typed.
fn typed() -> String {
    let arguments = std::env::args().skip(1).collect::<Vec<_>>();
    format!("cargo xtask {}", arguments.join(" "))
}
