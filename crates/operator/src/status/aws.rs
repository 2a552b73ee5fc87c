//! The status of an environment on AWS: from SQS, Lambda, the forwarder's log group and the release
//! records. `CloudWatch`'s metrics and alarms are not asked, as their SDK is larger than the rest of
//! this program: what only they know is named as unknown.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use aws_config::SdkConfig;
use aws_sdk_sqs::types::QueueAttributeName;
use domain::config::Config;
use domain::time::Timestamp;
use serde_json::Value;

use super::report::{DeadLetters, Delivery, Destination, LastDelivery, Queue, Release, Report};
use crate::environment::Environment;
use crate::history::pattern;
use crate::store::Store;
use crate::{mapping, people};

/// How far back the log is read for the last deliveries.
const LOG_MINUTES: u64 = 5;

/// Deliveries that are shown.
const LAST: usize = 10;

/// What is not to be had without `CloudWatch`'s metrics; the dashboard shows them.
const UNKNOWN: [&str; 5] = [
    "loss meter (unknown on AWS: SQS and Lambda keep no totals)",
    "oldest age (unknown on AWS: see the dashboard, ApproximateAgeOfOldestMessage)",
    "groups (unknown on AWS: `cargo xtask blocked` finds those that wait, by the log)",
    "dead letters by reason (unknown on AWS: `cargo xtask dlq list` tells)",
    "alarms (unknown on AWS: see the dashboard)",
];

pub(super) async fn report(
    environment: &Environment,
    sdk: &SdkConfig,
    config: &Config,
) -> anyhow::Result<Report> {
    let queue = counts(environment, &environment.queue_url).await?;
    let dead = counts(environment, &environment.dead_letter_queue_url).await?;
    let state = mapping::state(environment).await?;
    let now = people::now();
    let mut unknown: Vec<String> = UNKNOWN.map(str::to_owned).to_vec();
    let since = Timestamp::from_ms(now.as_ms().saturating_sub(LOG_MINUTES * 60_000));
    let said = ["delivered", "retry", "rejected", "blocked", "gave_up", "not_attempted"];
    let saying = |line: &Value| said.iter().any(|message| line["message"] == **message);
    let lines = match environment.history().find(&pattern("message", &said), since, saying).await {
        Ok(lines) => lines,
        Err(error) => {
            unknown.push(format!("last deliveries and breaker ({error:#})"));
            Vec::new()
        }
    };
    let release = match release(sdk, config).await {
        Ok(release) => release,
        Err(error) => {
            unknown.push(format!("current release ({error:#})"));
            None
        }
    };
    Ok(Report {
        environment: environment.name.clone(),
        host: "aws",
        at: now.to_string(),
        delivery: Delivery {
            paused: state == "Disabled" || state == "Disabling",
            state: Some(state),
            batches_in_flight: None,
            trouble: None,
        },
        queue: Queue {
            events: queue.events,
            in_flight: queue.in_flight,
            oldest_age_ms: None,
            groups: None,
            waiting_groups: None,
            refused: None,
        },
        dead_letters: DeadLetters { count: dead.events, by_reason: None, oldest_age_ms: None },
        loss_meter: None,
        destinations: destinations(&lines),
        last_deliveries: last(&lines),
        release,
        alarms: None,
        unknown,
    })
}

struct Counts {
    events: u64,
    in_flight: u64,
}

async fn counts(environment: &Environment, queue_url: &str) -> anyhow::Result<Counts> {
    use QueueAttributeName::{
        ApproximateNumberOfMessages, ApproximateNumberOfMessagesDelayed,
        ApproximateNumberOfMessagesNotVisible,
    };
    let names = [
        ApproximateNumberOfMessages,
        ApproximateNumberOfMessagesNotVisible,
        ApproximateNumberOfMessagesDelayed,
    ];
    let attributes = environment.attributes_of(queue_url, &names).await?;
    let count = |name: &QueueAttributeName| -> anyhow::Result<u64> {
        let value = attributes.get(name).and_then(|value| value.parse().ok());
        value.with_context(|| format!("queue {queue_url} tells no {}", name.as_str()))
    };
    let [visible, in_flight, delayed] = [count(&names[0])?, count(&names[1])?, count(&names[2])?];
    Ok(Counts { events: visible + in_flight + delayed, in_flight })
}

