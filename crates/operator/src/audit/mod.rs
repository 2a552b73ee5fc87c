//! The audit log: who did what to an environment, when and why. A line for every action that changes
//! something, beside what it is about: in the engine's data directory, or in the artifact bucket.
//!
//! Lines hold ids, counts and reasons, and no bodies. What changes something is noted before it is done
//! and after, so that what was cut off in between is told as well.

pub(crate) mod read;

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

    /// Notes an action that is about to be done; its end is noted by [`Action::end`].
    ///
    /// # Errors
    ///
    /// When the log does not take it, unless it is to be done without. Nothing was done then.
    pub(crate) async fn begin(
        self,
        action: &'static str,
        why: Option<&str>,
        what: Value,
        without: Without,
    ) -> anyhow::Result<Action> {
        let started_at = Timestamp::from(SystemTime::now()).to_string();
        let begun =
            Action { log: self, name: action, why: why.map(str::to_owned), started_at, without };
        let noted = begun.note("started", what).await;
        noted.with_context(|| {
            let way_out = match without {
                Without::NotKnown => "",
                Without::Asked | Without::Possible => {
                    "; --without-audit goes on, and prints the line to keep"
                }
            };
            format!("{action} was not begun, as the audit log does not take it{way_out}")
        })?;
        Ok(begun)
    }

    /// Adds something that is done in one step: before it is done.
    pub(crate) async fn announce(
        &self,
        action: &str,
        reason: Option<&str>,
        what: Value,
    ) -> anyhow::Result<()> {
        let added = self.put(action, reason, what).await;
        added.with_context(|| format!("{action} was not begun, as the audit log does not take it"))
    }

    /// Adds an action that was done.
    pub(crate) async fn add(
        &self,
        action: &str,
        reason: Option<&str>,
        what: Value,
    ) -> anyhow::Result<()> {
        let added = self.put(action, reason, what).await;
        added.with_context(|| format!("{action} was done, but not noted in the audit log"))
    }

    /// Who does what is done here.
    pub(crate) async fn who(&self) -> anyhow::Result<String> {
        match self {
            Self::Engine(_) | Self::File(_) => Ok(user()),
            Self::Bucket { config, .. } => Ok(identity::caller(config).await?.arn),
        }
    }

    async fn put(&self, action: &str, reason: Option<&str>, what: Value) -> anyhow::Result<()> {
        let line = self.line(action, reason, what).await?;
        self.write(&line).await
    }

    async fn line(&self, action: &str, reason: Option<&str>, what: Value) -> anyhow::Result<Line> {
        let by = self.who().await?;
        let at = Timestamp::from(SystemTime::now()).to_string();
        Ok(Line { at, by, action: action.to_owned(), reason: reason.map(str::to_owned), what })
    }

    async fn write(&self, line: &Line) -> anyhow::Result<()> {
        let json = serde_json::to_string(line)?;
        match self {
            Self::Engine(api) => api.post::<Value>("/_engine/audit", line).await.map(drop),
            Self::File(file) => append(file, &json),
            Self::Bucket { config, bucket, environment } => {
                let key = key(environment, line)?;
                let body = ByteStream::from(json.into_bytes());
                let client = aws_sdk_s3::Client::new(config);
                let put = client.put_object().bucket(bucket).key(&key).body(body).send().await;
                put.map(drop).map_err(|error| sdk::failed(&format!("writing {key}"), error))
            }
        }
    }

    /// Everything that was done, the oldest first.
    pub(crate) async fn read(&self) -> anyhow::Result<Vec<Line>> {
        read::since(self, Timestamp::default()).await
    }
}

/// Whether an action may go on although the audit log does not take it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Without {
    /// The command knows no such thing.
    NotKnown,
    /// It does, and was not asked for it.
    Possible,
    /// `--without-audit`.
    Asked,
}

impl Without {
    /// By the flag of a command that has it.
    pub(crate) fn if_asked(asked: bool) -> Self {
        if asked { Self::Asked } else { Self::Possible }
    }
}

/// An action that was begun.
#[derive(Debug)]
pub(crate) struct Action {
    log: AuditLog,
    name: &'static str,
    why: Option<String>,
    /// What tells which two lines are one.
    started_at: String,
    without: Without,
}

impl Action {
    /// Notes how it ended.
    pub(crate) async fn end(self, what: Value) -> anyhow::Result<()> {
        let noted = self.note("ended", what).await;
        noted.with_context(|| {
            format!("{} was done, but its end is not noted in the audit log", self.name)
        })
    }

