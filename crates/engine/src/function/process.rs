//! One process of the function: started, watched, given one event at a time, ended.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use domain::config::LogLevel;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::json;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::output::Output;
use super::wanted::Wanted;
use super::within::{FunctionProcess, FunctionWithin};
use super::{FunctionOptions, Program};
use crate::clock::Clock;
use crate::deliveries::Deliveries;
use crate::log::Log;
use crate::runtime_api::{FunctionError, Init, Invocation, RuntimeApi};

/// How long a process may take until it asks for its first event.
/// Source: Lambda guide, "Lambda execution environment lifecycle", init phase.
pub(crate) const INIT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a process may take to end once it is asked to.
const END_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the rest of a process's output may take once it has ended.
const OUTPUT_TIMEOUT: Duration = Duration::from_secs(1);

/// Why a process did not get as far as asking for an event.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error("there is no executable {0}; --forwarder says where it is")]
    Missing(String),
    #[error("it cannot be run: {0}")]
    Spawn(std::io::Error),
    #[error("the runtime API cannot listen: {0}")]
    Listen(std::io::Error),
    #[error("{}", .0.message)]
    Init(FunctionError),
    #[error("it ended before it asked for an event: {0}")]
    Ended(ExitStatus),
    #[error("it did not ask for an event within {} s", .0.as_secs())]
    Timeout(Duration),
}

/// Why an invocation has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvocationError {
    #[error("{}: {}", .0.error_type, .0.message)]
    Function(FunctionError),
    #[error("the function did not end within {} s and was stopped", .0.as_secs())]
    Timeout(Duration),
    #[error("the process ended while it worked on the batch")]
    Ended,
    /// The process is gone, and never had the event.
    #[error("the process ended before it took the batch")]
    NotTaken,
}

/// What is started.
pub(super) struct Start<'a> {
    pub(super) options: &'a FunctionOptions,
    pub(super) clock: &'a Arc<dyn Clock>,
    pub(super) log: &'a Log,
    pub(super) deliveries: &'a Arc<Deliveries>,
    /// Whether its output is left out until it works.
    pub(super) quiet: bool,
}

/// A process that has asked for events. Dropped, it is killed.
pub(crate) struct Process {
    api: RuntimeApi,
    pid: u32,
    clock: Arc<dyn Clock>,
    timeout: Duration,
    wanted: watch::Sender<Wanted>,
    exit: watch::Receiver<Option<ExitStatus>>,
}

impl Process {
    /// Starts a process and waits for it to ask for an event.
    pub(super) async fn start(start: Start<'_>) -> Result<Self, StartError> {
        let quiet = Arc::new(AtomicBool::new(start.quiet));
        let mut process = match &start.options.program {
            Program::Executable(file) => Self::spawn(file, &start, &quiet).await?,
            Program::Within(function) => Self::within(function.as_ref(), &start)?,
        };
        match process.init(start.options.init_timeout).await {
            Ok(()) => {
                quiet.store(false, Ordering::Relaxed);
                let fields = json!({ "pid": process.pid });
                start.log.line(LogLevel::Info, "forwarder_started", fields);
                Ok(process)
            }
            Err(error) => {
                process.end().await;
                Err(error)
            }
        }
    }

