//! What must hold of the function, its mapping and the API's integrations.

use std::time::Duration;

use domain::config::Config;
use domain::deadline::needed;
use domain::environment::CONFIG_VARIABLE;

use super::{Seen, Subject};
use crate::aws::resources::{Action, Resource};

pub(super) fn destination_timeout(subject: &Subject<'_>, seen: &mut Seen) {
    let Some(function) = subject.function(seen) else {
        return;
    };
    let timeout = Duration::from_secs(function.after["timeout"].as_u64().unwrap_or_default());
    // What the function is told counts, not what the file says.
    let told = function.after["environment"][0]["variables"][CONFIG_VARIABLE].as_str();
    let Some(told) = told else {
        if function.is_unknown("environment") {
            return seen.unknown(function, "environment");
        }
        return seen.broken(function, format_args!("it has no variable {CONFIG_VARIABLE}"));
    };
    let config = match Config::parse(told) {
        Ok(config) => config,
        Err(error) => return seen.broken(function, format_args!("{CONFIG_VARIABLE}: {error}")),
    };
    for name in subject.config.routes().keys().filter(|name| !config.routes().contains_key(*name)) {
        seen.broken(function, format_args!("it does not know route {name}"));
    }
    for route in config.routes().values() {
        for destination in route.destinations().iter().filter(|it| needed(it.timeout()) > timeout) {
            seen.broken(
                function,
                format_args!(
                    "its timeout is {} s, that of destination {} of route {} is {} s, and {:?} more are \
                     needed for a dead letter and the response",
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
    let mut mappings = subject.resources.of_kind("aws_lambda_event_source_mapping").peekable();
    if mappings.peek().is_none() {
        seen.broken.push("there is no aws_lambda_event_source_mapping".to_owned());
    }
    for mapping in mappings {
        let filters = mapping.after["filter_criteria"].as_array().map(Vec::len);
        if filters.unwrap_or_default() > 0 {
            seen.broken(mapping, "what its filter_criteria do not match is deleted");
        }
        if mapping.is_unknown("filter_criteria") {
            seen.unknown(mapping, "filter_criteria");
        }
    }
}

pub(super) fn integrations_replaced(subject: &Subject<'_>, seen: &mut Seen) {
    let to_queue = |resource: &&Resource| {
        resource.kind == "aws_apigatewayv2_integration"
            && [&resource.before, &resource.after]
                .iter()
                .any(|values| values["integration_subtype"] == "SQS-SendMessage")
    };
    let integrations: Vec<&Resource> = subject.resources.all.iter().filter(to_queue).collect();
    if integrations.is_empty() {
        seen.broken.push("there is no integration to SQS-SendMessage".to_owned());
    }
    for integration in integrations {
        match integration.action {
            Action::Update => seen.broken(
                integration,
                "it would be edited in place, and the API refuses or forgets its parameters",
            ),
            Action::DeleteThenCreate => seen.broken(
                integration,
                "the old one would go first: until then its route leads nowhere",
            ),
            _ => {}
        }
    }
}
