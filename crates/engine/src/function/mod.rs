//! The forwarder function: which processes run it, as Lambda would run them.
//!
//! A [`Process`] is what Lambda calls an execution environment: it works on one event at a time.
//! This module decides when one may be started; what it is sent is
//! [`event_source_mapping`](crate::event_source_mapping)'s business.

mod environment;
mod output;
mod process;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::config::LogLevel;
use serde_json::json;

pub(crate) use environment::{FunctionIdentity, Queues, function_environment};
pub(crate) use process::{InvocationError, Process};

use crate::clock::Clock;
use crate::deliveries::Deliveries;
use crate::log::Log;
use process::{Start, StartError};

/// Pause before the first restart after a failure; doubled with each further one.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
/// Longest pause before a restart.
const PAUSE_LONGEST: Duration = Duration::from_secs(30);

/// What is run, and how.
#[derive(Debug, Clone)]
pub(crate) struct FunctionOptions {
    /// The forwarder's executable.
    pub(crate) executable: PathBuf,
    /// Every environment variable that it gets.
    pub(crate) environment: BTreeMap<String, String>,
    /// Its ARN.
    pub(crate) arn: String,
    /// Longest run for one event.
    pub(crate) timeout: Duration,
}

/// The function, for as many processes as there are to be.
pub(crate) struct Function {
    options: FunctionOptions,
    clock: Arc<dyn Clock>,
    log: Log,
    deliveries: Arc<Deliveries>,
    /// Held while a process starts: one that cannot start should say so once, not once per process.
    starting: tokio::sync::Mutex<()>,
    /// Starts and runs that failed since the last success.
    failures: AtomicU32,
    /// Why the last start failed, once it has been said.
    told: Mutex<Option<String>>,
}

impl Function {
    pub(crate) fn new(
        options: FunctionOptions,
        clock: Arc<dyn Clock>,
        log: Log,
        deliveries: Arc<Deliveries>,
    ) -> Arc<Self> {
        Arc::new(Self {
            options,
            clock,
            log,
            deliveries,
            starting: tokio::sync::Mutex::default(),
            failures: AtomicU32::new(0),
            told: Mutex::default(),
        })
    }

    /// Longest run for one event.
    pub(crate) fn timeout(&self) -> Duration {
        self.options.timeout
    }

    /// Why no process can be started, if that is so.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.told().clone()
    }

    /// A process that waits for events. Takes as long as it takes to get one: a start that fails is
    /// repeated, with a growing pause. May be dropped at any point.
    pub(crate) async fn process(&self) -> Process {
        let _turn = self.starting.lock().await;
        loop {
            tokio::time::sleep(self.pause()).await;
            let quiet = self.told().is_some();
            let Self { options, clock, log, deliveries, .. } = self;
            match Process::start(Start { options, clock, log, deliveries, quiet }).await {
                Ok(process) => {
                    if self.told().take().is_some() {
                        self.log.line(LogLevel::Info, "forwarder works again", json!({}));
                    }
                    return process;
                }
                Err(error) => self.tell(&error),
            }
        }
    }

    /// Starts a process and ends it again: whether events could be given to one.
    pub(crate) async fn try_out(&self) -> Result<(), StartError> {
        let Self { options, clock, log, deliveries, .. } = self;
        let process =
            Process::start(Start { options, clock, log, deliveries, quiet: true }).await?;
        process.end().await;
        Ok(())
    }

    /// To be called when a process has answered: it works.
    pub(crate) fn succeeded(&self) {
        self.failures.store(0, Ordering::Relaxed);
    }

    /// To be called when a process has ended by itself, or had to be ended.
    pub(crate) fn crashed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    /// How long the next start will wait.
    pub(crate) fn pause(&self) -> Duration {
        match self.failures.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            failures => {
                PAUSE_FIRST.saturating_mul(2_u32.saturating_pow(failures - 1)).min(PAUSE_LONGEST)
            }
        }
    }

    /// Says why a start failed, unless that was said already.
    fn tell(&self, error: &StartError) {
        self.crashed();
        let reason = error.to_string();
        let mut told = self.told();
        if told.as_ref() != Some(&reason) {
            let fields = json!({
                "error": reason,
                "executable": self.options.executable.display().to_string(),
                "retry_in_ms": ms(self.pause()),
            });
            self.log.line(LogLevel::Error, "forwarder cannot start", fields);
            *told = Some(reason);
        }
    }

    fn told(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.told.lock().expect("no code panics while it holds the reason")
    }
}

/// Whole milliseconds, for the log.
pub(crate) fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
