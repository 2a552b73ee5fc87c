//! The engine's state as the domain judges it. Who does not answer is not waited for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::notification::watch::{DestinationState, Queues, Room, RouteState, State};
use tokio::task::JoinSet;

use crate::admin::Admin;
use crate::deliveries::{Destination, Seen};
use crate::event_source_mapping::MappingHandle;
use crate::status::Status;
use crate::storage_health::StorageState;

/// How long the queues may take to say what they hold.
const LOOK_TIMEOUT: Duration = Duration::from_secs(10);

/// Looks at an engine.
pub(super) struct Looker {
    admin: Arc<Admin>,
    dead_letter_retention: Duration,
    /// At most one look at the queues, which may be kept waiting.
    looks: JoinSet<(bool, Option<Queues>)>,
}

impl Looker {
    pub(super) fn new(admin: Arc<Admin>, dead_letter_retention: Duration) -> Self {
        Self { admin, dead_letter_retention, looks: JoinSet::new() }
    }

    pub(super) async fn state(&mut self) -> State {
        let (storage_fails, queues) = self.queues().await;
        let admin = &self.admin;
        let room = admin.disk.as_ref().map(|disk| disk.status());
        let mapping = admin.mapping.as_ref().map(MappingHandle::status);
        State {
            storage_fails,
            disk: room.map(|room| Room {
                free_bytes: room.free_bytes,
                reserve_bytes: room.reserve_bytes,
            }),
            forwarder_trouble: admin.mapping.as_ref().and_then(MappingHandle::function_trouble),
            delivery: mapping.map(|mapping| (mapping.enabled, mapping.invocation_errors)),
            refused: admin.ingest.status().refused,
            log_lines_left_out: admin.log.lines_left_out(),
            destinations: destinations(admin, &admin.deliveries.snapshot()),
            queues,
        }
    }

    /// Whether storage fails, and what the queues hold.
    async fn queues(&mut self) -> (bool, Option<Queues>) {
        if self.looks.is_empty() {
            let (admin, retention) = (Arc::clone(&self.admin), self.dead_letter_retention);
            self.looks.spawn(async move {
                // A full disk is a finding of its own.
                let state = admin.health.state(&admin.store, &admin.queue, None).await;
                let fails = state == StorageState::Failing;
                let status = admin.health.read(Status::of(&admin).await).ok();
                let queues = status.as_ref().map(|status| queues(status, retention));
                (fails || queues.is_none(), queues)
            });
        }
        match tokio::time::timeout(LOOK_TIMEOUT, self.looks.join_next()).await {
            Ok(Some(Ok(seen))) => seen,
            // No answer, or a panic that ends the engine.
            _ => (true, None),
        }
    }
}

fn queues(status: &Status, dead_letter_retention: Duration) -> Queues {
    let age = |age_ms: Option<u64>| Duration::from_millis(age_ms.unwrap_or_default());
    let routes = status.loss_meter.routes.iter().map(|(route, balance)| {
        let left = balance.left;
        let state = RouteState {
            missing: balance.missing,
            expired: left.expired,
            removed: left.purged + left.deleted,
        };
        (route.clone(), state)
    });
    Queues {
        damaged: status.queue.damaged + status.dead_letter_queue.damaged,
        messages: status.queue.messages(),
        oldest_age: age(status.queue.oldest_age_ms),
        dead_letters: status.dead_letter_queue.messages(),
        oldest_dead_letter_age: age(status.dead_letter_queue.oldest_age_ms),
        dead_letter_retention,
        routes: routes.collect(),
    }
}

/// Those that are configured.
fn destinations(admin: &Admin, seen: &Seen) -> BTreeMap<String, DestinationState> {
    let configured = admin.origins.iter().flat_map(|(route, destinations)| {
        destinations.keys().map(move |destination| (route, destination))
    });
    let of = |route: &str, destination: &str| seen.destinations.get(route)?.get(destination);
    let state = |(route, name): (&String, &String)| {
        let state = of(route, name).map(destination).unwrap_or_default();
        (format!("{route}/{name}"), state)
    };
    configured.map(state).collect()
}

fn destination(seen: &Destination) -> DestinationState {
    let is_open = seen.breaker_open_at.is_some();
    let attempts = seen.delivered + seen.retried + seen.rejected + seen.blocked + seen.gave_up;
    DestinationState {
        is_breaker_open: (is_open || attempts > 0).then_some(is_open),
        blocked: seen.blocked,
        blocked_key: seen.blocked_key.clone(),
    }
}
