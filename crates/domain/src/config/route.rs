//! Routes: their paths, headers and destinations, checked for what AWS would refuse later.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use serde_json::json;
use url::{Host, Url};

use super::error::Faults;
use super::file::{DestinationFile, OnReject, RouteFile};
use super::signature;
use crate::attribute::{self, CARRIED_HEADERS_MAX};
use crate::mapping::{Expression, RequestParameters, parameter};
use crate::message::Message;
use crate::schedule::Schedule;
use crate::secret::SecretReference;
use crate::signature::Verification;
use crate::signature::standard_webhooks::{self, Signing};
use crate::{address, deadline, quota};

/// A route whose every setting has been checked.
#[derive(Debug, Clone)]
pub struct Route {
    /// Its name.
    pub name: String,
    /// The path that the `SaaS` posts to.
    pub path: RoutePath,
    /// The message group.
    pub ordering_key: Expression,
    /// What makes two requests one event.
    pub deduplication: Deduplication,
    /// Headers to pass on, in lower case.
    pub pass_headers: Vec<String>,
    /// How events are signed, if they are verified.
    pub verify: Option<Verification>,
    /// Where events go; never empty.
    pub destinations: Vec<Destination>,
    /// When attempts are repeated.
    pub schedule: Schedule,
    /// Age at which a failing event is given up.
    pub give_up_after: Duration,
    /// What happens to rejected events.
    pub on_reject: OnReject,
}

/// What makes two requests one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deduplication {
    /// Nothing: the API's request id tells all requests apart.
    Request,
    /// The body: SQS drops a second, equal one within five minutes.
    Content,
    /// The provider's own event id.
    EventId(Expression),
}

/// Where events are posted to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// Its name in logs and dead letters.
    pub name: String,
    /// The URL.
    pub url: Url,
    /// Longest exchange.
    pub timeout: Duration,
    /// What requests are signed with, if they are.
    pub sign: Option<Signing>,
}

/// A path of the API, with `{name}` for parts that vary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutePath {
    text: String,
    segments: Vec<PathSegment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum PathSegment {
    Fixed(String),
    Parameter(String),
}

