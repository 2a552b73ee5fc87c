//! The operator, for what Terraform does not do: artifacts, release records, identity, the log.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, anyhow};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use terminal::exit::Failure;

use super::{Environment, emulator, local_dir};
use crate::{interrupt, operate, process};

/// The operator, built, for one environment.
#[derive(Debug)]
pub(crate) struct Operator<'a> {
    environment: &'a Environment,
}

/// A document of the store.
#[derive(Debug, Deserialize)]
pub(crate) struct Kept {
    pub(crate) key: String,
    pub(crate) document: Value,
}

/// What an environment's function runs, as Lambda says it.
#[derive(Debug, Deserialize)]
pub(crate) struct Live {
    /// SHA-256 of the code, in base64.
    pub(crate) code_sha256: String,
    pub(crate) function_version: String,
}

impl Live {
    /// The digest of the artifact that runs: the same SHA-256 in hexadecimal.
    pub(crate) fn digest(&self) -> anyhow::Result<String> {
        let bytes = BASE64_STANDARD.decode(&self.code_sha256).context("reading the code's hash")?;
        Ok(terminal::text::hexadecimal(&bytes))
    }
}

/// The stage of an API that was there already.
#[derive(Debug, Deserialize)]
struct Stage {
    /// What it means that it does not deploy by itself.
    obstacle: Option<String>,
}

/// Who calls AWS.
#[derive(Debug, Deserialize)]
pub(crate) struct Caller {
    pub(crate) arn: String,
    pub(crate) account: String,
}

/// Asks AWS whose credentials these are.
///
/// # Errors
///
/// When there are none, or they are of another account than `account_id`.
pub(crate) fn caller(region: &str, account_id: Option<&str>) -> anyhow::Result<Caller> {
    let mut arguments = vec!["whoami", "--region", region];
    arguments.extend(account_id.into_iter().flat_map(|id| ["--account-id", id]));
    json(&mut command(&arguments))
}

impl<'a> Operator<'a> {
    /// Builds the operator; quick when nothing has changed.
    pub(crate) fn new(environment: &'a Environment) -> anyhow::Result<Self> {
        operate::build()?;
        Ok(Self { environment })
    }

    /// Who deploys: AWS's name of the caller, or on this machine the user's.
    ///
    /// # Errors
    ///
    /// When there are no credentials, or they are of another account than the configured one.
    pub(crate) fn whoami(&self) -> anyhow::Result<String> {
        if self.environment.is_local() {
            let user = process::output(process::command("id").arg("-un"))?;
            return Ok(user.trim().to_owned());
        }
        let aws = &self.environment.aws;
        Ok(caller(&aws.region, aws.account_id.as_deref())?.arn)
    }

    /// Keeps a file under `key`, where nothing is ever overwritten.
    pub(crate) fn put(&self, key: &str, file: &Path, content: Content) -> anyhow::Result<()> {
        let mut put = command(&["store", "put", key]);
        put.arg(file).args(self.store()?);
        match content {
            Content::Artifact => put.args(["--content-type", "application/zip"]),
            Content::Manifest => put.args(["--content-type", "application/json", "--keep"]),
            Content::Release => put.args(["--content-type", "application/json"]),
        };
        output(&mut put).map(drop)
    }

    /// Copies what is kept under `key` into `file`.
    pub(crate) fn get(&self, key: &str, file: &Path) -> anyhow::Result<()> {
        output(command(&["store", "get", key]).arg(file).args(self.store()?)).map(drop)
    }

    /// The newest documents under `prefix`, but for those that are under the prefix `without` too.
    pub(crate) fn read(&self, prefix: &str, without: Option<&str>) -> anyhow::Result<Vec<Kept>> {
        let mut read = command(&["store", "read", prefix]);
        if let Some(without) = without {
            read.args(["--without", without]);
        }
        json(read.args(self.store()?))
    }

    /// What the environment's function runs.
    pub(crate) fn live(&self) -> anyhow::Result<Live> {
        let name = &self.environment.name;
        // Source: `modules/webhook-forwarder`.
        let function = format!("{name}-webhook-forwarder");
        let mut ask = command(&["live", "--function", &function, "--alias", "live"]);
        if self.environment.is_local() {
            emulator::confine(&mut ask, &emulator::endpoint()?);
        }
        ask.args(["--region", &self.environment.aws.region]);
        json(&mut ask).with_context(|| format!("asking what runs in {name}"))
    }

    /// What is in the way of a change of a route, where the API was there already: a stage that does not
    /// deploy by itself.
    ///
    /// # Errors
    ///
    /// When there is no such stage.
    pub(crate) fn obstacle_of_stage(&self) -> anyhow::Result<Option<String>> {
        let Some(api) = &self.environment.aws.api else { return Ok(None) };
        let mut ask = command(&["stage", "--region", &self.environment.aws.region]);
        ask.args(["--stage", &api.stage]);
        ask.args(api.id.iter().flat_map(|id| ["--api-id", id]));
        ask.args(api.name.iter().flat_map(|name| ["--api-name", name]));
        if self.environment.is_local() {
            emulator::confine(&mut ask, &emulator::endpoint()?);
        }
        let stage: Stage = json(&mut ask)?;
        Ok(stage.obstacle)
    }

