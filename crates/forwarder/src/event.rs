//! The event source mapping's JSON, as messages. A record that is no message is handed on as it is:
//! it must be neither lost nor retried for ever.

use std::collections::HashMap;

use aws_lambda_events::event::sqs::{SqsEvent, SqsMessage, SqsMessageAttribute};
use domain::attribute::{Attribute, Attributes};
use domain::dead_letter::Unreadable;
use domain::message::Message;
use domain::quota;
use domain::time::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// The group of messages that come without one. SQS FIFO queues always have one; should the mapping
/// not pass it on, as some emulators do not, the batch counts as one group, which keeps its order.
const NO_GROUP: &str = "";

/// A batch.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) messages: Vec<Message>,
    pub(crate) unreadable: Vec<Unreadable>,
}

/// The records without a look inside.
#[derive(Deserialize)]
struct RawEvent<'a> {
    #[serde(borrow, rename = "Records")]
    records: Vec<&'a RawValue>,
}

/// Parses an event. `now` stands in for a missing time of sending.
pub(crate) fn parse(event: &str, now: Timestamp) -> Result<Batch, serde_json::Error> {
    let mut batch = Batch::default();
    if let Ok(SqsEvent { records, .. }) = serde_json::from_str(event) {
        for record in records {
            batch.add(message(record, now));
        }
        return Ok(batch);
    }
    // One record that does not parse must not hold up the others.
    let RawEvent { records } = serde_json::from_str(event)?;
    for record in records {
        batch.add(match serde_json::from_str::<SqsMessage>(record.get()) {
            Ok(record) => message(record, now),
            Err(error) => Err(salvaged(record.get(), &error.to_string())),
        });
    }
    Ok(batch)
}

impl Batch {
    fn add(&mut self, parsed: Result<Message, Unreadable>) {
        match parsed {
            Ok(message) => self.messages.push(message),
            Err(unreadable) => self.unreadable.push(unreadable),
        }
    }
}

fn message(record: SqsMessage, now: Timestamp) -> Result<Message, Unreadable> {
    if let Some(defect) = defect(&record) {
        let json = serde_json::to_string(&record).unwrap_or_default();
        return Err(salvaged(&json, defect));
    }
    let SqsMessage {
        message_id: Some(message_id),
        receipt_handle: Some(receipt_handle),
        body: Some(body),
        attributes: mut system,
        message_attributes,
        ..
    } = record
    else {
        unreachable!("a record without one of these has a defect");
    };
    let sent_at = system.get("SentTimestamp").and_then(|ms| ms.parse().ok());
    let receive_count = system.get("ApproximateReceiveCount").and_then(|count| count.parse().ok());
    Ok(Message {
        group_id: system.remove("MessageGroupId").unwrap_or_else(|| NO_GROUP.to_owned()),
        sequence_number: system.remove("SequenceNumber").unwrap_or_default(),
        trace_header: system.remove("AWSTraceHeader"),
        receive_count: receive_count.unwrap_or(1),
        sent_at: sent_at.map_or(now, Timestamp::from_ms),
        attributes: attributes(message_attributes),
        message_id,
        receipt_handle,
        body,
    })
}

/// Why a record is no message, if it is none.
fn defect(record: &SqsMessage) -> Option<&'static str> {
    let system = |name| record.attributes.get(name).map(String::as_str);
    if record.message_id.is_none() {
        Some("the record has no messageId")
    } else if record.receipt_handle.is_none() {
        Some("the record has no receiptHandle")
    } else if record.body.as_ref().is_none_or(String::is_empty) {
        Some("the record has no body")
    } else if system("MessageGroupId").is_some_and(|group| !quota::is_id(group)) {
        Some("the record's MessageGroupId is not one")
    } else if system("SequenceNumber").is_some_and(|sequence| !is_number(sequence)) {
        Some("the record's SequenceNumber is no number")
    } else {
        None
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn attributes(attributes: HashMap<String, SqsMessageAttribute>) -> Attributes {
    attributes.into_iter().map(|(name, value)| (name, attribute(value))).collect()
}

fn attribute(attribute: SqsMessageAttribute) -> Attribute {
    let binary = attribute.binary_value.as_ref().and_then(|bytes| {
        // Lambda hands over bytes in base64, and this is how the type writes them back.
        serde_json::to_value(bytes).ok()?.as_str().map(str::to_owned)
    });
    Attribute {
        data_type: attribute.data_type.unwrap_or_else(|| "String".to_owned()),
        value: attribute.string_value.or(binary).unwrap_or_default(),
    }
}

/// What can still be told of a record that is no message.
fn salvaged(record: &str, error: &str) -> Unreadable {
    let value: Value = serde_json::from_str(record).unwrap_or_default();
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let attributes = value.get("messageAttributes").and_then(Value::as_object);
    let attributes = attributes.into_iter().flatten().filter_map(|(name, value)| {
        let text = value.get("stringValue")?.as_str()?;
        Some((name.clone(), Attribute::string(text)))
    });
    Unreadable {
        message_id: text("/messageId"),
        body: text("/body").unwrap_or_else(|| record.to_owned()),
        group_id: text("/attributes/MessageGroupId"),
        attributes: attributes.collect(),
        error: error.to_owned(),
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
        parse(&json!({ "Records": records }).to_string(), Timestamp::from_ms(5)).unwrap()
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
        wrong_type["messageAttributes"]["route"]["stringListValues"] = Value::Null;
        let batch = parsed(&[no_body, wrong_type, json!(7), record()]);
        assert_eq!(batch.messages.len(), 1);
        assert_eq!(batch.unreadable.len(), 3);
        assert_eq!(batch.unreadable[0].error, "the record has no body");
        assert_eq!(batch.unreadable[1].body, "{\"注文\":7}");
        assert_eq!(batch.unreadable[1].group_id.as_deref(), Some("order-7"));
        assert_eq!(batch.unreadable[1].message_id.as_deref(), Some("m-1"));
        assert_eq!(batch.unreadable[2].body, "7");
    }

    #[test]
    fn what_is_no_event_is_an_error() {
        for text in ["", "{}", "[]", "{\"Records\":7}"] {
            assert!(parse(text, Timestamp::default()).is_err(), "{text}");
        }
    }
}
