//! What an operator looks at: the engine's status as one document, the groups that wait, where an
//! event is. `cargo xtask status`, `blocked` and `trace` ask here; [`metrics`](crate::metrics) shows
//! the same figures to Prometheus.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use domain::config::LogLevel;
use domain::time::Timestamp;
use serde::Serialize;
use serde_json::json;

use crate::admin::{Admin, Limits, QueueStats};
use crate::conditions::Told;
use crate::deliveries::Seen;
use crate::disk::DiskStatus;
use crate::error_text::in_full;
use crate::event_source_mapping::{MappingHandle, MappingStatus};
use crate::failing::Last;
use crate::function::ms;
use crate::http::{answer, failed};
use crate::ingest::IngestStatus;
use crate::loss_meter::{self, Balance};
use crate::receiver::Outcomes;
use crate::store::{Place, SequenceNumber, StoreError, WaitingGroup};

/// Groups that are told of at a time.
const GROUPS_MAX: u32 = 1_000;

/// Everything at a glance.
#[derive(Debug, Serialize)]
pub(crate) struct Status {
    /// RFC 3339.
    now: String,
    /// RFC 3339.
    started_at: String,
    #[serde(skip)]
    pub(crate) started_at_ms: u64,
    pub(crate) uptime_ms: u64,
    pub(crate) version: &'static str,
    /// What is wrong with the forwarder, if something is.
    pub(crate) trouble: Option<String>,
    /// Whether the last use of storage failed.
    pub(crate) storage_failing: bool,
    /// `null` where nothing is kept on a disk.
    pub(crate) disk: Option<DiskStatus>,
    /// Lines of the engine's log that were left out or could not be written, since the engine started.
    pub(crate) log_lines_left_out: u64,
    /// `null` where nobody is notified.
    pub(crate) notifications: Option<Outcomes>,
    pub(crate) ingest: IngestStatus,
    pub(crate) queue: QueueStats,
    /// Groups whose first message was received before, and waits for its next attempt.
    pub(crate) waiting_groups: u64,
    pub(crate) dead_letter_queue: QueueStats,
    /// By class of failure, `receive_count` for those that the redrive policy moved; `null` when
    /// there are too many to count.
    dead_letters_by_reason: Option<BTreeMap<String, u64>>,
    pub(crate) event_source_mapping: Option<MappingStatus>,
    pub(crate) loss_meter: LossMeter,
    pub(crate) deliveries: Seen,
    /// With anything above `info`, `deliveries` lacks what ended well.
    log_level: LogLevel,
    conditions: Told,
    limits: Limits,
    /// Where deliveries go, by route and destination.
    origins: BTreeMap<String, BTreeMap<String, String>>,
    production: bool,
}

/// See [`loss_meter`].
#[derive(Debug, Serialize)]
pub(crate) struct LossMeter {
    /// When counting began, RFC 3339.
    since: String,
    /// Over all routes.
    missing: i64,
    /// By route; "" for messages that name none.
    pub(crate) routes: BTreeMap<String, Balance>,
}

/// The routes of this module.
pub(crate) fn router(admin: Arc<Admin>) -> Router {
    Router::new()
        .route("/_engine/status", get(status))
        .route("/_engine/waiting-groups", get(waiting_groups))
        .route("/_engine/waiting-groups/after/{sequence}", get(waiting_groups_after))
        .route("/_engine/failing-groups", get(failing_groups))
        .route("/_engine/failing-groups/after/{sequence}", get(failing_groups_after))
        .route("/_engine/groups", get(groups))
        .route("/_engine/groups/after/{name}", get(groups_after))
        .route("/_engine/events/{id}", get(event))
        .with_state(admin)
}

async fn status(State(admin): State<Arc<Admin>>) -> Response {
    match Status::of(&admin).await {
        Ok(status) => answer(StatusCode::OK, &status),
        Err(error) => failed(&in_full(&error)),
    }
}

async fn waiting_groups(State(admin): State<Arc<Admin>>) -> Response {
    groups_that_wait(admin.store.waiting_groups(&admin.queue, GROUPS_MAX).await)
}

async fn waiting_groups_after(
    State(admin): State<Arc<Admin>>,
    Path(sequence): Path<String>,
) -> Response {
    let Some(after) = SequenceNumber::parse(&sequence) else { return no_number(&sequence) };
    groups_that_wait(admin.store.waiting_groups_after(&admin.queue, after, GROUPS_MAX).await)
}

async fn failing_groups(State(admin): State<Arc<Admin>>) -> Response {
    failing_groups_from(&admin, SequenceNumber::FIRST).await
}

async fn failing_groups_after(
    State(admin): State<Arc<Admin>>,
    Path(sequence): Path<String>,
) -> Response {
    let Some(after) = SequenceNumber::parse(&sequence) else { return no_number(&sequence) };
    failing_groups_from(&admin, after).await
}

/// The groups behind an event that failed, also while it is tried again, and how it did.
async fn failing_groups_from(admin: &Admin, after: SequenceNumber) -> Response {
    let groups = admin.store.failing_groups_after(&admin.queue, after, GROUPS_MAX).await;
    let groups = match groups {
        Ok(groups) => groups,
        Err(error) => return failed(&in_full(&error)),
    };
    let is_full = groups.len() >= GROUPS_MAX as usize;
    let sequences: Vec<String> =
        groups.iter().map(|group| group.sequence_number.to_string()).collect();
    let last = admin.deliveries.last_attempts(sequences.iter().map(String::as_str));
    let with_last = |(group, last): (&WaitingGroup, Vec<Last>)| {
        let mut group = group_json(group);
        group["last"] = json!(last);
        group
    };
    let rows: Vec<_> = groups.iter().zip(last).map(with_last).collect();
    let next = sequences.last().filter(|_| is_full);
    answer(StatusCode::OK, &json!({ "groups": rows, "next": next }))
}

