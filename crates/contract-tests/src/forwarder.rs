//! The built forwarder, as a process, and what it is started with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use axum::body::Bytes;
use domain::config::{Config, ConfigFile};
use domain::environment::INGEST_SENDER_VARIABLE;
use domain::time::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use tokio::process::Child;
use tokio::sync::{Mutex, oneshot};

use crate::event::{INGEST, Record, event};
use crate::fake_aws::FakeAws;
use crate::fake_sqs::FakeSqs;
use crate::log::{self, Log};
use crate::runtime_api::{Answer, FunctionError, NOT_TRACED, RuntimeApi};
use crate::within_patience;

/// The variable that names a forwarder to test instead of building one, such as a packaged one.
pub const BINARY_VARIABLE: &str = "FORWARDER_BINARY";

/// A running forwarder, with a Runtime API and an SQS of its own.
pub struct Forwarder {
    process: Mutex<Child>,
    stdout: Log,
    stderr: Log,
    api: RuntimeApi,
    sqs: FakeSqs,
    function_timeout: Duration,
}

/// An invocation that has not been answered yet.
pub struct Invocation<'a> {
    forwarder: &'a Forwarder,
    answer: oneshot::Receiver<Answer>,
    deadline: Timestamp,
}

/// How a forwarder ended.
#[derive(Debug)]
pub struct Exit {
    /// Its exit status.
    pub status: ExitStatus,
    /// What it told Lambda instead of asking for its first event.
    pub init_error: Option<FunctionError>,
    /// Lines on standard output.
    pub stdout: Vec<String>,
    /// Lines on standard error.
    pub stderr: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BatchResponse {
    batch_item_failures: Vec<BatchItemFailure>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BatchItemFailure {
    item_identifier: String,
}

impl Forwarder {
    /// Starts a forwarder with this configuration.
    ///
    /// # Panics
    ///
    /// When the configuration has faults; see [`Self::start_with`] for such.
    pub async fn start(config: ConfigFile) -> Self {
        Self::start_with_more(config, []).await
    }

    /// The same, with secrets of AWS at hand.
    ///
    /// # Panics
    ///
    /// When the configuration has faults.
    pub async fn start_on_aws(config: ConfigFile, aws: &FakeAws) -> Self {
        Self::start_with_more(config, [("AWS_ENDPOINT_URL", aws.url())]).await
    }

    /// The same, with these variables more.
    ///
    /// # Panics
    ///
    /// When the configuration has faults.
    pub async fn start_with_more(
        config: ConfigFile,
        more: impl IntoIterator<Item = (&str, String)>,
    ) -> Self {
        let config = Config::check(config).expect("the test's configuration is good");
        let sqs = FakeSqs::start().await;
        let mut environment =
            config.forwarder_environment(&sqs.queue_url(), &sqs.dead_letter_queue_url());
        environment.insert(INGEST_SENDER_VARIABLE.to_owned(), INGEST.to_owned());
        environment.extend(more.into_iter().map(|(name, value)| (name.to_owned(), value)));
        Self::spawn(sqs, config.forwarder().function_timeout, &environment).await
    }

    /// Starts a forwarder with these variables on top of Lambda's own.
    pub async fn start_with(environment: &BTreeMap<String, String>) -> Self {
        Self::spawn(FakeSqs::start().await, Duration::from_mins(1), environment).await
    }

    async fn spawn(
        sqs: FakeSqs,
        function_timeout: Duration,
        environment: &BTreeMap<String, String>,
    ) -> Self {
        let api = RuntimeApi::start().await;
        let mut process = tokio::process::Command::new(binary())
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", api.address().to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", "test-webhook-forwarder")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", SECRET)
            .env("AWS_SESSION_TOKEN", SECRET)
            .env("AWS_ENDPOINT_URL_SQS", sqs.url())
            .envs(environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", binary().display()));
        Self {
            stdout: Log::of(process.stdout.take().expect("it is piped")),
            stderr: Log::of(process.stderr.take().expect("it is piped")),
            process: Mutex::new(process),
            api,
            sqs,
            function_timeout,
        }
    }

    /// Its SQS.
    #[must_use]
    pub fn sqs(&self) -> &FakeSqs {
        &self.sqs
    }

    /// Hands over a batch and returns the ids of the messages that were reported as failed, sorted.
    pub async fn invoke(&self, batch: impl IntoIterator<Item = Record>) -> Vec<String> {
        self.begin(batch).failed().await
    }

    /// Hands over a batch, to be answered in time for the function's timeout.
    pub fn begin(&self, batch: impl IntoIterator<Item = Record>) -> Invocation<'_> {
        self.begin_with_time_left(self.function_timeout, batch)
    }

    /// Hands over a batch, to be answered within `time_left`.
    pub fn begin_with_time_left(
        &self,
        time_left: Duration,
        batch: impl IntoIterator<Item = Record>,
    ) -> Invocation<'_> {
        let event = event(batch).to_string();
        let deadline = Timestamp::from(SystemTime::now()).plus(time_left);
        Invocation {
            forwarder: self,
            answer: self.api.offer(Bytes::from(event), deadline, NOT_TRACED),
            deadline,
        }
    }

