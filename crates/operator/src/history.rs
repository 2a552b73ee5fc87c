//! The log of an environment, looked through: the engine's files on one machine, the forwarder's log
//! group on AWS. Both hold the forwarder's lines; the engine's hold its own as well.

use std::fs::File;
use std::io::{BufRead as _, BufReader, ErrorKind};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use aws_sdk_cloudwatchlogs::Client;
use domain::time::Timestamp;
use serde_json::Value;

use crate::people;
use crate::sdk;

/// Files that an engine keeps at most, the oldest first; see `engine::log_file`.
const ENGINE_FILES: u32 = 10;

/// Pages of a log group that are read at most: `FilterLogEvents` allows five calls a second for the
/// whole account.
const PAGES_MAX: usize = 50;

/// Where the lines are.
#[derive(Debug)]
pub(crate) enum History {
    /// The engine's data directory.
    Files(PathBuf),
    /// A log group.
    LogGroup { client: Client, name: String },
}

/// The lines whose `field` is one of `values`, as a filter pattern.
/// Source: `CloudWatch` Logs guide, "Filter pattern syntax", JSON log events.
pub(crate) fn pattern(field: &str, values: &[&str]) -> String {
    let escaped = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"");
    let terms: Vec<String> =
        values.iter().map(|value| format!("($.{field} = \"{}\")", escaped(value))).collect();
    format!("{{ {} }}", terms.join(" || "))
}

impl History {
    /// The lines since a time that match [`pattern`] and that `keep` takes, in order of time. Files
    /// are not asked by pattern, so `keep` must not rely on it.
    pub(crate) async fn find(
        &self,
        pattern: &str,
        since: Timestamp,
        keep: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<Vec<Value>> {
        let keep = |line: &Value| keep(line) && time_of(line).is_none_or(|time| time >= since);
        let mut found = match self {
            Self::Files(dir) => in_files(dir, keep)?,
            Self::LogGroup { client, name } => {
                in_log_group(client, name, pattern, since, keep).await?
            }
        };
        found.sort_by_key(time_of);
        Ok(found)
    }

    /// What is looked through, for people.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Files(dir) => dir.join("engine.log").display().to_string(),
            Self::LogGroup { name, .. } => format!("log group {name}"),
        }
    }
}

/// When a line was written.
pub(crate) fn time_of(line: &Value) -> Option<Timestamp> {
    people::time(line["timestamp"].as_str()?)
}

fn in_files(dir: &Path, keep: impl Fn(&Value) -> bool) -> anyhow::Result<Vec<Value>> {
    let mut found = Vec::new();
    for number in (0..ENGINE_FILES).rev() {
        let path = match number {
            0 => dir.join("engine.log"),
            number => dir.join(format!("engine.{number}.log")),
        };
        let file = match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            file => file.with_context(|| format!("reading {}", path.display()))?,
        };
        for line in BufReader::new(file).split(b'\n') {
            let line = line.with_context(|| format!("reading {}", path.display()))?;
            // One that was cut off by a crash, or that is not ours, is none.
            let line = serde_json::from_slice::<Value>(&line).ok();
            found.extend(line.filter(|line| keep(line)));
        }
    }
    Ok(found)
}

async fn in_log_group(
    client: &Client,
    name: &str,
    pattern: &str,
    since: Timestamp,
    keep: impl Fn(&Value) -> bool,
) -> anyhow::Result<Vec<Value>> {
    let mut pages = client
        .filter_log_events()
        .log_group_name(name)
        .filter_pattern(pattern)
        .start_time(i64::try_from(since.as_ms()).unwrap_or_default())
        .into_paginator()
        .send();
    let mut found = Vec::new();
    for _ in 0..PAGES_MAX {
        let Some(page) = pages.next().await else { return Ok(found) };
        let page =
            page.map_err(|error| sdk::failed(&format!("reading log group {name}"), error))?;
        let texts = page.events.unwrap_or_default().into_iter().filter_map(|event| event.message);
        let read = texts.filter_map(|text| serde_json::from_str::<Value>(&text).ok());
        // Emulators know log groups, and pass over patterns of this kind.
        found.extend(read.filter(|line| keep(line)));
    }
    if pages.next().await.is_some() {
        eprintln!("note: log group {name} has more lines of this kind than were read");
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_leave_its_quotes() {
        assert_eq!(
            pattern("event_id", &[r#"a" || $.x = "b\"#]),
            r#"{ ($.event_id = "a\" || $.x = \"b\\") }"#
        );
        assert_eq!(
            pattern("message", &["retry", "blocked"]),
            r#"{ ($.message = "retry") || ($.message = "blocked") }"#
        );
    }

    #[tokio::test]
    async fn files_are_read_from_the_oldest_and_halves_of_lines_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let line = |n: u32| {
            format!(
                "{{\"timestamp\":\"2026-01-01T00:00:0{n}.000Z\",\"message\":\"retry\",\
                 \"event_id\":\"e\",\"n\":{n}}}\n"
            )
        };
        std::fs::write(dir.path().join("engine.1.log"), line(1)).unwrap();
        let text = format!("{{\"half\n{}{}", line(2), line(3).replace("\"e\"", "\"f\""));
        std::fs::write(dir.path().join("engine.log"), text).unwrap();
        let history = History::Files(dir.path().to_owned());
        let found =
            history.find("", Timestamp::default(), |line| line["event_id"] == "e").await.unwrap();
        assert_eq!(found.iter().map(|line| &line["n"]).collect::<Vec<_>>(), [1, 2]);
        let since = people::time("2026-01-01T00:00:02Z").unwrap();
        let found = history.find("", since, |_| true).await.unwrap();
        assert_eq!(found.iter().map(|line| &line["n"]).collect::<Vec<_>>(), [2, 3]);
    }
}