fn no_number(sequence: &str) -> Response {
    let message = format!("{sequence} is no sequence number");
    answer(StatusCode::BAD_REQUEST, &json!({ "message": message }))
}

fn groups_that_wait(groups: Result<Vec<WaitingGroup>, StoreError>) -> Response {
    match groups {
        Ok(groups) => {
            let groups: Vec<_> = groups.iter().map(group_json).collect();
            answer(StatusCode::OK, &json!({ "groups": groups }))
        }
        Err(error) => failed(&in_full(&error)),
    }
}

async fn groups(State(admin): State<Arc<Admin>>) -> Response {
    groups_from(&admin, "").await
}

async fn groups_after(State(admin): State<Arc<Admin>>, Path(name): Path<String>) -> Response {
    groups_from(&admin, &name).await
}

async fn groups_from(admin: &Admin, after: &str) -> Response {
    match admin.store.groups(&admin.queue, after, GROUPS_MAX).await {
        Ok(groups) => {
            let is_full = groups.len() >= GROUPS_MAX as usize;
            let next = groups.last().filter(|_| is_full).map(|last| last.group.clone());
            let groups: Vec<_> = groups
                .iter()
                .map(|it| json!({ "group": it.group, "messages": it.messages }))
                .collect();
            answer(StatusCode::OK, &json!({ "groups": groups, "next": next }))
        }
        Err(error) => failed(&in_full(&error)),
    }
}

async fn event(State(admin): State<Arc<Admin>>, Path(id): Path<String>) -> Response {
    match admin.store.find_event(&id).await {
        Ok(places) => {
            let places: Vec<_> = places.iter().map(|place| place_json(place, &admin)).collect();
            answer(StatusCode::OK, &json!({ "event_id": id, "places": places }))
        }
        Err(error) => failed(&in_full(&error)),
    }
}

fn group_json(group: &WaitingGroup) -> serde_json::Value {
    json!({
        "group": group.group,
        "event_id": group.event_id,
        "sequence": group.sequence_number.to_string(),
        "route": group.route,
        "accepted_at": group.sent_at.to_string(),
        "since": group.first_received_at.to_string(),
        "receive_count": group.receive_count,
        "visible_at": group.visible_at.map(|at| at.to_string()),
        "behind": group.behind,
    })
}

fn place_json(place: &Place, admin: &Admin) -> serde_json::Value {
    json!({
        "queue": place.queue,
        "dead_letter": place.queue == admin.dead_letter_queue,
        "message_id": place.message_id,
        "group": place.group,
        "sequence": place.sequence_number.to_string(),
        "sent_at": place.sent_at.to_string(),
        "receive_count": place.receive_count,
        "visible_at": place.visible_at.map(|at| at.to_string()),
        "ahead": place.ahead,
    })
}

impl Status {
    pub(crate) async fn of(admin: &Admin) -> Result<Self, StoreError> {
        let Admin { store, queue, dead_letter_queue, .. } = admin;
        let (now, up) = (store.clock().wall(), admin.up());
        let counts = store.statistics(queue).await?;
        let dead_counts = store.statistics(dead_letter_queue).await?;
        let reasons = store.dead_letter_reasons(dead_letter_queue).await?;
        let (ledger, dead_ledger) = store.ledgers(queue, dead_letter_queue).await?;
        let mut routes = loss_meter::balances(&ledger, &dead_ledger);
        let mut deliveries = admin.deliveries.snapshot();
        // What is configured is there from the start, so that it can be seen to begin.
        for (route, destinations) in &admin.origins {
            routes.entry(route.clone()).or_default();
            let of_route = deliveries.destinations.entry(route.clone()).or_default();
            for name in destinations.keys() {
                of_route.entry(name.clone()).or_default();
            }
        }
        let started_at = before(now, up);
        Ok(Self {
            now: now.to_string(),
            started_at: started_at.to_string(),
            started_at_ms: started_at.as_ms(),
            storage_failing: admin.health.is_failing(),
            disk: admin.disk.as_ref().map(|disk| disk.status()),
            log_lines_left_out: admin.log.lines_left_out(),
            notifications: admin.receiver.as_ref().map(|receiver| receiver.outcomes()),
            uptime_ms: ms(up),
            version: env!("CARGO_PKG_VERSION"),
            trouble: admin.mapping.as_ref().and_then(MappingHandle::function_trouble),
            ingest: admin.ingest.status(),
            queue: QueueStats::of(&counts),
            waiting_groups: store.waiting_group_count(queue).await?,
            dead_letter_queue: QueueStats::of(&dead_counts),
            dead_letters_by_reason: reasons.map(by_reason),
            event_source_mapping: admin.mapping.as_ref().map(MappingHandle::status),
            loss_meter: LossMeter {
                since: ledger.since.to_string(),
                missing: routes.values().map(|balance| balance.missing).sum(),
                routes,
            },
            deliveries,
            log_level: admin.log_level,
            conditions: admin.conditions.told(),
            limits: admin.limits.clone(),
            origins: admin.origins.clone(),
            production: admin.production,
        })
    }
}

/// The time of day that was so long ago.
fn before(now: Timestamp, ago: Duration) -> Timestamp {
    Timestamp::from_ms(now.as_ms().saturating_sub(ms(ago)))
}

fn by_reason(reasons: Vec<(String, u64)>) -> BTreeMap<String, u64> {
    let name = |class: String| if class.is_empty() { "receive_count".to_owned() } else { class };
    reasons.into_iter().map(|(class, count)| (name(class), count)).collect()
}
