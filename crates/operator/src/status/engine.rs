//! The status of an engine on this machine: what it says of itself.

use std::collections::BTreeMap;
use std::time::Duration;

use commands::{command, program::value};
use domain::config::LogLevel;
use domain::notification::kind::Kind;
use domain::pause::Pause;
use domain::time::Timestamp;
use domain::verdict::{self, Condition, Known, Limits, Situation, Storage};

use super::pause;
use super::report::{
    Balance, DeadLetters, Delivery, Destination, Judged, Left, Queue, Release, Report,
};
use crate::blocked::WaitingGroup;
use crate::engine_api::EngineApi;
use crate::engine_status::{Counts, Deliveries, Disk, EngineStatus, Origins};
use crate::environment::Environment;
use crate::{blocked, people};

/// Why something is not known of an engine of before.
const OLDER: &str = "the engine does not tell: it is older than this command";

/// An engine looks at itself every half a minute, and may have to wait for its disk.
const LOOKED_WITHIN: Duration = Duration::from_mins(2);

/// What is wrong with the engine's storage, the worst first.
fn storage(name: &str, failing: bool, disk: Option<&Disk>, damaged: u64) -> Option<String> {
    match (failing, disk.filter(|disk| !disk.accepting), damaged) {
        (true, _, _) => Some("FAILS: nothing is accepted; the engine's log says why".to_owned()),
        (false, Some(disk), _) => Some(format!(
            "the disk is NEARLY FULL ({} free): nothing is accepted, what is queued is delivered",
            people::bytes(disk.free_bytes)
        )),
        (false, None, 0) => None,
        (false, None, damaged) => Some(format!(
            "{} DAMAGED: what is behind waits until they are dropped: `{}`",
            people::count(damaged, "event"),
            command!["damaged", "list", value(name)]
        )),
    }
}

