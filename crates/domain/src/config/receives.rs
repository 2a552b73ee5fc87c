//! How often SQS may hand out a message before it is given up: its redrive policy counts receives, and
//! must not move what has not crashed.
//!
//! A message that waits behind a failing one of its group is received with it, by that one's schedule.
//! So two routes that can share a message group count together.

use std::collections::BTreeMap;
use std::time::Duration;

use super::error::Faults;
use crate::mapping::Expression;
use crate::quota::{RECEIVE_COUNT_MAX, VISIBILITY_CHANGE_SECONDS_MAX};
use crate::route::Route;
use crate::schedule::Schedule;

/// What the receives of a message can come to.
#[derive(Debug, Clone, Copy)]
pub struct Receives<'a> {
    /// Receives, at most.
    pub count: u32,
    /// By the schedule of this route.
    pub by: &'a Route,
    /// For as long as events of this route may wait.
    pub during: &'a Route,
}

impl Receives<'_> {
    /// Of the worst pair of `routes` that can share a message group, in batches of `batch_size`.
    #[must_use]
    pub fn worst(routes: &BTreeMap<String, Route>, batch_size: u32) -> Option<Receives<'_>> {
        let alone = routes.values().map(|route| (route, route));
        let pairs = routes.values().flat_map(|by| routes.values().map(move |during| (by, during)));
        let sharing = pairs.filter(|(by, during)| {
            by.name != during.name && can_share(&by.ordering_key, &during.ordering_key)
        });
        let receives = alone.chain(sharing).map(|(by, during)| {
            let waited = by.give_up_after.max(during.give_up_after);
            let count = by.schedule.attempts_within(waited).saturating_add(batch_size);
            Receives { count, by, during }
        });
        // Of equal ones the first, which is a route by itself if one is as bad: so of two, the one that
        // waits is the one that is given up later.
        receives.reduce(|worst, other| if other.count > worst.count { other } else { worst })
    }
}

/// Whether two routes can have events of the same message group: two fixed ones only if they are equal.
fn can_share(one: &Expression, other: &Expression) -> bool {
    match (one.as_static(), other.as_static()) {
        (Some(one), Some(other)) => one == other,
        _ => true,
    }
}

pub(super) fn check(
    faults: &mut Faults,
    routes: &BTreeMap<String, Route>,
    max_receive_count: u32,
    batch_size: u32,
) {
    let Some(worst) = Receives::worst(routes, batch_size) else { return };
    let Receives { count, by, during } = worst;
    if count <= max_receive_count {
        return;
    }
    let waited = by.give_up_after.max(during.give_up_after);
    let attempts = max_receive_count.saturating_sub(batch_size);
    let mut ways = Vec::new();
    if count <= RECEIVE_COUNT_MAX {
        ways.push(format!("raise it to {count}"));
    }
    if let Some(delay) = least_max_delay_seconds(by.schedule, waited, attempts) {
        ways.push(format!("raise routes.{}.retry.max_delay_seconds to {delay}", by.name));
    }
    if let Some(seconds) = most_give_up_after_seconds(by.schedule, attempts) {
        ways.push(format!("lower routes.{}.give_up_after_seconds to {seconds}", during.name));
    }
    let whose = if by.name == during.name {
        format!("the retries of route {} can come to before they are given up", by.name)
    } else {
        format!(
            "an event of route {} can come to behind one of route {} with the same key",
            during.name, by.name
        )
    };
    faults.add(
        "queue.max_receive_count",
        format_args!(
            "must be at least {count}, what {whose}, is {max_receive_count}; {}",
            ways.join(", or ")
        ),
    );
}

/// The least longest delay, in seconds, with which at most `attempts` are made in `waited`.
fn least_max_delay_seconds(schedule: Schedule, waited: Duration, attempts: u32) -> Option<u32> {
    let initial = schedule.initial_delay_seconds();
    let fits = |seconds: u32| {
        let schedule = Schedule::new(initial, seconds);
        schedule.is_some_and(|schedule| schedule.attempts_within(waited) <= attempts)
    };
    let (mut too_short, mut enough) = (initial, VISIBILITY_CHANGE_SECONDS_MAX);
    if !fits(enough) {
        return None;
    }
    while too_short + 1 < enough {
        let middle = u32::midpoint(too_short, enough);
        if fits(middle) { enough = middle } else { too_short = middle }
    }
    Some(enough)
}

