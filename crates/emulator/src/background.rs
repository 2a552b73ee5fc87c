//! Processes that stay when who started them ends, found again by a file each.

use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use serde::{Deserialize, Serialize};

use crate::{Error, io};

/// How long a process may take until it listens.
const START_PATIENCE: Duration = Duration::from_mins(1);
/// How long a process may take until it has stopped.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks at a process.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A process by its name, and the folder where its file and its log are.
#[derive(Debug, Clone)]
pub struct Background {
    /// What it is called.
    pub name: &'static str,
    /// Where it is kept.
    pub dir: PathBuf,
}

/// What is kept of a running process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Running {
    /// Also the id of its process group.
    pid: i32,
    /// The program, to tell the process from another one with the same id.
    program: String,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Background {
    /// The process, if it runs and listens.
    #[must_use]
    pub fn running(&self) -> Option<Running> {
        let text = std::fs::read_to_string(self.file()).ok()?;
        let running: Running = serde_json::from_str(&text).ok()?;
        (running.is_ours() && listens(running.address)).then_some(running)
    }

    /// Starts the process and waits until it listens on `address`.
    ///
    /// # Errors
    ///
    /// When somebody else listens there, the program is missing, or it does not listen in time.
    pub fn start(&self, command: &mut Command, address: SocketAddr) -> Result<(), Error> {
        let Self { name, dir } = self;
        std::fs::create_dir_all(dir).map_err(io(format!("making {}", dir.display())))?;
        if listens(address) {
            let reason = format!("cannot start: somebody else listens on {address}");
            return Err(self.error(reason));
        }
        eprintln!("starting {name} on {address}");
        let log = File::create(self.log()).map_err(io(format!("writing {name}'s log")))?;
        let errors = log.try_clone().map_err(io(format!("writing {name}'s log")))?;
        // A group of its own: it must not get the terminal's Ctrl-C, and ends with what it started.
        command.stdin(Stdio::null()).stderr(errors).stdout(log).process_group(0);
        let program = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .spawn()
            .map_err(|error| Error::Missing { what: program.clone(), reason: error.to_string() })?;
        let pid = child.id().try_into().expect("process ids of Unix are 31 bits");
        let running = Running { pid, program, address };
        let text = serde_json::to_string(&running).expect("a number and two texts are JSON");
        std::fs::write(self.file(), text)
            .map_err(io(format!("writing {}", self.file().display())))?;
        let deadline = Instant::now() + START_PATIENCE;
        while !listens(address) {
            if let Some(status) = child.try_wait().map_err(io(format!("waiting for {name}")))? {
                let reason = format!("ended with {status}; it said: {}", self.last_words());
                return Err(self.error(reason));
            }
            if Instant::now() >= deadline {
                let reason =
                    format!("does not listen on {address}; it said: {}", self.last_words());
                return Err(self.error(reason));
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// Stops the process and what it started, if it runs.
    ///
    /// # Errors
    ///
    /// When its file cannot be deleted.
    pub fn stop(&self) -> Result<(), Error> {
        let Ok(text) = std::fs::read_to_string(self.file()) else {
            return Ok(());
        };
        let running = serde_json::from_str::<Running>(&text);
        if let Some(running) = running.ok().filter(Running::is_ours) {
            eprintln!("stopping {}", self.name);
            running.stop();
        }
        std::fs::remove_file(self.file()).map_err(io(format!("deleting {}", self.file().display())))
    }

    fn error(&self, reason: String) -> Error {
        Error::Process { name: self.name, reason }
    }

    fn file(&self) -> PathBuf {
        self.dir.join(format!("{}.json", self.name))
    }

    fn log(&self) -> PathBuf {
        self.dir.join(format!("{}.log", self.name))
    }

    fn last_words(&self) -> String {
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

    fn stop(&self) {
        // 0 would be our own group.
        let Some(group) = Pid::from_raw(self.pid) else { return };
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
    }
}

/// Whether somebody listens on `address`.
fn listens(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
}
