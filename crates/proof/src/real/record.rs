//! Where everything that is seen is noted, by one clock.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch;

use crate::history::{Answer, History, Micros, Name, Seen};
use crate::planted::Planted;

/// How often things happened, for those who wait for them.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Requests that were answered, accepted or not, or that came to no answer.
    pub(super) sent: watch::Sender<u64>,
    /// Events that were refused for what is no fault of theirs.
    pub(super) refused: watch::Sender<u64>,
    /// How often the provider has changed its secret.
    pub(super) rotations: watch::Sender<u64>,
    /// Attempts that failed, as the log tells, by destination.
    pub(super) failed: watch::Sender<HashMap<String, u64>>,
}

/// The history that is being made.
#[derive(Debug)]
pub(super) struct Record {
    started: Instant,
    started_at: SystemTime,
    history: Mutex<History>,
    pub(super) planted: Planted,
    pub(super) counts: Counts,
}

impl Record {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            started: Instant::now(),
            started_at: SystemTime::now(),
            history: Mutex::default(),
            planted: Planted::of(seed),
            counts: Counts::default(),
        }
    }

    pub(super) fn now(&self) -> Micros {
        Micros::try_from(self.started.elapsed().as_micros()).unwrap_or(Micros::MAX)
    }

    /// When a program's clock, which is so many hours ahead of ours, showed this time of RFC 3339.
    pub(super) fn at(&self, timestamp: &str, hours_ahead: i64) -> Option<Micros> {
        let shown = humantime::parse_rfc3339(timestamp).ok()?;
        let apart = Duration::from_hours(hours_ahead.unsigned_abs());
        let at = if hours_ahead < 0 { shown + apart } else { shown - apart };
        Micros::try_from(at.duration_since(self.started_at).ok()?.as_micros()).ok()
    }

    fn lock(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what is seen now, and gives its place. The clock is read with the history held, so that the
    /// places are in the order of the times.
    pub(super) fn push(&self, seen: Seen) -> usize {
        let mut history = self.lock();
        let now = self.now();
        history.push(now, seen)
    }

    pub(super) fn answered(&self, place: usize, answer: Answer) {
        self.lock().answered(place, answer);
    }

    /// Looks for what was planted in what must not hold it.
    pub(super) fn search(&self, place: &str, text: &[u8]) {
        for planted in self.planted.find(text) {
            self.push(Seen::Leaked { planted, place: place.to_owned() });
        }
    }

    /// The id of an event that came to its end not long ago, of those that were answered with a 2xx.
    pub(super) fn delivered(&self, choice: u64) -> Option<String> {
        let history = self.lock();
        let mut delivered = history.entries().iter().rev().filter_map(|entry| match &entry.seen {
            Seen::Got { event_id, answer, .. } if answer.may_be_success() => Some(event_id.clone()),
            _ => None,
        });
        // Among the last, which are kept.
        delivered.nth(usize::try_from(20 + choice % 200).unwrap_or_default())
    }

    /// The ids of events whose names `are_wanted`, of those that were accepted and have not arrived whole.
    pub(super) fn accepted(&self) -> Vec<(Name, String)> {
        let history = self.lock();
        let accepted = history.entries().iter().filter_map(|entry| match &entry.seen {
            Seen::Accepted { name, event_id, .. } => Some((*name, event_id.clone())),
            _ => None,
        });
        accepted.collect()
    }

    pub(super) fn take(&self) -> History {
        std::mem::take(&mut *self.lock())
    }
}
