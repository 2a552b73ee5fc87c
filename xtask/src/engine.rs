//! The engine as a process: building it, starting it, finding a running one.

use std::fs::File;
use std::io::BufReader;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ChildStdout;

use anyhow::{Context as _, anyhow};
use domain::environment::is_data_file;
use terminal::exit::Failure;
use url::{Host, Url};

use crate::process::{self, Service};
use crate::workspace;

/// The name of the file by which a running engine can be found, in its data directory.
const ENGINE_FILE: &str = "engine.json";
/// The name of the file that a running engine has locked, in its data directory.
const LOCK_FILE: &str = "lock";

/// What ends a program of ours, in good order, with the process that started it, however that ends.
const UNTIL_STDIN_ENDS: &str = "--until-stdin-ends";

/// How an engine is started.
#[derive(Debug)]
pub(crate) struct Start<'a> {
    pub(crate) config: &'a Path,
    pub(crate) data_dir: &'a Path,
    pub(crate) listen: SocketAddr,
    pub(crate) api_listen: SocketAddr,
    /// Where everything goes instead of the configured destinations.
    pub(crate) target: Option<&'a str>,
    /// Whether it is not to start where what waits was accepted for other destinations.
    pub(crate) keep_destinations: bool,
    /// By which command of ours it is started again.
    pub(crate) command: &'a str,
}

/// Whether a URL is of this machine alone.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
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
        .arg(UNTIL_STDIN_ENDS)
        .env("WEBHOOK_ENGINE_START_COMMAND", start.command);
    if let Some(target) = start.target {
        command.args(["--target", target]);
    }
    if start.keep_destinations {
        command.arg("--keep-destinations");
    }
    Service::start("the engine", &mut command)
}

/// Starts a stub on `listen` and returns its URL. It is told to log nothing more, as nobody reads it.
pub(crate) fn start_stub(listen: SocketAddr) -> anyhow::Result<(Service, String)> {
    let mut command = process::command(workspace::program("sss-stub"));
    command.args(["--quiet", UNTIL_STDIN_ENDS, "--listen", &listen.to_string()]);
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

/// Whether an engine says in `data_dir` that it runs there.
pub(crate) fn is_running(data_dir: &Path) -> bool {
    data_dir.join(ENGINE_FILE).exists()
}

/// Fails if `dir` holds anything but an engine's data, or is in use.
pub(crate) fn check_removable(dir: &Path) -> anyhow::Result<()> {
    if !dir.exists() {
        return Ok(());
    }
    let entries = std::fs::read_dir(dir).with_context(|| format!("looking into {}", dir.display()));
    for entry in entries.map_err(|error| Failure::Usage.of(error))? {
        let name = entry?.file_name();
        if !name.to_str().is_some_and(is_data_file) {
            let error = anyhow!(
                "{} holds {}, which is not the engine's; it is left as it is",
                dir.display(),
                name.display()
            );
            return Err(Failure::Usage.of(error));
        }
    }
    // Without a lock file no engine has ever run here.
    let unlocked = File::open(dir.join(LOCK_FILE)).map_or(Ok(()), |lock| lock.try_lock());
    unlocked.map_err(|_held| {
        Failure::Environment.of(anyhow!("an engine runs in {}; stop it first", dir.display()))
    })
}