    /// Waits until no change of the event source mapping `uuid` is under way, such as a pause's: Terraform
    /// does not, and Lambda would refuse its own.
    pub(crate) fn settle(&self, uuid: &str) -> anyhow::Result<()> {
        let region = &self.environment.aws.region;
        let mut wait = command(&["settle", "--uuid", uuid, "--region", region]);
        if self.environment.is_local() {
            emulator::confine(&mut wait, &emulator::endpoint()?);
        }
        let mut child = start(&mut wait)?;
        let stderr = child.stderr.take().context("the operator's errors are not piped")?;
        let said = interrupt::during("the event source mapping", child.id(), || {
            let mut said = String::new();
            for line in BufReader::new(stderr).lines() {
                let line = line?;
                if line.starts_with("waiting for ") {
                    eprintln!("{line}");
                } else {
                    said += &line;
                }
            }
            Ok::<_, std::io::Error>(said)
        })?;
        let Output { status, stdout, .. } =
            child.wait_with_output().context("waiting for the operator")?;
        let stderr = said.context("reading what the operator says")?.into_bytes();
        answer(Output { status, stdout, stderr }).map(drop)
    }

    /// Deletes what `pause`, `skip` and `dlq redrive` have made beside Terraform, as far as it is there.
    pub(crate) fn forget(&self) -> anyhow::Result<()> {
        let Environment { name, aws, .. } = self.environment;
        let mut forget = command(&["forget", name, "--region", &aws.region]);
        forget.args(aws.artifact_bucket.iter().flat_map(|bucket| ["--bucket", bucket.as_str()]));
        output(&mut forget).map(drop)
    }

    /// Whether both keep their artifacts in the same place.
    pub(crate) fn shares_store_with(&self, other: &Self) -> bool {
        let place = |environment: &Environment| {
            (environment.is_local(), environment.aws.artifact_bucket.clone())
        };
        place(self.environment) == place(other.environment)
    }

    /// What the forwarder's log tells of an event, once it tells how it ended, or time is up.
    pub(crate) fn await_delivery(
        &self,
        log_group: &str,
        event_id: &str,
        since_ms: u64,
        timeout_seconds: u64,
    ) -> anyhow::Result<Value> {
        let mut wait = command(&["await-delivery", "--log-group", log_group]);
        wait.args(["--region", &self.environment.aws.region, "--event-id", event_id]);
        wait.args(["--since-ms", &since_ms.to_string()]);
        wait.args(["--timeout-seconds", &timeout_seconds.to_string()]);
        // The one that takes its time: Ctrl-C ends it.
        let child = start(&mut wait)?;
        let pid = child.id();
        let output = interrupt::during("the smoke test", pid, || child.wait_with_output())?;
        parsed(&answer(output.context("waiting for the operator")?)?)
    }

    /// The options that name the store.
    fn store(&self) -> anyhow::Result<Vec<String>> {
        let options = if self.environment.is_local() {
            vec!["--dir".to_owned(), local_dir().join("bucket").display().to_string()]
        } else {
            let bucket = self.environment.aws.artifact_bucket.clone();
            let bucket = bucket.context("aws.artifact_bucket is not set")?;
            let region = self.environment.aws.region.clone();
            vec!["--bucket".to_owned(), bucket, "--region".to_owned(), region]
        };
        Ok(options)
    }
}

/// What is kept in the store.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Content {
    /// A zip file, named by its digest.
    Artifact,
    /// What is known of an artifact. Another commit can make the same bytes: the first one stands.
    Manifest,
    /// A release record.
    Release,
}

fn command(arguments: &[&str]) -> Command {
    let mut command = operate::operator();
    command.args(arguments);
    command
}

fn start(command: &mut Command) -> anyhow::Result<std::process::Child> {
    // A terminal's Ctrl-C is ours to act on: what is written down is written whole.
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    command.spawn().map_err(|error| process::cannot_start(command, &error))
}

fn output(command: &mut Command) -> anyhow::Result<Vec<u8>> {
    answer(start(command)?.wait_with_output().context("waiting for the operator")?)
}

/// What the operator printed, or why it failed.
fn answer(output: Output) -> anyhow::Result<Vec<u8>> {
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let error = anyhow!("{}", said.trim().trim_start_matches("error: "));
    // Source: `crates/operator`, which says so of credentials that are missing, or another account's.
    let is_ours_to_set = said.contains("AWS_PROFILE");
    Err(if is_ours_to_set { Failure::Environment.of(error) } else { error })
}

fn json<T: DeserializeOwned>(command: &mut Command) -> anyhow::Result<T> {
    parsed(&output(command)?)
}

fn parsed<T: DeserializeOwned>(printed: &[u8]) -> anyhow::Result<T> {
    serde_json::from_slice(printed).context("reading what the operator printed")
}
