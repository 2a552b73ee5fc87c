//! Routes as they are written, checked for what AWS would refuse later.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::time::Duration;

use super::Forwarder;
use super::error::Faults;
use super::file::{DestinationFile, RouteFile};
use super::signature::{self, HiddenText};
use crate::carried::CARRIED_HEADERS_MAX;
use crate::header::{self, header_fault};
use crate::mapping::Expression;
use crate::pace::Pace;
use crate::route::{Deduplication, Destination, HeaderValue, Route};
use crate::route_path::RoutePath;
use crate::schedule::Schedule;
use crate::secret::SecretReference;
use crate::signature::Verification;
use crate::signature::standard_webhooks;
use crate::status::StatusSet;
use crate::{address, deadline, quota};

/// The route `name` as `file` writes it; `None` if it could not be made at all.
pub(super) fn route(
    faults: &mut Faults,
    name: &str,
    file: &RouteFile,
    forwarder: Forwarder,
) -> Option<Route> {
    let at = |field: &str| format!("routes.{name}.{field}");
    if !is_name(name) {
        faults.add(format_args!("routes.{name}"), NAME_RULE);
    }
    let path = faults.check(at("path"), RoutePath::parse(&file.path));
    let former_paths = file
        .former_paths
        .iter()
        .filter_map(|path| faults.check(at("former_paths"), RoutePath::parse(path)));
    let former_paths: Vec<RoutePath> = former_paths.collect();
    let ordering_key = group_id(faults, &at("ordering_key"), &file.ordering_key);
    let deduplication = deduplication(faults, &at("deduplication"), &file.deduplication);
    let pass_headers = pass_headers(faults, &at("pass_headers"), &file.pass_headers);
    let verify =
        file.verify.as_ref().map(|verify| signature::verification(faults, &at("verify"), verify));
    let destinations = destinations(faults, &at("destinations"), &file.destinations, forwarder);
    let event_id = file
        .event_id
        .as_ref()
        .map(|source| faults.check(at("event_id"), varying(source, "$request.header.x-event-id")));
    let retry_statuses = statuses(faults, &at("retry_statuses"), &file.retry_statuses);
    let reject_statuses = statuses(faults, &at("reject_statuses"), &file.reject_statuses);
    if let Some(status) = retry_statuses.first_common(&reject_statuses) {
        faults.add(at("reject_statuses"), format_args!("{status} is in retry_statuses as well"));
    }
    let schedule = Schedule::new(file.retry.initial_delay_seconds, file.retry.max_delay_seconds);
    if schedule.is_none() {
        let delays = (file.retry.initial_delay_seconds, file.retry.max_delay_seconds);
        faults.add(
            at("retry"),
            format_args!(
                "needs 1 <= initial_delay_seconds <= max_delay_seconds, has {} and {}",
                delays.0, delays.1
            ),
        );
    }
    faults.within(
        at("retry.max_delay_seconds"),
        file.retry.max_delay_seconds,
        1..=quota::VISIBILITY_CHANGE_SECONDS_MAX,
        "seconds (a visibility timeout)",
    );
    if file.give_up_after_seconds == 0 {
        faults.add(at("give_up_after_seconds"), "must be at least 1 second, is 0");
    }
    let verify = match verify {
        Some(verify) => Some(verify?),
        None => None,
    };
    let (deduplication, event_id) =
        (deduplication?, event_id.map_or(Some(None), |id| id.map(Some))?);
    let event_id = event_id.unwrap_or_else(|| default_event_id(&deduplication, verify.as_ref()));
    let route = Route {
        name: name.to_owned(),
        path: path?,
        former_paths,
        ordering_key: ordering_key?,
        deduplication,
        event_id,
        retry_statuses,
        reject_statuses,
        pass_headers,
        verify,
        destinations,
        schedule: schedule?,
        give_up_after: Duration::from_secs(u64::from(file.give_up_after_seconds)),
        last_receive_within: Duration::MAX,
        on_reject: file.on_reject,
    };
    check_path_parameters(faults, &route);
    check_deduplication(faults, &route);
    check_token(faults, &route);
    check_headers(faults, &route);
    Some(route)
}

/// Path parameters that an expression asks for must be in the path.
fn check_path_parameters(faults: &mut Faults, route: &Route) {
    let deduplication = match &route.deduplication {
        Deduplication::By(expression) => expression,
        Deduplication::Request | Deduplication::Content => &route.ordering_key,
    };
    let expressions = [
        ("ordering_key", &route.ordering_key),
        ("deduplication", deduplication),
        ("event_id", &route.event_id),
    ];
    let mut seen = BTreeSet::new();
    for (field, expression) in expressions {
        for name in expression.path_parameters().filter(|name| seen.insert(*name)) {
            let has = |path: &&RoutePath| path.parameters().any(|parameter| parameter == name);
            for path in route.paths().filter(|path| !has(path)) {
                faults.add(
                    format_args!("routes.{}.{field}", route.name),
                    format_args!("path {:?} has no {{{name}}}", path.as_str()),
                );
            }
        }
    }
}

