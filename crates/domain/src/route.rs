//! Routes, as their checks in [`crate::config`] make them: from a path of the API to destinations.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use url::Url;

use crate::mapping::{Expression, RequestParameters, parameter};
use crate::message::Message;
use crate::pace::Pace;
use crate::route_path::RoutePath;
use crate::schedule::Schedule;
use crate::secret::SecretReference;
use crate::signature::Verification;
use crate::signature::standard_webhooks::Signing;
use crate::status::StatusSet;
use crate::{attribute, carried};

/// A route whose every setting has been checked.
#[derive(Debug, Clone)]
pub struct Route {
    /// Its name.
    pub(crate) name: String,
    /// The path that the `SaaS` posts to.
    pub(crate) path: RoutePath,
    /// Those that it had before, where the `SaaS` may still post to.
    pub(crate) former_paths: Vec<RoutePath>,
    /// The message group.
    pub(crate) ordering_key: Expression,
    /// What makes two requests one event.
    pub(crate) deduplication: Deduplication,
    /// Headers to pass on, in lower case.
    pub(crate) pass_headers: Vec<String>,
    /// How events are signed, if they are verified.
    pub(crate) verify: Option<Verification>,
    /// Where events go; never empty.
    pub(crate) destinations: Vec<Destination>,
    /// What names an event.
    pub(crate) event_id: Expression,
    /// Statuses that are worth another attempt, besides those that always are.
    pub(crate) retry_statuses: StatusSet,
    /// Statuses that are not, of those that would be.
    pub(crate) reject_statuses: StatusSet,
    /// When attempts are repeated.
    pub(crate) schedule: Schedule,
    /// Age at which a failing event is given up.
    pub(crate) give_up_after: Duration,
    /// Age at which an event must have been received for the last time, so that SQS's retention does
    /// not delete it unseen.
    pub(crate) last_receive_within: Duration,
    /// What happens to rejected events.
    pub(crate) on_reject: OnReject,
}

/// What makes two requests one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deduplication {
    /// Nothing: the API's request id tells all requests apart.
    Request,
    /// The body: SQS drops a second, equal one within five minutes.
    Content,
    /// A value of the request: SQS drops a second one with the same within five minutes.
    By(Expression),
}

/// What happens to an event that a destination rejects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum OnReject {
    /// It goes to the dead-letter queue with the reason, and its group goes on.
    #[default]
    DeadLetter,
    /// It stays at the head and its group waits for an operator: strict order.
    Block,
}

/// Where events are posted to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// Its name in logs and dead letters.
    pub(crate) name: String,
    /// The URL.
    pub(crate) url: Url,
    /// Longest exchange.
    pub(crate) timeout: Duration,
    /// What requests are signed with, if they are.
    pub(crate) sign: Option<Signing>,
    /// Headers of every request, by name in lower case.
    pub(crate) headers: Vec<(String, HeaderValue)>,
    /// Our certificate and its key, where it asks for them.
    pub(crate) client_certificate: Option<SecretReference>,
    /// How fast it is called, at most, by one process.
    pub(crate) pace: Pace,
}

/// What a header of every request to a destination says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderValue {
    /// The value itself.
    Literal(String),
    /// The value is a secret.
    Secret(SecretReference),
}

impl Destination {
    /// Its name in logs and dead letters.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The URL.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Longest exchange.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Headers of every request, by name in lower case.
    #[must_use]
    pub fn headers(&self) -> &[(String, HeaderValue)] {
        &self.headers
    }

    /// Our certificate and its key, where it asks for them.
    #[must_use]
    pub fn client_certificate(&self) -> Option<&SecretReference> {
        self.client_certificate.as_ref()
    }

    /// How fast it is called, at most, by one process.
    #[must_use]
    pub fn pace(&self) -> Pace {
        self.pace
    }

    /// The secrets that its requests need.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretReference> {
        let headers = self.headers.iter().filter_map(|(_, value)| match value {
            HeaderValue::Secret(reference) => Some(reference),
            HeaderValue::Literal(_) => None,
        });
        let signing = self.sign.iter().flat_map(|sign| &sign.secrets);
        signing.chain(headers).chain(&self.client_certificate)
    }

    /// What requests are signed with, if they are.
    #[must_use]
    pub fn sign(&self) -> Option<&Signing> {
        self.sign.as_ref()
    }
}