impl Route {
    pub(super) fn parse(
        faults: &mut Faults,
        name: &str,
        file: &RouteFile,
        function_timeout: Duration,
    ) -> Option<Self> {
        let at = |field: &str| format!("routes.{name}.{field}");
        if !is_name(name) {
            faults.add(format_args!("routes.{name}"), NAME_RULE);
        }
        let path = faults.check(at("path"), RoutePath::parse(&file.path));
        let ordering_key = group_id(faults, &at("ordering_key"), &file.ordering_key);
        let deduplication = deduplication(faults, &at("deduplication"), &file.deduplication);
        let pass_headers = pass_headers(faults, &at("pass_headers"), &file.pass_headers);
        let verify = file
            .verify
            .as_ref()
            .map(|verify| signature::verification(faults, &at("verify"), verify));
        let destinations =
            destinations(faults, &at("destinations"), &file.destinations, function_timeout);
        let schedule =
            Schedule::new(file.retry.initial_delay_seconds, file.retry.max_delay_seconds);
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
        let route = Self {
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
        route.check_path_parameters(faults);
        route.check_headers(faults);
        Some(route)
    }

    /// Path parameters that an expression asks for must be in the path.
    fn check_path_parameters(&self, faults: &mut Faults) {
        let expressions =
            [("ordering_key", Some(&self.ordering_key)), ("deduplication", self.event_id())];
        for (field, expression) in expressions {
            for name in expression.iter().flat_map(|expression| expression.path_parameters()) {
                if !self.path.parameters().any(|parameter| parameter == name) {
                    faults.add(
                        format_args!("routes.{}.{field}", self.name),
                        format_args!("path {:?} has no {{{name}}}", self.path.as_str()),
                    );
                }
            }
        }
    }

    /// All headers must fit, and none may be the provider's and ours.
    fn check_headers(&self, faults: &mut Faults) {
        let at = format!("routes.{}.pass_headers", self.name);
        let carried = self.carried_headers();
        if carried.len() > CARRIED_HEADERS_MAX {
            let verified = self.verify.as_ref().map(Verification::headers).unwrap_or_default();
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
        if self.destinations.iter().any(|destination| destination.sign.is_some()) {
            let ours = |name: &&String| standard_webhooks::HEADERS.contains(&name.as_str());
            if let Some(name) = self.pass_headers.iter().find(ours) {
                faults.add(
                    &at,
                    format_args!(
                        "{name:?} cannot be passed on where a destination has sign, which sets it"
                    ),
                );
            }
        }
    }

    /// The headers that travel with a message, in lower case and in order: those to pass on, and
    /// those to verify by.
    #[must_use]
    pub fn carried_headers(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.pass_headers.iter().map(String::as_str).collect();
        names.extend(self.verify.iter().flat_map(Verification::headers));
        names.sort_unstable();
        names.dedup();
        names
    }

    /// How `message` is to be verified, if it is. What an operator has edited is not: the provider
    /// signed another body, and only who may send to the queue itself can set that mark.
    #[must_use]
    pub fn verification_of(&self, message: &Message) -> Option<&Verification> {
        self.verify.as_ref().filter(|_| !message.is_edited())
    }

    /// The secrets that this route needs, to verify and to sign.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretReference> {
        let verify = self.verify.iter().flat_map(|verify| &verify.secrets);
        let sign = self.destinations.iter().filter_map(|destination| destination.sign.as_ref());
        verify.chain(sign.flat_map(|sign| &sign.secrets))
    }

    pub(super) fn event_id(&self) -> Option<&Expression> {
        match &self.deduplication {
            Deduplication::EventId(expression) => Some(expression),
            Deduplication::Request | Deduplication::Content => None,
        }
    }

    /// The route key of the HTTP API: `POST /sqs-hook`.
    #[must_use]
    pub fn route_key(&self) -> String {
        format!("POST {}", self.path.as_str())
    }

    /// The longest that one attempt can take: the destinations are called side by side.
    #[must_use]
    pub fn attempt_timeout(&self) -> Duration {
        self.destinations.iter().map(|destination| destination.timeout).max().unwrap_or_default()
    }

    /// The request parameters of this route's integration, by API Gateway's names.
    #[must_use]
    pub fn request_parameters(&self, queue_url: &str) -> BTreeMap<String, String> {
        let event_id = match &self.deduplication {
            Deduplication::EventId(expression) => expression.interpolated(),
            Deduplication::Request | Deduplication::Content => "${context.requestId}".to_owned(),
        };
        let mut attributes = BTreeMap::from([
            (attribute::ROUTE.to_owned(), self.name.clone()),
            (attribute::EVENT_ID.to_owned(), event_id),
            (attribute::ACCEPTED_AT.to_owned(), "${context.requestTimeEpoch}".to_owned()),
        ]);
        for name in self.carried_headers() {
            attributes.insert(attribute::header(name), format!("${{request.header.{name}}}"));
        }
        let attributes: serde_json::Map<String, serde_json::Value> = attributes
            .into_iter()
            .map(|(name, value)| (name, json!({ "DataType": "String", "StringValue": value })))
            .collect();
        let deduplication_id = match &self.deduplication {
            Deduplication::Request => Some("$context.requestId"),
            Deduplication::EventId(expression) => Some(expression.source()),
            Deduplication::Content => None,
        };
        let mut parameters = BTreeMap::from(
            [
                (parameter::QUEUE_URL, queue_url),
                (parameter::MESSAGE_BODY, "$request.body"),
                (parameter::MESSAGE_GROUP_ID, self.ordering_key.source()),
                (parameter::MESSAGE_ATTRIBUTES, &serde_json::Value::from(attributes).to_string()),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        if let Some(id) = deduplication_id {
            parameters.insert(parameter::MESSAGE_DEDUPLICATION_ID.to_owned(), id.to_owned());
        }
        parameters
    }

    /// The same, parsed.
    #[must_use]
    pub fn integration(&self, queue_url: &str) -> RequestParameters {
        RequestParameters::parse(&self.request_parameters(queue_url))
            .expect("made from expressions that have been parsed")
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

/// Headers that we set ourselves.
const OURS: [&str; 5] =
    ["webhook-accepted-at", "webhook-attempt", "webhook-group", "webhook-id", "webhook-sequence"];

/// Headers that are about the connection, or that API Gateway reserves.
/// Source of the last: API Gateway guide, "Transforming API requests", reserved headers.
fn is_reserved(header: &str) -> bool {
    const NAMES: [&str; 16] = [
        "authorization",
        "connection",
        "content-encoding",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "max-forwards",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
    ];
    NAMES.contains(&header)
        || ["x-amz-", "x-amzn-", "x-forwarded-", "access-control-", "apigw-"]
            .iter()
            .any(|prefix| header.starts_with(prefix))
}

/// What is wrong with a header, in lower case, that is to travel with messages.
pub(crate) fn header_fault(name: &str) -> Option<String> {
    let good = (1..=100).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if !good {
        return Some(format!("{name:?} is not a header name of letters, digits, \"-\" and \"_\""));
    }
    is_reserved(name).then(|| {
        format!("{name:?} cannot reach the forwarder: it is reserved, or about the connection")
    })
}

fn pass_headers(faults: &mut Faults, path: &str, names: &[String]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    for (position, name) in names.iter().enumerate() {
        let at = format!("{path}[{position}]");
        let lower = name.to_ascii_lowercase();
        if OURS.contains(&lower.as_str()) || is_reserved(&lower) {
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

impl RoutePath {
    /// Parses a path of the API.
    ///
    /// # Errors
    ///
    /// A text that says what a path may be.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rule = || {
            format!(
                "a path is \"/\" and segments of letters, digits and \"-._~\", or of one {{name}}, is {text:?}"
            )
        };
        let rest = text.strip_prefix('/').ok_or_else(rule)?;
        let segments: Option<Vec<PathSegment>> = rest.split('/').map(PathSegment::parse).collect();
        let path = Self { text: text.to_owned(), segments: segments.ok_or_else(rule)? };
        let names: BTreeSet<&str> = path.parameters().collect();
        if names.len() < path.parameters().count() {
            return Err(format!("has a parameter twice, is {text:?}"));
        }
        Ok(path)
    }

    /// The path as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The names of the `{name}` parts.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            PathSegment::Parameter(name) => Some(name.as_str()),
            PathSegment::Fixed(_) => None,
        })
    }

    /// The values of the `{name}` parts if `path`, of a request, is this path.
    #[must_use]
    pub fn matches<'a>(&'a self, path: &'a str) -> Option<Vec<(&'a str, &'a str)>> {
        let given = path.strip_prefix('/')?.split('/');
        if given.clone().count() != self.segments.len() {
            return None;
        }
        let mut parameters = Vec::new();
        for (segment, given) in self.segments.iter().zip(given) {
            match segment {
                PathSegment::Fixed(text) if text == given => {}
                PathSegment::Parameter(name) if !given.is_empty() => {
                    parameters.push((name.as_str(), given));
                }
                PathSegment::Fixed(_) | PathSegment::Parameter(_) => return None,
            }
        }
        Some(parameters)
    }

    /// Of several, the one whose path is that of a request, with the values of its parameters. Of
    /// those, the most specific, as API Gateway chooses.
    pub fn choose<'a, T>(
        among: impl IntoIterator<Item = &'a T>,
        path_of: impl Fn(&'a T) -> &'a Self,
        path: &'a str,
    ) -> Option<(&'a T, Vec<(&'a str, &'a str)>)> {
        among
            .into_iter()
            .filter_map(|item| Some((item, path_of(item).matches(path)?)))
            .min_by_key(|(item, _)| path_of(item).rank())
    }

    /// Whether some request's path could be both, at equal rank.
    pub(super) fn collides(&self, other: &Self) -> bool {
        self.segments.len() == other.segments.len()
            && self.segments.iter().zip(&other.segments).all(|pair| match pair {
                (PathSegment::Fixed(a), PathSegment::Fixed(b)) => a == b,
                (PathSegment::Parameter(_), PathSegment::Parameter(_)) => true,
                _ => false,
            })
    }

    /// How specific the path is: fixed parts go before parameters, from the left.
    fn rank(&self) -> Vec<bool> {
        self.segments.iter().map(|segment| matches!(segment, PathSegment::Parameter(_))).collect()
    }
}

impl fmt::Display for RoutePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PathSegment {
    fn parse(text: &str) -> Option<Self> {
        if let Some(name) = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
            let good = !name.is_empty()
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
            return good.then(|| Self::Parameter(name.to_owned()));
        }
        let good = !text.is_empty()
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b));
        good.then(|| Self::Fixed(text.to_owned()))
    }
}
