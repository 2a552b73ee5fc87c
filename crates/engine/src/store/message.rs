//! A message on its way in and on its way out, and what SQS accepts as one.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::quota;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::limits;
use super::sender::Sender;

/// Message attributes by name.
pub type MessageAttributes = BTreeMap<String, MessageAttribute>;

/// One message attribute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageAttribute {
    /// `String`, `Number` or `Binary`, with a label of the sender's after a dot if there is one.
    #[serde(rename = "type")]
    pub data_type: String,
    /// The value.
    pub value: AttributeValue,
}

/// As the domain has it: of bytes their base64 text.
impl From<&MessageAttribute> for domain::attribute::Attribute {
    fn from(attribute: &MessageAttribute) -> Self {
        let value = match &attribute.value {
            AttributeValue::Text(text) => text.clone(),
            AttributeValue::Binary(bytes) => STANDARD.encode(bytes),
        };
        Self { data_type: attribute.data_type.clone(), value }
    }
}

/// As a queue has it; `None` of what only says that it is base64.
impl TryFrom<domain::attribute::Attribute> for MessageAttribute {
    type Error = base64::DecodeError;

    fn try_from(attribute: domain::attribute::Attribute) -> Result<Self, Self::Error> {
        let value = if attribute.is_binary() {
            AttributeValue::Binary(STANDARD.decode(&attribute.value)?)
        } else {
            AttributeValue::Text(attribute.value)
        };
        Ok(Self { data_type: attribute.data_type, value })
    }
}

/// The value of a message attribute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttributeValue {
    /// Of a `String` or `Number`.
    Text(String),
    /// Of a `Binary`.
    Binary(#[serde(with = "base64_text")] Vec<u8>),
}

impl MessageAttribute {
    /// A `String` attribute.
    #[must_use]
    pub fn string(value: impl Into<String>) -> Self {
        Self { data_type: "String".to_owned(), value: AttributeValue::Text(value.into()) }
    }

    /// The value of a `String` or `Number`.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            AttributeValue::Text(text) => Some(text),
            AttributeValue::Binary(_) => None,
        }
    }

    fn bytes(&self) -> usize {
        let value = match &self.value {
            AttributeValue::Text(text) => text.len(),
            AttributeValue::Binary(bytes) => bytes.len(),
        };
        self.data_type.len() + value
    }
}

/// A message to send.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewMessage {
    /// The body.
    pub body: String,
    /// `MessageGroupId`.
    pub group_id: String,
    /// `MessageDeduplicationId`; the body's digest stands in where the queue allows it.
    pub deduplication_id: Option<String>,
    /// Message attributes.
    pub attributes: MessageAttributes,
    /// The system attribute `AWSTraceHeader`.
    pub trace_header: Option<String>,
}

impl NewMessage {
    /// The size that counts: the body, and names, types and values of the attributes, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let attributes = self.attributes.iter().map(|(name, value)| name.len() + value.bytes());
        self.body.len() + attributes.sum::<usize>()
    }

    /// Whether a queue whose messages may have `max_message_bytes` bytes takes it.
    pub(crate) fn check(&self, max_message_bytes: u32) -> Result<(), StoreError> {
        self.check_contents()?;
        self.check_size(max_message_bytes)
    }

    /// Whether a queue takes it, if it is not too large.
    pub(super) fn check_contents(&self) -> Result<(), StoreError> {
        if self.group_id.is_empty() {
            return Err(StoreError::MissingParameter("MessageGroupId"));
        }
        check_id("MessageGroupId", &self.group_id)?;
        if let Some(id) = &self.deduplication_id {
            check_id("MessageDeduplicationId", id)?;
        }
        if self.body.is_empty() {
            return Err(StoreError::MissingParameter("MessageBody"));
        }
        if !self.body.chars().all(quota::is_body_char) {
            return Err(StoreError::InvalidMessageContents(
                "the message body contains a character that is not allowed: only #x9, #xA, #xD, \
                 #x20 to #xD7FF, #xE000 to #xFFFD and #x10000 to #x10FFFF are"
                    .to_owned(),
            ));
        }
        check_attributes(&self.attributes)
    }

    pub(super) fn check_size(&self, max_message_bytes: u32) -> Result<(), StoreError> {
        let bytes = self.bytes();
        if bytes > max_message_bytes as usize {
            return Err(StoreError::InvalidParameterValue(format!(
                "One or more parameters are invalid. Reason: Message must be shorter than \
                 {max_message_bytes} bytes."
            )));
        }
        Ok(())
    }
}

/// What a send was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// `MessageId`: of the first send when this one was a duplicate.
    pub message_id: String,
    /// Place in the queue's order.
    pub sequence_number: SequenceNumber,
    /// Whether the message was recognised as a repeat and not put into the queue. SQS does not say.
    pub duplicate: bool,
}

/// A message's place in the order of its group. Shown as 20 digits, so that the order of the numbers
/// is the order of the texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SequenceNumber(pub(super) i64);

