//! Nothing accepted leaves without a line: whatever leaves the queues in another way than by delivery
//! is logged, and what is too old leaves also where nobody looks. The room that they leave goes back to
//! the disk.

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

/// Between two steps of giving room back: others write meanwhile.
const SHRINK_PAUSE: Duration = Duration::from_millis(100);

/// Starts all of it.
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
    let shrink = shrink(store.clone(), health.clone());
    tasks.spawn(store.failures().clone().task("what shrinks the database", shrink));
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
            Why::Expired | Why::Damaged | Why::Gone => LogLevel::Error,
        };
        let message = match why {
            Why::Expired => "expired: older than the retention of its queue",
            Why::Deleted => "deleted over the API",
            Why::Purged => "purged",
            Why::Damaged => "damaged: its group waits from it on, until it is dropped",
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

/// Gives room back to the disk, a little at a time, for ever.
async fn shrink(store: Store, health: StorageHealth) {
    let clock = Arc::clone(store.clock());
    loop {
        let is_more = health.read(store.shrink().await).unwrap_or(false);
        let pause = if is_more { SHRINK_PAUSE } else { EXPIRE_EVERY };
        clock.wait_until(clock.uptime().plus(pause)).await;
    }
}
