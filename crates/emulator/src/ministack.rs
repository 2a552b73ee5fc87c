//! The emulator: `MiniStack`, a Python program, installed into the target directory.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;

use crate::background::Background;
use crate::{Error, io, run};

/// The release that is known to run the modules; the queues' contract is held against the same one.
pub const VERSION: &str = "1.5.33";

/// Where it listens, if nobody else does: the port that emulators have by custom.
const PORT: u16 = 4566;

/// An emulator, running or not.
#[derive(Debug, Clone)]
pub struct Emulator {
    process: Background,
    /// Cargo's target directory, below which it is installed.
    target_dir: PathBuf,
    /// What functions are told is its address, if that is another one.
    front: Option<String>,
}

impl Emulator {
    /// The emulator whose files are in `dir`, installed below `target_dir`.
    #[must_use]
    pub fn new(dir: PathBuf, target_dir: PathBuf) -> Self {
        Self { process: Background { name: "emulator", dir }, target_dir, front: None }
    }

    /// The same emulator, whose functions find it at the address `front`.
    #[must_use]
    pub fn behind(self, front: String) -> Self {
        Self { front: Some(front), ..self }
    }

    /// Whether it runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.process.running().is_some()
    }

    /// Its URL, if it runs.
    #[must_use]
    pub fn endpoint(&self) -> Option<String> {
        Some(format!("http://{}", self.process.running()?.address))
    }

    /// Starts it unless it runs, after installing it unless it is there.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] without Python or `PyPI`.
    pub fn ensure_running(&self) -> Result<(), Error> {
        if self.is_running() {
            return Ok(());
        }
        let program = self.install()?;
        let port = free_port()?;
        let dir = &self.process.dir;
        std::fs::create_dir_all(dir).map_err(io(format!("making {}", dir.display())))?;
        let mut command = Command::new(program);
        command.env("GATEWAY_PORT", port.to_string()).env("BIND_HOST", "127.0.0.1");
        command.env("PYTHONUNBUFFERED", "1").current_dir(dir);
        let own = format!("http://127.0.0.1:{port}");
        confine(&mut command, self.front.as_ref().unwrap_or(&own));
        self.process.start(&mut command, SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    }

    /// Stops it, and everything that was deployed to it is gone.
    ///
    /// # Errors
    ///
    /// When the file of its process cannot be deleted.
    pub fn stop(&self) -> Result<(), Error> {
        self.process.stop()
    }

    /// Installs it where the queues' contract tests have it, too.
    fn install(&self) -> Result<PathBuf, Error> {
        let venv = self.target_dir.join("tmp").join(format!("ministack-{VERSION}"));
        let complete = venv.join("complete");
        if !complete.exists() {
            let what =
                format!("ministack {VERSION}, which needs Python 3 with venv and access to PyPI,");
            run(&what, Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
            let mut pip = Command::new(venv.join("bin").join("pip"));
            pip.args(["install", "--quiet", "--disable-pip-version-check"]);
            // CloudWatch's SDK speaks CBOR, which the emulator understands with a package more.
            pip.args([&format!("ministack=={VERSION}"), "cbor2==6.3.0"]);
            run(&what, &mut pip)?;
            std::fs::write(&complete, VERSION)
                .map_err(io(format!("writing {}", complete.display())))?;
        }
        Ok(venv.join("bin").join("ministack"))
    }
}

/// Makes sure that nothing `command` does reaches AWS: no credentials but made-up ones, and no
/// endpoint but the emulator's.
pub fn confine(command: &mut Command, endpoint: &str) {
    for name in ["AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_ROLE_ARN"] {
        command.env_remove(name);
    }
    command
        .env("AWS_ACCESS_KEY_ID", "emulator")
        .env("AWS_SECRET_ACCESS_KEY", "emulator")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_ENDPOINT_URL", endpoint);
}

/// The customary port, or any other that is free.
fn free_port() -> Result<u16, Error> {
    let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let listener = bind(PORT).or_else(|_taken| bind(0));
    let address = listener.and_then(|listener| listener.local_addr());
    Ok(address.map_err(io("looking for a free port"))?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_of_the_user_never_reach_the_emulator() {
        let mut command = Command::new("terraform");
        command.env("AWS_PROFILE", "prod");
        confine(&mut command, "http://127.0.0.1:4566");
        let of = |name: &str| command.get_envs().find(|(key, _)| *key == name).map(|(_, it)| it);
        assert_eq!(of("AWS_PROFILE"), Some(None));
        assert_eq!(of("AWS_ENDPOINT_URL"), Some(Some("http://127.0.0.1:4566".as_ref())));
        assert_eq!(of("AWS_ACCESS_KEY_ID"), Some(Some("emulator".as_ref())));
    }
}
