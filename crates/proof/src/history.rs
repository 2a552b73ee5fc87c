//! What was seen from outside, in the order in which it was seen.

use std::fmt;
use std::io::Write;

use serde::Serialize;
use serde_json::Value;

use crate::schedule::Fault;

/// Microseconds since the run began, by one monotonic clock: senders and service are in one process.
pub type Micros = u64;

/// What its sender calls an event; it stands in the body, and no two events have it in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    /// The ordering key's number.
    pub key: u32,
    /// The event's number within its key, from 0, in the order of sending.
    pub number: u32,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "k{}-{}", self.key, self.number)
    }
}

impl Name {
    /// What [`Display`](fmt::Display) has written.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (key, number) = text.strip_prefix('k')?.split_once('-')?;
        Some(Self { key: key.parse().ok()?, number: number.parse().ok()? })
    }
}

impl Serialize for Name {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What the configuration says of a route, as far as a promise depends on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Route {
    /// Its name.
    pub name: String,
    /// Its destinations' names.
    pub destinations: Vec<String>,
    /// Whether a rejected event holds back its group.
    pub is_blocking: bool,
    /// At which age a failing event is given up.
    pub give_up_after_seconds: u64,
}

/// How much of an answer the service has written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Written {
    /// Nothing, or what is no beginning of an answer.
    Nothing,
    /// Less than the status line.
    Part,
    /// The status line at least.
    StatusLine,
}

/// What the service answered to an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// The status that it meant to answer.
    pub status: Option<u16>,
    /// What of it was written.
    pub written: Written,
    /// How long after it had read the request.
    pub after_ms: u32,
}

impl Answer {
    /// None yet.
    pub const NONE: Self = Self { status: None, written: Written::Nothing, after_ms: 0 };

    /// Whether whoever asked may have read a 2xx.
    #[must_use]
    pub fn may_be_success(self) -> bool {
        self.written == Written::StatusLine
            && self.status.is_some_and(|it| (200..300).contains(&it))
    }

    /// Whether whoever asked has read a 2xx, unless he died: it came in less than half of his time.
    #[must_use]
    pub fn is_success_in_time(self, timeout_ms: u32) -> bool {
        self.may_be_success() && self.after_ms < timeout_ms / 2
    }
}

/// What an operator typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "they are the commands")]
pub enum Action {
    Redrive,
    Edit,
    Drop,
    Import,
    Repeat,
    Skip,
    Retry,
    Pause,
    Resume,
}

/// A dead letter, as `dlq list --json` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeadLetter {
    /// The event's id.
    pub event_id: String,
    /// Why it is one.
    pub reason: String,
    /// The destination that failed.
    pub destination: Option<String>,
    /// Its HTTP status.
    pub status: Option<u16>,
    /// How old the event was, in seconds.
    pub age_seconds: u64,
}

