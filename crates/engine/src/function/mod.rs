//! The forwarder function: which processes run it, as Lambda would run them.
//!
//! A [`Process`] is what Lambda calls an execution environment: it works on one event at a time.
//! This module decides when one may be started; what it is sent is
//! [`event_source_mapping`](crate::event_source_mapping)'s business.

mod environment;
mod output;
mod process;
mod wanted;
mod within;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::config::LogLevel;
use serde_json::json;

pub(crate) use environment::{FunctionIdentity, Queues, function_environment};
pub(crate) use process::{INIT_TIMEOUT, InvocationError, Process};
pub use within::{Event, FunctionProcess, FunctionWithin};

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
    /// What runs it.
    pub(crate) program: Program,
    /// Every environment variable that it gets.
    pub(crate) environment: BTreeMap<String, String>,
    /// Its ARN.
    pub(crate) arn: String,
    /// How long a process may take until it asks for its first event.
    pub(crate) init_timeout: Duration,
    /// Longest run for one event.
    pub(crate) timeout: Duration,
}

/// What runs the function.
#[derive(Debug, Clone)]
pub(crate) enum Program {
    /// The forwarder's executable.
    Executable(PathBuf),
    /// A simulation, in this process.
    Within(Arc<dyn FunctionWithin>),
}

impl Program {
    fn shown(&self) -> String {
        match self {
            Self::Executable(path) => path.display().to_string(),
            Self::Within(_) => "a simulation".to_owned(),
        }
    }
}

/// The function, for as many processes as there are to be.
pub(crate) struct Function {
    pub(crate) options: FunctionOptions,
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
                "executable": self.options.program.shown(),
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

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_log_has_whole_milliseconds() {
        assert_eq!(ms(Duration::from_micros(1_999)), 1);
        assert_eq!(ms(Duration::from_secs(2)), 2_000);
    }
    use crate::clock::SystemClock;

    const LIMIT: Duration = Duration::from_secs(30);

    /// A program that is open for writing cannot be run, and a process that is being started has open
    /// what its parent has.
    static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

    fn function(
        executable: PathBuf,
        variables: &[(&str, &str)],
        init_timeout: Duration,
    ) -> Arc<Function> {
        let text = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let options = FunctionOptions {
            program: Program::Executable(executable),
            environment: variables.iter().map(text).collect(),
            arn: "arn".to_owned(),
            init_timeout,
            timeout: Duration::from_secs(1),
        };
        let clock = Arc::new(SystemClock::new());
        Function::new(options, clock, Log::nowhere(), Arc::default())
    }

    /// Starts a shell that runs `script` in the directory `$DIR` that is returned, and says why that
    /// has not asked for an event.
    async fn try_out(script: &str, init_timeout: Duration) -> (tempfile::TempDir, StartError) {
        let _turn = ONE_AT_A_TIME.lock().await;
        let dir = tempfile::tempdir().unwrap();
        let executable = dir.path().join("function");
        fs::write(&executable, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&executable, Permissions::from_mode(0o700)).unwrap();
        let variables = [("DIR", dir.path().to_str().unwrap())];
        let function = function(executable, &variables, init_timeout);
        let tried = tokio::time::timeout(2 * LIMIT, function.try_out()).await.unwrap();
        (dir, tried.unwrap_err())
    }

    #[tokio::test]
    async fn a_process_that_asks_for_nothing_is_given_up() {
        let (_dir, error) = try_out("exec /bin/sleep 600", Duration::from_millis(100)).await;
        assert!(matches!(error, StartError::Timeout(_)), "{error}");
    }

    /// What the engine knows by its environment is not the function's, and Ctrl-C in a terminal, which
    /// is its whole process group's, is the engine's alone.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_process_has_an_environment_and_a_group_of_its_own() {
        let script = "/bin/cat /proc/$$/environ > $DIR/environ; /bin/cat /proc/$$/stat > $DIR/stat";
        let (dir, error) = try_out(script, LIMIT).await;
        assert!(matches!(error, StartError::Ended(_)), "{error}");
        let environment = fs::read_to_string(dir.path().join("environ")).unwrap();
        let names = environment.split_terminator('\0').filter_map(|it| it.split('=').next());
        let mut names: Vec<&str> = names.collect();
        names.sort_unstable();
        assert_eq!(names, ["AWS_LAMBDA_RUNTIME_API", "DIR", "LAMBDA_TASK_ROOT"]);
        let stat = fs::read_to_string(dir.path().join("stat")).unwrap();
        let (pid, rest) = stat.split_once(" (").unwrap();
        let after_name = rest.rsplit_once(") ").unwrap().1;
        // The state and the parent stand before it.
        assert_eq!(after_name.split(' ').nth(2), Some(pid), "{stat}");
    }

    #[test]
    fn the_pause_before_a_start_grows_and_not_for_ever() {
        let function = function(PathBuf::new(), &[], LIMIT);
        let pauses = [0, 1, 2, 4, 8, 16, 30, 30].map(|seconds| {
            let pause = function.pause();
            function.crashed();
            (pause, Duration::from_secs(seconds))
        });
        for (pause, expected) in pauses {
            assert_eq!(pause, expected);
        }
        for _ in 0..100 {
            function.crashed();
        }
        assert_eq!(function.pause(), PAUSE_LONGEST);
        function.succeeded();
        assert_eq!(function.pause(), Duration::ZERO);
    }
}
