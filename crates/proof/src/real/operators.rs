//! Operators, who type `webhook-operator`, and are killed while they do.

use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rustix::process::Pid;
use serde_json::Value;
use tokio::process::Command;

use super::engine::Places;
use super::record::Record;
use crate::history::{Action, DeadLetter, Seen};
use crate::planted::contains;

/// Longest run of a command.
const ENDS_WITHIN: Duration = Duration::from_mins(2);

/// Somebody who operates.
#[derive(Debug)]
pub(super) struct Operators {
    places: Arc<Places>,
    record: Arc<Record>,
}

impl Operators {
    pub(super) fn new(places: Arc<Places>, record: Arc<Record>) -> Self {
        Self { places, record }
    }

    /// Where they are.
    pub(super) fn desk(&self) -> &Path {
        &self.places.desk
    }

    /// The commands of theirs that run, whoever has started them. Source: proc(5).
    pub(super) fn started(&self) -> Vec<Pid> {
        let data_dir = self.places.data_dir.as_os_str().as_encoded_bytes();
        let is_one = |process: &std::fs::DirEntry| {
            std::fs::read(process.path().join("cmdline")).is_ok_and(|typed| {
                contains(&typed, data_dir) && contains(&typed, b"webhook-operator")
            })
        };
        let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let ids = processes.filter(is_one).filter_map(|it| it.file_name().to_str()?.parse().ok());
        ids.filter_map(super::engine::pid).collect()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        self.typed(Command::new(self.places.programs.join("webhook-operator")), arguments)
    }

    /// One that does not end by itself: killed with whoever has started it, as this process may be.
    pub(super) fn command_that_stays(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(self.places.programs.join("webhook-operator"));
        self.typed(command, arguments)
    }