/// The report, and where deliveries go.
pub(crate) async fn report(
    environment: &Environment,
    api: &EngineApi,
) -> anyhow::Result<(Report, Origins)> {
    let mut status = api.status().await?;
    let mut unknown = Vec::new();
    let is_paused = status.event_source_mapping.as_ref().is_some_and(|mapping| !mapping.enabled);
    let pauses = pause::of(environment).await.map_err(|error| format!("{error:#}"));
    let pauses = pauses.map_or_else(Known::Not, Known::Is);
    unknown.extend(pauses.why_not().map(|why| format!("who paused ({why})")));
    let situation = situation(environment, api, &status, pauses.clone()).await;
    let verdict = Judged::of(&situation, &environment.name);
    let mapping = status.event_source_mapping;
    let pauses = pauses.value().cloned().unwrap_or_default();
    let meter = &mut status.loss_meter;
    (meter.until, meter.difference) = (Some(status.now.clone()), Some(meter.missing));
    (meter.uncertain_by, meter.total) = (Some(0), Some(total(meter.routes.values())));
    if status.dead_letters_by_reason.is_none() {
        let command = command!["dlq", "stats", value(&environment.name)];
        let most = format!("too many to count at a glance: `{command}` does");
        unknown.push(format!("dead letters by reason ({most})"));
    }
    if status.log_level > LogLevel::Info {
        unknown
            .push("last deliveries and breaker (forwarder.log_level leaves them out)".to_owned());
        status.deliveries = Deliveries::default();
    }
    let damaged = status.queue.damaged + status.dead_letter_queue.damaged;
    let name = &environment.name;
    let storage = storage(name, status.storage_failing, status.disk.as_ref(), damaged);
    let report = Report {
        storage,
        environment: environment.name.clone(),
        host: "engine",
        at: status.now,
        verdict,
        delivery: Delivery {
            paused: is_paused,
            pauses,
            batches_in_flight: mapping.as_ref().map(|mapping| mapping.batches_in_flight),
            state: mapping.map(|mapping| mapping.state),
            trouble: status.trouble,
        },
        queue: Queue {
            events: status.queue.messages(),
            in_flight: status.queue.in_flight,
            oldest_age_ms: status.queue.oldest_age_ms,
            oldest_age_at: None,
            groups: Some(status.queue.message_groups),
            waiting_groups: Some(status.waiting_groups),
            refused: Some(status.ingest.refused),
        },
        dead_letters: DeadLetters {
            count: status.dead_letter_queue.messages(),
            by_reason: status.dead_letters_by_reason,
            oldest_age_ms: status.dead_letter_queue.oldest_age_ms,
            oldest_age_at: None,
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
        production: status.production,
    };
    Ok((report, status.origins))
}

/// What there is to judge.
async fn situation(
    environment: &Environment,
    api: &EngineApi,
    status: &EngineStatus,
    pauses: Known<Vec<Pause>>,
) -> Situation {
    let now = people::time(&status.now).unwrap_or_default();
    let before = |age_ms: u64| people::before(now, Duration::from_millis(age_ms));
    let events = status.queue.messages();
    let keys = match events {
        0 => Known::Is(Vec::new()),
        _ => blocked::failing(api, &environment.history()).await,
    };
    let oldest_at = status.queue.oldest_age_ms.map(before);
    Situation {
        now,
        storage: Known::Is(Storage {
            fails: status.storage_failing,
            full_with_bytes: status
                .disk
                .as_ref()
                .filter(|disk| !disk.accepting)
                .map(|disk| disk.free_bytes),
            damaged: status.queue.damaged + status.dead_letter_queue.damaged,
        }),
        forwarder_trouble: status.trouble.clone(),
        delivery: Known::Is(match &status.event_source_mapping {
            None => verdict::Delivery::Nobody,
            Some(mapping) if mapping.enabled => verdict::Delivery::On,
            Some(mapping) => verdict::Delivery::Off(mapping.state.clone()),
        }),
        pauses,
        events,
        // Between two counts the last event may have left.
        oldest_at: Known::Is(oldest_at.unwrap_or(now)),
        keys: keys.map(|keys| keys.into_iter().filter_map(WaitingGroup::key).collect()),
        limits: limits(status),
        dead_letters: status.dead_letter_queue.messages(),
        oldest_dead_letter_at: status.dead_letter_queue.oldest_age_ms.map(before),
        missing: Known::Is(status.loss_meter.missing),
        conditions: conditions(status, now),
        alarms: Known::Is(Vec::new()),
    }
}

/// Those that this version knows.
fn conditions(status: &EngineStatus, now: Timestamp) -> Known<Vec<Condition>> {
    let Some(conditions) = &status.conditions else { return Known::Not(OLDER.to_owned()) };
    let looked_at = conditions.looked_at;
    if now.since(looked_at) > LOOKED_WITHIN {
        let ago = people::ago(looked_at, now);
        return Known::Not(format!("the engine has looked at itself {ago}, and not since"));
    }
    let known = conditions.ill.iter().filter_map(|it| {
        let kind = Kind::named(&it.kind)?;
        Some(Condition { kind, since: it.since, figure: it.figure })
    });
    Known::Is(known.collect())
}

fn limits(status: &EngineStatus) -> Known<Limits> {
    let Some(limits) = &status.limits else {
        return Known::Not(OLDER.to_owned());
    };
    let give_up_after = &limits.give_up_after_seconds;
    Known::Is(Limits {
        give_up_after: give_up_after
            .iter()
            .map(|(route, seconds)| (route.clone(), Duration::from_secs(*seconds)))
            .collect(),
        retention: Duration::from_secs(limits.retention_seconds),
        dead_letter_retention: Duration::from_secs(limits.dead_letter_retention_seconds),
    })
}

/// All routes together.
fn total<'a>(routes: impl Iterator<Item = &'a Balance>) -> Balance {
    fn both<T: std::ops::Add<Output = T>>(one: Option<T>, other: Option<T>) -> Option<T> {
        Some(one? + other?)
    }
    let none = Balance {
        accepted: Some(0),
        dead_letters: Some(0),
        dropped: Some(0),
        queued: Some(0),
        missing: Some(0),
        copies: Some(0),
        redriven: Some(0),
        left: Left { expired: Some(0), purged: Some(0), deleted: Some(0) },
        ..Balance::default()
    };
    routes.fold(none, |sum, route| Balance {
        accepted: both(sum.accepted, route.accepted),
        delivered: sum.delivered + route.delivered,
        dead_letters: both(sum.dead_letters, route.dead_letters),
        dropped: both(sum.dropped, route.dropped),
        queued: both(sum.queued, route.queued),
        missing: both(sum.missing, route.missing),
        copies: both(sum.copies, route.copies),
        dead_lettered: sum.dead_lettered + route.dead_lettered,
        redriven: both(sum.redriven, route.redriven),
        left: Left {
            expired: both(sum.left.expired, route.left.expired),
            purged: both(sum.left.purged, route.left.purged),
            deleted: both(sum.left.deleted, route.left.deleted),
        },
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_storage_is_said_in_a_sentence_the_worst_first() {
        let disk = |accepting| Disk { free_bytes: 12_000_000, accepting };
        assert_eq!(storage("prod", false, Some(&disk(true)), 0), None);
        assert_eq!(storage("prod", false, None, 0), None, "an engine of before");
        let said =
            |failing, accepting, damaged| storage("prod", failing, Some(&disk(accepting)), damaged);
        let (failing, full, damaged) = (
            said(true, false, 2).unwrap(),
            said(false, false, 2).unwrap(),
            said(false, true, 2).unwrap(),
        );
        assert!(failing.starts_with("FAILS"), "{failing}");
        assert!(full.contains("NEARLY FULL (12 MB free)"), "{full}");
        assert!(damaged.starts_with("2 events DAMAGED"), "{damaged}");
        assert!(damaged.contains(" damaged list prod`"), "{damaged}");
    }
}
