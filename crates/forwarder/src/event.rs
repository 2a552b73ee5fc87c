//! The event source mapping's JSON, as messages. A record that is no message is handed on as it is:
//! it must be neither lost nor retried for ever.
//!
//! The shape stands here and not in a type of `aws_lambda_events` for what every invocation pays:
//! only fields that are needed are read, none through a hash map, and an odd value elsewhere in a
//! record does not make it unreadable.

use std::collections::BTreeMap;

use domain::attribute::Attribute;
use domain::carried::UnreadableHeaders;
use domain::dead_letter::Unreadable;
use domain::json::JsonError;
use domain::message::{Message, MessageError, Origin, Received};
use domain::time::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// A batch.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) messages: Vec<Message>,
    pub(crate) unreadable: Vec<Unreadable>,
}

/// Source: Lambda guide, "Using Lambda with Amazon SQS", example FIFO queue message event.
#[derive(Deserialize)]
struct Event {
    #[serde(rename = "Records")]
    records: Vec<Record>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    message_id: Option<String>,
    receipt_handle: Option<String>,
    body: Option<String>,
    attributes: Option<SystemAttributes>,
    message_attributes: Option<BTreeMap<String, MessageAttribute>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SystemAttributes {
    message_group_id: Option<String>,
    sequence_number: Option<String>,
    approximate_receive_count: Option<String>,
    sent_timestamp: Option<String>,
    sender_id: Option<String>,
    #[serde(rename = "AWSTraceHeader")]
    trace_header: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MessageAttribute {
    data_type: Option<String>,
    string_value: Option<String>,
    /// In base64.
    binary_value: Option<String>,
}

/// The records without a look inside.
#[derive(Deserialize)]
struct RawEvent<'a> {
    #[serde(borrow, rename = "Records")]
    records: Vec<&'a RawValue>,
}

/// Parses an event. `now` stands in for a missing time of sending, and `ingest` is the id of the role
/// that the ingest sends with, where that is known.
pub(crate) fn parse(event: &str, now: Timestamp, ingest: Option<&str>) -> Result<Batch, JsonError> {
    let message = |record| message(record, now, ingest);
    if let Ok(Event { records }) = serde_json::from_str(event)
        && let Ok(messages) = records.into_iter().map(message).collect()
    {
        return Ok(Batch { messages, unreadable: Vec::new() });
    }
    // One record that is no message must not hold up the others.
    let RawEvent { records } = serde_json::from_str(event)?;
    let mut batch = Batch::default();
    for record in records {
        let parsed = serde_json::from_str(record.get())
            .map_err(|error| JsonError::from(&error).to_string())
            .and_then(|record| message(record).map_err(|error| error.to_string()));
        match parsed {
            Ok(message) => batch.messages.push(message),
            Err(error) => batch.unreadable.push(salvaged(record.get(), error)),
        }
    }
    Ok(batch)
}

/// Why a record is no message.
#[derive(Debug, thiserror::Error)]
enum RecordError {
    #[error("the record has no {0}")]
    Missing(&'static str),
    #[error("the record is no message: {0}")]
    Message(#[from] MessageError),
    #[error(transparent)]
    Headers(#[from] UnreadableHeaders),
}

/// A record as a message, or why it is none. A group and a number are missing where the mapping does
/// not pass them on, as with some emulators: the batch then counts as one group, which keeps its order.
fn message(record: Record, now: Timestamp, ingest: Option<&str>) -> Result<Message, RecordError> {
    let system = record.attributes.unwrap_or_default();
    let origin = Origin::of(system.sender_id.as_deref(), ingest);
    let received = Received {
        message_id: record.message_id.ok_or(RecordError::Missing("messageId"))?,
        receipt_handle: record.receipt_handle.ok_or(RecordError::Missing("receiptHandle"))?,
        body: record.body.unwrap_or_default(),
        receive_count: parsed(system.approximate_receive_count).unwrap_or(1),
        sent_at: parsed(system.sent_timestamp).map_or(now, Timestamp::from_ms),
        attributes: record.message_attributes.map(attributes).unwrap_or_default(),
        trace_header: system.trace_header,
        group_id: system.message_group_id.unwrap_or_default(),
        sequence_number: system.sequence_number.unwrap_or_default(),
    };
    let message = Message::parse(received, origin)?;
    message.check_headers()?;
    Ok(message)
}

fn parsed<T: std::str::FromStr>(text: Option<String>) -> Option<T> {
    text?.parse().ok()
}

fn attributes(attributes: BTreeMap<String, MessageAttribute>) -> BTreeMap<String, Attribute> {
    let attribute = |attribute: MessageAttribute| Attribute {
        data_type: attribute.data_type.unwrap_or_else(|| "String".to_owned()),
        value: attribute.string_value.or(attribute.binary_value).unwrap_or_default(),
    };
    attributes.into_iter().map(|(name, value)| (name, attribute(value))).collect()
}

/// What can still be told of a record that is no message.
fn salvaged(record: &str, error: String) -> Unreadable {
    let value: Value = serde_json::from_str(record).unwrap_or_default();
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let attributes = value.get("messageAttributes").and_then(Value::as_object);
    let attributes = attributes.into_iter().flatten().filter_map(|(name, value)| {
        let text = value.get("stringValue")?.as_str()?;
        Some((name.clone(), Attribute::string(text)))
    });
    Unreadable {
        message_id: text("/messageId"),
        receipt_handle: text("/receiptHandle"),
        body: text("/body").unwrap_or_else(|| record.to_owned()),
        group_id: text("/attributes/MessageGroupId"),
        attributes: attributes.collect(),
        error,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record() -> Value {
        json!({
            "messageId": "m-1", "receiptHandle": "r-1", "body": "{\"注文\":7}",
            "attributes": {
                "ApproximateReceiveCount": "3", "SentTimestamp": "1767225600123",
                "SequenceNumber": "18849496460467696128", "MessageGroupId": "order-7",
                "MessageDeduplicationId": "d", "SenderId": "AIDA", "AWSTraceHeader": "Root=1-2-3",
                "ApproximateFirstReceiveTimestamp": "1767225600456",
            },
            "messageAttributes": {
                "route": { "stringValue": "sss", "stringListValues": [], "binaryListValues": [], "dataType": "String" },
                "raw": { "binaryValue": "AAEC", "stringListValues": [], "binaryListValues": [], "dataType": "Binary" },
            },
            "md5OfBody": "x", "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:ap-northeast-1:123456789012:q.fifo", "awsRegion": "ap-northeast-1",
        })
    }

    fn parsed(records: &[Value]) -> Batch {
        parse(&json!({ "Records": records }).to_string(), Timestamp::from_ms(5), Some("AROAINGEST"))
            .unwrap()
    }

    #[test]
    fn a_record_is_a_message() {
        let batch = parsed(&[record()]);
        let message = &batch.messages[0];
        assert_eq!((message.body.as_str(), message.group_id.as_str()), ("{\"注文\":7}", "order-7"));
        assert_eq!((message.receive_count, message.sent_at.as_ms()), (3, 1_767_225_600_123));
        assert_eq!(message.attributes["route"], Attribute::string("sss"));
        assert_eq!(message.attributes["raw"].value, "AAEC");
        assert_eq!(message.trace_header.as_deref(), Some("Root=1-2-3"));
    }

    #[test]
    fn a_record_without_system_attributes_is_still_delivered() {
        let mut bare = record();
        bare["attributes"] = json!({});
        let batch = parsed(&[bare]);
        let message = &batch.messages[0];
        assert_eq!(
            (message.group_id.as_str(), message.receive_count, message.sent_at.as_ms()),
            ("", 1, 5)
        );
    }

    #[test]
    fn a_broken_record_is_told_apart_from_the_others() {
        let mut no_body = record();
        no_body["body"] = Value::Null;
        let mut wrong_type = record();
        wrong_type["messageAttributes"]["route"]["stringValue"] = json!(7);
        let batch = parsed(&[no_body, wrong_type, json!(7), record()]);
        assert_eq!(batch.messages.len(), 1);
        assert_eq!(batch.unreadable.len(), 3);
        assert_eq!(batch.unreadable[0].error, "the record is no message: it has no body");
        assert_eq!(batch.unreadable[1].body, "{\"注文\":7}");
        assert_eq!(batch.unreadable[1].group_id.as_deref(), Some("order-7"));
        assert_eq!(batch.unreadable[1].message_id.as_deref(), Some("m-1"));
        assert_eq!(batch.unreadable[2].body, "7");
    }

    #[test]
    fn what_is_no_event_is_an_error() {
        for text in ["", "{}", "[]", "{\"Records\":7}"] {
            assert!(parse(text, Timestamp::default(), None).is_err(), "{text}");
        }
    }

    #[test]
    fn fuzz_event() {
        bolero::check!().for_each(|bytes: &[u8]| {
            let Ok(text) = std::str::from_utf8(bytes) else { return };
            let Ok(batch) = parse(text, Timestamp::from_ms(1), Some("AIDA")) else { return };
            // Whatever came is there, as a message or as a record that is none.
            let event: RawEvent<'_> = serde_json::from_str(text).unwrap();
            assert_eq!(batch.messages.len() + batch.unreadable.len(), event.records.len());
            assert!(batch.messages.iter().all(|message| !message.body.is_empty()));
        });
    }
}
