//! The audit log: who did what to an environment, when and why. A line for every action that changes
//! something, beside what it is about: in the engine's data directory, or in the artifact bucket.
//!
//! Lines hold ids, counts and reasons, and no bodies.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Context as _;
use aws_config::SdkConfig;
use aws_sdk_s3::primitives::ByteStream;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::engine_api::EngineApi;
use crate::{identity, sdk};

/// The log's file in the data directory.
const FILE: &str = "audit.jsonl";

/// One action.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Line {
    /// RFC 3339.
    pub(crate) at: String,
    /// The operating system's user, or the caller's ARN.
    pub(crate) by: String,
    /// The command, such as `dlq drop`.
    pub(crate) action: String,
    /// Why, in the words of who did it.
    pub(crate) reason: Option<String>,
    /// What it was done to: ids, counts, selection.
    pub(crate) what: Value,
}

/// Where an environment's log is kept.
#[derive(Debug, Clone)]
pub(crate) enum AuditLog {
    /// An engine's, a line an action: it writes them, as its own user.
    Engine(EngineApi),
    /// A file on this machine, for what was deployed to an emulator.
    File(PathBuf),
    /// Objects, one an action, as S3 cannot append.
    Bucket { config: Box<SdkConfig>, bucket: String, environment: String },
}

impl AuditLog {
    /// The log in a directory of this machine.
    pub(crate) fn in_dir(dir: &Path) -> Self {
        Self::File(dir.join(FILE))
    }

    /// Adds an action that was done.
    pub(crate) async fn add(
        &self,
        action: &str,
        reason: Option<&str>,
        what: Value,
    ) -> anyhow::Result<()> {
        let added = self.write(action, reason, what).await;
        added.with_context(|| format!("{action} was done, but not noted in the audit log"))
    }

    /// Adds an action that is about to be done, for what may be killed in the middle.
    pub(crate) async fn announce(
        &self,
        action: &str,
        reason: Option<&str>,
        what: Value,
    ) -> anyhow::Result<()> {
        let added = self.write(action, reason, what).await;
        added.with_context(|| format!("{action} was not begun, as the audit log does not take it"))
    }

    async fn write(&self, action: &str, reason: Option<&str>, what: Value) -> anyhow::Result<()> {
        let at = Timestamp::from(SystemTime::now()).to_string();
        let by = match self {
            Self::Engine(_) | Self::File(_) => user(),
            Self::Bucket { config, .. } => identity::caller(config).await?.arn,
        };
        let line =
            Line { at, by, action: action.to_owned(), reason: reason.map(str::to_owned), what };
        let json = serde_json::to_string(&line)?;
        match self {
            Self::Engine(api) => api.post::<Value>("/_engine/audit", &line).await.map(drop),
            Self::File(file) => append(file, &json),
            Self::Bucket { config, bucket, environment } => {
                let key = key(environment, &line)?;
                let body = ByteStream::from(json.into_bytes());
                let client = aws_sdk_s3::Client::new(config);
                let put = client.put_object().bucket(bucket).key(&key).body(body).send().await;
                put.map(drop).map_err(|error| sdk::failed(&format!("writing {key}"), error))
            }
        }
    }

    /// Everything that was done, the oldest first.
    pub(crate) async fn read(&self) -> anyhow::Result<Vec<Line>> {
        match self {
            Self::Engine(api) => {
                let mut lines = Vec::new();
                api.lines("/_engine/audit", |line| lines.push(serde_json::from_value(line)))
                    .await?;
                let lines: Result<Vec<Line>, _> = lines.into_iter().collect();
                lines.context("understanding the engine's audit log")
            }
            Self::File(file) => read_file(file),
            Self::Bucket { config, bucket, environment } => {
                read_bucket(&aws_sdk_s3::Client::new(config), bucket, environment).await
            }
        }
    }
}

/// Who is at this machine.
fn user() -> String {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    variable("SUDO_USER")
        .or_else(|| variable("USER"))
        .unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()))
}

fn append(file: &Path, line: &str) -> anyhow::Result<()> {
    if let Some(dir) = file.parent() {
        std::fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
    }
    let open = std::fs::OpenOptions::new().create(true).append(true).open(file);
    let mut log = open.with_context(|| format!("opening {}", file.display()))?;
    // In one write, so that two operators' lines do not mix.
    log.write_all(format!("{line}\n").as_bytes())
        .and_then(|()| log.sync_data())
        .with_context(|| format!("writing {}", file.display()))
}

fn read_file(file: &Path) -> anyhow::Result<Vec<Line>> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("reading {}", file.display())),
    };
    let numbered = text.lines().enumerate();
    let parse = |(index, line): (usize, &str)| {
        serde_json::from_str(line)
            .with_context(|| format!("line {} of {}", index + 1, file.display()))
    };
    numbered.map(parse).collect()
}

async fn read_bucket(
    client: &aws_sdk_s3::Client,
    bucket: &str,
    environment: &str,
) -> anyhow::Result<Vec<Line>> {
    let prefix = format!("audit/{environment}/");
    let mut pages = client.list_objects_v2().bucket(bucket).prefix(&prefix).into_paginator().send();
    let mut lines = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| sdk::failed(&format!("listing {prefix}"), error))?;
        for key in page.contents().iter().filter_map(|object| object.key()) {
            let object = client.get_object().bucket(bucket).key(key).send().await;
            let object = object.map_err(|error| sdk::failed(&format!("reading {key}"), error))?;
            let bytes = object.body.collect().await.with_context(|| format!("reading {key}"))?;
            let line = serde_json::from_slice(&bytes.into_bytes());
            lines.push(line.with_context(|| format!("understanding {key}"))?);
        }
    }
    Ok(lines)
}

/// Sorted by time; the rest tells two actions of one moment apart.
fn key(environment: &str, line: &Line) -> anyhow::Result<String> {
    use std::hash::{BuildHasher as _, RandomState};
    let unique = RandomState::new().hash_one(serde_json::to_string(line)?);
    let at = line.at.replace([':', '-'], "");
    Ok(format!("audit/{environment}/{at}-{unique:016x}.json"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn what_was_done_is_there_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let log = AuditLog::in_dir(dir.path());
        assert!(log.read().await.unwrap().is_empty());
        log.add("pause", Some("リリース 42"), json!({})).await.unwrap();
        log.add("dlq drop", None, json!({ "ids": ["e-1"] })).await.unwrap();
        let lines = log.read().await.unwrap();
        let actions: Vec<_> = lines.iter().map(|line| line.action.as_str()).collect();
        assert_eq!(actions, ["pause", "dlq drop"]);
        assert_eq!(lines[0].reason.as_deref(), Some("リリース 42"));
    }

    #[tokio::test]
    async fn a_line_that_is_none_is_named() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), "{}\n").unwrap();
        let error = AuditLog::in_dir(dir.path()).read().await.unwrap_err();
        assert!(error.to_string().contains("line 1 of"), "{error}");
    }

    #[test]
    fn actions_are_kept_in_the_order_of_time() {
        let line = |at: &str| Line {
            at: at.to_owned(),
            by: "u".to_owned(),
            action: "pause".to_owned(),
            reason: None,
            what: json!({}),
        };
        let early = key("dev", &line("2026-11-23T09:00:00.000Z")).unwrap();
        let late = key("dev", &line("2026-11-23T10:00:00.000Z")).unwrap();
        assert!(early < late && early.starts_with("audit/dev/20261123T090000.000Z-"), "{early}");
    }
}