/// One thing that was seen.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Seen {
    /// A simulated day begins.
    Day {
        /// Which size it passes on.
        on: &'static str,
    },
    /// An engine started with this configuration.
    Configured {
        /// The routes.
        routes: Vec<Route>,
        /// What one attempt may take.
        timeout_ms: u32,
        /// What one batch may take.
        function_timeout_ms: u32,
        /// How long an event may wait once its cause has ended: for the visibility timeout of a batch whose
        /// forwarder died, a delay of its schedule or a `Retry-After`, and a breaker's probe.
        waits_at_most_ms: u32,
    },
    /// A 2xx was read.
    Accepted {
        /// The event.
        name: Name,
        /// The route that it was posted to.
        route: String,
        /// The id that the answer gave it, or that it had before.
        event_id: String,
        /// When the first byte was sent; [`Entry::at`] is when the answer was read.
        sent_at: Micros,
        /// Whether its signature is wrong.
        is_forged: bool,
    },
    /// Another answer was read, or none.
    NotAccepted {
        /// The event.
        name: Name,
        /// The route that it was posted to.
        route: String,
        /// The status; without one nobody knows whether it was accepted.
        status: Option<u16>,
        /// When the first byte was sent.
        sent_at: Micros,
        /// Whether its signature is wrong.
        is_forged: bool,
    },
    /// The service has read a whole request.
    Got {
        /// The event.
        name: Name,
        /// The route's destination.
        destination: String,
        /// The `webhook-id`.
        event_id: String,
        /// What came of it.
        answer: Answer,
    },
    /// The log told that an event became a dead letter.
    DeadLettered {
        /// The event.
        event_id: String,
        /// Why.
        reason: String,
        /// When, as the log says; none where it was only seen later that it is one.
        died_at: Option<Micros>,
    },
    /// The log told that an attempt took too long.
    TimedOut {
        /// The event.
        event_id: String,
    },
    /// An operator's command has ended.
    Acted {
        /// What.
        action: Action,
        /// Which events were named; none if all were meant.
        event_ids: Vec<String>,
        /// Whether he said why.
        has_reason: bool,
        /// When it was started; [`Entry::at`] is when it had ended.
        began_at: Micros,
        /// Its exit code; none if it was killed.
        code: Option<i32>,
    },
    /// A process was killed, or ended by itself.
    Died {
        /// Which.
        process: &'static str,
    },
    /// From here on a fault is there.
    Began {
        /// Which.
        fault: Fault,
    },
    /// It is gone.
    Ended {
        /// Which.
        fault: Fault,
        /// How often it met somebody.
        hits: u64,
    },
    /// The last cause of failures has ended, and so has the last pause.
    Healthy,
    /// Something planted was found where it must not be.
    Leaked {
        /// Which kind: `secret` or `body`.
        planted: &'static str,
        /// Where.
        place: String,
    },
    /// What was looked through for what was planted.
    Searched {
        /// How much.
        bytes: u64,
    },
    /// What a process used, at most.
    Used {
        /// Which.
        process: &'static str,
        /// Resident memory, in KiB.
        memory_kib: u64,
        /// Open descriptors.
        descriptors: u64,
    },
    /// How many files the data directory held, at most.
    Files {
        /// How many.
        count: u64,
    },
    /// What was left at the end.
    Left {
        /// The dead letters.
        dead: Vec<DeadLetter>,
        /// Ids of events that are in the queue.
        waiting: Vec<String>,
        /// What `status --json` printed.
        status: Value,
        /// What `/metrics` said.
        metrics: String,
    },
}

/// Something that was seen, and when.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// When.
    pub at: Micros,
    /// What.
    #[serde(flatten)]
    pub seen: Seen,
}

/// All that was seen.
#[derive(Debug, Clone, Default)]
pub struct History {
    entries: Vec<Entry>,
}

impl History {
    /// Adds what was seen at `at`, and gives its place.
    pub fn push(&mut self, at: Micros, seen: Seen) -> usize {
        self.entries.push(Entry { at, seen });
        self.entries.len() - 1
    }

    /// Notes what became of an attempt.
    pub fn answered(&mut self, place: usize, answered: Answer) {
        if let Some(Entry { seen: Seen::Got { answer, .. }, .. }) = self.entries.get_mut(place) {
            *answer = answered;
        }
    }

    /// Everything, in its order.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Writes a JSON object a line.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn write_to(&self, out: &mut impl Write) -> std::io::Result<()> {
        for entry in &self.entries {
            serde_json::to_writer(&mut *out, entry)?;
            out.write_all(b"\n")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_is_lines_of_json() {
        let mut history = History::default();
        let name = Name::parse("k3-17").unwrap();
        let (destination, event_id) = ("a".to_owned(), "e".to_owned());
        let got = Seen::Got { name, destination, event_id, answer: Answer::NONE };
        let place = history.push(5, got);
        let answer = Answer { status: Some(200), written: Written::StatusLine, after_ms: 2 };
        history.answered(place, answer);
        let mut text = Vec::new();
        history.write_to(&mut text).unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "{\"at\":5,\"what\":\"got\",\"name\":\"k3-17\",\"destination\":\"a\",\"event_id\":\"e\",\
             \"answer\":{\"status\":200,\"written\":\"status_line\",\"after_ms\":2}}\n"
        );
        assert!(answer.is_success_in_time(10) && !answer.is_success_in_time(4));
    }
}
