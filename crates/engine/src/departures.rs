//! Nothing accepted leaves without a line: whatever leaves the queues in another way than by delivery
//! is logged, and what is too old leaves also where nobody looks.

use std::sync::Arc;
use std::time::Duration;

use domain::config::LogLevel;
use serde_json::json;
use tokio::task::JoinSet;

use crate::log::Log;
use crate::storage_health::StorageHealth;
use crate::store::{Departure, Departures, Store, Why};

/// How often expired messages are looked for where nobody receives: retention is days.
const EXPIRE_EVERY: Duration = Duration::from_mins(1);

/// Starts both.
pub(crate) fn watch(
    store: &Store,
    dead_letter_queue: String,
    log: &Log,
    health: StorageHealth,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    if let Some(departures) = store.departures() {
        let log = log_departures(departures, dead_letter_queue, log.clone());
        tasks.spawn(store.failures().clone().task("what logs departures", log));
    }
    let expire = expire(store.clone(), health);
    tasks.spawn(store.failures().clone().task("what removes expired messages", expire));
    tasks
}

/// Logs what leaves, for as long as the store is open.
async fn log_departures(mut departures: Departures, dead_letter_queue: String, log: Log) {
    while let Some(departure) = departures.recv().await {
        let Departure { queue, why, route, messages, event_id } = departure;
        let level = match why {
            // That is how dead letters are sent again and dropped.
            Why::Deleted if queue == dead_letter_queue => LogLevel::Info,
            Why::Deleted | Why::Purged => LogLevel::Warn,
            Why::Expired | Why::Gone => LogLevel::Error,
        };
        let message = match why {
            Why::Expired => "expired: older than the retention of its queue",
            Why::Deleted => "deleted over the API",
            Why::Purged => "purged",
            Why::Gone => "counted when they were accepted, but not in the database",
        };
        let fields = json!({
            "queue": queue, "route": route, "messages": messages, "event_id": event_id,
        });
        log.line(level, message, fields);
    }
}

/// Removes what is too old, for ever.
async fn expire(store: Store, health: StorageHealth) {
    let clock = Arc::clone(store.clock());
    loop {
        // That storage fails is told by the health; this is tried again.
        let _told = health.read(store.expire().await);
        clock.wait_until(clock.uptime().plus(EXPIRE_EVERY)).await;
    }
}