/// So that all have 20 digits, as SQS's have.
const FIRST_OF_20_DIGITS: u64 = 10_000_000_000_000_000_000;

impl SequenceNumber {
    /// Before every message's.
    pub(crate) const FIRST: Self = Self(0);

    /// The number as it is stored.
    pub(crate) fn stored(self) -> i64 {
        self.0
    }

    /// The number that a text shows.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let number = text.parse::<u64>().ok()?.checked_sub(FIRST_OF_20_DIGITS)?;
        i64::try_from(number).ok().map(Self)
    }
}

impl std::fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", FIRST_OF_20_DIGITS.saturating_add(self.0.unsigned_abs()))
    }
}

/// A message that was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedMessage {
    /// `MessageId`.
    pub message_id: String,
    /// What deletes this message, or changes its visibility, until it is visible again.
    pub receipt_handle: String,
    /// The body.
    pub body: String,
    /// `MessageGroupId`.
    pub group_id: String,
    /// `MessageDeduplicationId`.
    pub deduplication_id: String,
    /// Message attributes.
    pub attributes: MessageAttributes,
    /// The system attribute `AWSTraceHeader`.
    pub trace_header: Option<String>,
    /// `SequenceNumber`.
    pub sequence_number: SequenceNumber,
    /// `SenderId`.
    pub sender: Sender,
    /// `SentTimestamp`: for a dead letter, when it became one.
    pub sent_at: Timestamp,
    /// `ApproximateReceiveCount`, this receive included.
    pub receive_count: u32,
    /// `ApproximateFirstReceiveTimestamp`.
    pub first_received_at: Timestamp,
    /// `DeadLetterQueueSourceArn`, if a redrive policy brought it here.
    pub dead_letter_source: Option<String>,
}

pub(super) fn check_id(parameter: &'static str, id: &str) -> Result<(), StoreError> {
    if quota::is_id(id) {
        return Ok(());
    }
    Err(StoreError::InvalidParameterValue(format!(
        "The value for parameter {parameter}, of {} bytes, is invalid. Reason: {parameter} can only \
         include alphanumeric and punctuation characters. 1 to 128 in length.",
        id.len()
    )))
}

fn check_attributes(attributes: &MessageAttributes) -> Result<(), StoreError> {
    if attributes.len() > quota::MESSAGE_ATTRIBUTES_MAX {
        return Err(StoreError::InvalidParameterValue(format!(
            "Number of message attributes [{}] exceeds the allowed maximum [{}].",
            attributes.len(),
            quota::MESSAGE_ATTRIBUTES_MAX
        )));
    }
    attributes.iter().try_for_each(|(name, attribute)| check_attribute(name, attribute))
}

fn check_attribute(name: &str, attribute: &MessageAttribute) -> Result<(), StoreError> {
    let invalid = |reason: &str| {
        Err(StoreError::InvalidParameterValue(format!("Message attribute {name:?}: {reason}.")))
    };
    let empty = |kind: &str| {
        Err(StoreError::InvalidParameterValue(format!(
            "Message (user) attribute '{name}' must contain a non-empty value of type '{kind}'."
        )))
    };
    if !is_attribute_name(name) {
        return invalid("the name is not valid");
    }
    let kind = attribute.data_type.split('.').next().unwrap_or_default();
    if attribute.data_type.chars().count() > limits::ATTRIBUTE_NAME_CHARS_MAX {
        return invalid("the type is too long");
    }
    match (kind, &attribute.value) {
        ("String" | "Number", AttributeValue::Text(text)) if text.is_empty() => empty(kind),
        ("String", AttributeValue::Text(text)) => {
            if text.chars().all(quota::is_body_char) {
                Ok(())
            } else {
                invalid("the value contains a character that is not allowed")
            }
        }
        ("Number", AttributeValue::Text(text)) if is_number(text) => Ok(()),
        ("Number", AttributeValue::Text(_)) => invalid("the value cannot be cast to a number"),
        ("Binary", AttributeValue::Binary(bytes)) if !bytes.is_empty() => Ok(()),
        ("Binary", AttributeValue::Binary(_)) => empty(kind),
        _ => invalid("the type must be String, Number or Binary, and fit the value"),
    }
}

/// Digits with a point and an exponent, within SQS's range: 38 digits, from 10^-128 to 10^126.
/// Source: SQS guide, "Message metadata".
fn is_number(text: &str) -> bool {
    const DIGITS_MAX: usize = 38;
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [whole, fraction].concat();
    let significant = digits.trim_matches('0').len();
    let Some(value) = exponent.parse::<i32>().ok().and_then(|_| unsigned.parse::<f64>().ok())
    else {
        return false;
    };
    // Of names of numbers, such as `nan`, none is in the range.
    significant <= DIGITS_MAX && (significant == 0 || (1e-128..=1e126).contains(&value))
}