    /// Hands over a batch whose invocation has this X-Ray trace header.
    pub fn begin_traced(
        &self,
        trace: &'static str,
        batch: impl IntoIterator<Item = Record>,
    ) -> Invocation<'_> {
        let deadline = Timestamp::from(SystemTime::now()).plus(self.function_timeout);
        let event = Bytes::from(event(batch).to_string());
        Invocation { forwarder: self, answer: self.api.offer(event, deadline, trace), deadline }
    }

    /// Hands over any text as the event.
    pub fn begin_event(&self, event: String) -> Invocation<'_> {
        let deadline = Timestamp::from(SystemTime::now()).plus(self.function_timeout);
        Invocation {
            forwarder: self,
            answer: self.api.offer(Bytes::from(event), deadline, NOT_TRACED),
            deadline,
        }
    }

    /// Its log so far.
    #[must_use]
    pub fn log(&self) -> Vec<Value> {
        log::parse(&self.stdout.so_far())
    }

    /// Ends the process at once (`SIGKILL`), and returns its log.
    pub async fn kill(&self) -> Vec<Value> {
        self.process.lock().await.kill().await.expect("it is our process");
        log::parse(&self.stdout.all().await)
    }

    /// Awaits the end of the process.
    pub async fn exit(self) -> Exit {
        let status = within_patience("the end of the process", async {
            self.process.lock().await.wait().await.expect("it is our process")
        })
        .await;
        Exit {
            status,
            init_error: self.api.init_error(),
            stdout: self.stdout.all().await,
            stderr: self.stderr.all().await,
        }
    }

    fn output(&self) -> String {
        let (stdout, stderr) = (self.stdout.so_far().join("\n"), self.stderr.so_far().join("\n"));
        format!("its log:\n{stdout}\nits standard error:\n{stderr}")
    }
}

impl Invocation<'_> {
    /// The forwarder's answer, or `None` if it ended without one.
    pub async fn answer(self) -> Option<Answer> {
        let (forwarder, deadline) = (self.forwarder, self.deadline);
        let answer = within_patience("an answer to the event", async {
            tokio::select! {
                biased;
                answer = self.answer => answer.ok(),
                () = forwarder.stdout.ended() => None,
            }
        })
        .await;
        let late = Timestamp::from(SystemTime::now()).since(deadline);
        assert!(late.is_zero(), "Lambda would have ended the function {late:?} ago");
        answer
    }

    /// The ids of the messages that were reported as failed, sorted.
    ///
    /// # Panics
    ///
    /// When the answer is anything but a partial batch response.
    pub async fn failed(self) -> Vec<String> {
        let forwarder = self.forwarder;
        let answer = self.answer().await;
        let Some(Answer::Response(body)) = &answer else {
            panic!("no response, but {answer:?}; {}", forwarder.output());
        };
        let response: BatchResponse = serde_json::from_slice(body)
            .unwrap_or_else(|error| panic!("no partial batch response: {error}: {body:?}"));
        let mut failed: Vec<String> = response
            .batch_item_failures
            .into_iter()
            .map(|failure| failure.item_identifier)
            .collect();
        failed.sort();
        failed
    }
}

/// What must never be seen in a log.
pub const SECRET: &str = "this-is-a-secret";

/// The forwarder's binary: built once, in the profile and target directory of the running test, so
/// that `cargo test` alone tests the code as it is.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| std::env::var_os(BINARY_VARIABLE).map_or_else(build, PathBuf::from))
}

fn build() -> PathBuf {
    let test = std::env::current_exe().expect("the running test has a path");
    let profile_dir = test.ancestors().nth(2).expect("target/PROFILE/deps/test");
    let target_dir = profile_dir.parent().expect("target/PROFILE");
    let profile = match profile_dir.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--package", "forwarder", "--profile", profile])
        .arg("--target-dir")
        .arg(target_dir)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .expect("cargo can be started");
    assert!(status.success(), "cargo build --package forwarder: {status}");
    profile_dir.join("forwarder")
}