    fn typed(&self, mut command: Command, arguments: &[&str]) -> Command {
        command.args(arguments).arg("--data-dir").arg(&self.places.data_dir);
        command.current_dir(&self.places.desk).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a command to its end; what it prints must not hold what was planted.
    pub(super) async fn run(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        let output = self.run_and_show(arguments).await?;
        let place = format!("what `{}` prints", arguments.join(" "));
        self.record.search(&place, &output.stdout);
        self.record.search(&place, &output.stderr);
        Ok(output)
    }

    /// The same of a command that shows a body because it was asked to.
    async fn run_and_show(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        let ended = tokio::time::timeout(ENDS_WITHIN, self.command(arguments).output()).await;
        let what = || format!("`webhook-operator {}`", arguments.join(" "));
        ended.with_context(|| format!("{} does not end", what()))?.with_context(what)
    }

    /// Runs a command that prints JSON. It may end with 1, as where something was not seen.
    pub(super) async fn json(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let output = self.run(&[arguments, &["--json"]].concat()).await?;
        serde_json::from_slice(&output.stdout).with_context(|| {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            format!("what `{}` prints; it says {}", arguments.join(" "), said.trim())
        })
    }

    /// Acts, and notes it.
    pub(super) async fn act(
        &self,
        action: Action,
        event_ids: Vec<String>,
        arguments: &[&str],
    ) -> anyhow::Result<Output> {
        let began_at = self.record.now();
        let output = self.run(arguments).await?;
        let code = output.status.code();
        ensure!(code != Some(2), "{}", String::from_utf8_lossy(&output.stderr).trim());
        let has_reason = arguments.contains(&"--why");
        self.record.push(Seen::Acted { action, event_ids, has_reason, began_at, code });
        Ok(output)
    }

    /// Acts, to the end or until it is killed after this time; notes it, and gives its exit code, none if it
    /// was killed.
    pub(super) async fn act_or_be_killed(
        &self,
        action: Action,
        event_ids: Vec<String>,
        arguments: &[&str],
        killed_after: Option<Duration>,
    ) -> anyhow::Result<Option<i32>> {
        match killed_after {
            Some(after) => self.act_and_be_killed(action, event_ids, arguments, after).await,
            None => Ok(self.act(action, event_ids, arguments).await?.status.code()),
        }
    }

    /// Acts, and is killed after this time unless it has ended; notes it.
    async fn act_and_be_killed(
        &self,
        action: Action,
        event_ids: Vec<String>,
        arguments: &[&str],
        after: Duration,
    ) -> anyhow::Result<Option<i32>> {
        let began_at = self.record.now();
        let mut command = self.command(arguments);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().context("starting webhook-operator")?;
        let code = match tokio::time::timeout(after, child.wait()).await {
            Ok(ended) => ended.context("waiting for webhook-operator")?.code(),
            Err(_it_runs) => {
                child.kill().await.context("killing webhook-operator")?;
                None
            }
        };
        ensure!(code != Some(2), "`webhook-operator {}` ends with 2", arguments.join(" "));
        let has_reason = arguments.contains(&"--why");
        self.record.push(Seen::Acted { action, event_ids, has_reason, began_at, code });
        Ok(code)
    }

    /// The dead letters; each is noted, as the log may have lost its line with a process that was killed.
    pub(super) async fn dead_letters(&self) -> anyhow::Result<Vec<DeadLetter>> {
        let listed = self.json(&["dlq", "list"]).await?;
        let listed = listed.as_array().context("dead letters are a list")?;
        let letters: Vec<DeadLetter> = listed.iter().map(letter).collect();
        for DeadLetter { event_id, reason, .. } in &letters {
            let (event_id, reason) = (event_id.clone(), reason.clone());
            self.record.push(Seen::DeadLettered { event_id, reason, died_at: None });
        }
        Ok(letters)
    }

    /// The body of a dead letter.
    pub(super) async fn body(&self, event_id: &str) -> anyhow::Result<Option<Value>> {
        let output = self.run_and_show(&["dlq", "show", event_id, "--json"]).await?;
        ensure!(output.status.code().is_some(), "`dlq show` was killed");
        let shown: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let first = if shown.is_array() { &shown[0] } else { &shown };
        Ok(first["body"].as_str().and_then(|body| serde_json::from_str(body).ok()))
    }
}

fn letter(json: &Value) -> DeadLetter {
    let text = |name: &str| json[name].as_str().map(str::to_owned);
    let time = |name: &str| json[name].as_str().and_then(seconds);
    let age = time("dead_since").zip(time("accepted_at")).map(|(dead, accepted)| dead - accepted);
    DeadLetter {
        event_id: text("event_id").unwrap_or_default(),
        reason: text("reason").unwrap_or_default(),
        destination: text("destination"),
        status: json["status"].as_u64().and_then(|status| u16::try_from(status).ok()),
        age_seconds: age.and_then(|age| u64::try_from(age).ok()).unwrap_or_default(),
    }
}

/// Seconds of a time such as `2026-11-27T10:37:43.213Z` since the year 0, with all months as long as the
/// calendar has them. Source: Howard Hinnant, "chrono-compatible low-level date algorithms".
fn seconds(text: &str) -> Option<i64> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let year = if month <= 2 { year - 1 } else { year };
    let shifted = (month + 9) % 12;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * shifted + 2) / 5 + day;
    Some(days * 86_400 + number(11, 13)? * 3_600 + number(14, 16)? * 60 + number(17, 19)?)
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn times_are_subtracted_across_days_and_months() {
        for (from, to, passed) in [
            ("2026-11-27T10:37:43.213Z", "2026-11-27T10:37:45.283Z", 2),
            ("2026-11-30T23:59:59.999Z", "2026-12-01T00:00:01Z", 2),
            ("2028-02-28T23:59:59Z", "2028-03-01T00:00:00Z", 86_401),
            ("2026-12-31T23:59:00Z", "2027-01-01T00:00:00Z", 60),
        ] {
            assert_eq!(seconds(to).unwrap() - seconds(from).unwrap(), passed, "{from} {to}");
        }
    }
}
