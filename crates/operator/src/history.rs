//! The log of an environment, looked through: the engine's on one machine, the forwarder's log
//! group on AWS. Both hold the forwarder's lines; the engine's hold its own as well.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use aws_sdk_cloudwatchlogs::Client;
use domain::time::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::engine_api::{EngineApi, segment};
use crate::people::{self, printable};
use crate::sdk;
use crate::zone;

/// Pages of a log group that are read at most: `FilterLogEvents` allows five calls a second for the
/// whole account.
const PAGES_MAX: usize = 50;

/// From when on a log group can be read from its newest line, 2024-01-01, in milliseconds since the Unix
/// epoch; there was no forwarder before.
/// Source: `CloudWatch` Logs API reference, `FilterLogEvents`.
const NEWEST_FIRST_SINCE_MS: u64 = 1_704_067_200_000;

/// How much later than others a line of a log group may be there. Source: measured by none; `CloudWatch`
/// Logs promises nothing, and says "within seconds" of the agent.
const LATE_MOST: Duration = Duration::from_mins(2);

/// Longest pattern, in characters. Source: `CloudWatch` Logs API reference, `FilterLogEvents`.
const PATTERN_CHARS_MAX: usize = 1_024;

/// Where the lines are.
#[derive(Debug)]
pub(crate) enum History {
    /// An engine's own, which it shows.
    Engine(EngineApi),
    /// A log group.
    LogGroup { client: Client, name: String },
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// In order of time.
    pub(crate) lines: Vec<Value>,
    /// Since when the log was looked through, if not since the time that was asked for: of more lines than
    /// are read the newest are.
    pub(crate) cut: Option<Timestamp>,
    /// Why lines may be missing that were written since then, each reason once.
    missing: Vec<String>,
}

/// The last line of an engine's log, as it is asked for: that it was read to its end, and what is missing.
#[derive(Debug, Deserialize)]
struct LogRead {
    log_read: Vec<Gap>,
    /// Up to where, if it was asked for from a position on.
    position: Option<String>,
}

/// Lines that are not there any more.
#[derive(Debug, Deserialize)]
struct Gap {
    /// The time of the first line behind them; `None` if there is none.
    until: Option<Timestamp>,
    why: String,
}

/// Which lines are asked for: those one of whose fields has a value of these.
#[derive(Debug)]
pub(crate) struct Pattern<'a>(Vec<(&'a str, &'a str)>);

/// The lines whose `field` is one of `values`. A value that ends with `*` is the beginning of one.
pub(crate) fn pattern<'a>(field: &'a str, values: &[&'a str]) -> Pattern<'a> {
    Pattern(values.iter().map(|value| (field, *value)).collect())
}

impl<'a> Pattern<'a> {
    /// Whether a log group takes it.
    pub(crate) fn fits(&self) -> bool {
        self.to_string().chars().count() <= PATTERN_CHARS_MAX
    }

    /// And the lines whose `field` is `value`.
    pub(crate) fn or(mut self, field: &'a str, value: &'a str) -> Self {
        self.0.push((field, value));
        self
    }
}

/// As a filter pattern. Source: `CloudWatch` Logs guide, "Filter pattern syntax", JSON log events.
impl fmt::Display for Pattern<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let escaped = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"");
        let term = |(field, value): &(&str, &str)| format!("($.{field} = \"{}\")", escaped(value));
        let terms: Vec<String> = self.0.iter().map(term).collect();
        write!(f, "{{ {} }}", terms.join(" || "))
    }
}

