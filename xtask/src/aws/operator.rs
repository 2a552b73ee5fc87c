//! The operator, for what Terraform does not do: artifacts, release records, identity, the log.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Environment, local_dir};
use crate::{operate, process};

/// The operator, built, for one environment.
#[derive(Debug)]
pub(crate) struct Operator<'a> {
    environment: &'a Environment,
}

/// A document of the store.
#[derive(Debug, Deserialize)]
pub(crate) struct Kept<T> {
    pub(crate) key: String,
    pub(crate) document: T,
}

#[derive(Debug, Deserialize)]
struct Identity {
    arn: String,
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
        let mut arguments = vec!["whoami", "--region", &self.environment.aws.region];
        if let Some(account_id) = &self.environment.aws.account_id {
            arguments.extend(["--account-id", account_id]);
        }
        let identity: Identity = json(&mut command(&arguments))?;
        Ok(identity.arn)
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

    /// The documents under `prefix`, the newest first.
    pub(crate) fn read<T: DeserializeOwned>(&self, prefix: &str) -> anyhow::Result<Vec<Kept<T>>> {
        json(command(&["store", "read", prefix]).args(self.store()?))
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
        json(&mut wait)
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

fn output(command: &mut Command) -> anyhow::Result<Vec<u8>> {
    let output = command.stderr(Stdio::piped()).output();
    let output = output.map_err(|error| process::cannot_start(command, &error))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{}", said.trim().trim_start_matches("error: "));
    }
    Ok(output.stdout)
}

fn json<T: DeserializeOwned>(command: &mut Command) -> anyhow::Result<T> {
    serde_json::from_slice(&output(command)?).context("reading what the operator printed")
}
