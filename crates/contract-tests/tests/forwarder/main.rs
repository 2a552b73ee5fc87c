//! The contract with SSS, held by the built forwarder: one module a theme.
//!
//! The tests run side by side, each with a forwarder, an SQS and an SSS of its own.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

mod answers;
mod bad_configuration;
mod bad_records;
mod certificates;
mod circuit_breaker;
mod crash;
mod dead_letters;
mod deadlines;
mod destinations;
mod logging;
mod order;
mod planted;
mod repeats;
mod request;
mod retry_after;
mod signatures;
mod sizes;
mod skips;
mod text;

use domain::config::ConfigFile;
use serde_json::Value;
use wiremock::ResponseTemplate;

/// No message ids.
const NONE: [&str; 0] = [];

fn status(status: u16) -> ResponseTemplate {
    ResponseTemplate::new(status)
}

/// The lines with this message.
fn lines<'a>(log: &'a [Value], message: &str) -> Vec<&'a Value> {
    log.iter().filter(|line| line["message"] == message).collect()
}

/// One route to one destination that has `seconds` to answer.
fn config_with_timeout(url: &str, seconds: u32) -> ConfigFile {
    contract_tests::settings::config_with(url, |route| {
        route.destinations[0].timeout_seconds = seconds;
    })
}
