//! Programs from PyPI and npm, in pinned versions, installed into the target directory the first time.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

/// How long an installation may take.
const INSTALL_TIMEOUT: Duration = Duration::from_mins(5);

/// The folder of the programs of PyPI's `packages`, such as `boto3==1.44.8`; the first one names it.
///
/// # Errors
///
/// Why they cannot be had on this machine, for the user.
pub async fn python(target_dir: &Path, packages: &[&str]) -> Result<PathBuf, String> {
    let dir = target_dir.join(packages[0].replace("==", "-"));
    if !is_complete(&dir) {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&dir)).await?;
        let mut pip = Command::new(dir.join("bin/pip"));
        pip.args(["install", "--quiet", "--disable-pip-version-check"]).args(packages);
        run(&mut pip).await?;
        complete(&dir)?;
    }
    Ok(dir.join("bin"))
}

/// The folder in which npm's `packages` are, such as `sqs-consumer@14.2.8`; the first one names it.
///
/// # Errors
///
/// Why they cannot be had on this machine, for the user.
pub async fn npm(target_dir: &Path, packages: &[&str]) -> Result<PathBuf, String> {
    let dir = target_dir.join(packages[0].replace('@', "-"));
    if !is_complete(&dir) {
        std::fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        let mut npm = Command::new("npm");
        npm.current_dir(&dir).args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"]);
        run(npm.arg(&dir).args(packages)).await?;
        complete(&dir)?;
    }
    Ok(dir)
}

fn is_complete(dir: &Path) -> bool {
    dir.join("complete").exists()
}

fn complete(dir: &Path) -> Result<(), String> {
    let file = dir.join("complete");
    std::fs::write(&file, "").map_err(|error| format!("{}: {error}", file.display()))
}

async fn run(command: &mut Command) -> Result<(), String> {
    let name = command.as_std().get_program().to_string_lossy().into_owned();
    let output = tokio::time::timeout(INSTALL_TIMEOUT, command.kill_on_drop(true).output()).await;
    let output = output
        .map_err(|_elapsed| format!("{name} took more than {} s", INSTALL_TIMEOUT.as_secs()))?
        .map_err(|error| format!("{name} does not start: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let last_line = stderr.lines().last().unwrap_or_default();
    Err(format!("{name} ended with {}: {last_line}", output.status))
}
