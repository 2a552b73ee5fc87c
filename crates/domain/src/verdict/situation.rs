//! What a verdict is given on: each thing that was looked for, or why it could not be had.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::notification::kind::Kind;
use crate::pause::Pause;
use crate::time::Timestamp;

/// What was looked for. Nothing is taken for absent because it was not seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known<T> {
    /// All of it.
    Is(T),
    /// What could be had, and why the rest could not.
    InPart(T, String),
    /// Why it could not be had: a right is missing, no answer in time, no metric.
    Not(String),
}

impl<T> Known<T> {
    /// What could be had.
    #[must_use]
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Is(value) | Self::InPart(value, _) => Some(value),
            Self::Not(_) => None,
        }
    }

    /// The same of something else.
    #[must_use]
    pub fn map<U>(self, other: impl FnOnce(T) -> U) -> Known<U> {
        match self {
            Self::Is(value) => Known::Is(other(value)),
            Self::InPart(value, why) => Known::InPart(other(value), why),
            Self::Not(why) => Known::Not(why),
        }
    }

    /// Why not all of it is known.
    #[must_use]
    pub fn why_not(&self) -> Option<&str> {
        match self {
            Self::Is(_) => None,
            Self::InPart(_, why) | Self::Not(why) => Some(why),
        }
    }
}

/// An environment, as it was looked at.
#[derive(Debug, Clone)]
pub struct Situation {
    /// When, by the clock of whoever keeps the queues.
    pub now: Timestamp,
    /// Where events are kept.
    pub storage: Known<Storage>,
    /// Why no forwarder starts, if none does.
    pub forwarder_trouble: Option<String>,
    /// Whether events are delivered.
    pub delivery: Known<Delivery>,
    /// The pauses that there are.
    pub pauses: Known<Vec<Pause>>,
    /// Events in the queue, those in flight included.
    pub events: u64,
    /// When the oldest of them was accepted; not looked at where there are none.
    pub oldest_at: Known<Timestamp>,
    /// The ordering keys whose first event failed.
    pub keys: Known<Vec<Key>>,
    /// How long events are kept and tried.
    pub limits: Known<Limits>,
    /// Dead letters.
    pub dead_letters: u64,
    /// When the oldest of them became one, if that is known.
    pub oldest_dead_letter_at: Option<Timestamp>,
    /// Accepted events less those that are somewhere.
    pub missing: Known<i64>,
    /// What the engine saw of itself; AWS has alarms for that.
    pub conditions: Known<Vec<Condition>>,
    /// The alarms that do not say that all is well; one machine has none.
    pub alarms: Known<Vec<Alarm>>,
}

/// Where events are kept. On AWS that is SQS's business.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Storage {
    /// Whether its last use failed.
    pub fails: bool,
    /// What is free, in bytes, where that is too little to accept events.
    pub full_with_bytes: Option<u64>,
    /// Events that are not what was accepted.
    pub damaged: u64,
}

/// Whether somebody takes events from the queue and delivers them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// It is on, or about to be.
    On,
    /// It is off; the event source mapping's state, in Lambda's words.
    Off(String),
    /// No forwarder belongs to this queue: whoever wants its events receives them.
    Nobody,
}

/// An ordering key that waits for its first event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The message group's id.
    pub key: String,
    /// The event that it waits for.
    pub event_id: String,
    /// Its route, if it names one.
    pub route: Option<String>,
    /// Who does not take it, where the event came so far.
    pub destination: Option<String>,
    /// How its last attempt ended.
    pub failure: Failure,
    /// HTTP status or error of the last attempt.
    pub reason: Option<String>,
    /// Since when it fails.
    pub since: Timestamp,
    /// When the event was accepted.
    pub accepted_at: Option<Timestamp>,
}

/// How the last attempt of a key's first event ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It was refused for good, and its route says that its key waits for a person.
    Rejected,
    /// It failed, and is tried again.
    Failed,
    /// A secret could not be had.
    NoSecret,
    /// It is done with, and could not be made a dead letter.
    NotDeadLettered,
    /// It was not tried, as there was no time; it is next.
    NotTried,
    /// Nothing tells.
    Unknown,
}

/// How long events are kept and tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// At which age a failing event is given up, by route.
    pub give_up_after: BTreeMap<String, Duration>,
    /// At which age an event is deleted.
    pub retention: Duration,
    /// How long after its death a dead letter is deleted.
    pub dead_letter_retention: Duration,
}

/// A condition that the engine saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Which.
    pub kind: Kind,
    /// Since when it is seen.
    pub since: Timestamp,
    /// How much is wrong.
    pub figure: u64,
}

/// An alarm that rings, or has too little data to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// Its section of the runbook.
    pub section: String,
    /// Whether it rings.
    pub rings: bool,
    /// Since when.
    pub since: Option<Timestamp>,
}

impl Limits {
    /// When a failing event is given up. Of a route that is not known the shortest of all counts.
    #[must_use]
    pub fn give_up_after(&self, route: Option<&str>) -> Option<Duration> {
        let of_route = route.and_then(|route| self.give_up_after.get(route));
        of_route.or_else(|| self.give_up_after.values().min()).copied()
    }
}