/// An id that nobody has verified must not decide about another request: whoever guesses it could send
/// first, and the queue would drop the genuine event.
fn check_deduplication(faults: &mut Faults, route: &Route) {
    if route.verify.is_none() || route.deduplication == Deduplication::Request {
        return;
    }
    let instead = match &route.deduplication {
        Deduplication::By(expression) => {
            let source = serde_json::Value::from(expression.source());
            format!("\"deduplication\": \"request\", \"event_id\": {source}")
        }
        Deduplication::Request | Deduplication::Content => {
            "\"deduplication\": \"request\"".to_owned()
        }
    };
    faults.add(
        format_args!("routes.{}.deduplication", route.name),
        format_args!(
            "a route with verify takes \"request\" only: a forged request could make the queue drop \
             a genuine one. Write {instead}; the receiver recognises a repeat by webhook-id"
        ),
    );
}

/// A token must not come out where it would be seen.
fn check_token(faults: &mut Faults, route: &Route) {
    let Some(token) = route.token_header() else { return };
    let at = |field: &str| format!("routes.{}.{field}", route.name);
    if route.pass_headers.iter().any(|name| name == token) {
        faults.add(
            at("pass_headers"),
            format_args!("{token:?} cannot be passed on: it is the secret that verify looks at"),
        );
    }
    for (field, expression) in
        [("ordering_key", &route.ordering_key), ("event_id", &route.event_id)]
    {
        if expression.headers().any(|name| name == token) {
            faults.add(
                at(field),
                format_args!(
                    "cannot be made from {token:?}: it is the secret that verify looks at, and this \
                     stands in logs"
                ),
            );
        }
    }
}

/// All headers must fit, and none may be the provider's and ours.
fn check_headers(faults: &mut Faults, route: &Route) {
    let at = format!("routes.{}.pass_headers", route.name);
    let carried = route.carried_headers();
    if carried.len() > CARRIED_HEADERS_MAX {
        let verified = route.verify.as_ref().map(Verification::headers).unwrap_or_default();
        let and_verified = if verified.is_empty() {
            String::new()
        } else {
            format!(" (with those of verify: {})", verified.join(", "))
        };
        faults.add(
            &at,
            format_args!(
                "at most {CARRIED_HEADERS_MAX} headers travel with a message, are {}{and_verified}",
                carried.len()
            ),
        );
    }
    if route.destinations.iter().any(|destination| destination.sign.is_some()) {
        let ours = |name: &&String| standard_webhooks::HEADERS.contains(&name.as_str());
        if let Some(name) = route.pass_headers.iter().find(ours) {
            faults.add(
                &at,
                format_args!(
                    "{name:?} cannot be passed on where a destination has sign, which sets it"
                ),
            );
        }
    }
}

const NAME_RULE: &str =
    "a name is 1 to 40 lower-case letters, digits and \"-\", and begins with a letter";

