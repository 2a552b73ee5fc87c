//! How a request becomes a queue message: API Gateway's `SQS-SendMessage` integration.
//!
//! A route's request parameters are text, as Terraform writes them. They are parsed into
//! [`RequestParameters`] once and evaluated for every request, so what runs on one machine is what
//! API Gateway is given.

mod expression;
mod request;

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

pub use expression::{Expression, ExpressionError};
pub use request::{Context, Request};

use crate::attribute::{Attribute, Attributes};

/// The names of the parameters, as API Gateway spells them.
/// Source: API Gateway guide, "Integration subtype reference".
pub mod parameter {
    /// The queue's URL; required.
    pub const QUEUE_URL: &str = "QueueUrl";
    /// The message's body; required.
    pub const MESSAGE_BODY: &str = "MessageBody";
    /// The message group; SQS requires it for FIFO queues.
    pub const MESSAGE_GROUP_ID: &str = "MessageGroupId";
    /// What SQS recognises a repeated send by, unless it is to take the body's hash.
    pub const MESSAGE_DEDUPLICATION_ID: &str = "MessageDeduplicationId";
    /// JSON text with the attributes.
    pub const MESSAGE_ATTRIBUTES: &str = "MessageAttributes";
}

/// The parsed request parameters of one `SQS-SendMessage` integration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestParameters {
    queue_url: Expression,
    message_body: Expression,
    message_group_id: Expression,
    message_deduplication_id: Option<Expression>,
    message_attributes: Option<Expression>,
}

/// What an integration sends to SQS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendMessage {
    /// The queue.
    pub queue_url: String,
    /// The body, as received.
    pub body: String,
    /// The message group.
    pub group_id: String,
    /// `None` where SQS takes the body's hash.
    pub deduplication_id: Option<String>,
    /// The message attributes.
    pub attributes: Attributes,
}

/// Why request parameters are not an `SQS-SendMessage` integration's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestParametersError {
    /// A parameter that is needed for a FIFO queue is not there.
    #[error("parameter {0} is missing")]
    Missing(&'static str),
    /// A parameter that this integration has not.
    #[error("unknown parameter {0:?}")]
    Unknown(String),
    /// A value that does not parse.
    #[error("parameter {name}: {source}")]
    Expression {
        /// The parameter.
        name: String,
        /// What is wrong with it.
        source: ExpressionError,
    },
}

/// A parameter that a request gives no value for; API Gateway then refuses the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unresolvable {
    property: String,
    source: String,
    missing: Option<String>,
}

impl Unresolvable {
    /// The parameter that cannot be made.
    #[must_use]
    pub fn property(&self) -> &str {
        &self.property
    }

    /// What the request has no value for, as an expression names it; `None` if it has all, and the
    /// attributes do not come out as attributes.
    #[must_use]
    pub fn missing(&self) -> Option<&str> {
        self.missing.as_deref()
    }
}

impl std::fmt::Display for Unresolvable {
    /// In API Gateway's words, as its users know them from its access log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Unable to resolve property {} from source {}", self.property, self.source)
    }
}

impl std::error::Error for Unresolvable {}

impl RequestParameters {
    /// Parses the parameters of an integration, by name.
    ///
    /// # Errors
    ///
    /// [`RequestParametersError`] for a missing or unknown name and for a value that does not parse.
    pub fn parse(parameters: &BTreeMap<String, String>) -> Result<Self, RequestParametersError> {
        const KNOWN: [&str; 5] = [
            parameter::QUEUE_URL,
            parameter::MESSAGE_BODY,
            parameter::MESSAGE_GROUP_ID,
            parameter::MESSAGE_DEDUPLICATION_ID,
            parameter::MESSAGE_ATTRIBUTES,
        ];
        if let Some(unknown) = parameters.keys().find(|name| !KNOWN.contains(&name.as_str())) {
            return Err(RequestParametersError::Unknown(unknown.clone()));
        }
        let optional = |name: &str| {
            let parse = |source: &String| Expression::parse(source);
            parameters.get(name).map(parse).transpose().map_err(|source| {
                RequestParametersError::Expression { name: name.to_owned(), source }
            })
        };
        let required = |name| optional(name)?.ok_or(RequestParametersError::Missing(name));
        Ok(Self {
            queue_url: required(parameter::QUEUE_URL)?,
            message_body: required(parameter::MESSAGE_BODY)?,
            message_group_id: required(parameter::MESSAGE_GROUP_ID)?,
            message_deduplication_id: optional(parameter::MESSAGE_DEDUPLICATION_ID)?,
            message_attributes: optional(parameter::MESSAGE_ATTRIBUTES)?,
        })
    }

