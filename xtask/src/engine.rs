//! The engine as a process: building it, starting it, finding a running one.

use std::fs::File;
use std::io::{BufReader, ErrorKind};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ChildStdout;

use anyhow::{Context as _, anyhow};
use serde::Deserialize;

use crate::exit::Failure;
use crate::process::{self, Service};
use crate::workspace;

/// The name of the file by which a running engine can be found, in its data directory.
const ENGINE_FILE: &str = "engine.json";
/// How the names of the files in a data directory begin, the engine's and those of operators.
const DATA_FILES: [&str; 9] = [
    "queues.db",
    "reserve.",
    "engine.",
    "event-source-mapping.",
    "schedule.",
    "access-key-id",
    LOCK_FILE,
    "audit.",
    "skips.",
];
/// The name of the file that a running engine has locked, in its data directory.
const LOCK_FILE: &str = "lock";

/// How an engine is started.
#[derive(Debug)]
pub(crate) struct Start<'a> {
    pub(crate) config: &'a Path,
    pub(crate) data_dir: &'a Path,
    pub(crate) listen: SocketAddr,
    pub(crate) api_listen: SocketAddr,
    pub(crate) target: &'a str,
    /// By which command of ours it is started again.
    pub(crate) command: &'a str,
}

/// What a running engine says of itself.
#[derive(Debug, Deserialize)]
pub(crate) struct Running {
    pub(crate) ingest: String,
}

/// Builds the engine, the forwarder and what `more` names.
pub(crate) fn build(more: &[&str]) -> anyhow::Result<()> {
    process::build(&[&["engine", "forwarder"], more].concat())
}

/// Starts an engine; its log is the caller's to read.
pub(crate) fn start(start: &Start<'_>) -> anyhow::Result<(Service, BufReader<ChildStdout>)> {
    let mut command = process::command(workspace::program("webhook-engine"));
    command
        .arg("--config")
        .arg(start.config)
        .arg("--data-dir")
        .arg(start.data_dir)
        .arg("--forwarder")
        .arg(workspace::program("forwarder"))
        .args(["--listen", &start.listen.to_string()])
        .args(["--api-listen", &start.api_listen.to_string()])
        .args(["--target", start.target])
        .env("WEBHOOK_ENGINE_START_COMMAND", start.command);
    Service::start("the engine", &mut command)
}

/// Starts a stub on `listen` and returns its URL. It is told to log nothing more, as nobody reads it.
pub(crate) fn start_stub(listen: SocketAddr) -> anyhow::Result<(Service, String)> {
    let mut command = process::command(workspace::program("sss-stub"));
    command.args(["--quiet", "--listen", &listen.to_string()]);
    let (service, mut log) = Service::start("the stub", &mut command)?;
    let address = process::await_line("the stub", &mut log, |line| {
        (line["message"] == "listening").then(|| line["address"].as_str().map(str::to_owned))?
    })?;
    Ok((service, format!("http://{address}")))
}

/// What names the engine in `data_dir` to commands of ours, if it has to be named.
pub(crate) fn data_dir_option(data_dir: &Path) -> String {
    if data_dir == workspace::data_dir("local") {
        return String::new();
    }
    let dir = data_dir.to_string_lossy();
    format!(" --data-dir {}", shlex::try_quote(&dir).unwrap_or_else(|_nul| dir.clone()))
}

/// The engine that runs in `data_dir`.
pub(crate) fn running(data_dir: &Path) -> anyhow::Result<Running> {
    let file = data_dir.join(ENGINE_FILE);
    let text = std::fs::read_to_string(&file).map_err(|error| {
        let what_to_do = match error.kind() {
            ErrorKind::NotFound => {
                format!(
                    "no engine runs there; `cargo xtask local{}` starts one",
                    data_dir_option(data_dir)
                )
            }
            ErrorKind::PermissionDenied => "only the engine's user and root may".to_owned(),
            _ => "is it an engine's data directory?".to_owned(),
        };
        anyhow!("reading {}: {error}: {what_to_do}", file.display()).context(Failure::Environment)
    })?;
    serde_json::from_str(&text).with_context(|| format!("in {}", file.display()))
}

/// Fails if `dir` holds anything but an engine's data, or is in use.
pub(crate) fn check_removable(dir: &Path) -> anyhow::Result<()> {
    if !dir.exists() {
        return Ok(());
    }
    let entries = std::fs::read_dir(dir).with_context(|| format!("looking into {}", dir.display()));
    for entry in entries.map_err(|error| error.context(Failure::Usage))? {
        let name = entry?.file_name();
        let ours = name.to_str().is_some_and(|name| DATA_FILES.iter().any(|f| name.starts_with(f)));
        if !ours {
            let error = anyhow!(
                "{} holds {}, which is not the engine's; it is left as it is",
                dir.display(),
                name.display()
            );
            return Err(error.context(Failure::Usage));
        }
    }
    // Without a lock file no engine has ever run here.
    let unlocked = File::open(dir.join(LOCK_FILE)).map_or(Ok(()), |lock| lock.try_lock());
    unlocked.map_err(|_held| {
        anyhow!("an engine runs in {}; stop it first", dir.display()).context(Failure::Environment)
    })
}
