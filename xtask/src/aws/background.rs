//! Processes that stay when xtask ends: what `cargo xtask deploy local` starts, found again by a file
//! each, and stopped by `cargo xtask destroy local`.

use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use serde::{Deserialize, Serialize};

use super::local_dir;
use crate::process;

/// How long a process may take until it listens.
const START_PATIENCE: Duration = Duration::from_mins(1);
/// How long a process may take until it has stopped.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks at a process.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A process by its name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Background {
    pub(crate) name: &'static str,
}

/// What is kept of a running process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Running {
    /// Also the id of its process group.
    pid: i32,
    /// The program, to tell the process from another one with the same id.
    program: String,
    pub(crate) address: SocketAddr,
}

impl Background {
    /// The process, if it runs and listens.
    pub(crate) fn running(self) -> Option<Running> {
        let text = std::fs::read_to_string(self.file()).ok()?;
        let running: Running = serde_json::from_str(&text).ok()?;
        (running.is_ours() && listens(running.address)).then_some(running)
    }

    /// Starts the process and waits until it listens on `address`.
    pub(crate) fn start(self, command: &mut Command, address: SocketAddr) -> anyhow::Result<()> {
        let Self { name } = self;
        let dir = local_dir();
        std::fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
        if listens(address) {
            bail!("{name} cannot start: somebody else listens on {address}");
        }
        eprintln!("starting {name} on {address}");
        let log = File::create(self.log()).with_context(|| format!("writing {name}'s log"))?;
        // A group of its own: it must not get the terminal's Ctrl-C, and ends with what it started.
        command.stdin(Stdio::null()).stderr(log.try_clone()?).stdout(log).process_group(0);
        let mut child = command.spawn().map_err(|error| process::cannot_start(command, &error))?;
        let program = command.get_program().to_string_lossy().into_owned();
        let running = Running { pid: i32::try_from(child.id())?, program, address };
        std::fs::write(self.file(), serde_json::to_string(&running)?)
            .with_context(|| format!("writing {}", self.file().display()))?;
        let deadline = Instant::now() + START_PATIENCE;
        while !listens(address) {
            if let Some(status) = child.try_wait()? {
                bail!("{name} ended with {status}; it said: {}", self.last_words());
            }
            if Instant::now() >= deadline {
                bail!("{name} does not listen on {address}; it said: {}", self.last_words());
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// Stops the process and what it started, if it runs.
    pub(crate) fn stop(self) -> anyhow::Result<()> {
        let Ok(text) = std::fs::read_to_string(self.file()) else {
            return Ok(());
        };
        let running = serde_json::from_str::<Running>(&text);
        if let Some(running) = running.ok().filter(Running::is_ours) {
            eprintln!("stopping {}", self.name);
            running.stop()?;
        }
        std::fs::remove_file(self.file())
            .with_context(|| format!("deleting {}", self.file().display()))
    }

    fn file(self) -> PathBuf {
        local_dir().join(format!("{}.json", self.name))
    }

    fn log(self) -> PathBuf {
        local_dir().join(format!("{}.log", self.name))
    }

    fn last_words(self) -> String {
        let text = std::fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(5)..].join(" / ")
    }
}

impl Running {
    /// Whether the process is still the one that was started: ids are given again.
    fn is_ours(&self) -> bool {
        let mut ps = Command::new("ps");
        ps.args(["-o", "args=", "-p", &self.pid.to_string()]);
        let seen = ps.output().map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        seen.is_ok_and(|arguments| arguments.contains(&self.program))
    }

    fn stop(&self) -> anyhow::Result<()> {
        let group = Pid::from_raw(self.pid).context("a process id is not 0")?;
        let deadline = Instant::now() + STOP_PATIENCE;
        // A group that has ended already needs no signal.
        let _ended = kill_process_group(group, Signal::TERM);
        while self.is_ours() && test_kill_process_group(group).is_ok() {
            if Instant::now() >= deadline {
                let _ended = kill_process_group(group, Signal::KILL);
                break;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }
}

/// Whether somebody listens on `address`.
fn listens(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
}
