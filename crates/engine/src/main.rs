//! `webhook-engine`: the engine as a program. Arguments, signals and exit codes; the rest is the
//! library's.

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use domain::config::{Config, LogLevel};
use engine::clock::SystemClock;
use engine::{Engine, EngineError, EngineOptions, Storage, with_target};
use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, setrlimit, umask};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use url::Url;

/// Accepts webhooks, keeps them in a durable FIFO queue and delivers them in order, on one machine
#[derive(Debug, Parser)]
#[command(version, after_long_help = AFTER_HELP)]
struct Arguments {
    /// Configuration of the environment, such as environments/local/terraform.tfvars.json
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Directory of the queues; made if it is not there. One engine at a time can use it
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// The forwarder's executable, such as target/release/forwarder
    #[arg(long, value_name = "PATH")]
    forwarder: PathBuf,
    /// Where webhooks are accepted; nothing else is served there
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where the queues (SQS protocol), /_engine/ and /metrics are served, to callers who show the
    /// `access_key_id` of engine.json. It is sent in clear: keep the address on loopback
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9324")]
    api_listen: SocketAddr,
    /// Another name that the API is called by, besides addresses and localhost, such as a container's
    #[arg(long, value_name = "NAME")]
    api_host: Vec<String>,
    /// Deliver to this URL instead of the configured destinations; their paths stay unless it has one
    #[arg(long, value_name = "URL")]
    target: Option<Url>,
}

const AFTER_HELP: &str = "\
Example:
  webhook-engine --config environments/local/terraform.tfvars.json \\
      --data-dir /var/lib/webhook-queue --forwarder target/release/forwarder
  curl -i http://127.0.0.1:8080/sqs-hook -H 'x-workflow-id: w-1' \\
      -H 'content-type: application/json' -d '{\"hello\":1}'
  curl http://127.0.0.1:9324/_engine/status
  curl http://127.0.0.1:9324/metrics

The queues speak the SQS protocol, so the AWS CLI and SDKs work on them. What they show as their access
key id says that they may; it is in engine.json of the data directory, any secret key goes with it:
  export AWS_ACCESS_KEY_ID=$(jq -r .access_key_id /var/lib/webhook-queue/engine.json)
  export AWS_SECRET_ACCESS_KEY=any AWS_REGION=us-east-1
  aws sqs list-queues --endpoint-url http://127.0.0.1:9324
  curl -X PUT -H \"authorization: Bearer $AWS_ACCESS_KEY_ID\" \\
      http://127.0.0.1:9324/_engine/event-source-mapping -d '{\"enabled\":false}'

The log goes to stdout, one JSON object a line, and into engine.log in the data directory, of which
nine older files of 10 MB are kept. SIGINT and SIGTERM stop the engine once what is
being delivered has ended; a second one stops it at once. Either way nothing accepted is lost.

Exit codes:
  0  stopped by a signal
  1  failure: an address in use, storage that cannot be written
  2  wrong arguments or configuration
  3  data directory in use by another engine, damaged, or written by a newer one";

/// Why the program ends; see the exit codes in its help.
#[derive(Debug, Clone, Copy)]
enum Exit {
    Failure = 1,
    Configuration = 2,
    DataDirectory = 3,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(exit) => ExitCode::from(exit as u8),
    }
}

fn run(arguments: Arguments) -> Result<(), Exit> {
    // What is made from here on is for nobody else to read.
    umask(Mode::RWXG | Mode::RWXO);
    no_core_dumps()
        .map_err(|error| fail(Exit::Failure, &format_args!("core dumps stay on: {error}")))?;
    let config = configuration(&arguments)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| fail(Exit::Failure, &format_args!("no threads: {error}")))?;
    runtime.block_on(serve(arguments, config))
}

/// A dump would put events onto the disk, and, of the forwarder, which inherits this, secrets.
fn no_core_dumps() -> std::io::Result<()> {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    Ok(setrlimit(Resource::Core, none)?)
}

fn configuration(arguments: &Arguments) -> Result<Config, Exit> {
    let file = arguments.config.display();
    let text = std::fs::read_to_string(&arguments.config)
        .map_err(|error| fail(Exit::Configuration, &format_args!("{file}: {error}")))?;
    let config = Config::parse(&text).and_then(|config| match &arguments.target {
        Some(target) => with_target(&config, target),
        None => Ok(config),
    });
    config.map_err(|error| {
        let faults: Vec<String> = error.faults.iter().map(|fault| format!("\n  {fault}")).collect();
        fail(Exit::Configuration, &format_args!("{file} cannot be used:{}", faults.concat()))
    })
}

async fn serve(arguments: Arguments, config: Config) -> Result<(), Exit> {
    let Arguments { data_dir, forwarder, listen, api_listen, api_host, .. } = arguments;
    let no_signals = |error| fail(Exit::Failure, &format_args!("no signals: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
    let options = EngineOptions {
        config,
        storage: Storage::Directory(data_dir),
        forwarder: Some(forwarder),
        listen,
        api_listen,
        api_hosts: api_host,
        clock: Arc::new(SystemClock::new()),
        log: Box::new(std::io::stdout()),
    };
    let engine = Engine::start(options).await.map_err(|error| {
        let exit = match &error {
            EngineError::Open(_) => Exit::DataDirectory,
            _ => Exit::Failure,
        };
        fail(exit, &engine::in_full(&error))
    })?;
    if !api_listen.ip().is_loopback() {
        let fields = json!({ "api": engine.api_address() });
        let message = "the queues are reachable from other machines, and what opens them is sent there in clear";
        engine.log(LogLevel::Warn, message, &fields);
    }
    let mut signalled = async || {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    signalled().await;
    tokio::select! {
        () = engine.stop() => Ok(()),
        () = signalled() => Err(fail(Exit::Failure, &"stopped at once by a second signal")),
    }
}

/// Says why, and gives back the exit code.
fn fail(exit: Exit, reason: &dyn Display) -> Exit {
    eprintln!("webhook-engine: {reason}");
    exit
}
