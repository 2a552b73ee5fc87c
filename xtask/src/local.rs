//! `cargo xtask local`

use std::io::BufRead as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use rustix::process::{Signal, kill_process};
use serde_json::Value;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::engine::{self, Start};
use crate::{events, workspace};

const LISTEN: &str = "127.0.0.1:8080";
const API_LISTEN: &str = "127.0.0.1:9324";

/// Run the queue on this machine, with a stand-in for your service or in front of your own
///
/// Builds and starts everything, prints where to post, and then a line for every step an event takes.
/// Events are kept in the data directory: stop it, kill it, start it again, and they are still there.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask local\n  cargo xtask local --target http://127.0.0.1:3000/webhook\n  cargo xtask local --fresh"
)]
pub(crate) struct Local {
    /// Deliver to this URL instead of a stand-in; the configured paths stay unless it has one
    #[arg(long, value_name = "URL")]
    target: Option<url::Url>,

    /// Where webhooks are accepted
    #[arg(long, value_name = "ADDR", default_value = LISTEN)]
    listen: SocketAddr,

    /// Where the queues are served to `cargo xtask dlq` and other SQS clients
    #[arg(long, value_name = "ADDR", default_value = API_LISTEN)]
    api_listen: SocketAddr,

    /// Where the stand-in listens
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9010", conflicts_with = "target")]
    stub_listen: SocketAddr,

    /// Where events are kept [default: .webhook-queue/local]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// Begin without the events of earlier runs: deletes the data directory
    #[arg(long)]
    fresh: bool,
}

impl Local {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let config = workspace::config("local")?.config;
        let data_dir = self.data_dir.clone().unwrap_or_else(|| workspace::data_dir("local"));
        if self.fresh {
            engine::check_removable(&data_dir)?;
        }
        engine::build(&["sss-stub"])?;
        if self.fresh {
            remove(&data_dir)?;
        }
        let (stub, target) = if let Some(target) = &self.target {
            (None, target.to_string())
        } else {
            let (stub, url) = engine::start_stub(self.stub_listen)?;
            (Some(stub), url)
        };
        let (mut engine, log) = engine::start(&Start {
            config: &workspace::config_file("local"),
            data_dir: &data_dir,
            listen: self.listen,
            api_listen: self.api_listen,
            target: &target,
            command: &self.command(),
        })?;
        let pid = engine.pid().context("the engine has no process id")?;
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        std::thread::spawn(move || {
            for _signal in signals.forever() {
                eprintln!("stopping: waiting for what is being delivered");
                // An engine that has ended already needs no signal.
                let _ended = kill_process(pid, Signal::INT);
            }
        });
        let options = self.data_dir_option();
        for line in log.lines() {
            let line = line.context("reading the engine's log")?;
            match listening(&line) {
                Some(address) => self.welcome(&config, &address, &data_dir, stub.is_some()),
                None => {
                    if let Some(line) = events::readable(&line, &options) {
                        println!("{line}");
                    }
                }
            }
        }
        engine.wait()?;
        if let Some(stub) = stub {
            stub.stop()?;
        }
        println!("stopped; events that wait are kept in {}", data_dir.display());
        Ok(ExitCode::SUCCESS)
    }

    /// What to type to start it again, without what may be a token, and with what it has now.
    fn command(&self) -> String {
        let target = if self.target.is_some() { " --target URL" } else { "" };
        let address = |option: &str, address: SocketAddr, default: &str| {
            let address = address.to_string();
            if address == default { String::new() } else { format!(" {option} '{address}'") }
        };
        let listen = address("--listen", self.listen, LISTEN);
        let api_listen = address("--api-listen", self.api_listen, API_LISTEN);
        format!("cargo xtask local{target}{listen}{api_listen}{}", self.data_dir_option())
    }

    /// What names this engine to other commands.
    fn data_dir_option(&self) -> String {
        self.data_dir.as_deref().map(engine::data_dir_option).unwrap_or_default()
    }

    fn welcome(
        &self,
        config: &domain::config::Config,
        address: &str,
        data_dir: &std::path::Path,
        with_stub: bool,
    ) {
        println!("\nPost webhooks to");
        for route in config.routes().values() {
            println!("  http://{address}{}", route.path());
        }
        if let Some(route) = config.routes().values().next() {
            println!("\nTry\n  {}", curl(route, address));
        }
        if with_stub {
            let stub = self.stub_listen;
            println!(
                "\nThe stand-in for your service listens on {stub}. Take it down and up again with"
            );
            println!("  curl -X PUT http://{stub}/_stub/behavior -d '{{\"status\":503}}'");
            println!("  curl -X PUT http://{stub}/_stub/behavior -d '{{}}'");
        }
        println!("\nEvents are kept in {}. Ctrl-C stops.\n", data_dir.display());
    }
}

/// A request that the route accepts.
fn curl(route: &domain::route::Route, address: &str) -> String {
    let mut headers: Vec<&str> = route.ordering_key().headers().collect();
    headers.extend(route.carried_headers());
    headers.sort_unstable();
    headers.dedup();
    let headers: Vec<String> = headers
        .into_iter()
        .filter(|name| *name != "content-type")
        .map(|name| format!(" -H '{name}: order-7'"))
        .collect();
    format!(
        "curl -i http://{address}{}{} -H 'content-type: application/json' -d '{{\"state\":\"approved\"}}'",
        route.path(),
        headers.concat()
    )
}

/// The address of the ingest, if that is what the line says.
fn listening(line: &str) -> Option<String> {
    let fields: Value = serde_json::from_str(line).ok()?;
    (fields["message"] == "listening").then(|| fields["ingest"].as_str().map(str::to_owned))?
}

/// Removes a data directory, and nothing that is none.
fn remove(dir: &std::path::Path) -> anyhow::Result<()> {
    // The build took a while: look again.
    engine::check_removable(dir)?;
    if !dir.exists() {
        return Ok(());
    }
    eprintln!("removing {} and the events in it", dir.display());
    std::fs::remove_dir_all(dir).with_context(|| format!("removing {}", dir.display()))
}
