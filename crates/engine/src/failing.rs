//! How the last attempts of the events that failed ended, by the forwarder's log lines: why a group waits
//! is told at once, without reading the log.
//!
//! In memory, since the engine started, of so many events; of others the log tells. Who asks knows which
//! events are still there: what has left is pushed out by what fails.

use std::collections::BTreeMap;

use serde::Serialize;

/// Events that are remembered.
const MOST: usize = 10_000;

/// What was said of events that failed.
#[derive(Default)]
pub(crate) struct Failing {
    /// By sequence number.
    events: BTreeMap<String, Event>,
    /// The sequence numbers by when something was said last.
    order: BTreeMap<u64, String>,
    /// How often something was said.
    said: u64,
}

struct Event {
    said: u64,
    /// By destination; "" for what is said of none.
    last: BTreeMap<String, Last>,
}

/// The last line about an event and a destination, with the names that it has there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Last {
    pub(crate) timestamp: String,
    pub(crate) message: String,
    pub(crate) destination: Option<String>,
    pub(crate) status: Option<u16>,
    pub(crate) error: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) attempt: Option<u32>,
}

impl Failing {
    /// Whether a line with this message about the event with this sequence number counts: most are of events
    /// that never failed.
    pub(crate) fn counts(&self, sequence: &str, message: &str) -> bool {
        let is_failure = matches!(
            message,
            "retry" | "blocked" | "not_attempted" | "secret_unavailable" | "not_dead_lettered"
        );
        is_failure || self.events.contains_key(sequence)
    }

    /// Takes note of a line that counts.
    pub(crate) fn note(&mut self, sequence: &str, line: Last) {
        self.said += 1;
        let event = self
            .events
            .entry(sequence.to_owned())
            .or_insert_with(|| Event { said: 0, last: BTreeMap::new() });
        self.order.remove(&event.said);
        event.said = self.said;
        self.order.insert(self.said, sequence.to_owned());
        let of = line.destination.clone().unwrap_or_default();
        let before = event.last.get(&of).map(|last| last.message.as_str());
        // That it was not tried again says less than how it was tried.
        if line.message != "not_attempted" || !matches!(before, Some("retry" | "blocked")) {
            if !of.is_empty() {
                event.last.remove("");
            }
            event.last.insert(of, line);
        }
        if self.events.len() > MOST
            && let Some((_said, longest_ago)) = self.order.pop_first()
        {
            self.events.remove(&longest_ago);
        }
    }

    /// What was said last of the event with this sequence number, by destination.
    pub(crate) fn of(&self, sequence: &str) -> Vec<Last> {
        let last = self.events.get(sequence).map(|event| event.last.values().cloned().collect());
        last.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(message: &str, destination: Option<&str>) -> Last {
        Last {
            timestamp: "2026-01-01T00:00:00.000Z".to_owned(),
            message: message.to_owned(),
            destination: destination.map(str::to_owned),
            status: Some(503),
            error: None,
            reason: None,
            attempt: Some(1),
        }
    }

    fn said(failing: &Failing, sequence: &str) -> Vec<String> {
        failing.of(sequence).into_iter().map(|last| last.message).collect()
    }

    #[test]
    fn the_last_attempt_of_each_destination_is_told() {
        let mut failing = Failing::default();
        assert!(!failing.counts("1", "delivered"), "it never failed");
        assert!(failing.counts("1", "secret_unavailable"));
        failing.note("1", line("secret_unavailable", None));
        assert_eq!(said(&failing, "1"), ["secret_unavailable"]);
        failing.note("1", line("blocked", Some("b")));
        assert!(failing.counts("1", "delivered") && !failing.counts("2", "delivered"));
        failing.note("1", line("delivered", Some("a")));
        assert_eq!(said(&failing, "1"), ["delivered", "blocked"]);
        failing.note("1", line("not_attempted", Some("b")));
        assert_eq!(said(&failing, "1"), ["delivered", "blocked"], "how it was tried says more");
        failing.note("1", line("retry", Some("b")));
        assert_eq!(said(&failing, "1"), ["delivered", "retry"]);
    }

    #[test]
    fn of_too_many_those_are_forgotten_of_which_nothing_was_said_for_longest() {
        let mut failing = Failing::default();
        for event in 0..MOST {
            failing.note(&event.to_string(), line("retry", Some("a")));
        }
        failing.note("0", line("retry", Some("a")));
        failing.note("one more", line("retry", Some("a")));
        assert_eq!((failing.events.len(), failing.order.len()), (MOST, MOST));
        assert_eq!((said(&failing, "0").len(), said(&failing, "1").len()), (1, 0));
    }
}