    async fn spawn(
        executable: &Path,
        start: &Start<'_>,
        quiet: &Arc<AtomicBool>,
    ) -> Result<Self, StartError> {
        let Start { options, clock, log, deliveries, .. } = start;
        let api = RuntimeApi::start(&options.arn, (*log).clone()).await;
        let api = api.map_err(StartError::Listen)?;
        let mut child = Command::new(executable)
            .env_clear()
            .envs(&options.environment)
            .env("AWS_LAMBDA_RUNTIME_API", api.endpoint())
            .env("LAMBDA_TASK_ROOT", executable.parent().unwrap_or(Path::new(".")))
            // Ctrl-C in a terminal is for the engine, which lets deliveries end first. And what a wrapper
            // has started ends with it, as it would deliver beside the next process.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => {
                    StartError::Missing(executable.display().to_string())
                }
                _ => StartError::Spawn(error),
            })?;
        let pid = child.id().expect("a child that was not waited for has an id");
        let output = |level| Output {
            log: (*log).clone(),
            deliveries: Arc::clone(deliveries),
            pid,
            level,
            quiet: Arc::clone(quiet),
        };
        let stdout = child.stdout.take().expect("stdout is piped");
        let stderr = child.stderr.take().expect("stderr is piped");
        let pipes = [
            tokio::spawn(output(LogLevel::Info).pass_on(stdout)),
            tokio::spawn(output(LogLevel::Error).pass_on(stderr)),
        ];
        let (wanted, orders) = watch::channel(Wanted::Run);
        let (exited, exit) = watch::channel(None);
        tokio::spawn(watch(child, pipes, orders, exited));
        let (clock, timeout) = (Arc::clone(clock), options.timeout);
        Ok(Self { api, pid, clock, timeout, wanted, exit })
    }

    fn within(function: &dyn FunctionWithin, start: &Start<'_>) -> Result<Self, StartError> {
        let (api, within) = RuntimeApi::within(&start.options.arn).map_err(StartError::Listen)?;
        let (wanted, orders) = watch::channel(Wanted::Run);
        let (exited, exit) = watch::channel(None);
        function.start(FunctionProcess::new(within, orders, exited));
        let (clock, timeout) = (Arc::clone(start.clock), start.options.timeout);
        Ok(Self { api, pid: 0, clock, timeout, wanted, exit })
    }

    async fn init(&mut self, timeout: Duration) -> Result<(), StartError> {
        let mut init = self.api.init();
        tokio::select! {
            biased;
            state = init.wait_for(|init| *init != Init::Running) => {
                match &*state.expect("the API lives as long as the process") {
                    Init::Failed(error) => Err(StartError::Init(error.clone())),
                    Init::Running | Init::Done => Ok(()),
                }
            }
            status = ended(&mut self.exit) => {
                // It may have said why with its last breath.
                match self.api.init().borrow().clone() {
                    Init::Failed(error) => Err(StartError::Init(error)),
                    Init::Running | Init::Done => Err(StartError::Ended(status)),
                }
            }
            () = tokio::time::sleep(timeout) => Err(StartError::Timeout(timeout)),
        }
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Returns once it has ended by itself.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        ended(&mut self.exit).await
    }

    /// Has it work on `event`. A process that takes too long is ended.
    pub(crate) async fn invoke(&mut self, event: Bytes) -> Result<Bytes, InvocationError> {
        let invocation = Invocation {
            request_id: Uuid::new_v4().to_string(),
            deadline: self.clock.wall().plus(self.timeout),
            event,
        };
        // Suspended time counts, as it does for the visibility timeout: a process that went on after a
        // suspend could still deliver what another one has by then.
        let overrun = self.clock.uptime().plus(self.timeout);
        let answer = self.api.offer(invocation);
        tokio::select! {
            biased;
            answer = answer => match answer {
                Ok(Ok(response)) => Ok(response),
                Ok(Err(error)) => Err(InvocationError::Function(error)),
                Err(_closed) => Err(InvocationError::Ended),
            },
            _status = ended(&mut self.exit) => Err(match self.api.withdraw() {
                Some(_never_taken) => InvocationError::NotTaken,
                None => InvocationError::Ended,
            }),
            () = self.clock.wait_until(overrun) => {
                // It had its time; there is nothing left for it to finish.
                self.wanted.send_replace(Wanted::Kill);
                ended(&mut self.exit).await;
                Err(InvocationError::Timeout(self.timeout))
            }
        }
    }

    /// Asks it to end, makes it if it does not, and returns how it ended.
    pub(crate) async fn end(mut self) -> ExitStatus {
        self.wanted.send_if_modified(|wanted| {
            let running = *wanted == Wanted::Run;
            if running {
                *wanted = Wanted::Terminate;
            }
            running
        });
        let in_time = tokio::time::timeout(END_TIMEOUT, ended(&mut self.exit)).await;
        match in_time {
            Ok(status) => status,
            Err(_elapsed) => {
                self.wanted.send_replace(Wanted::Kill);
                ended(&mut self.exit).await
            }
        }
    }
}

async fn ended(exit: &mut watch::Receiver<Option<ExitStatus>>) -> ExitStatus {
    let status = exit.wait_for(Option::is_some).await.ok().and_then(|status| *status);
    match status {
        Some(status) => status,
        // The watcher was cancelled with the runtime; nobody is left to ask.
        None => std::future::pending().await,
    }
}

/// Watches a process until it has ended and everything it wrote is passed on. It alone signals the
/// process, so that a signal can never reach another one that got the same id afterwards.
async fn watch(
    mut child: Child,
    pipes: [JoinHandle<()>; 2],
    mut orders: watch::Receiver<Wanted>,
    exited: watch::Sender<Option<ExitStatus>>,
) {
    let status = loop {
        tokio::select! {
            status = child.wait() => break status,
            order = orders.changed() => {
                let wanted = if order.is_ok() { *orders.borrow() } else { Wanted::Kill };
                match (wanted, pid(&child)) {
                    (Wanted::Run, _) | (_, None) => {}
                    // The only error is that it has ended already.
                    (Wanted::Terminate, Some(pid)) => drop(kill_process_group(pid, Signal::TERM)),
                    (Wanted::Kill, Some(pid)) => drop(kill_process_group(pid, Signal::KILL)),
                }
                if order.is_err() {
                    break child.wait().await;
                }
            }
        }
    };
    // A grandchild may hold the pipes open.
    for mut pipe in pipes {
        if tokio::time::timeout(OUTPUT_TIMEOUT, &mut pipe).await.is_err() {
            pipe.abort();
        }
    }
    exited.send_replace(Some(status.unwrap_or_default()));
}

fn pid(child: &Child) -> Option<Pid> {
    child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw)
}
