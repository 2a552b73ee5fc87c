//! The engine, until a signal ends it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use domain::config::{Config, LogLevel};
use engine::clock::SystemClock;
use engine::store::{GroupLock, OpenError};
use engine::{
    Engine, EngineError, EngineOptions, Failure, RESERVE_BYTES, Sockets, Storage, start_command,
};
use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, umask};
use sd_notify::NotifyState;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::environment::Environment;
use crate::{Exit, fail, runtime, service};

/// Bytes.
const MIB: u64 = 1024 * 1024;

/// What an engine is told.
#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    /// Directory of the queues; made if it is not there. One engine at a time can use it
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
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
    /// Do not start where events wait that were accepted for other destinations
    #[arg(long)]
    keep_destinations: bool,
    /// Stop as by a signal when standard input ends, as it does with the process that holds its other end
    #[arg(long)]
    until_stdin_ends: bool,
    /// Room on the disk of the data directory below which no events are accepted, so that those that
    /// are queued can be delivered, in MiB
    #[arg(long, value_name = "MIB", default_value_t = RESERVE_BYTES / MIB)]
    reserve: u64,
}

pub(crate) const AFTER_HELP: &str = "\
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

As a service of systemd it says when it is ready and that it lives (Type=notify, WatchdogSec=), and
takes the sockets of socket units named ingest and api in the place of --listen and --api-listen.

Exit codes:
  0  stopped by a signal, or the command is done
  1  failure: an address in use, storage that cannot be written or does not keep what is written; or
     stopped at once by a second signal
  2  wrong arguments or configuration
  3  data directory in use by another engine, damaged, written by a newer one, or with files in it
     that another user may have put there
  4  with --keep-destinations: events wait that were accepted for others";

impl Serve {
    pub(crate) fn run(self, environment: Environment) -> Result<(), Exit> {
        // What is made from here on is for nobody else to read.
        umask(Mode::RWXG | Mode::RWXO);
        no_core_dumps()
            .map_err(|error| fail(Exit::Failure, &format_args!("core dumps stay on: {error}")))?;
        open_files();
        let config = environment.config()?;
        let sockets = service::sockets()
            .map_err(|error| fail(Exit::Configuration, &format_args!("sockets: {error}")))?;
        runtime()?.block_on(self.serve(environment, config, sockets))
    }

    async fn serve(
        self,
        environment: Environment,
        config: Config,
        sockets: Sockets,
    ) -> Result<(), Exit> {
        let Self { data_dir, listen, api_listen, api_host, reserve, .. } = self;
        let no_signals = |error| fail(Exit::Failure, &format_args!("no signals: {error}"));
        let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
        let config_file = environment.config_file();
        let options = EngineOptions {
            config,
            storage: Storage::Directory(data_dir),
            forwarder: Some(environment.forwarder),
            listen,
            api_listen,
            sockets,
            api_hosts: api_host,
            reserve_bytes: reserve.saturating_mul(MIB),
            clock: Arc::new(SystemClock::new()),
            group_lock: GroupLock::default(),
            log: Box::new(std::io::stdout()),
            start_command: Some(start_command()),
            config_file,
            keep_destinations: self.keep_destinations,
        };
        let engine = Engine::start(options).await.map_err(|error| {
            let exit = match &error {
                EngineError::Open(error) if is_of_the_data(error) => Exit::DataDirectory,
                EngineError::Failed(Failure::Damaged { .. }) => Exit::DataDirectory,
                EngineError::Destinations { .. } => Exit::Destinations,
                _ => Exit::Failure,
            };
            fail(exit, &engine::in_full(&error))
        })?;
        if !engine.api_address().ip().is_loopback() {
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
        service::tell(&engine, &[NotifyState::Ready]);
        let by_signal = tokio::select! {
            () = signalled() => true,
            () = stdin_ends(self.until_stdin_ends) => false,
            () = service::watchdog(&engine) => false,
            // Dropped, it ends as in a crash: what is on the disk is what there is.
            failure = engine.failed() => return Err(failed(&engine, &failure)),
        };
        service::tell(&engine, &[NotifyState::Stopping]);
        // Whoever signals a program while it ends with its standard input has asked once.
        let second_signal = async {
            if !by_signal {
                signalled().await;
            }
            signalled().await;
        };
        tokio::select! {
            () = engine.stop() => Ok(()),
            () = second_signal => Err(fail(Exit::Failure, &"stopped at once by a second signal")),
        }
    }
}

/// Waits until standard input ends, or for ever.
async fn stdin_ends(watched: bool) {
    if !watched {
        return std::future::pending().await;
    }
    let (ended, end) = tokio::sync::oneshot::channel::<()>();
    // A thread of its own: a runtime would wait for it before the program ends.
    std::thread::spawn(move || {
        // However it ends, nobody is there any more.
        let _ended = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        drop(ended);
    });
    let _ended = end.await;
}

/// Whether a data directory is in use, damaged, another user's, or a newer engine's; else it cannot be
/// read or written.
pub(crate) fn is_of_the_data(error: &OpenError) -> bool {
    matches!(
        error,
        OpenError::InUse { .. }
            | OpenError::Untrusted(_)
            | OpenError::Corrupt { .. }
            | OpenError::Newer { .. }
    )
}

/// Says why the engine cannot go on, in its log as well.
fn failed(engine: &Engine, failure: &Failure) -> Exit {
    let exit = match failure {
        Failure::Damaged { .. } => Exit::DataDirectory,
        _ => Exit::Failure,
    };
    let fields = json!({ "error": failure.to_string() });
    engine.log(LogLevel::Error, "ended: it cannot go on", &fields);
    engine.flush_log();
    fail(exit, failure)
}

/// As many files as may be open: the usual limit of a shell, 1,024, is what connections alone may need.
fn open_files() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Where it cannot be raised, connections that are idle are closed earlier.
    let _as_it_was = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// A dump would put events onto the disk, and, of the forwarder, which inherits this, secrets.
fn no_core_dumps() -> std::io::Result<()> {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    Ok(setrlimit(Resource::Core, none)?)
}
