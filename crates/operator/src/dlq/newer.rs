//! What is newer than the dead letters of a group: a redrive goes behind it.

use std::collections::{BTreeMap, HashSet};

use domain::config::LogLevel;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::environment::{Environment, Host};
use crate::history::{pattern, time_of};
use crate::people;

/// The events of a group that go before its dead letters.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Newer {
    /// That were delivered since the first of the dead letters died; `None` if the log does not tell.
    delivered: Option<u64>,
    /// That wait in the queue; `None` on AWS, which does not tell.
    waiting: Option<u64>,
}

/// `/_engine/message-groups`
#[derive(Debug, Deserialize)]
struct Groups {
    /// Events by group; `None` when there are too many to count.
    groups: Option<BTreeMap<String, u64>>,
}

/// What of `/_engine/status` matters here.
#[derive(Debug, Deserialize)]
struct Status {
    log_level: LogLevel,
}

/// What is newer, by group, and why something is not known. `since` is when the first of each group's
/// dead letters died.
pub(super) async fn of(
    environment: &Environment,
    since: &BTreeMap<&str, Timestamp>,
) -> (BTreeMap<String, Newer>, Vec<String>) {
    let mut unknown = Vec::new();
    let delivered = delivered(environment, since).await.unwrap_or_else(|error| {
        unknown.push(format!("what was delivered since: {error:#}"));
        None
    });
    let waiting = waiting(environment).await.unwrap_or_else(|error| {
        unknown.push(format!("what waits: {error:#}"));
        None
    });
    let of = |counts: &Option<BTreeMap<String, u64>>, group: &str| {
        counts.as_ref().map(|counts| counts.get(group).copied().unwrap_or_default())
    };
    let newer = |group: &&str| {
        let newer = Newer { delivered: of(&delivered, group), waiting: of(&waiting, group) };
        ((*group).to_owned(), newer)
    };
    (since.keys().map(newer).collect(), unknown)
}

async fn waiting(environment: &Environment) -> anyhow::Result<Option<BTreeMap<String, u64>>> {
    match &environment.host {
        Host::Engine { api, .. } => {
            let Groups { groups } = api.get("/_engine/message-groups").await?;
            Ok(groups)
        }
        Host::Aws { .. } => Ok(None),
    }
}

/// Deliveries by group, from the log: an event with several destinations counts once.
async fn delivered(
    environment: &Environment,
    since: &BTreeMap<&str, Timestamp>,
) -> anyhow::Result<Option<BTreeMap<String, u64>>> {
    let log_level = match &environment.host {
        Host::Engine { api, .. } => api.get::<Status>("/_engine/status").await?.log_level,
        Host::Aws { config, .. } => config.forwarder.log_level,
    };
    let (true, Some(first)) = (log_level <= LogLevel::Info, since.values().min()) else {
        return Ok(None);
    };
    let newer = |line: &Value| {
        let of_group = line["group"].as_str().and_then(|group| since.get(group));
        let later = |since: &Timestamp| time_of(line).is_some_and(|time| time >= *since);
        line["message"] == "delivered" && of_group.is_some_and(later)
    };
    let of_deliveries = pattern("message", &["delivered"]);
    let found = environment.history().look(&of_deliveries, *first, newer).await?;
    anyhow::ensure!(found.complete, "the log is longer than is read");
    let events: HashSet<(&str, &str)> = found
        .lines
        .iter()
        .filter_map(|line| Some((line["group"].as_str()?, line["event_id"].as_str()?)))
        .collect();
    let mut counts = BTreeMap::new();
    for (group, _event_id) in events {
        *counts.entry(group.to_owned()).or_default() += 1;
    }
    Ok(Some(counts))
}

impl Newer {
    /// For people: what a group's dead letters would go behind.
    pub(super) fn text(self) -> String {
        let events = |count| people::count(count, "event");
        match (self.waiting, self.delivered) {
            (Some(0), Some(0)) => "nothing newer".to_owned(),
            (Some(waiting), Some(delivered)) => {
                format!("behind {} that wait and {delivered} delivered since", events(waiting))
            }
            (None, Some(delivered)) => {
                format!("behind {} delivered since, and what waits", events(delivered))
            }
            (Some(waiting), None) => {
                format!("behind {} that wait, and what was delivered since", events(waiting))
            }
            (None, None) => "behind what waits, and what was delivered since".to_owned(),
        }
    }
}
