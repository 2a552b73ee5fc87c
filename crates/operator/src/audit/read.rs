//! What operators did to an environment, by the audit log. A bucket keeps an object for each
//! action, for years, so only what is asked for is fetched: the names of the objects are times.

use std::path::Path;

use anyhow::Context as _;
use aws_sdk_s3::Client;
use domain::time::Timestamp;
use serde_json::Value;

use super::{AuditLog, ENDED, Ending, Line, STARTED};
use crate::engine_api::EngineApi;
use crate::{people, sdk};

/// The actions since a time, the oldest first. Lines that cannot be read are said.
pub(crate) async fn since(log: &AuditLog, since: Timestamp) -> anyhow::Result<Vec<Line>> {
    let Actions { lines, torn } = all_since(log, since).await?;
    if torn > 0 {
        eprintln!("{}", not_told(torn));
    }
    Ok(lines)
}

/// What an audit log tells.
#[derive(Debug)]
pub(crate) struct Actions {
    pub(crate) lines: Vec<Line>,
    /// Lines that cannot be read, as a full disk or a crash has torn them: what they told is not known.
    pub(crate) torn: u64,
}

/// That lines cannot be read, for people.
pub(crate) fn not_told(torn: u64) -> String {
    let lines = people::count(torn, "line");
    format!("unknown: what {lines} of the audit log told, as they are torn")
}

/// The actions since a time, the oldest first, and how many lines of any time cannot be read.
pub(crate) async fn all_since(log: &AuditLog, since: Timestamp) -> anyhow::Result<Actions> {
    let mut torn = 0;
    let mut lines = match log {
        AuditLog::Engine(api) => of_engine(api, &mut torn).await?,
        AuditLog::File(path) => file(path, &mut torn)?,
        AuditLog::Bucket { config, bucket, environment } => {
            let client = Client::new(config);
            let mut lines = Vec::new();
            for key in keys(&client, bucket, environment, since).await? {
                lines.push(fetch(&client, bucket, &key).await?);
            }
            lines
        }
    };
    lines.retain(|line| time_of(line).is_none_or(|at| at >= since));
    Ok(Actions { lines, torn })
}

/// What a line tells of its action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// That it began; another line tells what came of it.
    Begun,
    /// That it began, and no line tells what came of it: it is under way, or was cut off.
    BegunOnly,
    /// That it was done.
    Done,
    /// That it was not done, or in part.
    Failed,
    /// The same, for a signal.
    Interrupted,
}

impl Told {
    /// What a line of these tells.
    pub(crate) fn by(line: &Line, lines: &[Line]) -> Self {
        if is_beginning(line) {
            let is_end = |other: &Line| other.what["state"] == ENDED && is_of(other, line);
            return if lines.iter().any(is_end) { Self::Begun } else { Self::BegunOnly };
        }
        let result = line.what["result"].as_str();
        match Ending::ALL.into_iter().find(|it| Some(it.as_str()) == result) {
            // Those of a former version are of what was done.
            None | Some(Ending::Done) => Self::Done,
            Some(Ending::Failed) => Self::Failed,
            Some(Ending::Interrupted) => Self::Interrupted,
        }
    }

    /// For people.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::BegunOnly => "begun, end unknown",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }
}

/// Whether two lines are of one action.
fn is_of(one: &Line, other: &Line) -> bool {
    one.action == other.action
        && one.by == other.by
        && one.what["started_at"] == other.what["started_at"]
}

/// Whether it tells of a beginning only: its end, if it came to one, has a line of its own.
pub(crate) fn is_beginning(line: &Line) -> bool {
    line.what["state"] == STARTED
}

/// When an action was noted.
pub(crate) fn time_of(line: &Line) -> Option<Timestamp> {
    people::time(&line.at)
}

/// Whether an action names this event as one that it was done to.
pub(crate) fn is_about(line: &Line, event_id: &str) -> bool {
    names(&line.what, event_id)
}

fn names(what: &Value, event_id: &str) -> bool {
    match what {
        Value::String(text) => text == event_id,
        Value::Array(values) => values.iter().any(|value| names(value, event_id)),
        // What was chosen by is no event.
        Value::Object(fields) => {
            fields.iter().any(|(name, value)| name != "selection" && names(value, event_id))
        }
        _ => false,
    }
}

/// How many events an action was done to, by the field that says so: a count or the events.
pub(crate) fn events_of(line: &Line, field: &str) -> u64 {
    match &line.what[field] {
        Value::Array(events) => events.len() as u64,
        count => count.as_u64().unwrap_or_default(),
    }
}

async fn of_engine(api: &EngineApi, torn: &mut u64) -> anyhow::Result<Vec<Line>> {
    let (mut lines, mut others) = (Vec::new(), 0);
    let take = |line| match serde_json::from_value::<Line>(line) {
        Ok(line) => lines.push(line),
        Err(_no_action) => others += 1,
    };
    *torn = api.lines("/_engine/audit", take).await? + others;
    Ok(lines)
}

