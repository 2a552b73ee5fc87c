//! What a status holds, whoever runs the environment. `None` is not known, and is shown as that.

use std::collections::BTreeMap;

use domain::pause::Pause;
use domain::verdict::Verdict;
use serde::{Deserialize, Serialize};

use crate::cloudwatch::Alarm;

/// A status. The JSON of `status --json`; fields are added, never changed.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) environment: String,
    /// `engine` or `aws`.
    pub(crate) host: &'static str,
    /// When it was asked, RFC 3339.
    pub(crate) at: String,
    /// Whether a person must act.
    pub(crate) verdict: Judged,
    pub(crate) delivery: Delivery,
    /// What is wrong with where the events are kept; `None` if nothing is, and on AWS.
    pub(crate) storage: Option<String>,
    pub(crate) queue: Queue,
    pub(crate) dead_letters: DeadLetters,
    pub(crate) loss_meter: Option<LossMeter>,
    pub(crate) destinations: Vec<Destination>,
    /// The newest first.
    pub(crate) last_deliveries: Vec<LastDelivery>,
    pub(crate) release: Option<Release>,
    /// All alarms, by name; `None` on one machine, which has none.
    pub(crate) alarms: Option<Vec<Alarm>>,
    /// What could not be told, and why.
    pub(crate) unknown: Vec<String>,
    /// Whether people depend on it, by its configuration.
    pub(crate) production: Option<bool>,
}

/// A verdict, and the same in a sentence.
#[derive(Debug, Serialize)]
pub(crate) struct Judged {
    #[serde(flatten)]
    pub(crate) verdict: Verdict,
    pub(crate) sentence: String,
}

/// The event source mapping.
#[derive(Debug, Serialize)]
pub(crate) struct Delivery {
    /// In Lambda's words: `Enabled`, `Disabling`, `Disabled`, …; `None` without a function.
    pub(crate) state: Option<String>,
    /// Whether events wait because somebody paused delivery.
    pub(crate) paused: bool,
    /// Who paused it; none where somebody switched the mapping off by another way.
    pub(crate) pauses: Vec<Pause>,
    /// Batches that are being worked on.
    pub(crate) batches_in_flight: Option<u64>,
    /// Why the forwarder cannot be started.
    pub(crate) trouble: Option<String>,
}

/// The queue.
#[derive(Debug, Serialize)]
pub(crate) struct Queue {
    /// All of its events, those in flight included.
    pub(crate) events: u64,
    pub(crate) in_flight: u64,
    pub(crate) oldest_age_ms: Option<u64>,
    /// When it was that old, RFC 3339, if that was not just now.
    pub(crate) oldest_age_at: Option<String>,
    pub(crate) groups: Option<u64>,
    /// Groups that wait for their next attempt.
    pub(crate) waiting_groups: Option<u64>,
    /// Requests that were refused since the engine started.
    pub(crate) refused: Option<u64>,
}

/// The dead-letter queue.
#[derive(Debug, Serialize)]
pub(crate) struct DeadLetters {
    pub(crate) count: u64,
    pub(crate) by_reason: Option<BTreeMap<String, u64>>,
    pub(crate) oldest_age_ms: Option<u64>,
    /// When it was that old, RFC 3339, if that was not just now.
    pub(crate) oldest_age_at: Option<String>,
}

/// Whether anything is lost.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LossMeter {
    /// When counting began, RFC 3339.
    pub(crate) since: String,
    /// Up to when is counted, RFC 3339: on AWS some minutes ago.
    pub(crate) until: Option<String>,
    /// Events. On AWS 0 as long as `difference` is not more than `uncertain_by`.
    pub(crate) missing: i64,
    /// Accepted less what is known to be somewhere, in events.
    pub(crate) difference: Option<i64>,
    /// How far `difference` may be off, in events.
    pub(crate) uncertain_by: Option<u64>,
    /// Of all routes.
    pub(crate) total: Option<Balance>,
    /// By route; "" for events that name none.
    pub(crate) routes: BTreeMap<String, Balance>,
}

/// Where events are, of a route or of all. What AWS does not tell by route is `None`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Balance {
    pub(crate) accepted: Option<u64>,
    pub(crate) delivered: u64,
    pub(crate) dead_letters: Option<u64>,
    pub(crate) dropped: Option<i64>,
    pub(crate) queued: Option<u64>,
    pub(crate) missing: Option<i64>,
    /// Dead letters whose originals did not leave the queue because of them: see the engine.
    pub(crate) copies: Option<i64>,
    pub(crate) dead_lettered: u64,
    pub(crate) redriven: Option<u64>,
    pub(crate) left: Left,
}

/// How events left that nobody delivered, dead-lettered or dropped.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Left {
    pub(crate) expired: Option<u64>,
    pub(crate) purged: Option<u64>,
    pub(crate) deleted: Option<u64>,
}

/// A destination of a route, by what was logged of it.
#[derive(Debug, Serialize)]
pub(crate) struct Destination {
    pub(crate) route: String,
    #[serde(rename = "destination")]
    pub(crate) name: String,
    pub(crate) delivered: u64,
    pub(crate) retried: u64,
    pub(crate) rejected: u64,
    pub(crate) blocked: u64,
    pub(crate) gave_up: u64,
    /// Mean over the deliveries seen.
    pub(crate) latency_ms_mean: Option<u64>,
    /// When the circuit breaker was last seen open, if nothing answered since; RFC 3339.
    pub(crate) breaker_open_at: Option<String>,
}

/// A delivery, by its log line.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LastDelivery {
    #[serde(alias = "timestamp")]
    pub(crate) at: String,
    pub(crate) event_id: String,
    pub(crate) route: String,
    pub(crate) destination: String,
    pub(crate) status: Option<u16>,
    pub(crate) attempt: Option<u32>,
    pub(crate) latency_ms: Option<u64>,
}

/// What runs.
#[derive(Debug, Serialize)]
pub(crate) struct Release {
    /// On AWS the release record's name, on one machine the engine's version.
    pub(crate) id: String,
    /// Since when, RFC 3339.
    pub(crate) at: String,
    pub(crate) by: Option<String>,
    pub(crate) git_commit: Option<String>,
    pub(crate) function_version: Option<String>,
}