/// The destinations that the log tells of.
fn destinations(lines: &[Value]) -> Vec<Destination> {
    let mut seen: BTreeMap<(String, String), (Destination, u64)> = BTreeMap::new();
    for line in lines {
        let (Some(route), Some(name)) = (line["route"].as_str(), line["destination"].as_str())
        else {
            continue;
        };
        let (destination, sum_ms) =
            seen.entry((route.to_owned(), name.to_owned())).or_insert_with(|| {
                let destination = Destination {
                    route: route.to_owned(),
                    name: name.to_owned(),
                    delivered: 0,
                    retried: 0,
                    rejected: 0,
                    blocked: 0,
                    gave_up: 0,
                    latency_ms_mean: None,
                    breaker_open_at: None,
                };
                (destination, 0)
            });
        let message = line["message"].as_str().unwrap_or_default();
        match message {
            "delivered" => {
                destination.delivered += 1;
                *sum_ms += line["latency_ms"].as_u64().unwrap_or_default();
            }
            "retry" => destination.retried += 1,
            "rejected" => destination.rejected += 1,
            "blocked" => destination.blocked += 1,
            "gave_up" => destination.gave_up += 1,
            _ => {}
        }
        if line["reason"] == "circuit_open" {
            destination.breaker_open_at = line["timestamp"].as_str().map(str::to_owned);
        } else if ["delivered", "rejected", "blocked"].contains(&message) {
            destination.breaker_open_at = None;
        }
    }
    let mean = |(mut destination, sum_ms): (Destination, u64)| {
        destination.latency_ms_mean = sum_ms.checked_div(destination.delivered);
        destination
    };
    seen.into_values().map(mean).collect()
}

fn last(lines: &[Value]) -> Vec<LastDelivery> {
    let delivered = lines.iter().rev().filter(|line| line["message"] == "delivered");
    delivered.filter_map(|line| serde_json::from_value(line.clone()).ok()).take(LAST).collect()
}

/// The newest release record.
async fn release(sdk: &SdkConfig, config: &Config) -> anyhow::Result<Option<Release>> {
    let aws = config.file().aws.as_ref();
    let Some(store) = Store::of_releases(sdk, &config.environment, aws) else { return Ok(None) };
    let prefix = format!("releases/{}/", config.environment);
    let look = store.newest(&prefix);
    // A bucket in another network should not make a status hang.
    let newest = tokio::time::timeout(Duration::from_secs(10), look).await;
    let Some((key, record)) = newest.context("the bucket does not answer")?? else {
        return Ok(None);
    };
    let text = |name: &str| record[name].as_str().map(str::to_owned);
    let id = key.rsplit('/').next().unwrap_or(&key).trim_end_matches(".json").to_owned();
    Ok(Some(Release {
        id,
        at: text("at").unwrap_or_default(),
        by: text("by"),
        git_commit: text("git_commit"),
        function_version: text("function_version"),
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(message: &str, more: &Value) -> Value {
        let mut line = json!({
            "timestamp": "2026-01-01T00:00:00.000Z", "message": message, "event_id": "e",
            "route": "sss", "destination": "sss",
        });
        line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        line
    }

    #[test]
    fn the_log_tells_of_destinations_and_the_last_deliveries() {
        let lines = [
            line("not_attempted", &json!({ "reason": "circuit_open" })),
            line("delivered", &json!({ "latency_ms": 10, "status": 200 })),
            line("delivered", &json!({ "latency_ms": 20, "status": 204 })),
            json!({ "message": "not_attempted", "reason": "deadline" }),
        ];
        let seen = destinations(&lines);
        assert_eq!((seen[0].delivered, seen[0].latency_ms_mean), (2, Some(15)));
        assert_eq!(seen[0].breaker_open_at, None, "it answered since");
        assert!(destinations(&lines[..1])[0].breaker_open_at.is_some());
        let last = last(&lines);
        assert_eq!((last.len(), last[0].status), (2, Some(204)), "the newest first");
    }
}
