//! The status of an engine on this machine: what it says of itself.

use std::collections::BTreeMap;

use domain::config::LogLevel;
use serde::Deserialize;

use super::report::{
    DeadLetters, Delivery, Destination, LastDelivery, LossMeter, Queue, Release, Report,
};
use crate::engine_api::EngineApi;

/// `/_engine/status`, as far as it is shown.
#[derive(Debug, Deserialize)]
struct Status {
    now: String,
    started_at: String,
    version: String,
    trouble: Option<String>,
    ingest: Ingest,
    queue: QueueStats,
    waiting_groups: u64,
    dead_letter_queue: QueueStats,
    dead_letters_by_reason: Option<BTreeMap<String, u64>>,
    event_source_mapping: Option<Mapping>,
    loss_meter: LossMeter,
    deliveries: Deliveries,
    log_level: LogLevel,
}

#[derive(Debug, Deserialize)]
struct Ingest {
    refused: u64,
}

#[derive(Debug, Deserialize)]
struct QueueStats {
    visible: u64,
    in_flight: u64,
    delayed: u64,
    message_groups: u64,
    oldest_age_ms: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Mapping {
    enabled: bool,
    state: String,
    batches_in_flight: u64,
}

#[derive(Debug, Default, Deserialize)]
struct Deliveries {
    destinations: BTreeMap<String, BTreeMap<String, Counts>>,
    last: Vec<LastDelivery>,
}

#[derive(Debug, Deserialize)]
struct Counts {
    delivered: u64,
    retried: u64,
    rejected: u64,
    blocked: u64,
    gave_up: u64,
    breaker_open_at: Option<String>,
    latency: Latency,
}

#[derive(Debug, Deserialize)]
struct Latency {
    count: u64,
    sum_ms: u64,
}

pub(super) async fn report(environment: &str, api: &EngineApi) -> anyhow::Result<Report> {
    let mut status: Status = api.get("/_engine/status").await?;
    let mapping = status.event_source_mapping;
    let mut unknown = Vec::new();
    if status.dead_letters_by_reason.is_none() {
        let most = "too many to count at a glance: `cargo xtask dlq list` does";
        unknown.push(format!("dead letters by reason ({most})"));
    }
    if status.log_level > LogLevel::Info {
        unknown
            .push("last deliveries and breaker (forwarder.log_level leaves them out)".to_owned());
        status.deliveries = Deliveries::default();
    }
    Ok(Report {
        environment: environment.to_owned(),
        host: "engine",
        at: status.now,
        delivery: Delivery {
            paused: mapping.as_ref().is_some_and(|mapping| !mapping.enabled),
            batches_in_flight: mapping.as_ref().map(|mapping| mapping.batches_in_flight),
            state: mapping.map(|mapping| mapping.state),
            trouble: status.trouble,
        },
        queue: Queue {
            events: status.queue.messages(),
            in_flight: status.queue.in_flight,
            oldest_age_ms: status.queue.oldest_age_ms,
            groups: Some(status.queue.message_groups),
            waiting_groups: Some(status.waiting_groups),
            refused: Some(status.ingest.refused),
        },
        dead_letters: DeadLetters {
            count: status.dead_letter_queue.messages(),
            by_reason: status.dead_letters_by_reason,
            oldest_age_ms: status.dead_letter_queue.oldest_age_ms,
        },
        loss_meter: Some(status.loss_meter),
        destinations: destinations(status.deliveries.destinations),
        last_deliveries: status.deliveries.last,
        release: Some(Release {
            id: format!("engine {}", status.version),
            at: status.started_at,
            by: None,
            git_commit: None,
            function_version: None,
        }),
        alarms: None,
        unknown,
    })
}

impl QueueStats {
    fn messages(&self) -> u64 {
        self.visible + self.in_flight + self.delayed
    }
}

fn destinations(routes: BTreeMap<String, BTreeMap<String, Counts>>) -> Vec<Destination> {
    let of_route = |(route, destinations): (String, BTreeMap<String, Counts>)| {
        destinations.into_iter().map(move |(name, counts)| Destination {
            route: route.clone(),
            name,
            delivered: counts.delivered,
            retried: counts.retried,
            rejected: counts.rejected,
            blocked: counts.blocked,
            gave_up: counts.gave_up,
            latency_ms_mean: counts.latency.sum_ms.checked_div(counts.latency.count),
            breaker_open_at: counts.breaker_open_at,
        })
    };
    routes.into_iter().flat_map(of_route).collect()
}
