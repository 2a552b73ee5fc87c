//! What an engine says of itself.

use std::collections::BTreeMap;

use domain::config::LogLevel;
use domain::time::Timestamp;
use serde::Deserialize;

use crate::engine_api::EngineApi;
use crate::status::report::{LastDelivery, LossMeter};

/// `/_engine/status`.
#[derive(Debug, Deserialize)]
pub(crate) struct EngineStatus {
    pub(crate) now: String,
    pub(crate) started_at: String,
    pub(crate) version: String,
    pub(crate) trouble: Option<String>,
    /// An engine of before does not tell, as of the disk.
    #[serde(default)]
    pub(crate) storage_failing: bool,
    pub(crate) disk: Option<Disk>,
    pub(crate) ingest: Ingest,
    pub(crate) queue: QueueStats,
    pub(crate) waiting_groups: u64,
    pub(crate) dead_letter_queue: QueueStats,
    pub(crate) dead_letters_by_reason: Option<BTreeMap<String, u64>>,
    pub(crate) event_source_mapping: Option<Mapping>,
    pub(crate) loss_meter: LossMeter,
    pub(crate) deliveries: Deliveries,
    pub(crate) log_level: LogLevel,
    /// An engine of before does not tell, as of the limits.
    pub(crate) conditions: Option<Conditions>,
    pub(crate) limits: Option<Limits>,
    pub(crate) origins: Origins,
    /// An engine of before does not tell.
    pub(crate) production: Option<bool>,
}

/// Where deliveries go, by route and destination.
pub(crate) type Origins = BTreeMap<String, BTreeMap<String, String>>;

#[derive(Debug, Deserialize)]
pub(crate) struct Disk {
    pub(crate) free_bytes: u64,
    pub(crate) accepting: bool,
}

/// What it saw of itself.
#[derive(Debug, Deserialize)]
pub(crate) struct Conditions {
    pub(crate) looked_at: Timestamp,
    pub(crate) ill: Vec<Condition>,
}

/// A condition that needs a person.
#[derive(Debug, Deserialize)]
pub(crate) struct Condition {
    pub(crate) kind: String,
    pub(crate) since: Timestamp,
    pub(crate) figure: u64,
}

/// How long events are kept and tried.
#[derive(Debug, Deserialize)]
#[expect(clippy::struct_field_names, reason = "a plain number carries its unit in its name")]
pub(crate) struct Limits {
    pub(crate) retention_seconds: u64,
    pub(crate) dead_letter_retention_seconds: u64,
    /// By route.
    pub(crate) give_up_after_seconds: BTreeMap<String, u64>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Ingest {
    pub(crate) refused: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct QueueStats {
    pub(crate) visible: u64,
    pub(crate) in_flight: u64,
    pub(crate) delayed: u64,
    pub(crate) message_groups: u64,
    pub(crate) oldest_age_ms: Option<u64>,
    #[serde(default)]
    pub(crate) damaged: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Mapping {
    pub(crate) enabled: bool,
    pub(crate) state: String,
    pub(crate) batches_in_flight: u64,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Deliveries {
    pub(crate) destinations: BTreeMap<String, BTreeMap<String, Counts>>,
    pub(crate) last: Vec<LastDelivery>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Counts {
    pub(crate) delivered: u64,
    pub(crate) retried: u64,
    pub(crate) rejected: u64,
    pub(crate) blocked: u64,
    pub(crate) gave_up: u64,
    pub(crate) breaker_open_at: Option<String>,
    pub(crate) latency: Latency,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Latency {
    pub(crate) count: u64,
    pub(crate) sum_ms: u64,
}

impl EngineApi {
    /// What it says now.
    pub(crate) async fn status(&self) -> anyhow::Result<EngineStatus> {
        self.get("/_engine/status").await
    }
}

impl QueueStats {
    pub(crate) fn messages(&self) -> u64 {
        self.visible + self.in_flight + self.delayed
    }
}
