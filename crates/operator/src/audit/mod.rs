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
use commands::audit::AuditArgs;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use terminal::exit::{Failure, failure_of};

use crate::engine_api::EngineApi;
use crate::{identity, sdk};

/// The log's file in the data directory.
const FILE: &str = "audit.jsonl";

/// What the first line of an action says of its state, and what the second.
const STARTED: &str = "started";
const ENDED: &str = "ended";

/// What came of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Done,
    /// It was not done, or in part.
    Failed,
    /// The same, for a signal.
    Interrupted,
}

impl Ending {
    const ALL: [Self; 3] = [Self::Done, Self::Failed, Self::Interrupted];

    /// By what it failed with.
    pub(crate) fn by(error: &anyhow::Error) -> Self {
        match failure_of(error) {
            Some(Failure::Interrupted) => Self::Interrupted,
            _ => Self::Failed,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }
}

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

    /// Notes an action that is about to be done; what came of it is noted by [`Action::end`].
    ///
    /// # Errors
    ///
    /// When the log does not take it, unless it is to be done without. Nothing was done then.
    pub(crate) async fn begin(
        self,
        action: &'static str,
        why: Option<&str>,
        what: Value,
        args: AuditArgs,
    ) -> anyhow::Result<Action> {
        let started_at = Timestamp::from(SystemTime::now()).to_string();
        let begun =
            Action { log: self, name: action, why: why.map(str::to_owned), started_at, args };
        let noted = begun.note(STARTED, what).await;
        noted.with_context(|| {
            format!(
                "{action} was not begun, as the audit log does not take it; --without-audit goes on, and \
                 prints the line to keep"
            )
        })?;
        Ok(begun)
    }

    /// Who does what is done here.
    pub(crate) async fn who(&self) -> anyhow::Result<String> {
        match self {
            Self::Engine(_) | Self::File(_) => Ok(user()),
            Self::Bucket { config, .. } => Ok(identity::caller(config).await?.arn),
        }
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
    pub(crate) async fn read(&self) -> anyhow::Result<read::Actions> {
        read::all_since(self, Timestamp::default()).await
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
    args: AuditArgs,
}

impl Action {
    /// Notes what came of it, with `what` to say of it, and gives that.
    ///
    /// # Errors
    ///
    /// What it failed with; or when it was done, and that is not noted.
    pub(crate) async fn end<T>(
        self,
        mut what: Value,
        done: anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let ending = done.as_ref().map_or_else(Ending::by, |_| Ending::Done);
        if let Err(error) = &done {
            what["error"] = Value::from(format!("{error:#}"));
        }
        let noted = self.end_as(ending, what).await;
        // How it ended is worth more than that this is not noted.
        done.and_then(|done| noted.map(|()| done))
    }

    /// Notes what came of something that says itself how it ended.
    ///
    /// # Errors
    ///
    /// When the log does not take it.
    pub(crate) async fn end_as(self, ending: Ending, mut what: Value) -> anyhow::Result<()> {
        what["result"] = Value::from(ending.as_str());
        let noted = self.note(ENDED, what).await;
        noted.with_context(|| {
            format!(
                "{} has ended ({}), but that is not in the audit log",
                self.name,
                ending.as_str()
            )
        })
    }

    async fn note(&self, state: &str, mut what: Value) -> anyhow::Result<()> {
        what["state"] = Value::from(state);
        what["started_at"] = Value::from(self.started_at.as_str());
        let line = self.log.line(self.name, self.why.as_deref(), what).await;
        if !self.args.without_audit {
            return self.log.write(&line?).await;
        }
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

    /// Begins it, and ends it like this.
    async fn act(dir: &Path, action: &'static str, why: Option<&str>, done: anyhow::Result<()>) {
        let log = AuditLog::in_dir(dir);
        let begun = log.begin(action, why, json!({}), AuditArgs::default()).await.unwrap();
        let failed = done.is_err();
        assert_eq!(begun.end(json!({ "n": 1 }), done).await.is_err(), failed);
    }

    #[tokio::test]
    async fn what_was_done_is_there_in_order_before_and_after() {
        let dir = tempfile::tempdir().unwrap();
        assert!(AuditLog::in_dir(dir.path()).read().await.unwrap().lines.is_empty());
        act(dir.path(), "pause", Some("リリース 42"), Ok(())).await;
        act(dir.path(), "dlq drop", None, Err(anyhow::anyhow!("gone").context("dropping"))).await;
        act(dir.path(), "retry", None, Err(crate::interrupt::Interrupted::error())).await;
        let lines = AuditLog::in_dir(dir.path()).read().await.unwrap().lines;
        let told: Vec<_> = lines.iter().map(|it| (&*it.action, &it.what["result"])).collect();
        let (none, result) = (&Value::Null, |text: &str| json!(text));
        assert_eq!(
            told,
            [
                ("pause", none),
                ("pause", &result("done")),
                ("dlq drop", none),
                ("dlq drop", &result("failed")),
                ("retry", none),
                ("retry", &result("interrupted")),
            ]
        );
        assert_eq!(lines[0].reason.as_deref(), Some("リリース 42"));
        assert_eq!(
            (&lines[3].what["error"], &lines[3].what["n"]),
            (&json!("dropping: gone"), &json!(1))
        );
        let states: Vec<_> = lines.iter().map(|line| &line.what["state"]).collect();
        assert_eq!(states[..2], ["started", "ended"]);
        assert_eq!(lines[0].what["started_at"], lines[1].what["started_at"]);
    }

    #[tokio::test]
    async fn a_torn_line_hides_no_other() {
        let dir = tempfile::tempdir().unwrap();
        act(dir.path(), "pause", None, Ok(())).await;
        let file = dir.path().join(FILE);
        let whole = std::fs::read_to_string(&file).unwrap();
        // As a full disk leaves it: the line that comes next stands behind it.
        std::fs::write(&file, format!("{whole}{}", &whole[..20])).unwrap();
        act(dir.path(), "resume", None, Ok(())).await;
        let read::Actions { lines: actions, torn } =
            AuditLog::in_dir(dir.path()).read().await.unwrap();
        let actions: Vec<_> = actions.iter().map(|line| line.action.as_str()).collect();
        assert_eq!(actions, ["pause", "pause", "resume", "resume"]);
        assert_eq!(torn, 1);
    }

    #[tokio::test]
    async fn without_a_log_nothing_is_begun_unless_it_is_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        // A directory in the place of the file takes no line.
        std::fs::create_dir(dir.path().join(FILE)).unwrap();
        let begin = |without_audit| {
            let log = AuditLog::in_dir(dir.path());
            log.begin("resume", None, json!({}), AuditArgs { without_audit })
        };
        let error = begin(false).await.unwrap_err();
        assert!(format!("{error:#}").contains("--without-audit"), "{error:#}");
        begin(true).await.unwrap().end(json!({}), Ok(())).await.unwrap();
        let failed =
            begin(true).await.unwrap().end(json!({}), Err::<(), _>(anyhow::anyhow!("why")));
        assert_eq!(failed.await.unwrap_err().to_string(), "why");
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
