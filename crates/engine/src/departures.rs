//! Nothing accepted leaves without a line: whatever leaves the queues in another way than by delivery
//! is logged, and what is too old leaves also where nobody looks. The room that they leave goes back to
//! the disk.

use std::sync::Arc;
use std::time::Duration;

use domain::config::LogLevel;
use serde_json::json;
use tokio::task::JoinSet;

use crate::disk::Disk;
use crate::log::Log;
use crate::storage_health::StorageHealth;
use crate::store::{Departure, Departures, Store, Why};

/// How often expired messages are looked for where nobody receives: retention is days.
const EXPIRE_EVERY: Duration = Duration::from_mins(1);

/// How often there may be room to give back.
const SHRINK_EVERY: Duration = Duration::from_secs(5);

/// Between two steps of giving room back: others write meanwhile.
const SHRINK_PAUSE: Duration = Duration::from_millis(100);

/// Starts all of it.
pub(crate) fn watch(
    store: &Store,
    dead_letter_queue: String,
    log: &Log,
    health: StorageHealth,
    disk: Option<Arc<Disk>>,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    if let Some(departures) = store.departures() {
        let log = log_departures(departures, dead_letter_queue, log.clone());
        tasks.spawn(store.failures().clone().task("what logs departures", log));
    }
    let shrink = shrink(store.clone(), health.clone(), disk);
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
        let (message, reason) = match why {
            Why::Expired => ("expired", "older than the retention of its queue"),
            Why::Deleted => ("deleted", "over the API"),
            Why::Purged => ("purged", "its queue was purged or deleted over the API"),
            Why::Damaged => {
                ("damaged", "its group waits from it on, until `webhook-operator damaged drop`")
            }
            Why::Gone => ("gone", "counted when it was accepted, and not in the database"),
        };
        let fields = json!({
            "queue": queue, "route": route, "messages": messages, "event_id": event_id,
            "reason": reason,
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
async fn shrink(store: Store, health: StorageHealth, disk: Option<Arc<Disk>>) {
    let clock = Arc::clone(store.clock());
    loop {
        let is_short = disk.as_ref().is_some_and(|disk| !disk.status().accepting);
        let is_more = health.read(store.shrink(is_short).await).unwrap_or(false);
        let pause = if is_more { SHRINK_PAUSE } else { SHRINK_EVERY };
        clock.wait_until(clock.uptime().plus(pause)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Memory;

    #[tokio::test]
    async fn each_departure_has_a_line_as_loud_as_it_is_bad() {
        let lines = Memory::default();
        let log = Log::to_memory(&lines);
        let (sender, departures) = tokio::sync::mpsc::unbounded_channel();
        for (queue, why) in [
            ("q.fifo", Why::Expired),
            ("q.fifo", Why::Deleted),
            ("dead.fifo", Why::Deleted),
            ("q.fifo", Why::Purged),
            ("q.fifo", Why::Damaged),
            ("q.fifo", Why::Gone),
        ] {
            let (queue, route) = (queue.to_owned(), "sss".to_owned());
            let event_id = Some("evt-1".to_owned());
            sender.send(Departure { queue, why, route, messages: 3, event_id }).unwrap();
        }
        drop(sender);
        log_departures(departures, "dead.fifo".to_owned(), log.clone()).await;
        log.flush();
        let lines: Vec<serde_json::Value> =
            lines.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let said: Vec<_> = lines.iter().map(|it| (&it["level"], &it["message"])).collect();
        assert_eq!(
            said,
            [
                (&json!("ERROR"), &json!("expired")),
                (&json!("WARN"), &json!("deleted")),
                (&json!("INFO"), &json!("deleted")),
                (&json!("WARN"), &json!("purged")),
                (&json!("ERROR"), &json!("damaged")),
                (&json!("ERROR"), &json!("gone")),
            ]
        );
        assert_eq!((&lines[0]["event_id"], &lines[0]["messages"]), (&json!("evt-1"), &json!(3)));
    }
}
