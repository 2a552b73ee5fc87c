//! What must hold of the function, its version and its mapping.

use std::time::Duration;

use domain::config::Config;
use domain::deadline::needed;
use domain::environment::{
    CONFIG_VARIABLE, DEAD_LETTER_QUEUE_URL_VARIABLE, INGEST_SENDER_VARIABLE, METRICS_VARIABLE,
    QUEUE_URL_VARIABLE, SKIPS_VARIABLE, skips_parameter,
};
use domain::quota::CONCURRENCY_MIN;
use serde_json::json;

use super::{Leads, Seen, Subject, leads};
use crate::aws::resources::Resource;

/// The alias by which messages are handed over.
const ALIAS: &str = "live";

/// What the function is told, as far as it can be read.
fn told(function: &Resource, seen: &mut Seen) -> Option<Config> {
    let told = &function.after["environment"][0]["variables"][CONFIG_VARIABLE];
    let Some(told) = told.as_str() else {
        if function.is_unknown("environment") {
            seen.unknown(function, "environment");
        } else {
            seen.broken(function, format_args!("it has no variable {CONFIG_VARIABLE}"));
        }
        return None;
    };
    let config = Config::parse(told);
    config.map_err(|error| seen.broken(function, format_args!("{CONFIG_VARIABLE}: {error}"))).ok()
}

pub(super) fn destination_timeout(subject: &Subject<'_>, seen: &mut Seen) {
    let Some(function) = subject.function(seen) else {
        return;
    };
    let Some(timeout) = seen.number(function, "timeout", 3).map(Duration::from_secs) else {
        return;
    };
    // What the function is told counts, not what the file says; before it is known, that.
    let told = told(function, seen);
    for route in told.as_ref().unwrap_or(subject.config).routes().values() {
        for destination in route.destinations().iter().filter(|it| needed(it.timeout()) > timeout) {
            seen.broken(
                function,
                format_args!(
                    "its timeout is {} s, that of destination {} of route {} is {} s, and {:?} more are \
                     needed for a dead letter and the response: the function would be killed, and \
                     deliveries repeated",
                    timeout.as_secs(),
                    destination.name(),
                    route.name(),
                    destination.timeout().as_secs(),
                    needed(Duration::ZERO)
                ),
            );
        }
    }
}

pub(super) fn no_event_filter(subject: &Subject<'_>, seen: &mut Seen) {
    for mapping in subject.resources.of_kind("aws_lambda_event_source_mapping") {
        let filters = mapping.after["filter_criteria"].as_array().map(Vec::len);
        if filters.unwrap_or_default() > 0 {
            seen.broken(mapping, "what its filter_criteria do not match is deleted");
        }
        if mapping.is_unknown("filter_criteria") {
            seen.unknown(mapping, "filter_criteria");
        }
    }
}

pub(super) fn mapping(subject: &Subject<'_>, seen: &mut Seen) {
    let mappings: Vec<_> = subject.resources.of_kind("aws_lambda_event_source_mapping").collect();
    let mapping = match mappings[..] {
        [] => {
            let nobody = "there is no aws_lambda_event_source_mapping: nothing would be delivered";
            return seen.broken.push(nobody.to_owned());
        }
        [mapping] => mapping,
        [first, ..] => {
            let more =
                "there are other mappings beside it: what they take loses its order, or is lost";
            return seen.broken(first, more);
        }
    };
    if let Some(queue) = subject.queue(seen) {
        let elsewhere = "the queue's messages would not be delivered, and another's be deleted";
        subject.must_lead(seen, mapping, "event_source_arn", (queue, "arn"), elsewhere);
    }
    if let Some(alias) = live(subject, seen) {
        let moving = "a rollback would not reach what delivers, or nothing be delivered";
        subject.must_lead(seen, mapping, "function_name", (alias, "arn"), moving);
    }
    let types = json!(["ReportBatchItemFailures"]);
    let deleted = "a message whose delivery failed would count as delivered and be deleted";
    seen.must_be(mapping, "function_response_types", &types, deleted);
    if seen.number(mapping, "maximum_batching_window_in_seconds", 0).is_some_and(|it| it > 0) {
        seen.broken(
            mapping,
            format_args!(
                "maximum_batching_window_in_seconds is {}: Lambda refuses a window for a FIFO queue, and \
                 messages would wait for it hidden",
                mapping.after["maximum_batching_window_in_seconds"]
            ),
        );
    }
    let settings = subject.config.forwarder();
    if let Some(size) = seen.number(mapping, "batch_size", 10)
        && size != u64::from(settings.batch_size)
    {
        seen.broken(
            mapping,
            format_args!(
                "batch_size is {size}, not {}: receives are counted on that, and SQS would move messages \
                 that only wait",
                settings.batch_size
            ),
        );
    }
    if mapping.before["enabled"] == true && mapping.after["enabled"] == false {
        seen.broken(mapping, "it would be disabled: nothing is delivered until somebody resumes");
    }
    let concurrency = &mapping.after["scaling_config"][0]["maximum_concurrency"];
    if *concurrency != u64::from(settings.max_concurrency) && !mapping.is_unknown("scaling_config")
    {
        seen.broken(
            mapping,
            format_args!(
                "maximum_concurrency is {concurrency}, not {}: the service would be called by more \
                 invocations than it was said to bear, or Lambda throttle receives, which count",
                settings.max_concurrency.max(CONCURRENCY_MIN)
            ),
        );
    }
}

