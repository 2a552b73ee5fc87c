//! Child processes: shown before they run, and stopped with us.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use anyhow::{Context as _, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};
use terminal::exit::Failure;

use crate::workspace;

/// Says that programs are built already: the variable that `cargo xtask test` sets for the tests of
/// commands that build, as building fewer packages at a time would build shared ones differently.
/// With the value `all`, what is deployed is built as well, and nothing may be compiled: so it is where
/// a job holds credentials.
pub(crate) const BUILT_VARIABLE: &str = "XTASK_BUILT";

/// Whether nothing may be compiled.
pub(crate) fn all_is_built() -> bool {
    std::env::var_os(BUILT_VARIABLE).is_some_and(|value| value == "all")
}

/// Builds `packages`, unless everything is built.
pub(crate) fn build(packages: &[&str]) -> anyhow::Result<()> {
    if std::env::var_os(BUILT_VARIABLE).is_some() {
        return Ok(());
    }
    let mut cargo = cargo();
    cargo.arg("build");
    for package in packages {
        cargo.args(["--package", package]);
    }
    run(&mut cargo)
}

/// A command in the repository's root.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(workspace::root());
    command
}

/// Cargo, the one that runs us, without what it has told us of our own package: build scripts (ring's)
/// look at the same names, and with each change everything that needs them is built again.
pub(crate) fn cargo() -> Command {
    let mut cargo = command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _value) in std::env::vars_os() {
        let of_our_package =
            |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
        if name.to_str().is_some_and(of_our_package) {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// Shows `command` and runs it to its end.
///
/// # Errors
///
/// When it cannot be started, or ends with another code than 0.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = status(command)?;
    if !status.success() {
        bail!("`{}` ended with {status}", shown(command));
    }
    Ok(())
}

/// Shows `command`, runs it to its end and returns how it ended.
pub(crate) fn status(command: &mut Command) -> anyhow::Result<ExitStatus> {
    eprintln!("$ {}", shown(command));
    command.status().map_err(|error| cannot_start(command, &error))
}

/// Runs `command` quietly and returns what it printed.
///
/// # Errors
///
/// When it cannot be started, or ends with another code than 0; then with what it said.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().map_err(|error| cannot_start(command, &error))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` ended with {}: {}", shown(command), output.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

pub(crate) fn cannot_start(command: &Command, error: &std::io::Error) -> anyhow::Error {
    Failure::Environment.of(anyhow!("starting `{}`: {error}", command.get_program().display()))
}

/// A command as it could be typed, without the folder of the program.
pub(crate) fn shown(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let name = program.file_name().unwrap_or(command.get_program());
    let words = std::iter::once(name).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

/// A process that runs beside us and ends with us.
#[derive(Debug)]
pub(crate) struct Service {
    name: &'static str,
    child: Child,
    stopped: bool,
    code: Option<i32>,
}

impl Service {
    /// Starts `command`. It gets signals from us only, not from the terminal, so that each is sent
    /// once. Its standard input ends when we do, however that comes: a program that watches it ends too.
    /// Its standard output is the caller's to read.
    pub(crate) fn start(
        name: &'static str,
        command: &mut Command,
    ) -> anyhow::Result<(Self, BufReader<ChildStdout>)> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn().map_err(|error| cannot_start(command, &error))?;
        let stdout = child.stdout.take().expect("standard output is piped");
        Ok((Self { name, child, stopped: false, code: None }, BufReader::new(stdout)))
    }

    /// Asks the process to stop, and waits until it has.
    ///
    /// # Errors
    ///
    /// When it ends with another code than 0.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        self.signal(Signal::INT);
        self.wait()
    }

    /// Waits until the process has ended.
    ///
    /// # Errors
    ///
    /// When it ends with another code than 0.
    pub(crate) fn wait(&mut self) -> anyhow::Result<()> {
        let status = self.child.wait().with_context(|| format!("waiting for {}", self.name))?;
        (self.stopped, self.code) = (true, status.code());
        if status.success() { Ok(()) } else { bail!("{} ended with {status}", self.name) }
    }

    /// The code with which the process ended.
    pub(crate) fn code(&self) -> Option<i32> {
        self.code
    }

    /// The process's id, to signal it from another thread.
    pub(crate) fn pid(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
    }

    fn signal(&self, signal: Signal) {
        // A process that has ended already needs no signal.
        let _ended = self.pid().map(|pid| kill_process(pid, signal));
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if !self.stopped {
            self.signal(Signal::INT);
            let _ended = self.child.wait();
        }
    }
}

/// Reads lines of JSON until `wanted` gives something.
///
/// # Errors
///
/// When the output ends before, with the name of who ended.
pub(crate) fn await_line<T>(
    name: &str,
    lines: &mut BufReader<ChildStdout>,
    mut wanted: impl FnMut(&serde_json::Value) -> Option<T>,
) -> anyhow::Result<T> {
    let mut line = String::new();
    while lines.read_line(&mut line)? > 0 {
        if let Some(found) = serde_json::from_str(&line).ok().as_ref().and_then(&mut wanted) {
            return Ok(found);
        }
        line.clear();
    }
    bail!("{name} ended before it was ready; its reason stands above")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `cargo test` tells this test of its package, as `cargo run` does.
    #[test]
    fn what_cargo_says_of_us_is_not_handed_on() {
        let cargo = cargo();
        for name in ["CARGO_PKG_NAME", "CARGO_MANIFEST_DIR"] {
            assert!(std::env::var_os(name).is_some(), "{name}");
            let handed_on = cargo.get_envs().find(|(given, _)| *given == name);
            assert_eq!(handed_on, Some((name.as_ref(), None)));
        }
    }
}
