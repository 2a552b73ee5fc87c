//! `await-delivery`: waits until the forwarder's log tells what became of an event. It reads the log
//! group, as nothing else on AWS knows of a single event.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::history::pattern;
use crate::sdk;

/// Between two looks at the log: `FilterLogEvents` allows five calls a second for the whole account.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Wait until an event is delivered, and print what its log says
#[derive(Debug, clap::Args)]
pub(crate) struct AwaitDelivery {
    /// Region of the log group
    #[arg(long)]
    region: String,

    /// Log group of the forwarder
    #[arg(long, value_name = "NAME")]
    log_group: String,

    /// The event
    #[arg(long, value_name = "ID")]
    event_id: String,

    /// When it was sent, in milliseconds since the Unix epoch
    #[arg(long, value_name = "MS")]
    since_ms: i64,

    /// How long to wait, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 90)]
    timeout_seconds: u64,
}

impl AwaitDelivery {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let client = aws_sdk_cloudwatchlogs::Client::new(&sdk::config(Some(&self.region)).await);
        let deadline = Instant::now() + Duration::from_secs(self.timeout_seconds);
        let pattern = pattern("event_id", &[&self.event_id]);
        loop {
            // A page may be empty with more behind it.
            let mut pages = client
                .filter_log_events()
                .log_group_name(&self.log_group)
                .filter_pattern(pattern.to_string())
                .start_time(self.since_ms)
                .into_paginator()
                .send();
            let mut lines: Vec<Value> = Vec::new();
            while let Some(page) = pages.next().await {
                let page = page
                    .map_err(|error| sdk::failed(&format!("reading {}", self.log_group), error))?;
                let events = page.events.unwrap_or_default().into_iter();
                let texts = events.filter_map(|event| event.message);
                let read = texts.filter_map(|text| serde_json::from_str::<Value>(&text).ok());
                // Emulators know log groups, and pass over patterns of this kind.
                lines.extend(read.filter(|line| line["event_id"] == *self.event_id));
            }
            let outcome = outcome(&lines);
            if outcome != "not_seen" || Instant::now() >= deadline {
                println!("{}", json!({ "outcome": outcome, "log": lines }));
                return Ok(ExitCode::SUCCESS);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// What became of the event, by the lines about it.
fn outcome(lines: &[Value]) -> &'static str {
    let has = |message: &str| lines.iter().any(|line| line["message"] == message);
    if has("delivered") {
        "delivered"
    } else if ["rejected", "gave_up", "dead_lettered", "blocked"].iter().any(|end| has(end)) {
        "failed"
    } else {
        "not_seen"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_that_is_retried_may_still_be_delivered() {
        let line = |message: &str| json!({ "message": message, "event_id": "1" });
        assert_eq!(outcome(&[]), "not_seen");
        assert_eq!(outcome(&[line("retry")]), "not_seen");
        assert_eq!(outcome(&[line("retry"), line("delivered")]), "delivered");
        assert_eq!(outcome(&[line("rejected"), line("dead_lettered")]), "failed");
    }
}
