//! What a redrive did, letter by letter, said as it is done.

use serde_json::{Value, json};

use crate::people::{self, printable};
use crate::queue::PassedOver;

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
    /// For the end of the JSON, as many as are named: the dry run names all.
    passed_over: Vec<Value>,
    /// Groups that were passed over in part.
    groups_passed_over: u64,
}

/// As many groups are named that have older dead letters which are passed over.
const GROUPS_NAMED: u64 = 20;

impl PassedOver {
    /// Such as `group a: 7 older dead letters stay behind what is sent (a-1, a-2, …)`.
    pub(super) fn for_people(&self) -> String {
        let Self { group, count, event_ids } = self;
        let ids: Vec<String> = event_ids.iter().map(|id| printable(id)).collect();
        let more = if *count > ids.len() as u64 { ", …" } else { "" };
        let older = people::count(*count, "older dead letter");
        let group = printable(group);
        let stay = if *count == 1 { "stays" } else { "stay" };
        format!("group {group}: {older} {stay} behind what is sent ({}{more})", ids.join(", "))
    }

    pub(super) fn json(&self) -> Value {
        json!({ "group": self.group, "count": self.count, "event_ids": self.event_ids })
    }
}

impl Report {
    pub(super) fn new(as_json: bool) -> Self {
        Self {
            as_json,
            sent: 0,
            failed: 0,
            interrupted: false,
            failures: Vec::new(),
            passed_over: Vec::new(),
            groups_passed_over: 0,
        }
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

    /// Of a group, what comes before something that is sent and is not sent itself.
    pub(super) fn passed_over(&mut self, it: &PassedOver) {
        self.groups_passed_over += 1;
        if self.groups_passed_over > GROUPS_NAMED {
            return;
        }
        eprintln!("note: {}", it.for_people());
        if self.as_json {
            self.passed_over.push(it.json());
        }
    }

    /// Says how many.
    pub(super) fn finish(&self) {
        if let more @ 1.. = self.groups_passed_over.saturating_sub(GROUPS_NAMED) {
            eprintln!(
                "note: {} more have older dead letters that stay behind; --dry-run names them",
                people::count(more, "group")
            );
        }
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
        println!("{}", if self.failures.is_empty() { "  \"failed\": []," } else { "\n  ]," });
        let passed_over = json!(self.passed_over);
        println!(
            "  \"passed_over\": {passed_over},\n  \"groups_passed_over\": {}\n}}",
            self.groups_passed_over
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_groups_as_fit_are_named_and_all_are_counted() {
        let mut report = Report::new(true);
        for number in 1..=GROUPS_NAMED + 2 {
            let group = format!("group-{number}");
            report.passed_over(&PassedOver { group, count: 1, event_ids: Vec::new() });
            assert_eq!(report.groups_passed_over, number);
            assert_eq!(report.passed_over.len() as u64, number.min(GROUPS_NAMED));
        }
    }
}
