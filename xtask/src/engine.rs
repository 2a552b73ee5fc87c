//! The engine as a process: building it, starting it, finding a running one.

use std::io::BufReader;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ChildStdout;

use anyhow::{Context as _, anyhow};
use serde::Deserialize;

use crate::exit::Failure;
use crate::process::{self, Service, cargo};
use crate::workspace;

/// The name of the file by which a running engine can be found, in its data directory.
const ENGINE_FILE: &str = "engine.json";
/// The name of the engine's database, in its data directory.
const DATABASE_FILE: &str = "queues.db";

/// How an engine is started.
#[derive(Debug)]
pub(crate) struct Start<'a> {
    pub(crate) config: &'a Path,
    pub(crate) data_dir: &'a Path,
    pub(crate) listen: SocketAddr,
    pub(crate) api_listen: SocketAddr,
    pub(crate) target: &'a str,
}

/// What a running engine says of itself.
#[derive(Debug, Deserialize)]
pub(crate) struct Running {
    pub(crate) ingest: String,
}

/// Builds the engine, the forwarder and what `more` names.
pub(crate) fn build(more: &[&str]) -> anyhow::Result<()> {
    let mut cargo = cargo();
    cargo.args(["build", "--package", "engine", "--package", "forwarder"]);
    for package in more {
        cargo.args(["--package", package]);
    }
    process::run(&mut cargo)
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
        .args(["--target", start.target]);
    Service::start("the engine", &mut command)
}

/// Starts a stub on `listen` and returns its URL. Its log is read and thrown away.
pub(crate) fn start_stub(listen: SocketAddr) -> anyhow::Result<(Service, String)> {
    let mut command = process::command(workspace::program("sss-stub"));
    command.args(["--quiet", "--listen", &listen.to_string()]);
    let (service, mut log) = Service::start("the stub", &mut command)?;
    let address = process::await_line("the stub", &mut log, |line| {
        (line["message"] == "listening").then(|| line["address"].as_str().map(str::to_owned))?
    })?;
    Ok((service, format!("http://{address}")))
}

/// The engine that runs in `data_dir`.
pub(crate) fn running(data_dir: &Path) -> anyhow::Result<Running> {
    let file = data_dir.join(ENGINE_FILE);
    let text = std::fs::read_to_string(&file).map_err(|error| {
        anyhow!(
            "no engine runs here: reading {}: {error}; start one with `cargo xtask local`",
            file.display()
        )
        .context(Failure::Environment)
    })?;
    serde_json::from_str(&text).with_context(|| format!("in {}", file.display()))
}

/// Whether `dir` is an engine's data directory.
pub(crate) fn is_data_dir(dir: &Path) -> bool {
    dir.join(DATABASE_FILE).exists() || dir.join(ENGINE_FILE).exists()
}