    async fn note(&self, state: &str, mut what: Value) -> anyhow::Result<()> {
        what["state"] = Value::from(state);
        what["started_at"] = Value::from(self.started_at.as_str());
        let line = self.log.line(self.name, self.why.as_deref(), what).await;
        let Without::Asked = self.without else { return self.log.write(&line?).await };
        // Who acts may not be known either, as where nothing of AWS answers.
        let line = match line {
            Ok(line) => line,
            Err(error) => return self.print(&error),
        };
        match self.log.write(&line).await {
            Ok(()) => Ok(()),
            Err(error) => {
                eprintln!(
                    "warning: not in the audit log ({error:#}); keep this line:\n{}",
                    serde_json::to_string(&line)?
                );
                Ok(())
            }
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "as what it stands for")]
    fn print(&self, error: &anyhow::Error) -> anyhow::Result<()> {
        eprintln!(
            "warning: not in the audit log ({error:#}); keep this line:\n{} {} {}",
            Timestamp::from(SystemTime::now()),
            self.name,
            self.why.as_deref().unwrap_or("-")
        );
        Ok(())
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
    // In one write, so that two operators' lines do not mix. What a full disk has left of another does not
    // swallow this one.
    let torn = !ends_with_a_line(file)?;
    let break_before = if torn { "\n" } else { "" };
    log.write_all(format!("{break_before}{line}\n").as_bytes())
        .and_then(|()| log.sync_data())
        .with_context(|| format!("writing {}", file.display()))
}

fn ends_with_a_line(file: &Path) -> anyhow::Result<bool> {
    use std::io::{Read as _, Seek as _, SeekFrom};
    let read = || {
        let mut log = std::fs::File::open(file)?;
        if log.metadata()?.len() == 0 {
            return Ok(true);
        }
        log.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        log.read_exact(&mut last)?;
        Ok(last == *b"\n")
    };
    let read: std::io::Result<bool> = read();
    read.with_context(|| format!("reading {}", file.display()))
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
    async fn a_torn_line_hides_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let log = AuditLog::in_dir(dir.path());
        log.add("pause", None, json!({})).await.unwrap();
        let file = dir.path().join(FILE);
        let whole = std::fs::read_to_string(&file).unwrap();
        // As a full disk leaves it: the line that comes next stands behind it.
        std::fs::write(&file, format!("{whole}{}", &whole[..20])).unwrap();
        log.add("resume", None, json!({})).await.unwrap();
        log.add("dlq drop", None, json!({})).await.unwrap();
        let actions = log.read().await.unwrap();
        let actions: Vec<_> = actions.iter().map(|line| line.action.as_str()).collect();
        assert_eq!(actions, ["pause", "resume", "dlq drop"]);
    }

    #[tokio::test]
    async fn an_action_has_a_line_before_and_one_after() {
        let dir = tempfile::tempdir().unwrap();
        let begin = AuditLog::in_dir(dir.path())
            .begin("dlq drop", Some("r"), json!({ "event_ids": ["e-1"] }), Without::NotKnown)
            .await
            .unwrap();
        begin.end(json!({ "dropped": ["e-1"] })).await.unwrap();
        let lines = AuditLog::in_dir(dir.path()).read().await.unwrap();
        let states: Vec<_> = lines.iter().map(|line| &line.what["state"]).collect();
        assert_eq!(states, ["started", "ended"]);
        assert_eq!(lines[0].what["started_at"], lines[1].what["started_at"]);
        assert!(read::is_begun_only(&lines[0]) && !read::is_begun_only(&lines[1]));
    }

    #[tokio::test]
    async fn without_a_log_nothing_is_begun_unless_it_is_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        // A directory in the place of the file takes no line.
        std::fs::create_dir(dir.path().join(FILE)).unwrap();
        let begin =
            |without| AuditLog::in_dir(dir.path()).begin("resume", None, json!({}), without);
        let error = begin(Without::Possible).await.unwrap_err();
        assert!(format!("{error:#}").contains("--without-audit"), "{error:#}");
        let error = begin(Without::NotKnown).await.unwrap_err();
        assert!(!format!("{error:#}").contains("--without-audit"), "{error:#}");
        begin(Without::Asked).await.unwrap().end(json!({})).await.unwrap();
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