/// The alias that delivers.
fn live<'a>(subject: &Subject<'a>, seen: &mut Seen) -> Option<&'a Resource> {
    subject.named(seen, "aws_lambda_alias", "name", ALIAS)
}

pub(super) fn live_version(subject: &Subject<'_>, seen: &mut Seen) {
    let (Some(alias), Some(function)) = (live(subject, seen), subject.function(seen)) else {
        return;
    };
    let elsewhere = "messages would go to another function";
    let name = &function.after["function_name"];
    // A name or an ARN.
    match alias.after["function_name"].as_str() {
        Some(of) if of.rsplit(':').next() == name.as_str() => {}
        Some(of) => seen.broken(alias, format_args!("function_name is {of}: {elsewhere}")),
        None => seen.unknown(alias, "function_name"),
    }
    if alias.is_unknown("function_version") {
        let origin = subject.resources.origin(alias, "function_version");
        if !origin.untold && !origin.resources.contains(&function.written_address()) {
            let problem =
                format_args!("function_version is not that of {}: {elsewhere}", function.address);
            seen.broken(alias, problem);
        }
    } else {
        let version = alias.after["function_version"].as_str().unwrap_or_default();
        let is_number = !version.is_empty() && version.bytes().all(|b| b.is_ascii_digit());
        if !is_number {
            let problem = format_args!(
                "function_version is {version:?}, which is no published version: code that is uploaded \
                 would deliver at once, and a rollback bring nothing back"
            );
            seen.broken(alias, problem);
        }
    }
    if alias.after["routing_config"].as_array().is_some_and(|it| !it.is_empty()) {
        seen.broken(alias, "its routing_config sends a part of the messages to another version");
    }
    let unpublished = "no version would be published, and the former code go on delivering";
    seen.must_be(function, "publish", &json!(true), unpublished);
}

pub(super) fn function(subject: &Subject<'_>, seen: &mut Seen) {
    let Some(function) = subject.function(seen) else {
        return;
    };
    let settings = subject.config.forwarder();
    // -1 reserves nothing.
    let reserved = &function.after["reserved_concurrent_executions"];
    if let Some(reserved) = reserved.as_i64()
        && reserved >= 0
        && reserved < i64::from(settings.max_concurrency)
    {
        seen.broken(
            function,
            format_args!(
                "reserved_concurrent_executions is {reserved}, the mapping starts {}: throttled receives \
                 count, and end in the dead-letter queue",
                settings.max_concurrency
            ),
        );
    }
    let level = &function.after["logging_config"][0]["application_log_level"];
    if !level.is_null() && !["TRACE", "DEBUG", "INFO"].iter().any(|it| *level == *it) {
        seen.broken(
            function,
            format_args!(
                "application_log_level is {level}: Lambda would drop the metrics' lines, and \
                          alarms on them never ring"
            ),
        );
    }
    for url in subject.resources.of_kind("aws_lambda_function_url") {
        if url.after["authorization_type"] != "AWS_IAM" {
            seen.broken(url, "anybody may call the function with events that were never accepted");
        }
    }
    if let Some(role) = subject.resources.find(
        "aws_iam_role",
        "name",
        function.after["function_name"].as_str().unwrap_or_default(),
    ) {
        let other = "it would have other rights than were checked";
        subject.must_lead(seen, function, "role", (role, "arn"), other);
    }
    if function.is_unknown("environment") {
        return seen.unknown(function, "environment");
    }
    if let Some(told) = told(function, seen) {
        let (told, meant) = (told.file(), subject.config.file());
        for (part, is_same) in [
            ("environment", told.environment == meant.environment),
            ("routes", told.routes == meant.routes),
            ("queue", told.queue == meant.queue),
            ("forwarder", told.forwarder == meant.forwarder),
        ] {
            if !is_same {
                let problem = format_args!(
                    "{CONFIG_VARIABLE} has another `{part}` than the configuration: it would deliver by \
                     other rules than were checked"
                );
                seen.broken(function, problem);
            }
        }
    }
    let variables = &function.after["environment"][0]["variables"];
    let skips = format!("ssm:{}", skips_parameter(subject.config.environment()));
    for (name, wanted, consequence) in [
        (METRICS_VARIABLE, "emf", "nothing would be counted, and alarms on it never ring"),
        (SKIPS_VARIABLE, skips.as_str(), "an event that blocks its key could not be skipped"),
    ] {
        if variables[name] != wanted {
            let problem =
                format_args!("{name} is {}, not {wanted}: {consequence}", variables[name]);
            seen.broken(function, problem);
        }
    }
    let mut leads_to = |name: &str, to: Option<&Resource>, by: &str, consequence: &str| {
        let Some(to) = to else { return };
        match leads(&variables[name], to, by) {
            Leads::There => {}
            Leads::Later => seen.unknown(function, "environment"),
            Leads::Elsewhere(place) => {
                let problem =
                    format_args!("{name} is {place}, not that of {}: {consequence}", to.address);
                seen.broken(function, problem);
            }
        }
    };
    let mut there = Seen::default();
    let kept = "what fails could not be put back to wait for its next attempt";
    leads_to(QUEUE_URL_VARIABLE, subject.queue(&mut there), "url", kept);
    let lost = "dead letters would go elsewhere, or their events block for ever";
    leads_to(DEAD_LETTER_QUEUE_URL_VARIABLE, subject.dead_letter_queue(&mut there), "url", lost);
    let believed = "a caller's own marks would be believed to be an operator's";
    leads_to(INGEST_SENDER_VARIABLE, subject.ingest_role(&mut there), "unique_id", believed);
    seen.broken.append(&mut there.broken);
}