fn is_attribute_name(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    (1..=limits::ATTRIBUTE_NAME_CHARS_MAX).contains(&name.chars().count())
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
        && !name.starts_with('.')
        && !name.ends_with('.')
        && !name.contains("..")
        && !lower.starts_with("aws.")
        && !lower.starts_with("amazon.")
}

mod base64_text {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(text: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(text)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> NewMessage {
        NewMessage { body: "b".to_owned(), group_id: "g".to_owned(), ..NewMessage::default() }
    }

    fn with_attribute(name: &str, data_type: &str, value: AttributeValue) -> NewMessage {
        let attribute = MessageAttribute { data_type: data_type.to_owned(), value };
        NewMessage { attributes: [(name.to_owned(), attribute)].into(), ..message() }
    }

    fn with_attributes(number: usize) -> NewMessage {
        let attribute = |n| (format!("a{n}"), MessageAttribute::string("v"));
        NewMessage { attributes: (0..number).map(attribute).collect(), ..message() }
    }

    fn text(value: &str) -> AttributeValue {
        AttributeValue::Text(value.to_owned())
    }

    #[test]
    fn good_attributes_are_accepted() {
        for good in [
            with_attribute("header.x-workflow-id", "String", text("注文")),
            with_attribute("attr.1øßä", "String", text("v")),
            with_attribute(&"注".repeat(256), "String", text("v")),
            with_attribute("n", "Number.int", text("-1.5")),
            with_attribute("b", "Binary", AttributeValue::Binary(vec![0, 255])),
            with_attribute("a", &format!("String.{}", "x".repeat(249)), text("v")),
            with_attributes(10),
        ] {
            good.check(1024).unwrap();
        }
    }

    #[test]
    fn bad_messages_are_refused() {
        for bad in [
            NewMessage { body: String::new(), ..message() },
            NewMessage { body: "\u{0}".to_owned(), ..message() },
            NewMessage { group_id: String::new(), ..message() },
            NewMessage { group_id: "a b".to_owned(), ..message() },
            NewMessage { deduplication_id: Some("注".to_owned()), ..message() },
            with_attribute("AWS.x", "String", text("v")),
            with_attribute(".x", "String", text("v")),
            with_attribute("a..b", "String", text("v")),
            with_attribute(&"注".repeat(257), "String", text("v")),
            with_attribute("§", "String", text("v")),
            with_attribute("a?", "String", text("v")),
            with_attribute("aWs.x", "String", text("v")),
            with_attribute("a", "String", text("")),
            with_attribute("a", "String", text("\u{1}")),
            with_attribute("a", "Number", text("one")),
            with_attribute("a", "Number", text("")),
            with_attribute("a", "Number", AttributeValue::Binary(vec![1])),
            with_attribute("a", "Binary", text("v")),
            with_attribute("a", "Binary", AttributeValue::Binary(Vec::new())),
            with_attribute("a", "Text", text("v")),
            with_attribute("a", &format!("String.{}", "x".repeat(250)), text("v")),
            with_attributes(11),
        ] {
            assert!(bad.check(1024).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_is_wrong_with_an_attribute_is_said() {
        for (data_type, value, expected) in [
            ("String", text(""), "a non-empty value of type 'String'"),
            ("Number", text("one"), "the value cannot be cast to a number"),
            ("Binary", AttributeValue::Binary(Vec::new()), "a non-empty value of type 'Binary'"),
            ("Binary", text("v"), "the type must be String, Number or Binary"),
        ] {
            let error = with_attribute("a", data_type, value).check(1024).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_number_is_one_of_sqs_s() {
        let largest = format!("1{}", "0".repeat(126));
        for good in ["0", "-0.0", "+7", ".5", "5.", "1E10", "-1.5e-3", "1e126", "1e-128", &largest]
        {
            assert!(is_number(good), "{good}");
        }
        let digits = ["1".repeat(38), "1".repeat(39)];
        assert!(is_number(&digits[0]));
        for bad in [
            "",
            "-",
            ".",
            "e1",
            "1e",
            "NaN",
            "nan",
            "inf",
            "-inf",
            "Infinity",
            "1e400",
            "1e127",
            "1e-129",
            "0x10",
            "1_000",
            " 1",
            "1 ",
            "--1",
            "1.2.3",
            "1e1.5",
            "1e99999999999",
            "１",
            &digits[1],
        ] {
            assert!(!is_number(bad), "{bad}");
        }
    }

    #[test]
    fn names_types_and_values_count_as_size() {
        let message = with_attribute("ab", "String", text("xyz"));
        assert_eq!(message.bytes(), 1 + 2 + 6 + 3);
        assert!(message.check(12).is_ok());
        assert!(message.check(11).is_err());
    }

    #[test]
    fn sequence_numbers_sort_as_texts() {
        let texts = [1, 9, 10, i64::MAX].map(|number| SequenceNumber(number).to_string());
        assert!(texts.is_sorted());
        assert!(texts.iter().all(|text| text.len() == 20));
    }
}
