//! A test as a step of `cargo xtask test`: how it is told that it is wanted, and how it says why it
//! cannot run; and the commands of `cargo xtask` as processes.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, ensure};

/// Names the file that is to hold why a test was skipped. Without it the test is left out.
const SKIPPED: &str = "XTASK_SKIPPED";

/// What `cargo xtask` ends with where something is missing on this machine.
const MISSING: i32 = 3;

/// Runs a test that says why it is skipped, if it is.
pub(crate) fn run(name: &str, test: impl FnOnce() -> anyhow::Result<Option<String>>) {
    let Some(file) = std::env::var_os(SKIPPED) else {
        return tell(&format!("skipped: {name}: `cargo xtask test` runs it"));
    };
    match test() {
        Ok(None) => {}
        Ok(Some(reason)) => {
            tell(&format!("skipped: {name}: {reason}"));
            std::fs::write(file, reason).expect("the file of the step can be written");
        }
        Err(error) => panic!("{error:#}"),
    }
}

/// Straight to stderr, which the test harness does not hold back.
fn tell(text: &str) {
    use std::io::Write as _;
    // Without stderr there is nobody to tell.
    let _untold = writeln!(std::io::stderr(), "{text}");
}

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    dir.ancestors().nth(2).expect("crates/contract-tests is in the repository").to_owned()
}

/// Where cargo puts what it builds.
pub(crate) fn target_dir() -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    dir.parent().expect("target/tmp is in the target directory").to_owned()
}

/// A program that was built.
pub(crate) fn program(name: &str) -> PathBuf {
    target_dir().join("debug").join(name)
}

/// Runs a command of `cargo xtask` to its end, with its standard error shown and kept.
pub(crate) fn xtask(arguments: &[&str], environment: &[(&str, String)]) -> anyhow::Result<Ended> {
    eprintln!("$ cargo xtask {}", arguments.join(" "));
    let errors = tempfile::NamedTempFile::new()?;
    let mut command = Command::new(program("xtask"));
    command.args(arguments).envs(environment.iter().map(|(name, value)| (name, value)));
    // What cargo has told this test of its own package is not true of another program.
    if !environment.iter().any(|(name, _)| *name == "CARGO_PKG_NAME") {
        command.env_remove("CARGO_PKG_NAME").env_remove("CARGO_MANIFEST_DIR");
    }
    command.stdin(Stdio::null()).stderr(errors.reopen()?);
    let Output { status, stdout, .. } = command.output().context("starting xtask")?;
    let said = std::fs::read_to_string(errors.path())?;
    eprint!("{said}");
    Ok(Ended {
        command: format!("cargo xtask {}", arguments.join(" ")),
        code: status.code(),
        printed: String::from_utf8_lossy(&stdout).into_owned(),
        said,
    })
}

/// How a command ended.
pub(crate) struct Ended {
    pub(crate) command: String,
    pub(crate) code: Option<i32>,
    pub(crate) printed: String,
    pub(crate) said: String,
}

impl Ended {
    /// Why it could not run here, where something is missing on this machine.
    pub(crate) fn missing(&self) -> Option<String> {
        let error = self.said.lines().rfind(|line| line.starts_with("error: "));
        (self.code == Some(MISSING)).then(|| error.unwrap_or("something is missing").to_owned())
    }

    /// What it printed.
    ///
    /// # Errors
    ///
    /// When it ended with another code than 0.
    pub(crate) fn done(self) -> anyhow::Result<String> {
        let Self { command, code, printed, said } = self;
        ensure!(code == Some(0), "`{command}` ended with {code:?}; it said {said}");
        Ok(printed)
    }
}
