//! Log lines: one JSON object each, written in one piece to standard output. Never a body, a header,
//! a URL or a secret; the beginning of an answer only where the configuration says so.

use std::io::Write as _;
use std::time::{Duration, SystemTime};

use domain::config::LogLevel;
use domain::time::Timestamp;
use serde::{Serialize, Serializer};

use crate::outside::Outside;

/// Writes log lines of at least a level.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Logger {
    least: LogLevel,
}

/// What a line tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum What {
    /// A destination has the event.
    Delivered,
    /// An attempt failed, and is repeated.
    Retry,
    /// An attempt failed, and is not repeated.
    GaveUp,
    /// A destination will not take the event.
    Rejected,
    /// The same, and the event stays for an operator.
    Blocked,
    /// An operator wanted the event out of the way.
    Skipped,
    /// No attempt was made.
    NotAttempted,
    /// The event is not what its route demands.
    Unverified,
    /// A secret is not to be had.
    SecretUnavailable,
    /// The event is in the dead-letter queue.
    DeadLettered,
    /// It should be, and is not.
    NotDeadLettered,
    /// An operator wanted it to be sent once more, and a destination has it.
    Repeated,
    /// The same, and it has not.
    RepeatFailed,
    /// Something went wrong while a group's messages were delivered; they stay.
    #[default]
    Failed,
}

/// One line. Fields that do not apply are left out; [`Report`](crate::report::Report) sets the time.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Line<'a> {
    #[serde(serialize_with = "rfc_3339")]
    pub(crate) timestamp: Timestamp,
    pub(crate) level: LogLevel,
    #[serde(rename = "message")]
    pub(crate) what: What,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) event_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) route: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) group: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sequence: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) destination: Option<&'a str>,
    /// Where that is: its host, and its port if it is no usual one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) host: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "milliseconds")]
    pub(crate) latency_ms: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "milliseconds")]
    pub(crate) age_ms: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "milliseconds")]
    pub(crate) retry_in_ms: Option<Duration>,
    /// How long the destination asked by `Retry-After` not to be called.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "milliseconds")]
    pub(crate) retry_after_ms: Option<Duration>,
    /// The beginning of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) response: Option<&'a str>,
    /// How often the message was received.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) receive_count: Option<u32>,
    /// The receipt handles of its group's messages of this receive, in their order, its own first: what
    /// changes when they are shown again.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(crate) receipt_handles: &'a [&'a str],
}

impl Logger {
    /// A logger that leaves out what is less severe than `least`.
    pub(crate) fn new(least: LogLevel) -> Self {
        Self { least }
    }

    /// Whether lines of `level` are written.
    pub(crate) fn writes(self, level: LogLevel) -> bool {
        self.least <= level
    }

    /// Writes an error that is about no message.
    pub(crate) fn error(self, outside: &impl Outside, message: &str) {
        let (level, timestamp) = (LogLevel::Error, outside.now());
        self.write(outside, level, &ErrorLine { timestamp, level, message });
    }

    /// Writes `line`, unless `level` is less severe than what is written.
    pub(crate) fn write(self, outside: &impl Outside, level: LogLevel, line: &impl Serialize) {
        if self.writes(level) {
            outside.write(&written(line));
        }
    }
}

/// Writes an error of a process that has no settings, or no forwarder yet.
pub fn log_error(message: &str) {
    let (level, timestamp) = (LogLevel::Error, SystemTime::now().into());
    write(&written(&ErrorLine { timestamp, level, message }));
}

fn written(line: &impl Serialize) -> Vec<u8> {
    let mut json = serde_json::to_vec(line).expect("strings and numbers");
    json.push(b'\n');
    json
}

/// A line that is about no message.
#[derive(Serialize)]
struct ErrorLine<'a> {
    #[serde(serialize_with = "rfc_3339")]
    timestamp: Timestamp,
    level: LogLevel,
    message: &'a str,
}

/// Writes whole lines, in one piece.
pub(crate) fn write(lines: &[u8]) {
    // A log that cannot be written must not stop a delivery, and there is nowhere to say so.
    let _unwritable = std::io::stdout().lock().write_all(lines);
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn rfc_3339<S: Serializer>(timestamp: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(timestamp)
}

#[expect(clippy::ref_option, reason = "serde passes a reference")]
fn milliseconds<S: Serializer>(
    duration: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let ms = duration.unwrap_or_default().as_millis();
    serializer.serialize_u64(u64::try_from(ms).unwrap_or(u64::MAX))
}
