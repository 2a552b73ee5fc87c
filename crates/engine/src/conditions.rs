//! What the engine saw of itself that needs a person, for who asks: some of it only a history tells, which
//! who looks once does not have.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use domain::notification::watch::{Readings, Topic};
use domain::time::Timestamp;
use serde::Serialize;

/// What was seen last.
pub(crate) struct Conditions(Mutex<Seen>);

struct Seen {
    looked_at: Timestamp,
    /// Since when, and how much is wrong.
    ill: BTreeMap<Topic, (Timestamp, u64)>,
}

/// The same for a status.
#[derive(Debug, Serialize)]
pub(crate) struct Told {
    looked_at: Timestamp,
    ill: Vec<Condition>,
}

#[derive(Debug, Serialize)]
struct Condition {
    kind: &'static str,
    /// A route, or `route/destination`; "" of the whole engine.
    of: String,
    since: Timestamp,
    figure: u64,
}

impl Conditions {
    /// Of an engine that starts now: nothing has happened yet.
    pub(crate) fn new(now: Timestamp) -> Self {
        Self(Mutex::new(Seen { looked_at: now, ill: BTreeMap::new() }))
    }

    /// Takes note of what was seen now.
    pub(crate) fn saw(&self, now: Timestamp, readings: &Readings) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let since = |topic: &Topic| seen.ill.get(topic).map_or(now, |(since, _)| *since);
        let ill = readings.figures().map(|(topic, figure)| (topic.clone(), (since(topic), figure)));
        *seen = Seen { looked_at: now, ill: ill.collect() };
    }

    /// What was seen last.
    pub(crate) fn told(&self) -> Told {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let condition = |((kind, of), (since, figure)): (&Topic, &(Timestamp, u64))| Condition {
            kind: kind.name(),
            of: of.clone(),
            since: *since,
            figure: *figure,
        };
        Told { looked_at: seen.looked_at, ill: seen.ill.iter().map(condition).collect() }
    }
}