impl Route {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The path that the `SaaS` posts to.
    #[must_use]
    pub fn path(&self) -> &RoutePath {
        &self.path
    }

    /// All paths that are accepted: today's first, then those of before.
    pub fn paths(&self) -> impl Iterator<Item = &RoutePath> {
        std::iter::once(&self.path).chain(&self.former_paths)
    }

    /// The message group.
    #[must_use]
    pub fn ordering_key(&self) -> &Expression {
        &self.ordering_key
    }

    /// What makes two requests one event.
    #[must_use]
    pub fn deduplication(&self) -> &Deduplication {
        &self.deduplication
    }

    /// How events are signed, if they are verified.
    #[must_use]
    pub fn verify(&self) -> Option<&Verification> {
        self.verify.as_ref()
    }

    /// Where events go; never empty.
    #[must_use]
    pub fn destinations(&self) -> &[Destination] {
        &self.destinations
    }

    /// When attempts are repeated.
    #[must_use]
    pub fn schedule(&self) -> Schedule {
        self.schedule
    }

    /// Age at which a failing event is given up.
    #[must_use]
    pub fn give_up_after(&self) -> Duration {
        self.give_up_after
    }

    /// The header, in lower case, that is itself the secret that is verified by, if there is one.
    #[must_use]
    pub fn token_header(&self) -> Option<&str> {
        self.verify.as_ref().and_then(Verification::token_header)
    }

    /// The headers that travel with a message, in lower case and in order: those to pass on, and
    /// those to verify by, but for a token, which travels apart.
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

    /// The headers that are passed on, as far as `message` has them. Other attributes are not looked
    /// at: whoever can send to the queue does not choose our headers.
    pub fn passed_headers<'a>(
        &'a self,
        message: &'a Message,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.pass_headers.iter().filter_map(|name| Some((name.as_str(), message.header(name)?)))
    }

    /// The secrets that this route needs, to verify and to sign.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretReference> {
        let verify = self.verify.iter().flat_map(|verify| &verify.secrets);
        verify.chain(self.destinations.iter().flat_map(Destination::secrets))
    }

    /// What names an event: its value leaves as `webhook-id`.
    #[must_use]
    pub fn event_id(&self) -> &Expression {
        &self.event_id
    }

    /// The route key of the HTTP API: `POST /sqs-hook`.
    #[must_use]
    pub fn route_key(&self) -> String {
        route_key(&self.path)
    }

    /// The route keys of all its paths, today's first.
    pub fn route_keys(&self) -> impl Iterator<Item = String> {
        self.paths().map(route_key)
    }

    /// The longest that one attempt can take: the destinations are called side by side.
    #[must_use]
    pub fn attempt_timeout(&self) -> Duration {
        self.destinations.iter().map(|destination| destination.timeout).max().unwrap_or_default()
    }

    /// The request parameters of this route's integration, by API Gateway's names.
    #[must_use]
    pub fn request_parameters(&self, queue_url: &str) -> BTreeMap<String, String> {
        let mut attributes = BTreeMap::from([
            (attribute::ROUTE.to_owned(), self.name.clone()),
            (attribute::EVENT_ID.to_owned(), self.event_id.interpolated()),
            (attribute::ACCEPTED_AT.to_owned(), "${context.requestTimeEpoch}".to_owned()),
        ]);
        let carried = self.carried_headers();
        if !carried.is_empty() {
            attributes.insert(attribute::HEADERS.to_owned(), carried::template(&carried));
        }
        if let Some(name) = self.token_header() {
            attributes.insert(attribute::TOKEN.to_owned(), format!("${{request.header.{name}}}"));
        }
        let attributes: serde_json::Map<String, serde_json::Value> = attributes
            .into_iter()
            .map(|(name, value)| (name, json!({ "DataType": "String", "StringValue": value })))
            .collect();
        let deduplication_id = match &self.deduplication {
            Deduplication::Request => Some("$context.requestId"),
            Deduplication::By(expression) => Some(expression.source()),
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

fn route_key(path: &RoutePath) -> String {
    format!("POST {path}")
}
