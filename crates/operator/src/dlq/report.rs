//! What a redrive did, letter by letter, on disk: there may be more than fit into memory.

use domain::time::Timestamp;
use serde_json::json;

use crate::people::{self, printable};
use crate::scratch::Scratch;

const TABLES: &str = "
    CREATE TABLE done (number INTEGER PRIMARY KEY, event_id TEXT, group_name TEXT, error TEXT);
    CREATE INDEX done_failed ON done (number) WHERE error IS NOT NULL;";

/// What was sent, and what failed.
#[derive(Debug)]
pub(super) struct Report {
    done: Scratch,
    /// How many were sent.
    pub(super) sent: u64,
    /// How many could not be sent.
    pub(super) failed: u64,
    pub(super) interrupted: bool,
    /// Since when the audit log knows of it.
    pub(super) started_at: Option<Timestamp>,
}

impl Report {
    pub(super) fn new() -> anyhow::Result<Self> {
        let done = Scratch::with(TABLES)?;
        Ok(Self { done, sent: 0, failed: 0, interrupted: false, started_at: None })
    }

    pub(super) fn sent(&mut self, event_id: &str, group: &str) -> anyhow::Result<()> {
        self.sent += 1;
        let insert = "INSERT INTO done (event_id, group_name) VALUES (?1, ?2)";
        self.done.change(insert, [event_id, group]).map(drop)
    }

    pub(super) fn failed(
        &mut self,
        event_id: &str,
        group: &str,
        error: &str,
    ) -> anyhow::Result<()> {
        self.failed += 1;
        let insert = "INSERT INTO done (event_id, group_name, error) VALUES (?1, ?2, ?3)";
        self.done.change(insert, [event_id, group, error]).map(drop)
    }

    fn each_sent(
        &self,
        mut see: impl FnMut(&str, &str) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.done.each(
            "SELECT event_id, group_name FROM done WHERE error IS NULL ORDER BY number",
            [],
            |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)),
            |(event_id, group)| see(&event_id, &group),
        )
    }

    fn each_failed(
        &self,
        mut see: impl FnMut(&str, &str, &str) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.done.each(
            "SELECT event_id, group_name, error FROM done WHERE error IS NOT NULL ORDER BY number",
            [],
            |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?))
            },
            |(event_id, group, error)| see(&event_id, &group, &error),
        )
    }

    pub(super) fn print(&self, as_json: bool) -> anyhow::Result<()> {
        if as_json {
            return self.print_json();
        }
        self.each_sent(|event_id, group| {
            let line = format!("sent {} to group {}\n", printable(event_id), printable(group));
            Ok(people::print(&line)?)
        })?;
        self.each_failed(|event_id, group, error| {
            eprintln!(
                "error: {} stays a dead letter, and so does what follows it in group {}: {error}",
                printable(event_id),
                printable(group)
            );
            Ok(())
        })?;
        if self.interrupted {
            eprintln!("interrupted; what was not sent is still a dead letter");
        }
        people::print(&format!("sent {}\n", people::count(self.sent, "event")))?;
        Ok(())
    }

    fn print_json(&self) -> anyhow::Result<()> {
        let mut before = "{\n  \"sent\": [\n";
        self.each_sent(|event_id, _group| {
            people::print(&format!("{before}    {}", json!(event_id)))?;
            before = ",\n";
            Ok(())
        })?;
        people::print(if self.sent > 0 { "\n  ],\n" } else { "{\n  \"sent\": [],\n" })?;
        let mut before = "  \"failed\": [\n";
        self.each_failed(|event_id, _group, error| {
            let line = json!({ "event_id": event_id, "error": error });
            people::print(&format!("{before}    {line}"))?;
            before = ",\n";
            Ok(())
        })?;
        people::print(if self.failed > 0 { "\n  ]\n}\n" } else { "  \"failed\": []\n}\n" })?;
        Ok(())
    }
}
