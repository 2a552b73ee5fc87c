//! `cargo xtask local`

use std::io::BufRead as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use domain::config::Config;
use domain::route::Route;
use rustix::process::{Signal, kill_process};
use serde_json::Value;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use terminal::exit::Failure;

use crate::engine::{self, Start};
use crate::{events, workspace};

/// The engine's exit code where events wait that were accepted for other destinations.
const OTHER_DESTINATIONS: i32 = 4;

const LISTEN: &str = "127.0.0.1:8080";
const API_LISTEN: &str = "127.0.0.1:9324";

/// Run the queue on this machine, in front of what its configuration names as destinations
///
/// Builds and starts everything, prints where to post, and then a line for every step an event takes.
/// Events are kept in the data directory: stop it, kill it, start it again, and they are still there.
/// Where all destinations are at the address of the stand-in for your service, as they are at first, it
/// is started as well. What waits was accepted for certain destinations: with others it does not start,
/// unless --switch says that those are to get it.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask local\n  cargo xtask local --target http://127.0.0.1:3000/webhook\n  cargo xtask local --stub\n  cargo xtask local --fresh"
)]
pub(crate) struct Local {
    /// Deliver to this URL instead of the configured ones, whose paths stay unless it has one
    #[arg(long, value_name = "URL")]
    target: Option<url::Url>,

    /// Deliver everything to the stand-in, whatever is configured
    #[arg(long, conflicts_with = "target")]
    stub: bool,

    /// Deliver what waits to other destinations than it was accepted for
    #[arg(long)]
    switch: bool,

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
        let starts_stub = self.stub || (self.target.is_none() && self.is_stub_configured(&config));
        let (stub, target) = if starts_stub {
            let (stub, url) = engine::start_stub(self.stub_listen)?;
            // Where it is configured, nothing is to be replaced.
            (Some(stub), self.stub.then_some(url))
        } else {
            (None, self.target.as_ref().map(url::Url::to_string))
        };
        let (mut engine, log) = engine::start(&Start {
            config: &workspace::config_file("local"),
            data_dir: &data_dir,
            listen: self.listen,
            api_listen: self.api_listen,
            target: target.as_deref(),
            keep_destinations: !self.switch,
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
        let mut has_started = false;
        for line in log.lines() {
            let line = line.context("reading the engine's log")?;
            match listening(&line) {
                Some(address) => {
                    has_started = true;
                    self.welcome(&config, &address, &data_dir, stub.is_some());
                }
                None => {
                    if let Some(line) = events::readable(&line, &options) {
                        println!("{line}");
                    }
                }
            }
        }
        let ended = engine.wait();
        if !has_started && engine.code() == Some(OTHER_DESTINATIONS) {
            let error = anyhow!(
                "start it as before, so that they are delivered where they were accepted for, or with \
                 --switch, to deliver them to the destinations of now; --fresh deletes them"
            );
            return Err(Failure::Usage.of(error));
        }
        ended?;
        if let Some(stub) = stub {
            stub.stop()?;
        }
        println!("stopped; events that wait are kept in {}", data_dir.display());
        Ok(ExitCode::SUCCESS)
    }

    /// Whether every destination is where the stand-in listens.
    fn is_stub_configured(&self, config: &Config) -> bool {
        let mut destinations = config.routes().values().flat_map(Route::destinations);
        destinations.all(|destination| {
            let url = destination.url();
            // Another host's name is nobody's to look up here.
            let is_here = url.scheme() == "http" && engine::is_loopback(url);
            is_here && url.socket_addrs(|| None).is_ok_and(|it| it.contains(&self.stub_listen))
        })
    }

    /// What to type to start it again, without what may be a token, and with what it has now.
    fn command(&self) -> String {
        let target = match &self.target {
            Some(_) => " --target URL",
            None if self.stub => " --stub",
            None => "",
        };
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

    fn welcome(&self, config: &Config, address: &str, data_dir: &std::path::Path, with_stub: bool) {
        println!("\nPost webhooks to");
        for route in config.routes().values() {
            println!("  http://{address}{}", route.path());
        }
        if let Some(route) = config.routes().values().next() {
            println!("\nTry\n  {}", curl(route, address));
        }
        println!("\nIt delivers to");
        if self.stub {
            println!("  the stand-in for your service, and to nobody else: --stub");
        } else if let Some(target) = &self.target {
            println!("  {}, and to nobody else: --target", target.origin().ascii_serialization());
        } else {
            for destination in config.routes().values().flat_map(Route::destinations) {
                println!(
                    "  {} ({})",
                    destination.url().origin().ascii_serialization(),
                    destination.name()
                );
            }
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
fn curl(route: &Route, address: &str) -> String {
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

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Cli {
        #[command(flatten)]
        local: Local,
    }

    fn check(urls: &[&str], expected: bool) {
        let destination = |(n, url): (usize, &&str)| serde_json::json!({ "name": format!("d-{n}"), "url": url, "timeout_seconds": 1 });
        let destinations: Vec<Value> = urls.iter().enumerate().map(destination).collect();
        let config = serde_json::json!({ "environment": "local", "routes": { "sss": {
            "path": "/sqs-hook", "ordering_key": "all", "destinations": destinations,
        }}});
        let config = Config::parse(&config.to_string()).unwrap();
        let Cli { local } = Cli::parse_from(["local"]);
        assert_eq!(local.is_stub_configured(&config), expected, "{urls:?}");
    }

    #[test]
    fn the_stand_in_starts_only_where_everything_goes_to_it() {
        check(&["http://127.0.0.1:9010/application-hook"], true);
        check(&["http://127.0.0.1:9010/a", "http://127.0.0.1:9010/b"], true);
        check(&["http://127.0.0.1:9010/a", "http://127.0.0.1:3000/b"], false);
        check(&["http://127.0.0.1:3000/hook"], false);
        check(&["https://127.0.0.1:9010/hook"], false);
        check(&["https://sss.example.com/hook"], false);
        check(&["http://[::1]:9010/hook"], false);
    }

    #[test]
    fn it_is_started_again_as_it_was_and_never_afresh() {
        let typed = |arguments: &[&str]| {
            let arguments = ["local"].iter().chain(arguments);
            Cli::parse_from(arguments).local.command()
        };
        assert_eq!(typed(&["--fresh", "--switch"]), "cargo xtask local");
        assert_eq!(typed(&["--target", "http://t:s@x/?k=1"]), "cargo xtask local --target URL");
        assert_eq!(
            typed(&["--stub", "--listen", "127.0.0.1:1", "--data-dir", "my data"]),
            "cargo xtask local --stub --listen '127.0.0.1:1' --data-dir 'my data'"
        );
    }
}
