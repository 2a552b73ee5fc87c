//! What dead letters would land behind when they are sent again: the newer events of their groups, those
//! that wait and those that were delivered since.

use std::cell::RefCell;

use domain::config::LogLevel;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::engine_api::{EngineApi, segment};
use crate::environment::{Environment, Host};
use crate::history::{pattern, time_of};
use crate::people;
use crate::queue::Held;
use crate::scratch::Scratch;

const TABLES: &str = "
    CREATE TABLE newer (group_name TEXT PRIMARY KEY, dead_since_ms INTEGER, waiting INTEGER DEFAULT 0);
    CREATE TABLE delivered (
        group_name TEXT, event_id TEXT, PRIMARY KEY (group_name, event_id)
    ) WITHOUT ROWID;";

/// The newer events of the groups of what is chosen.
pub(super) struct Newer {
    scratch: Scratch,
    knows_waiting: bool,
    knows_delivered: bool,
}

/// The newer events of a group; `None` is not known.
#[derive(Debug, Serialize)]
pub(super) struct Behind {
    /// Events that wait now, those in flight included.
    waiting: Option<u64>,
    /// Events that were delivered since the group's first dead letter died, by the log.
    delivered_since: Option<u64>,
}

/// `/_engine/groups`, and `/_engine/groups/after/NAME`.
#[derive(Debug, Deserialize)]
struct Groups {
    groups: Vec<Group>,
    /// Where the next page begins.
    next: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Group {
    #[serde(rename = "group")]
    name: String,
    messages: u64,
}

impl Newer {
    pub(super) async fn find(environment: &Environment, held: &Held<'_>) -> anyhow::Result<Self> {
        let scratch = Scratch::with(TABLES)?;
        let mut first_died: Option<Timestamp> = None;
        held.each_group(|group, _events, dead_since| {
            first_died = Some(first_died.map_or(dead_since, |first| first.min(dead_since)));
            let dead_since_ms = i64::try_from(dead_since.as_ms()).unwrap_or(i64::MAX);
            let insert = "INSERT INTO newer (group_name, dead_since_ms) VALUES (?1, ?2)";
            scratch.change(insert, (group, dead_since_ms)).map(drop)
        })?;
        let mut newer = Self { scratch, knows_waiting: false, knows_delivered: false };
        let Some(first_died) = first_died else { return Ok(newer) };
        newer.knows_waiting = match &environment.host {
            Host::Engine { api, .. } => say(newer.count_waiting(api).await, "what waits per group"),
            // SQS counts a queue's messages, and no group's.
            Host::Aws { .. } => false,
        };
        let counted = newer.count_delivered(environment, first_died).await;
        newer.knows_delivered = say(counted, "what was delivered since");
        Ok(newer)
    }

    /// What is newer than the dead letters of `group`.
    pub(super) fn of(&self, group: &str) -> anyhow::Result<Behind> {
        let counts = self.scratch.first(
            "SELECT waiting, (SELECT count(*) FROM delivered d WHERE d.group_name = n.group_name)
             FROM newer n WHERE group_name = ?1",
            [group],
            |row| Ok((row.get::<_, i64>(0)?.unsigned_abs(), row.get::<_, i64>(1)?.unsigned_abs())),
        )?;
        let (waiting, delivered) = counts.unwrap_or_default();
        Ok(Behind {
            waiting: self.knows_waiting.then_some(waiting),
            delivered_since: self.knows_delivered.then_some(delivered),
        })
    }

    /// Asks the engine for all groups, a page at a time.
    async fn count_waiting(&self, api: &EngineApi) -> anyhow::Result<bool> {
        let mut page: Groups = api.get("/_engine/groups").await?;
        loop {
            for Group { name, messages } in &page.groups {
                let update = "UPDATE newer SET waiting = ?2 WHERE group_name = ?1";
                let messages = i64::try_from(*messages).unwrap_or(i64::MAX);
                self.scratch.change(update, (name, messages))?;
            }
            let Some(next) = page.next else { return Ok(true) };
            page = api.get(&format!("/_engine/groups/after/{}", segment(&next))).await?;
        }
    }

    /// Looks through the log. Gives `false` if deliveries are not logged.
    async fn count_delivered(
        &self,
        environment: &Environment,
        since: Timestamp,
    ) -> anyhow::Result<bool> {
        if !logs_deliveries(log_level(environment).await?) {
            return Ok(false);
        }
        let noted = RefCell::new(Ok(()));
        let note = |line: &Value| {
            let mut noted = noted.borrow_mut();
            if noted.is_ok() && line["message"] == "delivered" {
                *noted = self.note_delivered(line);
            }
            // Nothing is kept of it here.
            false
        };
        let history = environment.history();
        let found = history.look(&pattern("message", &["delivered"]), since, note).await?;
        noted.into_inner()?;
        if let Some(cut) = history.cut(&found) {
            anyhow::bail!(cut);
        }
        Ok(true)
    }

    fn note_delivered(&self, line: &Value) -> anyhow::Result<()> {
        let (Some(group), Some(event_id), Some(at)) =
            (line["group"].as_str(), line["event_id"].as_str(), time_of(line))
        else {
            return Ok(());
        };
        let at_ms = i64::try_from(at.as_ms()).unwrap_or(i64::MAX);
        // An event has a line for each of its destinations.
        self.scratch
            .change(
                "INSERT INTO delivered SELECT ?1, ?2
                 WHERE EXISTS (SELECT 1 FROM newer WHERE group_name = ?1 AND dead_since_ms < ?3)
                 ON CONFLICT DO NOTHING",
                (group, event_id, at_ms),
            )
            .map(drop)
    }
}

impl Behind {
    pub(super) fn for_people(&self) -> String {
        let events = |count| people::count(count, "event");
        match (self.waiting, self.delivered_since) {
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

/// Whether it is known, and if something went wrong, what.
fn say(known: anyhow::Result<bool>, what: &str) -> bool {
    known.unwrap_or_else(|error| {
        eprintln!("note: {what} is not known: {error:#}");
        false
    })
}

/// Above `info` the forwarder does not log what ends well.
fn logs_deliveries(level: LogLevel) -> bool {
    level <= LogLevel::Info
}

/// The forwarder's log level.
async fn log_level(environment: &Environment) -> anyhow::Result<LogLevel> {
    Ok(match &environment.host {
        Host::Engine { api, .. } => api.status().await?.log_level,
        Host::Aws { deployment, .. } => deployment.config.forwarder().log_level,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_well_is_logged_up_to_info() {
        let levels = [LogLevel::Debug, LogLevel::Info, LogLevel::Warn, LogLevel::Error];
        assert_eq!(levels.map(logs_deliveries), [true, true, false, false]);
    }
}
