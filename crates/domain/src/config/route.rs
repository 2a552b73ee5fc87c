//! Routes as they are written, checked for what AWS would refuse later.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use url::{Host, Url};

use super::error::Faults;
use super::file::{DestinationFile, RouteFile};
use super::signature;
use crate::attribute::CARRIED_HEADERS_MAX;
use crate::header::{self, header_fault};
use crate::mapping::Expression;
use crate::route::{Deduplication, Destination, Route};
use crate::route_path::RoutePath;
use crate::schedule::Schedule;
use crate::signature::Verification;
use crate::signature::standard_webhooks;
use crate::{address, deadline, quota};

/// The route `name` as `file` writes it; `None` if it could not be made at all.
pub(super) fn route(
    faults: &mut Faults,
    name: &str,
    file: &RouteFile,
    function_timeout: Duration,
) -> Option<Route> {
    let at = |field: &str| format!("routes.{name}.{field}");
    if !is_name(name) {
        faults.add(format_args!("routes.{name}"), NAME_RULE);
    }
    let path = faults.check(at("path"), RoutePath::parse(&file.path));
    let ordering_key = group_id(faults, &at("ordering_key"), &file.ordering_key);
    let deduplication = deduplication(faults, &at("deduplication"), &file.deduplication);
    let pass_headers = pass_headers(faults, &at("pass_headers"), &file.pass_headers);
    let verify =
        file.verify.as_ref().map(|verify| signature::verification(faults, &at("verify"), verify));
    let destinations =
        destinations(faults, &at("destinations"), &file.destinations, function_timeout);
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
    let route = Route {
        name: name.to_owned(),
        path: path?,
        ordering_key: ordering_key?,
        deduplication: deduplication?,
        pass_headers,
        verify: match verify {
            Some(verify) => Some(verify?),
            None => None,
        },
        destinations,
        schedule: schedule?,
        give_up_after: Duration::from_secs(u64::from(file.give_up_after_seconds)),
        on_reject: file.on_reject,
    };
    check_path_parameters(faults, &route);
    check_headers(faults, &route);
    Some(route)
}

/// Path parameters that an expression asks for must be in the path.
fn check_path_parameters(faults: &mut Faults, route: &Route) {
    let expressions =
        [("ordering_key", Some(&route.ordering_key)), ("deduplication", route.event_id())];
    for (field, expression) in expressions {
        for name in expression.iter().flat_map(|expression| expression.path_parameters()) {
            if !route.path.parameters().any(|parameter| parameter == name) {
                faults.add(
                    format_args!("routes.{}.{field}", route.name),
                    format_args!("path {:?} has no {{{name}}}", route.path.as_str()),
                );
            }
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
                "at most {CARRIED_HEADERS_MAX} headers fit beside our own message attributes, \
                 are {}{and_verified}",
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
    let expression = faults.check(path, Expression::parse(source))?;
    if expression.as_static().is_some() {
        faults.add(
            path,
            format_args!(
                "expected \"request\", \"content\" or an expression such as \
                 \"$request.header.webhook-id\", is {source:?}: a fixed id would make all events one"
            ),
        );
        return None;
    }
    Some(Deduplication::EventId(expression))
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
    function_timeout: Duration,
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
        if timeout.is_zero() || timeout + deadline::RESPONSE_MARGIN > function_timeout {
            faults.add(
                at("timeout_seconds"),
                format_args!(
                    "must be at least 1 and less than forwarder.function_timeout_seconds, {}, is {}",
                    function_timeout.as_secs(),
                    file.timeout_seconds
                ),
            );
        }
        let sign =
            file.sign.as_ref().and_then(|sign| signature::signing(faults, &at("sign"), sign));
        if let Some(url) = faults.check(at("url"), parse_url(&file.url)) {
            destinations.push(Destination { name: file.name.clone(), url, timeout, sign });
        }
    }
    destinations
}

/// The URL of a destination: `https`, or `http` where nobody else listens in. Never with a password
/// in it, as URLs are shown.
fn parse_url(source: &str) -> Result<Url, String> {
    let url = Url::parse(source).map_err(|error| format!("{source:?} is not a URL: {error}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not contain a user name or password".to_owned());
    }
    if url.fragment().is_some() {
        return Err(format!("must not have a fragment, is {source:?}"));
    }
    let ip = match url.host() {
        Some(Host::Ipv4(ip)) => Some(IpAddr::V4(ip)),
        Some(Host::Ipv6(ip)) => Some(IpAddr::V6(ip)),
        Some(Host::Domain(_)) | None => None,
    };
    if let Some(ip) = ip.filter(|ip| address::is_forbidden(*ip)) {
        return Err(format!(
            "{ip} is link-local, a metadata service, unspecified or multicast, and never called"
        ));
    }
    match (url.scheme(), url.host()) {
        ("https", Some(_)) => Ok(url),
        ("http", Some(host)) if is_private(&host) => Ok(url),
        ("http", Some(host)) => Err(format!(
            "must be https, as {host} is neither loopback nor a private address or name (a name \
             without a dot, or ending in .internal, .local, .localhost or .test)"
        )),
        (scheme, _) => Err(format!("must be https, or http to a private host; is {scheme}")),
    }
}

fn is_private(host: &Host<&str>) -> bool {
    match host {
        Host::Ipv4(ip) => ip.is_loopback() || ip.is_private(),
        Host::Ipv6(ip) => {
            let mapped_private =
                |ip: Ipv6Addr| ip.to_ipv4_mapped().is_some_and(|ip: Ipv4Addr| ip.is_private());
            ip.is_loopback() || ip.is_unique_local() || mapped_private(*ip)
        }
        Host::Domain(name) => {
            !name.contains('.')
                || [".internal", ".local", ".localhost", ".test"]
                    .iter()
                    .any(|suffix| name.ends_with(suffix))
        }
    }
}
