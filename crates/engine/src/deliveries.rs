//! What the forwarder's processes say of their deliveries, by their log lines: how many attempts
//! ended how, how long they took, which were the last, which destinations are not being tried.
//!
//! In memory, since the engine started: it is for looking at, and nothing is decided by it. Whether
//! anything is lost is the [loss meter](crate::loss_meter)'s business, which believes no log line.
//! Where the log level leaves lines out, they are missing here.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ages::Ages;
use crate::failing::{Failing, Last};

/// Deliveries that are remembered.
const LAST: usize = 10;

/// Upper bounds of the histogram's buckets, in milliseconds.
pub(crate) const BUCKETS_MS: [u64; 12] =
    [5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000];

/// Everything that was said.
#[derive(Default)]
pub(crate) struct Deliveries {
    seen: Mutex<Seen>,
    failing: Mutex<Failing>,
    attempts: Mutex<Attempts>,
}

/// Attempts since somebody took them.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    /// Those that were no delivery: what the forwarder's metric of this name counts.
    pub(crate) failed: u64,
    pub(crate) ages: Ages,
}

/// What was seen since the engine started.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Seen {
    pub(crate) destinations: BTreeMap<String, BTreeMap<String, Destination>>,
    /// The newest first.
    pub(crate) last: VecDeque<Delivery>,
}

/// A destination of a route.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Destination {
    pub(crate) delivered: u64,
    pub(crate) retried: u64,
    pub(crate) rejected: u64,
    pub(crate) blocked: u64,
    /// The group of the last of them. The status, which needs no credential, does not show it.
    #[serde(skip)]
    pub(crate) blocked_key: Option<String>,
    pub(crate) gave_up: u64,
    /// When the circuit breaker last was seen open, and no attempt answered since.
    pub(crate) breaker_open_at: Option<String>,
    pub(crate) latency: Histogram,
}

/// How long deliveries took.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Histogram {
    /// Deliveries up to each of [`BUCKETS_MS`], and not up to the one before.
    pub(crate) buckets: [u64; BUCKETS_MS.len()],
    pub(crate) count: u64,
    pub(crate) sum_ms: u64,
}

/// A delivery.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Delivery {
    pub(crate) at: String,
    pub(crate) event_id: String,
    pub(crate) route: String,
    pub(crate) destination: String,
    pub(crate) status: Option<u16>,
    pub(crate) attempt: Option<u32>,
    pub(crate) latency_ms: Option<u64>,
}

/// The fields of a forwarder's line that count here.
#[derive(Deserialize)]
struct Line {
    timestamp: String,
    message: String,
    event_id: String,
    route: Option<String>,
    /// What is said of an event that did not come so far has none.
    destination: Option<String>,
    sequence: Option<String>,
    group: Option<String>,
    reason: Option<String>,
    error: Option<String>,
    status: Option<u16>,
    attempt: Option<u32>,
    latency_ms: Option<u64>,
    /// From acceptance to delivery.
    age_ms: Option<u64>,
}

impl Deliveries {
    /// Takes note of a line of the forwarder's log. Most others are passed over.
    pub(crate) fn note(&self, line: &[u8]) {
        let Ok(line) = serde_json::from_slice::<Line>(line) else { return };
        if let Some(sequence) = &line.sequence {
            let mut failing = self.failing();
            if failing.counts(sequence, &line.message) {
                failing.note(sequence, Last::from(&line));
            }
        }
        self.attempts().note(&line);
        self.seen().note(line);
    }

    /// The attempts since this was asked before.
    pub(crate) fn take_attempts(&self) -> Attempts {
        std::mem::take(&mut *self.attempts())
    }

    /// What was seen so far.
    pub(crate) fn snapshot(&self) -> Seen {
        self.seen().clone()
    }

    /// How the last attempts of each of these events ended, by their sequence numbers.
    pub(crate) fn last_attempts<'a>(
        &self,
        sequences: impl Iterator<Item = &'a str>,
    ) -> Vec<Vec<Last>> {
        let failing = self.failing();
        sequences.map(|sequence| failing.of(sequence)).collect()
    }

    fn failing(&self) -> MutexGuard<'_, Failing> {
        self.failing.lock().expect("no code panics while it holds what failed")
    }

    fn attempts(&self) -> MutexGuard<'_, Attempts> {
        self.attempts.lock().expect("no code panics while it holds the attempts")
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("no code panics while it holds what was seen")
    }
}

impl Attempts {
    fn note(&mut self, line: &Line) {
        match line.message.as_str() {
            "delivered" => {
                if let Some(ms) = line.age_ms {
                    self.ages.note(Duration::from_millis(ms));
                }
            }
            "retry" | "rejected" | "blocked" | "skipped" => self.failed += 1,
            _ => {}
        }
    }
}

