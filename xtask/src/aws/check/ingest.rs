//! What must hold of the API: its stage, routes and integrations.

use std::collections::{BTreeMap, BTreeSet};

use domain::mapping::parameter;
use domain::route::Route;
use serde_json::Value;

use super::{Seen, Subject};
use crate::aws::resources::{Action, Resource};

/// Integrations that send to a queue, as they are or will be.
fn to_queues<'a>(subject: &Subject<'a>) -> Vec<&'a Resource> {
    let integrations = subject.resources.of_kind("aws_apigatewayv2_integration");
    integrations.filter(|it| it.after["integration_subtype"] == "SQS-SendMessage").collect()
}

/// The route that an integration's messages say they are of.
fn says_route(integration: &Resource) -> Option<String> {
    let parameters = &integration.after["request_parameters"];
    let attributes = parameters[parameter::MESSAGE_ATTRIBUTES].as_str()?;
    let attributes: Value = serde_json::from_str(attributes).ok()?;
    let name = attributes[domain::attribute::ROUTE]["StringValue"].as_str()?;
    Some(name.to_owned())
}

pub(super) fn routes(subject: &Subject<'_>, seen: &mut Seen) {
    let integrations = to_queues(subject);
    if integrations.is_empty() {
        seen.broken
            .push("there is no integration to SQS-SendMessage: nothing is accepted".to_owned());
    }
    for integration in &integrations {
        integrated(subject, integration, seen);
    }
    for (name, route) in subject.config.routes() {
        for key in route.route_keys() {
            match subject.resources.find("aws_apigatewayv2_route", "route_key", &key) {
            None => seen.broken.push(format!(
                "there is no aws_apigatewayv2_route {key}: webhooks of route {name} are answered 404"
            )),
            Some(resource) => target(subject, &integrations, name, resource, seen),
        }
        }
    }
}

/// Checks that a route's requests go to the integration that makes its messages.
fn target(
    subject: &Subject<'_>,
    integrations: &[&Resource],
    name: &str,
    route: &Resource,
    seen: &mut Seen,
) {
    let elsewhere = "its webhooks are answered and never queued, or become another route's";
    if route.is_unknown("target") {
        let origin = subject.resources.origin(route, "target");
        let known = integrations.iter().any(|it| origin.resources.contains(&it.written_address()));
        if !origin.untold && !known {
            return seen
                .broken(route, format_args!("its target is no integration to SQS: {elsewhere}"));
        }
        return seen.unknown(route, "target");
    }
    let target = route.after["target"].as_str().unwrap_or_default();
    let id = target.strip_prefix("integrations/").unwrap_or(target);
    match integrations.iter().find(|it| it.after["id"] == id) {
        None => seen.broken(
            route,
            format_args!("target is {target:?}, no integration to SQS: {elsewhere}"),
        ),
        Some(it) if it.is_unknown("request_parameters") => seen.unknown(it, "request_parameters"),
        Some(integration) if says_route(integration).as_deref() != Some(name) => {
            let problem = format_args!(
                "target is {}, which is not of route {name}: {elsewhere}",
                integration.address
            );
            seen.broken(route, problem);
        }
        Some(_) => {}
    }
}

/// Checks what an integration makes of a request.
fn integrated(subject: &Subject<'_>, integration: &Resource, seen: &mut Seen) {
    if let Some(role) = subject.ingest_role(seen) {
        let refused = "SQS would refuse every message";
        subject.must_lead(seen, integration, "credentials_arn", (role, "arn"), refused);
    }
    let overwrites = integration.after["response_parameters"].as_array().is_some_and(|all| {
        let mappings = all.iter().filter_map(|it| it["mappings"].as_object());
        mappings.flatten().any(|(name, _)| name == "overwrite:statuscode")
    });
    if overwrites {
        seen.broken(
            integration,
            "its response_parameters overwrite the status: what SQS refused could be answered as taken, \
             and nobody would send it again",
        );
    }
    // A route must not accept what its role may not send yet.
    if let Some(waits_for) = subject.resources.depends_on(integration)
        && !waits_for.iter().any(|it| it.contains("aws_iam_role_policy."))
    {
        seen.broken(
            integration,
            "it does not wait for its role's policy (depends_on): what is posted until the role may send \
             is answered 5xx",
        );
    }
    if integration.is_unknown("request_parameters") {
        return seen.unknown(integration, "request_parameters");
    }
    let parameters: BTreeMap<String, String> =
        match serde_json::from_value(integration.after["request_parameters"].clone()) {
            Ok(parameters) => parameters,
            Err(_not_strings) => return seen.broken(integration, "it has no request_parameters"),
        };
    let Some(queue) = subject.queue(seen) else { return };
    let url = queue.after["url"].as_str();
    if url.is_none() {
        seen.unknown(integration, "request_parameters");
    }
    let name = says_route(integration);
    let Some(route) = name.as_ref().and_then(|name| subject.config.routes().get(name)) else {
        let problem = format_args!(
            "its messages say they are of route {name:?}, which is none: the forwarder would dead-letter \
             them all"
        );
        return seen.broken(integration, problem);
    };
    differences(integration, route, &parameters, url, seen);
}

