//! The AWS emulator that `local` is deployed to: `MiniStack`, a Python program, installed into the
//! target directory.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;

use super::background::Background;
use super::local_dir;
use crate::exit::Failure;
use crate::{process, workspace};

/// The release that is known to run the modules; the queues' contract is held against the same one.
const VERSION: &str = "1.5.33";

/// Where it listens, if nobody else does: the port that emulators have by custom.
const PORT: u16 = 4566;

const EMULATOR: Background = Background { name: "emulator" };

/// Whether it runs.
pub(crate) fn is_running() -> bool {
    EMULATOR.running().is_some()
}

/// Its URL.
///
/// # Errors
///
/// When it does not run.
pub(crate) fn endpoint() -> anyhow::Result<String> {
    let running = EMULATOR
        .running()
        .context("the emulator does not run; `cargo xtask deploy local` starts it")?;
    Ok(format!("http://{}", running.address))
}

/// Points `command` at it, if it runs.
pub(crate) fn confine_if_running(command: &mut Command) {
    if let Ok(endpoint) = endpoint() {
        confine(command, &endpoint);
    }
}

/// Starts it unless it runs, after installing it unless it is there.
pub(crate) fn ensure_running() -> anyhow::Result<()> {
    if is_running() {
        return Ok(());
    }
    let program = install().map_err(|error| {
        error.context(format!(
            "installing ministack {VERSION} needs Python 3 with venv and access to PyPI"
        ))
    })?;
    let port = free_port()?;
    let dir = local_dir();
    std::fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
    let mut command = Command::new(program);
    command.env("GATEWAY_PORT", port.to_string()).env("BIND_HOST", "127.0.0.1");
    command.env("PYTHONUNBUFFERED", "1").current_dir(&dir);
    confine(&mut command, &format!("http://127.0.0.1:{port}"));
    EMULATOR.start(&mut command, SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
}

/// Stops it, and everything that was deployed to it is gone.
pub(crate) fn stop() -> anyhow::Result<()> {
    EMULATOR.stop()
}

/// Makes sure that nothing `command` does reaches AWS: no credentials but made-up ones, and no
/// endpoint but the emulator's.
pub(crate) fn confine(command: &mut Command, endpoint: &str) {
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
fn free_port() -> anyhow::Result<u16> {
    let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let listener = bind(PORT).or_else(|_taken| bind(0)).context("looking for a free port")?;
    Ok(listener.local_addr()?.port())
}

/// Installs it where the queues' contract tests have it, too.
fn install() -> anyhow::Result<PathBuf> {
    let venv = workspace::target_dir().join("tmp").join(format!("ministack-{VERSION}"));
    let complete = venv.join("complete");
    if !complete.exists() {
        let missing = |error: anyhow::Error| error.context(Failure::Environment);
        process::run(process::command("python3").args(["-m", "venv", "--clear"]).arg(&venv))
            .map_err(missing)?;
        let mut pip = process::command(venv.join("bin").join("pip"));
        pip.args(["install", "--quiet", "--disable-pip-version-check"]);
        // CloudWatch's SDK speaks CBOR, which the emulator understands with a package more.
        pip.args([&format!("ministack=={VERSION}"), "cbor2==6.3.0"]);
        process::run(&mut pip).map_err(missing)?;
        std::fs::write(&complete, VERSION)
            .with_context(|| format!("writing {}", complete.display()))?;
    }
    Ok(venv.join("bin").join("ministack"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_modules_run_on_the_release_that_the_contract_is_held_against() {
        let contract = include_str!("../../../crates/contract-tests/src/queue/ministack.rs");
        assert!(contract.contains(&format!("pub const VERSION: &str = \"{VERSION}\";")));
    }

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
