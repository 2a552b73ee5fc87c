//! What a redrive did, letter by letter, said as it is done.

use serde_json::{Value, json};

use crate::people::{self, printable};

/// What was sent, and what failed.
#[derive(Debug)]
pub(super) struct Report {
    as_json: bool,
    /// How many were sent.
    pub(super) sent: u64,
    /// How many could not be sent.
    pub(super) failed: u64,
    pub(super) interrupted: bool,
    /// For the end of the JSON: one of a group at most.
    failures: Vec<Value>,
}

impl Report {
    pub(super) fn new(as_json: bool) -> Self {
        Self { as_json, sent: 0, failed: 0, interrupted: false, failures: Vec::new() }
    }

    pub(super) fn sent(&mut self, event_id: &str, group: &str) {
        if self.as_json {
            let before = if self.sent == 0 { "{\n  \"sent\": [\n" } else { ",\n" };
            print!("{before}    {}", json!(event_id));
        } else {
            println!("sent {} to group {}", printable(event_id), printable(group));
        }
        self.sent += 1;
    }

    pub(super) fn failed(&mut self, event_id: &str, group: &str, error: &str) {
        self.failed += 1;
        eprintln!(
            "error: {} stays a dead letter, and so does what follows it in group {}: {error}",
            printable(event_id),
            printable(group)
        );
        if self.as_json {
            self.failures.push(json!({ "event_id": event_id, "error": error }));
        }
    }

    /// Says how many.
    pub(super) fn finish(&self) {
        if self.interrupted {
            eprintln!("interrupted; what was not sent is still a dead letter");
        }
        if !self.as_json {
            println!("sent {}", people::count(self.sent, "event"));
            return;
        }
        print!("{}", if self.sent > 0 { "\n  ],\n" } else { "{\n  \"sent\": [],\n" });
        let mut before = "  \"failed\": [\n";
        for failure in &self.failures {
            print!("{before}    {failure}");
            before = ",\n";
        }
        let end = if self.failures.is_empty() { "  \"failed\": []\n}" } else { "\n  ]\n}" };
        println!("{end}");
    }
}