    /// What the integration sends for `request`.
    ///
    /// Values that go into the JSON of the attributes are escaped, so that a caller's header can
    /// never become an attribute of its own.
    ///
    /// # Errors
    ///
    /// [`Unresolvable`] if the request lacks something that a parameter is made from, or if the
    /// attributes do not come out as attributes.
    pub fn evaluate(&self, request: &Request<'_>) -> Result<SendMessage, Unresolvable> {
        let plain = |name, expression| request.resolve(name, expression, |value| value);
        let deduplication_id = self
            .message_deduplication_id
            .as_ref()
            .map(|expression| plain(parameter::MESSAGE_DEDUPLICATION_ID, expression))
            .transpose()?;
        let attributes = match &self.message_attributes {
            None => Attributes::new(),
            Some(expression) => {
                let json =
                    request.resolve(parameter::MESSAGE_ATTRIBUTES, expression, json_escaped)?;
                attributes(&json).ok_or_else(|| Unresolvable {
                    property: parameter::MESSAGE_ATTRIBUTES.to_owned(),
                    source: expression.source().to_owned(),
                    missing: None,
                })?
            }
        };
        Ok(SendMessage {
            queue_url: plain(parameter::QUEUE_URL, &self.queue_url)?,
            body: plain(parameter::MESSAGE_BODY, &self.message_body)?,
            group_id: plain(parameter::MESSAGE_GROUP_ID, &self.message_group_id)?,
            deduplication_id,
            attributes,
        })
    }
}

fn json_escaped(value: Cow<'_, str>) -> Cow<'_, str> {
    let quoted = serde_json::Value::from(value.as_ref()).to_string();
    let inner = &quoted[1..quoted.len() - 1];
    if inner == value { value } else { Cow::Owned(inner.to_owned()) }
}

/// The attributes as SQS's API spells them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ApiAttribute {
    #[serde(rename = "DataType")]
    data_type: String,
    #[serde(rename = "StringValue")]
    string_value: String,
}

fn attributes(json: &str) -> Option<Attributes> {
    let attributes: BTreeMap<String, ApiAttribute> = serde_json::from_str(json).ok()?;
    let attribute = |(name, ApiAttribute { data_type, string_value })| {
        (name, Attribute { data_type, value: string_value })
    };
    Some(attributes.into_iter().map(attribute).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(changes: &[(&str, Option<&str>)]) -> BTreeMap<String, String> {
        let mut parameters = BTreeMap::from(
            [
                ("QueueUrl", "http://q/webhook.fifo"),
                ("MessageBody", "$request.body"),
                ("MessageGroupId", "$request.header.x-workflow-id"),
                ("MessageDeduplicationId", "$context.requestId"),
                (
                    "MessageAttributes",
                    r#"{"event_id":{"DataType":"String","StringValue":"${context.requestId}"},
                        "header.x":{"DataType":"String","StringValue":"${request.header.x}"}}"#,
                ),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        for (name, value) in changes {
            match value {
                Some(value) => parameters.insert((*name).to_owned(), (*value).to_owned()),
                None => parameters.remove(*name),
            };
        }
        parameters
    }

    fn request<'a>(headers: Vec<(&'a str, &'a str)>) -> Request<'a> {
        let context = Context { request_id: "r-1", ..Context::default() };
        Request { headers, body: "{\"a\":1}", context, ..Request::default() }
    }

    #[test]
    fn a_request_becomes_a_message() {
        let parameters = RequestParameters::parse(&parameters(&[])).unwrap();
        let message =
            parameters.evaluate(&request(vec![("X-Workflow-Id", "w-7"), ("x", "1")])).unwrap();
        assert_eq!(
            message,
            SendMessage {
                queue_url: "http://q/webhook.fifo".into(),
                body: "{\"a\":1}".into(),
                group_id: "w-7".into(),
                deduplication_id: Some("r-1".into()),
                attributes: Attributes::from([
                    ("event_id".into(), Attribute::string("r-1")),
                    ("header.x".into(), Attribute::string("1")),
                ]),
            }
        );
    }

    #[test]
    fn a_header_cannot_become_an_attribute_of_its_own() {
        let parameters = RequestParameters::parse(&parameters(&[])).unwrap();
        let evil = r#"1"},"event_id":{"DataType":"String","StringValue":"forged"#;
        let message =
            parameters.evaluate(&request(vec![("x-workflow-id", "w"), ("x", evil)])).unwrap();
        assert_eq!(message.attributes["header.x"].value, evil);
        assert_eq!(message.attributes["event_id"].value, "r-1");
    }

    #[test]
    fn an_unresolvable_value_is_named_in_aws_words() {
        let parameters = RequestParameters::parse(&parameters(&[])).unwrap();
        let error = parameters.evaluate(&request(vec![("x", "1")])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Unable to resolve property MessageGroupId from source $request.header.x-workflow-id"
        );
    }

    #[test]
    fn what_has_no_value_is_named() {
        let parameters = RequestParameters::parse(&parameters(&[])).unwrap();
        let error = parameters.evaluate(&request(vec![("x-workflow-id", "w")])).unwrap_err();
        assert_eq!(error.property(), "MessageAttributes");
        assert_eq!(error.missing(), Some("$request.header.x"));
    }

    #[test]
    fn parameters_are_checked_by_name_and_value() {
        let check = |changes, expected: &str| {
            let error = RequestParameters::parse(&parameters(changes)).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        };
        check(&[("QueueUrl", None)], "parameter QueueUrl is missing");
        check(&[("MessageGroupId", None)], "parameter MessageGroupId is missing");
        check(&[("Messagebody", Some("x"))], "unknown parameter \"Messagebody\"");
        check(&[("MessageGroupId", Some("$request.x"))], "unknown variable \"$request.x\"");
    }
}
