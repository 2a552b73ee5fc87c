//! Another implementation of SQS, to hold the scenarios against: `MiniStack`, a Python program,
//! installed into the target directory.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::client::Queues;
use crate::installed;

/// The release that [`differences`](super::differences) describes.
pub const VERSION: &str = emulator::VERSION;

/// A running `MiniStack`; it ends with this.
pub struct MiniStack {
    process: Child,
    /// Its queues.
    pub queues: Queues,
}

impl Drop for MiniStack {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl MiniStack {
    /// Installs it below `target_dir` unless it is there, and starts it.
    ///
    /// # Errors
    ///
    /// Why it cannot be had on this machine, for the user.
    pub async fn start(target_dir: &Path) -> Result<Self, String> {
        // CloudWatch's SDK speaks CBOR, which the emulator understands with a package more.
        let packages = [&*format!("ministack=={VERSION}"), "cbor2==6.3.0"];
        let program = installed::python(target_dir, &packages).await?.join("ministack");
        let port = free_port().map_err(|error| format!("no port is free: {error}"))?;
        let mut process = Command::new(&program)
            .env("GATEWAY_PORT", port.to_string())
            .env("PYTHONUNBUFFERED", "1")
            .current_dir(target_dir)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{} does not start: {error}", program.display()))?;
        let stderr = process.stderr.take().expect("stderr is piped");
        let mut started = Self { process, queues: Queues::at(&format!("http://127.0.0.1:{port}")) };
        let mut lines = BufReader::new(stderr).lines();
        let ready =
            lines.by_ref().map_while(Result::ok).any(|line| line.contains("Running on http"));
        if !ready {
            let status = started.process.wait();
            return Err(format!("{} ended at its start: {status:?}", program.display()));
        }
        // It would stop at a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(started)
    }
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