/// Whether `name` can name an environment, a route or a destination.
pub(super) fn is_name(name: &str) -> bool {
    (1..=40).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn group_id(faults: &mut Faults, path: &str, source: &str) -> Option<Expression> {
    let expression = faults.check(path, Expression::parse(source))?;
    if expression.as_static().is_some_and(|text| !quota::is_id(text)) {
        faults.add(
            path,
            format_args!(
                "a message group id is 1 to 128 ASCII letters, digits and punctuation marks, is {source:?}"
            ),
        );
        return None;
    }
    Some(expression)
}

fn deduplication(faults: &mut Faults, path: &str, source: &str) -> Option<Deduplication> {
    match source {
        "request" => return Some(Deduplication::Request),
        "content" => return Some(Deduplication::Content),
        _ => {}
    }
    let expected = "$request.header.webhook-id\", \"request\" or \"content";
    faults.check(path, varying(source, expected)).map(Deduplication::By)
}

/// An expression with a variable in it: a fixed id would make all events one.
fn varying(source: &str, example: &str) -> Result<Expression, String> {
    let expression = Expression::parse(source).map_err(|error| error.to_string())?;
    if expression.as_static().is_some() {
        return Err(format!(
            "expected an expression such as \"{example}\", is {source:?}: a fixed id would make all \
             events one"
        ));
    }
    Ok(expression)
}

/// What names an event unless the configuration says: an id that is verified, or one that the
/// provider has for it, or the API's.
fn default_event_id(deduplication: &Deduplication, verify: Option<&Verification>) -> Expression {
    let source = match (verify.and_then(Verification::signed_id), deduplication) {
        (Some(header), _) => format!("$request.header.{header}"),
        (None, Deduplication::By(expression)) => return expression.clone(),
        (None, Deduplication::Request | Deduplication::Content) => "$context.requestId".to_owned(),
    };
    Expression::parse(&source)
        .expect("names of headers and variables of the context are expressions")
}

fn statuses(faults: &mut Faults, path: &str, texts: &[String]) -> StatusSet {
    let mut set = StatusSet::default();
    for (position, text) in texts.iter().enumerate() {
        faults.check(format_args!("{path}[{position}]"), set.add(text));
    }
    set
}

fn pass_headers(faults: &mut Faults, path: &str, names: &[String]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    for (position, name) in names.iter().enumerate() {
        let at = format!("{path}[{position}]");
        let lower = name.to_ascii_lowercase();
        if header::OURS.contains(&lower.as_str()) || header::is_reserved(&lower) {
            faults.add(
                at,
                format_args!(
                    "{name:?} cannot be passed on: it is reserved, or set by the forwarder"
                ),
            );
        } else if let Some(fault) = header_fault(&lower) {
            faults.add(at, fault);
        } else if !seen.insert(lower) {
            faults.add(at, format_args!("{name:?} is there twice"));
        }
    }
    seen.into_iter().collect()
}

fn destinations(
    faults: &mut Faults,
    path: &str,
    files: &[DestinationFile],
    forwarder: Forwarder,
) -> Vec<Destination> {
    if files.is_empty() {
        faults.add(path, "at least one destination is needed");
    }
    let mut names = BTreeSet::new();
    let mut destinations = Vec::new();
    for (position, file) in files.iter().enumerate() {
        let at = |field: &str| format!("{path}[{position}].{field}");
        if !is_name(&file.name) {
            faults.add(at("name"), format_args!("{NAME_RULE}; is {:?}", file.name));
        } else if !names.insert(&file.name) {
            faults.add(at("name"), format_args!("{:?} is there twice", file.name));
        }
        let timeout = Duration::from_secs(u64::from(file.timeout_seconds));
        if timeout.is_zero() || deadline::needed(timeout) > forwarder.function_timeout {
            let spare = deadline::needed(Duration::ZERO).as_millis().div_ceil(1_000);
            faults.add(
                at("timeout_seconds"),
                format_args!(
                    "must be at least 1 and leave {spare} s of forwarder.function_timeout_seconds, {}, \
                     for a dead letter and the response, is {}",
                    forwarder.function_timeout.as_secs(),
                    file.timeout_seconds
                ),
            );
        }
        let sign =
            file.sign.as_ref().and_then(|sign| signature::signing(faults, &at("sign"), sign));
        let headers = destination_headers(faults, &at("headers"), &file.headers);
        let client_certificate = file.client_certificate.as_ref().and_then(|reference| {
            faults.check(at("client_certificate"), SecretReference::parse(&reference.0))
        });
        let processes = NonZeroU32::new(forwarder.max_concurrency).unwrap_or(NonZeroU32::MIN);
        let pace = Pace::shared(file.max_in_flight, file.max_per_second, processes);
        let Some(url) = faults.check(at("url"), address::service_url(&file.url)) else { continue };
        if client_certificate.is_some() && url.scheme() != "https" {
            faults
                .add(at("client_certificate"), "is for https only: without TLS nobody asks for it");
        }
        let name = file.name.clone();
        destinations.push(Destination {
            name,
            url,
            timeout,
            sign,
            headers,
            client_certificate,
            pace,
        });
    }
    destinations
}

fn destination_headers(
    faults: &mut Faults,
    path: &str,
    files: &BTreeMap<String, HiddenText>,
) -> Vec<(String, HeaderValue)> {
    let mut headers: Vec<(String, HeaderValue)> = Vec::new();
    for (name, file) in files {
        let (at, lower) = (format!("{path}.{name}"), name.to_ascii_lowercase());
        if let Some(fault) = header::sent_header_fault(&lower) {
            faults.add(&at, fault);
        } else if headers.iter().any(|(other, _)| *other == lower) {
            faults.add(&at, "is there twice, in another case");
        } else if let Some(value) = faults.check(&at, file.header_value()) {
            headers.push((lower, value));
        }
    }
    headers
}