fn differences(
    integration: &Resource,
    route: &Route,
    parameters: &BTreeMap<String, String>,
    queue_url: Option<&str>,
    seen: &mut Seen,
) {
    let wanted = route.request_parameters(queue_url.unwrap_or_default());
    let names: BTreeSet<&String> = wanted.keys().chain(parameters.keys()).collect();
    for name in names {
        if name == parameter::QUEUE_URL && queue_url.is_none() {
            continue;
        }
        let (is, should) = (parameters.get(name), wanted.get(name));
        let json =
            |text: Option<&String>| text.and_then(|text| serde_json::from_str::<Value>(text).ok());
        let is_same = if name == parameter::MESSAGE_ATTRIBUTES {
            json(is) == json(should)
        } else {
            is == should
        };
        if !is_same {
            let consequence = match name.as_str() {
                parameter::QUEUE_URL => "webhooks would go to another queue",
                parameter::MESSAGE_GROUP_ID => "SQS would refuse them, or they lose their order",
                parameter::MESSAGE_DEDUPLICATION_ID => "SQS would drop events as repeats",
                parameter::MESSAGE_BODY => "another body than was sent would be delivered",
                _ => "the forwarder would not know an event's id, route or headers",
            };
            let shown =
                |value: Option<&String>| value.map_or("not set".to_owned(), |it| format!("{it:?}"));
            let problem =
                format_args!("{name} is {}, not {}: {consequence}", shown(is), shown(should));
            seen.broken(integration, problem);
        }
    }
}

pub(super) fn requests_taken(subject: &Subject<'_>, seen: &mut Seen) {
    let routes: BTreeSet<&str> = subject
        .resources
        .of_kind("aws_apigatewayv2_route")
        .filter_map(|route| route.after["route_key"].as_str())
        .collect();
    for stage in subject.resources.of_kind("aws_apigatewayv2_stage") {
        for settings in ["default_route_settings", "route_settings"] {
            for (at, limits) in stage.after[settings].as_array().into_iter().flatten().enumerate() {
                let key = limits["route_key"].as_str();
                for name in ["throttling_rate_limit", "throttling_burst_limit"] {
                    // What is left out is sent as 0.
                    let is_known = stage.unknown[settings][at][name] != true;
                    if is_known && limits[name].as_f64().unwrap_or_default() <= 0.0 {
                        let of = key.map(|key| format!(" of {key}")).unwrap_or_default();
                        let problem =
                            format_args!("{name}{of} is 0: every webhook is answered 429");
                        seen.broken(stage, problem);
                    }
                }
                if let Some(key) = key.filter(|key| !routes.contains(key)) {
                    let problem = format_args!(
                        "route_settings name {key:?}, which no route has: API Gateway refuses the stage"
                    );
                    seen.broken(stage, problem);
                }
            }
        }
        let deployed = stage.after["deployment_id"].as_str().is_some();
        if stage.after["auto_deploy"] != true && !deployed {
            seen.broken(stage, "auto_deploy is false: no change of a route would ever go live");
        }
    }
    for api in subject.resources.of_kind("aws_apigatewayv2_api") {
        if api.after["disable_execute_api_endpoint"] == true {
            seen.broken(api, "disable_execute_api_endpoint is true: every webhook is answered 404");
        }
    }
}

pub(super) fn replaced(subject: &Subject<'_>, seen: &mut Seen) {
    let routes = || subject.resources.all.iter().filter(|it| it.kind == "aws_apigatewayv2_route");
    for old in routes().filter(|it| it.action == Action::Delete) {
        let same = |new: &&Resource| {
            new.action == Action::Create && new.after["route_key"] == old.before["route_key"]
        };
        if let Some(new) = routes().find(same) {
            seen.broken(
                old,
                format_args!(
                    "it would be deleted, and {} made with the same route_key, which API Gateway refuses \
                     while both are there; `terraform state mv '{}' '{}'` keeps it",
                    new.address, old.address, new.address
                ),
            );
        }
    }
    for resource in &subject.resources.all {
        let is_ours = match resource.kind.as_str() {
            "aws_apigatewayv2_integration" => [&resource.before, &resource.after]
                .iter()
                .any(|values| values["integration_subtype"] == "SQS-SendMessage"),
            "aws_apigatewayv2_route" => true,
            _ => false,
        };
        let moves = resource.before["route_key"] != resource.after["route_key"];
        match (resource.action, resource.kind.as_str()) {
            _ if !is_ours => {}
            (Action::Update, "aws_apigatewayv2_integration") => seen.broken(
                resource,
                "it would be edited in place, and the API refuses or forgets its parameters",
            ),
            (Action::Update, _) if moves => seen.broken(
                resource,
                format_args!(
                    "its route_key {} would be edited in place: what is still posted there is answered \
                     404, and the stage names a route that is gone",
                    resource.before["route_key"]
                ),
            ),
            (Action::DeleteThenCreate, _) => seen.broken(
                resource,
                "the old one would go first: until then what is posted is answered 404 or 5xx",
            ),
            _ => {}
        }
    }
}