impl History {
    /// The lines since a time that match [`pattern`] and that `keep` takes, in order of time. An engine
    /// gives others as well, so `keep` must not rely on it. Some may be missing: [`Self::look`] says
    /// whether, and who concludes anything from what is not there asks that.
    pub(crate) async fn find(
        &self,
        pattern: &Pattern<'_>,
        since: Timestamp,
        keep: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<Vec<Value>> {
        Ok(self.look(pattern, since, keep).await?.lines)
    }

    /// The same, and what the log could not tell, which [`Self::cut`] says.
    pub(crate) async fn look(
        &self,
        pattern: &Pattern<'_>,
        since: Timestamp,
        keep: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<Found> {
        let keep = |line: &Value| keep(line) && time_of(line).is_none_or(|time| time >= since);
        let mut found = match self {
            Self::Engine(api) => of_engine(api, pattern, since, keep).await,
            Self::LogGroup { client, name } => {
                in_log_group(client, name, pattern, since, keep).await?
            }
        };
        // Lines of one moment stay in their order; emulators give the oldest first in any case.
        if matches!(self, Self::LogGroup { .. })
            && found.lines.first().map(time_of) >= found.lines.last().map(time_of)
        {
            found.lines.reverse();
        }
        found.lines.sort_by_key(time_of);
        Ok(found)
    }

    /// What the log could not tell for `found`, for people: the one place that says so. Whatever was not
    /// found may be in it.
    pub(crate) fn cut(&self, found: &Found) -> Option<String> {
        let cut = found.cut.map(|since| {
            let since = zone::in_words(since);
            format!("{} is longer than is read: it was read back to {since}", self.name())
        });
        let said: Vec<String> = cut.into_iter().chain(found.missing.iter().cloned()).collect();
        (!said.is_empty()).then(|| said.join("; "))
    }

    /// What is looked through, for people.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Engine(_) => "engine.log".to_owned(),
            Self::LogGroup { name, .. } => format!("log group {name}"),
        }
    }
}

/// When a line was written.
pub(crate) fn time_of(line: &Value) -> Option<Timestamp> {
    people::time(line["timestamp"].as_str()?)
}

/// What an engine shows of its log. Should it fail in the middle, or show none, where events are is still
/// the engine's to say: so this is no failure, and is said.
async fn of_engine(
    api: &EngineApi,
    pattern: &Pattern<'_>,
    since: Timestamp,
    keep: impl Fn(&Value) -> bool,
) -> Found {
    let path = match pattern.0.as_slice() {
        [("event_id", event_id)] => format!("/_engine/log/{}", segment(event_id)),
        _ => "/_engine/log".to_owned(),
    };
    let (mut lines, mut read) = (Vec::new(), None);
    let take = |line: Value| {
        if line["log_read"].is_array() {
            read = serde_json::from_value(line).ok();
        } else if keep(&line) {
            lines.push(line);
        }
    };
    let asked = api.lines(&path, take).await;
    let missing = match (asked, read) {
        (Err(error), _) => vec![format!("engine.log cannot be read: {error:#}")],
        (Ok(_torn), None) => vec![
            "what engine.log lacks (the engine does not tell: it is older than this command)"
                .to_owned(),
        ],
        (Ok(_torn), Some(LogRead { log_read, .. })) => missing(log_read, since),
    };
    Found { lines, cut: None, missing }
}

/// The lines of a log, as they are written: each once, in the order in which the log has them.
pub(crate) struct Following<'a> {
    history: &'a History,
    since: Timestamp,
    /// Of an engine's log, up to where it was read.
    position: String,
    /// Of a log group, the newest time that was seen, and what was seen of late.
    newest: Timestamp,
    seen: BTreeSet<(Timestamp, String)>,
}

impl<'a> Following<'a> {
    pub(crate) fn new(history: &'a History, since: Timestamp) -> Self {
        let position = "0-0".to_owned();
        Self { history, since, position, newest: since, seen: BTreeSet::new() }
    }

    /// Hands what came since the last time to `take`, as it was written; and says what is missing of it.
    pub(crate) async fn next(
        &mut self,
        mut take: impl FnMut(&str),
    ) -> anyhow::Result<Option<String>> {
        match self.history {
            History::Engine(api) => self.of_engine(api, take).await,
            History::LogGroup { client, name } => {
                self.of_log_group(client, name, &mut take).await.map(|()| None)
            }
        }
    }