impl Seen {
    fn note(&mut self, line: Line) {
        let (Some(route), Some(destination)) = (&line.route, &line.destination) else { return };
        let route = self.destinations.entry(route.clone()).or_default();
        let destination = route.entry(destination.clone()).or_default();
        match line.message.as_str() {
            "delivered" => {
                destination.delivered += 1;
                destination.breaker_open_at = None;
                destination.latency.add(line.latency_ms.unwrap_or_default());
                self.last.truncate(LAST - 1);
                self.last.push_front(line.into());
            }
            "retry" => destination.retried += 1,
            "gave_up" => destination.gave_up += 1,
            "skipped" => destination.rejected += 1,
            // An answer, if not the one that was hoped for.
            "rejected" => {
                destination.rejected += 1;
                destination.breaker_open_at = None;
            }
            "blocked" => {
                destination.blocked += 1;
                destination.blocked_key = line.group;
                destination.breaker_open_at = None;
            }
            "not_attempted" if line.reason.as_deref() == Some("circuit_open") => {
                destination.breaker_open_at = Some(line.timestamp);
            }
            _ => {}
        }
    }
}

impl Histogram {
    fn add(&mut self, ms: u64) {
        self.count += 1;
        self.sum_ms += ms;
        if let Some(bucket) = BUCKETS_MS.iter().position(|bound| ms <= *bound) {
            self.buckets[bucket] += 1;
        }
    }
}

impl From<Line> for Delivery {
    fn from(line: Line) -> Self {
        Self {
            at: line.timestamp,
            event_id: line.event_id,
            route: line.route.unwrap_or_default(),
            destination: line.destination.unwrap_or_default(),
            status: line.status,
            attempt: line.attempt,
            latency_ms: line.latency_ms,
        }
    }
}

impl From<&Line> for Last {
    fn from(line: &Line) -> Self {
        Self {
            timestamp: line.timestamp.clone(),
            message: line.message.clone(),
            destination: line.destination.clone(),
            status: line.status,
            error: line.error.clone(),
            reason: line.reason.clone(),
            attempt: line.attempt,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn note(deliveries: &Deliveries, message: &str, more: &serde_json::Value) {
        let mut line = json!({
            "timestamp": "2026-01-01T00:00:00.000Z", "level": "INFO", "message": message,
            "event_id": "e-1", "route": "sss", "destination": "sss", "sequence": "1",
        });
        line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        deliveries.note(line.to_string().as_bytes());
    }

    #[test]
    fn attempts_are_counted_by_how_they_ended() {
        let deliveries = Deliveries::default();
        note(&deliveries, "retry", &json!({ "status": 503, "latency_ms": 3 }));
        for latency_ms in [5, 6, 60_000] {
            note(&deliveries, "delivered", &json!({ "status": 200, "latency_ms": latency_ms }));
        }
        deliveries.note(b"{\"message\":\"forwarder_started\"}");
        deliveries
            .note(b"{\"route\":\"sss\",\"_aws\":{},\"environment\":\"prod\",\"Delivered\":1}");
        let seen = deliveries.snapshot();
        let sss = &seen.destinations["sss"]["sss"];
        assert_eq!((sss.delivered, sss.retried), (3, 1));
        assert_eq!(sss.latency.buckets[..3], [1, 1, 0]);
        assert_eq!((sss.latency.count, sss.latency.sum_ms), (3, 60_011));
        assert_eq!(seen.last[0].latency_ms, Some(60_000));
    }

    #[test]
    fn a_line_with_metrics_is_one_as_any_other() {
        let deliveries = Deliveries::default();
        deliveries.note(include_bytes!("../../../contracts/delivered-line.json"));
        let seen = deliveries.snapshot();
        assert_eq!(seen.destinations["sss"]["sss"].delivered, 1);
        assert_eq!(seen.last[0].latency_ms, Some(200));
    }

    #[test]
    fn a_breaker_is_open_until_somebody_answers() {
        let deliveries = Deliveries::default();
        let open_at = || deliveries.snapshot().destinations["sss"]["sss"].breaker_open_at.clone();
        note(&deliveries, "not_attempted", &json!({ "reason": "circuit_open" }));
        note(&deliveries, "retry", &json!({}));
        assert_eq!(open_at().as_deref(), Some("2026-01-01T00:00:00.000Z"));
        note(&deliveries, "rejected", &json!({ "status": 422 }));
        assert_eq!(open_at(), None);
    }

    #[test]
    fn only_the_last_are_remembered() {
        let deliveries = Deliveries::default();
        for n in 0..=LAST {
            note(&deliveries, "delivered", &json!({ "attempt": n }));
        }
        let last = deliveries.snapshot().last;
        assert_eq!((last.len(), last[0].attempt), (LAST, Some(10)));
    }
}