/// All lines of a file but those that a full disk or a crash has torn.
fn file(file: &Path, torn: &mut u64) -> anyhow::Result<Vec<Line>> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("reading {}", file.display())),
    };
    let mut lines = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        match serde_json::from_str(line) {
            Ok(line) => lines.push(line),
            Err(_no_line) => *torn += 1,
        }
    }
    Ok(lines)
}

/// The names of a bucket's objects since a time, the oldest first.
async fn keys(
    client: &Client,
    bucket: &str,
    environment: &str,
    since: Timestamp,
) -> anyhow::Result<Vec<String>> {
    let prefix = format!("audit/{environment}/");
    // As `audit` names them: a time in the shortest form of ISO 8601.
    let after = format!("{prefix}{}", since.to_string().replace([':', '-'], ""));
    let mut pages = client
        .list_objects_v2()
        .bucket(bucket)
        .prefix(&prefix)
        .start_after(after)
        .into_paginator()
        .send();
    let mut keys = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| sdk::failed(&format!("listing {prefix}"), error))?;
        keys.extend(page.contents.unwrap_or_default().into_iter().filter_map(|it| it.key));
    }
    Ok(keys)
}

async fn fetch(client: &Client, bucket: &str, key: &str) -> anyhow::Result<Line> {
    let object = client.get_object().bucket(bucket).key(key).send().await;
    let object = object.map_err(|error| sdk::failed(&format!("reading {key}"), error))?;
    let bytes = object.body.collect().await.with_context(|| format!("reading {key}"))?;
    serde_json::from_slice(&bytes.into_bytes()).with_context(|| format!("understanding {key}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(at: u32, action: &str, what: Value) -> Line {
        Line {
            at: format!("2026-01-01T00:00:{at:02}.000Z"),
            by: "owner".to_owned(),
            action: action.to_owned(),
            reason: None,
            what,
        }
    }

    #[test]
    fn an_action_is_about_the_events_that_it_names() {
        let by_id = line(1, "dlq redrive", json!({ "event_ids": ["e-1", "e-2"], "sent": 2 }));
        assert!(is_about(&by_id, "e-2") && !is_about(&by_id, "e-3"));
        assert!(is_about(&line(1, "dlq edit", json!({ "event_id": "e-1" })), "e-1"));
        assert!(is_about(&line(1, "dlq drop", json!({ "dropped": ["e-1"] })), "e-1"));
        let chosen = line(1, "dlq redrive", json!({ "selection": { "group": "e-1" }, "sent": 2 }));
        assert!(!is_about(&chosen, "e-1"), "a group of the same name");
        assert_eq!(events_of(&by_id, "sent"), 2);
        assert_eq!(events_of(&line(1, "x", json!({ "sent": ["e-1"] })), "sent"), 1);
    }

    #[test]
    fn a_line_tells_what_came_of_its_action() {
        use Told::{Begun, BegunOnly, Done, Failed, Interrupted};
        let begun = |at: u32, action: &str| {
            let what = json!({ "state": "started", "started_at": at });
            line(at, action, what)
        };
        let ended = |at: u32, action: &str, of: u32, result: Value| {
            line(at, action, json!({ "state": "ended", "started_at": of, "result": result }))
        };
        let lines = [
            begun(1, "pause"),
            ended(2, "pause", 1, json!("done")),
            begun(3, "pause"),
            // Another one's of the same moment.
            ended(4, "resume", 3, json!("failed")),
            ended(5, "resume", 4, json!("interrupted")),
            // Of former versions.
            ended(6, "dlq drop", 5, Value::Null),
            line(7, "pause", json!({})),
        ];
        let told: Vec<Told> = lines.iter().map(|line| Told::by(line, &lines)).collect();
        assert_eq!(told, [Begun, Done, BegunOnly, Failed, Interrupted, Done, Done]);
    }

    #[tokio::test]
    async fn what_is_older_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let lines = [
            line(1, "pause", json!({ "n": 1 })),
            line(2, "resume", json!({})),
            line(3, "pause", json!({ "n": 3 })),
            line(4, "dlq export", json!({})),
        ];
        let text: Vec<_> = lines.iter().map(|it| serde_json::to_string(it).unwrap()).collect();
        std::fs::write(dir.path().join("audit.jsonl"), text.join("\n")).unwrap();
        let log = AuditLog::in_dir(dir.path());
        let time = people::time("2026-01-01T00:00:02Z").unwrap();
        let actions: Vec<_> =
            since(&log, time).await.unwrap().into_iter().map(|it| it.action).collect();
        assert_eq!(actions, ["resume", "pause", "dlq export"]);
    }

    #[test]
    fn fuzz_audit_line() {
        bolero::check!().for_each(|bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            let lines: Vec<Line> =
                text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
            for line in &lines {
                let _told = (Told::by(line, &lines), time_of(line), events_of(line, "sent"));
                assert!(is_about(line, "e-1") || !line.what["event_id"].eq("e-1"));
            }
        });
    }
}