    async fn of_engine(
        &mut self,
        api: &EngineApi,
        mut take: impl FnMut(&str),
    ) -> anyhow::Result<Option<String>> {
        let (path, since) = (format!("/_engine/log/after/{}", self.position), self.since);
        let mut read = None;
        let asked = api.lines(&path, |line| {
            if line["log_read"].is_array() {
                read = serde_json::from_value(line).ok();
            } else if time_of(&line).is_none_or(|at| at >= since) {
                take(&line.to_string());
            }
        });
        asked.await?;
        let Some(LogRead { log_read, position: Some(position) }) = read else {
            // What was handed on of it would come twice.
            anyhow::bail!("engine.log was read in part: start again");
        };
        self.position = position;
        let said = missing(log_read, since);
        Ok((!said.is_empty()).then(|| said.join("; ")))
    }

    /// A line may be there later than others that were written after it: the time before the newest is
    /// looked through again.
    async fn of_log_group(
        &mut self,
        client: &Client,
        name: &str,
        take: &mut impl FnMut(&str),
    ) -> anyhow::Result<()> {
        let from = people::before(self.newest, LATE_MOST).max(self.since);
        self.seen.retain(|(at, _)| *at >= from);
        let mut pages = client
            .filter_log_events()
            .log_group_name(name)
            .start_time(i64::try_from(from.as_ms()).unwrap_or_default())
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page =
                page.map_err(|error| sdk::failed(&format!("reading log group {name}"), error))?;
            for event in page.events.into_iter().flatten() {
                let at = event.timestamp.and_then(|ms| u64::try_from(ms).ok());
                let at = Timestamp::from_ms(at.unwrap_or_default());
                let text = event.message.unwrap_or_default();
                let id = event.event_id.unwrap_or_else(|| text.clone());
                self.newest = self.newest.max(at);
                if self.seen.insert((at, id)) {
                    take(text.trim_end());
                }
            }
        }
        Ok(())
    }
}

/// Those of the gaps that reach into the time that was asked for, for people.
fn missing(gaps: Vec<Gap>, since: Timestamp) -> Vec<String> {
    let reaches = |gap: &Gap| gap.until.is_none_or(|until| until > since);
    let said = |gap: Gap| {
        let until = gap.until.map(|until| format!(" (before {})", zone::in_words(until)));
        printable(&gap.why) + &until.unwrap_or_default()
    };
    gaps.into_iter().filter(reaches).map(said).collect()
}

/// The newest lines first: how an event or a group is now is what the last ones tell.
async fn in_log_group(
    client: &Client,
    name: &str,
    pattern: &Pattern<'_>,
    since: Timestamp,
    keep: impl Fn(&Value) -> bool,
) -> anyhow::Result<Found> {
    let mut pages = client
        .filter_log_events()
        .log_group_name(name)
        .filter_pattern(pattern.to_string())
        .start_time(i64::try_from(since.as_ms().max(NEWEST_FIRST_SINCE_MS)).unwrap_or_default())
        .start_from_head(false)
        .into_paginator()
        .send();
    let mut lines = Vec::new();
    let mut oldest = people::now();
    for _ in 0..PAGES_MAX {
        let Some(page) = pages.next().await else { return Ok(Found { lines, ..Found::default() }) };
        let page =
            page.map_err(|error| sdk::failed(&format!("reading log group {name}"), error))?;
        for event in page.events.into_iter().flatten() {
            let at = event.timestamp.and_then(|ms| u64::try_from(ms).ok());
            oldest = at.map_or(oldest, |ms| oldest.min(Timestamp::from_ms(ms)));
            let line = event.message.and_then(|text| serde_json::from_str::<Value>(&text).ok());
            // Emulators know log groups, and pass over patterns of this kind.
            lines.extend(line.filter(|line| keep(line)));
        }
        if page.next_token.is_none() {
            return Ok(Found { lines, ..Found::default() });
        }
    }
    Ok(Found { lines, cut: Some(oldest), ..Found::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_leave_its_quotes() {
        assert_eq!(
            pattern("event_id", &[r#"a" || $.x = "b\"#]).to_string(),
            r#"{ ($.event_id = "a\" || $.x = \"b\\") }"#
        );
        assert_eq!(
            pattern("message", &["retry", "blocked"]).to_string(),
            r#"{ ($.message = "retry") || ($.message = "blocked") }"#
        );
    }
}