/// The longest time, in seconds, in which the schedule makes at most `attempts`.
fn most_give_up_after_seconds(schedule: Schedule, attempts: u32) -> Option<u64> {
    let fits = |seconds: u64| schedule.attempts_within(Duration::from_secs(seconds)) <= attempts;
    if !fits(1) {
        return None;
    }
    let (mut enough, mut too_long) = (1, u64::from(u32::MAX));
    while enough + 1 < too_long {
        let middle = u64::midpoint(enough, too_long);
        if fits(middle) { enough = middle } else { too_long = middle }
    }
    Some(enough)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::config::Config;

    fn route(path: &str, key: &str, max_delay_seconds: u32, give_up_after_seconds: u32) -> Value {
        json!({
            "path": path, "ordering_key": key, "give_up_after_seconds": give_up_after_seconds,
            "retry": { "max_delay_seconds": max_delay_seconds },
            "destinations": [{ "name": "sss", "url": "https://sss.example.com/" }],
        })
    }

    fn fault(routes: &Value) -> Option<String> {
        let file = json!({ "environment": "test", "routes": routes });
        let error = Config::parse(&file.to_string()).err()?;
        assert_eq!(error.faults.len(), 1, "{error}");
        Some(error.faults[0].to_string())
    }

    const HOUR: u32 = 3_600;
    const KEY: &str = "$request.header.x-workflow-id";

    /// Each is good by itself: a thousand receives are three days every five minutes, or two hours
    /// every eight seconds. Behind the other's, an event of the first is received every eight seconds.
    #[test]
    fn routes_that_can_share_a_key_count_together() {
        let pair = |slow: &str, fast: &str| {
            fault(&json!({
                "slow": route("/slow", slow, 300, 72 * HOUR),
                "fast": route("/fast", fast, 8, 2 * HOUR),
            }))
        };
        let shared = pair(KEY, KEY).unwrap();
        assert!(
            shared.contains("an event of route slow can come to behind one of route fast"),
            "{shared}"
        );
        assert!(pair(KEY, "fixed").is_some(), "a header may say what is fixed elsewhere");
        // The one that waits for longer is to be given up sooner.
        assert!(shared.contains("lower routes.slow.give_up_after_seconds to "), "{shared}");
        // One that is as bad by itself is told of by itself, whatever it is called.
        for (fast, slow) in [("a", "b"), ("b", "a")] {
            let told = fault(&json!({
                fast: route("/fast", KEY, 8, 72 * HOUR), slow: route("/slow", KEY, 300, 2 * HOUR),
            }));
            let told = told.unwrap();
            assert!(told.contains(&format!("the retries of route {fast} can come to")), "{told}");
            assert!(
                told.contains(&format!("lower routes.{fast}.give_up_after_seconds to ")),
                "{told}"
            );
        }
        assert_eq!(pair("one", "other"), None);
        assert!(pair("one", KEY).is_some());
    }

    #[test]
    fn the_advice_can_be_followed() {
        let told = fault(&json!({ "sss": route("/sss", KEY, 8, 72 * HOUR) })).unwrap();
        assert!(!told.contains("raise it to"), "SQS counts to a thousand: {told}");
        let number = |after: &str| -> u32 {
            let rest = &told[told.find(after).unwrap() + after.len()..];
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            digits.parse().unwrap()
        };
        let delay = number("max_delay_seconds to ");
        assert_eq!(fault(&json!({ "sss": route("/sss", KEY, delay, 72 * HOUR) })), None);
        assert!(fault(&json!({ "sss": route("/sss", KEY, delay - 1, 72 * HOUR) })).is_some());
        let seconds = number("give_up_after_seconds to ");
        assert_eq!(fault(&json!({ "sss": route("/sss", KEY, 8, seconds) })), None);
        assert!(fault(&json!({ "sss": route("/sss", KEY, 8, seconds + 1) })).is_some());
    }

    #[test]
    fn a_batch_that_waits_behind_counts_as_well() {
        let config = |count: u32| {
            Config::parse(
                &json!({
                    "environment": "test", "routes": { "sss": route("/sss", KEY, 300, 72 * HOUR) },
                    "queue": { "max_receive_count": count },
                })
                .to_string(),
            )
        };
        let attempts = config(1_000).unwrap().routes()["sss"]
            .schedule()
            .attempts_within(std::time::Duration::from_hours(72));
        assert!(config(attempts + 10).is_ok());
        let error = config(attempts + 9).unwrap_err().to_string();
        assert!(error.contains(&format!("raise it to {}", attempts + 10)), "{error}");
    }
}
