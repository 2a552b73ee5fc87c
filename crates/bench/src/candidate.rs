//! What is measured: the forwarder, the floor, and the original's way of working.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, bail};
use domain::config::Config;
use domain::environment::METRICS_VARIABLE;
use serde_json::json;

use crate::runtime_api::RuntimeApi;
use crate::sink::{Authority, Sink};

/// The runtime that the original runs under, from PyPI.
const AWSLAMBDARIC: &str = "awslambdaric==4.2.2";

/// A way of forwarding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Candidate {
    Floor,
    Forwarder,
    /// The forwarder that writes metrics, as it does on AWS.
    Metrics,
    Original,
}

/// A candidate's process, killed when dropped.
pub(crate) struct Running {
    child: Child,
    pub(crate) api: RuntimeApi,
    pub(crate) started: Instant,
}

impl Candidate {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Forwarder => "forwarder",
            Self::Metrics => "with metrics",
            Self::Original => "original",
        }
    }

    /// Starts the candidate's process.
    pub(crate) fn start(
        self,
        sink: &Sink,
        authority: &Authority,
        tools: &Path,
    ) -> anyhow::Result<Running> {
        let api = RuntimeApi::start()?;
        let programs =
            std::env::current_exe()?.parent().map(Path::to_owned).context("no folder")?;
        let mut command = match self {
            Self::Floor => Command::new(programs.join("floor")),
            Self::Forwarder | Self::Metrics => Command::new(programs.join("forwarder")),
            Self::Original => {
                let mut python = Command::new(tools.join("bin").join("python"));
                python.args(["-m", "awslambdaric", "handler.lambda_handler"]);
                python
            }
        };
        let original = concat!(env!("CARGO_MANIFEST_DIR"), "/original");
        command
            .env_clear()
            .envs(lambda_environment())
            .envs(forwarder_environment(&sink.url)?)
            .env("AWS_LAMBDA_RUNTIME_API", api.address())
            .env("FLOOR_TARGET", &sink.url)
            .env("ORIGINAL_TARGET", &sink.url)
            .env("SSL_CERT_FILE", &authority.file)
            .env("LAMBDA_TASK_ROOT", original)
            .env("PYTHONPATH", original)
            .env("PYTHONPYCACHEPREFIX", tools)
            .current_dir(original)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        if self == Self::Metrics {
            command.env(METRICS_VARIABLE, "emf");
        }
        let started = Instant::now();
        let child = command
            .spawn()
            .with_context(|| format!("starting {}", command.get_program().display()))?;
        Ok(Running { child, api, started })
    }
}

impl Running {
    /// Time on a processor so far, of all threads, in nanoseconds. Source: `proc(5)`, schedstat.
    pub(crate) fn cpu_ns(&self) -> anyhow::Result<u64> {
        let tasks = format!("/proc/{}/task", self.child.id());
        let mut total = 0;
        for task in std::fs::read_dir(&tasks).with_context(|| format!("reading {tasks}"))? {
            let schedstat = std::fs::read_to_string(task?.path().join("schedstat"))?;
            total += schedstat.split(' ').next().and_then(|ns| ns.parse::<u64>().ok()).unwrap_or(0);
        }
        Ok(total)
    }

    /// The most memory the process has had, in kilobytes. Source: `proc(5)`, `VmHWM`.
    pub(crate) fn peak_memory_kb(&self) -> anyhow::Result<u64> {
        memory_kb(self.child.id(), "VmHWM:")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone after this.
        let _ended = self.child.kill();
        let _waited = self.child.wait();
    }
}

/// A figure of a process's memory, in kilobytes.
pub(crate) fn memory_kb(pid: u32, name: &str) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))
        .context("reading a process's status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.trim().split(' ').next()?.parse().ok());
    number.with_context(|| format!("no {name} of process {pid}"))
}

/// Installs the original's runtime into the target directory, unless it is there.
pub(crate) fn install_original() -> anyhow::Result<PathBuf> {
    let target =
        std::env::current_exe()?.ancestors().nth(2).map(Path::to_owned).context("no folder")?;
    let venv = target.join("tools").join(AWSLAMBDARIC.replace("==", "-"));
    let pip = venv.join("bin").join("pip");
    if venv.join("installed").exists() {
        return Ok(venv);
    }
    let steps = [
        Command::new("python3").args(["-m", "venv"]).arg(&venv).status(),
        Command::new(&pip).args(["install", "--quiet", AWSLAMBDARIC]).status(),
    ];
    for status in steps {
        let status = status.context("the original needs Python 3")?;
        if !status.success() {
            bail!("installing {AWSLAMBDARIC} ended with {status}");
        }
    }
    std::fs::write(venv.join("installed"), AWSLAMBDARIC)?;
    Ok(venv)
}

/// What Lambda sets. Source: Lambda guide, "Environment variables".
fn lambda_environment() -> [(&'static str, &'static str); 9] {
    [
        ("AWS_LAMBDA_FUNCTION_NAME", "bench"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "bench"),
        ("AWS_SECRET_ACCESS_KEY", "bench"),
        ("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:9"),
        ("PATH", "/usr/bin:/bin"),
        ("LANG", "C.UTF-8"),
    ]
}

fn forwarder_environment(
    target: &str,
) -> anyhow::Result<std::collections::BTreeMap<String, String>> {
    let file = json!({
        "environment": "bench",
        "routes": { "sss": {
            "path": "/sqs-hook",
            "ordering_key": "$request.header.x-workflow-id",
            "pass_headers": ["content-type", "x-workflow-id"],
            "destinations": [{ "name": "sss", "url": format!("{target}/application-hook") }],
        }},
    });
    let config = Config::parse(&file.to_string())?;
    Ok(config.forwarder_environment(
        "http://127.0.0.1:9/1/webhook.fifo",
        "http://127.0.0.1:9/1/dlq.fifo",
    ))
}
