//! A batch as the function gets it: Lambda's event for SQS.
//!
//! Source: Lambda guide, "Using Lambda with Amazon SQS", FIFO example; field names and types are AWS's.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use domain::time::Timestamp;
use serde::ser::{Serialize, Serializer};

use crate::store::{AttributeValue, MessageAttribute, ReceivedMessage};

/// The same for every event of one mapping.
#[derive(Debug, Clone)]
pub(crate) struct EventSource {
    /// The queue's ARN.
    pub(crate) arn: String,
    /// The queue's region.
    pub(crate) region: String,
}

#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
struct Event<'a> {
    records: Vec<Record<'a>>,
}

#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    message_id: &'a str,
    receipt_handle: &'a str,
    body: &'a str,
    attributes: SystemAttributes<'a>,
    message_attributes: BTreeMap<&'a str, Attribute<'a>>,
    md5_of_body: String,
    event_source: &'a str,
    #[serde(rename = "eventSourceARN")]
    event_source_arn: &'a str,
    aws_region: &'a str,
}

#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
struct SystemAttributes<'a> {
    #[serde(serialize_with = "text")]
    approximate_receive_count: u32,
    sent_timestamp: EpochMs,
    #[serde(serialize_with = "text")]
    sequence_number: crate::store::SequenceNumber,
    message_group_id: &'a str,
    sender_id: &'a str,
    message_deduplication_id: &'a str,
    approximate_first_receive_timestamp: EpochMs,
    #[serde(rename = "AWSTraceHeader", skip_serializing_if = "Option::is_none")]
    trace_header: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dead_letter_queue_source_arn: Option<&'a str>,
}

#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Attribute<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    string_value: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    binary_value: Option<String>,
    string_list_values: [(); 0],
    binary_list_values: [(); 0],
    data_type: &'a str,
}

/// The event for as many of the messages, from the first, as fit into `bytes_max`, and for one at
/// least; and how many that are.
pub(crate) fn within(
    messages: &[ReceivedMessage],
    source: &EventSource,
    bytes_max: usize,
) -> (usize, Bytes) {
    let mut count = messages.len();
    loop {
        let event = event(&messages[..count], source);
        if event.len() <= bytes_max || count <= 1 {
            return (count, event);
        }
        count -= 1;
    }
}

/// The event for a batch.
pub(crate) fn event(messages: &[ReceivedMessage], source: &EventSource) -> Bytes {
    let records = messages.iter().map(|message| record(message, source)).collect();
    serde_json::to_vec(&Event { records }).expect("strings and lists, keys are strings").into()
}

fn record<'a>(message: &'a ReceivedMessage, source: &'a EventSource) -> Record<'a> {
    let attributes = message.attributes.iter();
    Record {
        message_id: &message.message_id,
        receipt_handle: &message.receipt_handle,
        body: &message.body,
        attributes: SystemAttributes {
            approximate_receive_count: message.receive_count,
            sent_timestamp: EpochMs(message.sent_at),
            sequence_number: message.sequence_number,
            message_group_id: &message.group_id,
            sender_id: message.sender.id(),
            message_deduplication_id: &message.deduplication_id,
            approximate_first_receive_timestamp: EpochMs(message.first_received_at),
            trace_header: message.trace_header.as_deref(),
            dead_letter_queue_source_arn: message.dead_letter_source.as_deref(),
        },
        message_attributes: attributes
            .map(|(name, attribute)| (name.as_str(), Attribute::of(attribute)))
            .collect(),
        md5_of_body: crate::sqs::md5::of_body(&message.body),
        event_source: "aws:sqs",
        event_source_arn: &source.arn,
        aws_region: &source.region,
    }
}

impl<'a> Attribute<'a> {
    fn of(attribute: &'a MessageAttribute) -> Self {
        let (string_value, binary_value) = match &attribute.value {
            AttributeValue::Text(text) => (Some(text.as_str()), None),
            AttributeValue::Binary(bytes) => (None, Some(STANDARD.encode(bytes))),
        };
        Self {
            string_value,
            binary_value,
            string_list_values: [],
            binary_list_values: [],
            data_type: &attribute.data_type,
        }
    }
}

fn text<S: Serializer>(value: &impl std::fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// A time as SQS writes it: milliseconds, as text.
struct EpochMs(Timestamp);

impl Serialize for EpochMs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0.as_ms())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::clock::ManualClock;
    use crate::store::{NewMessage, ReceiveRequest, Store};
    use std::sync::Arc;

    #[tokio::test]
    async fn a_batch_has_as_many_messages_as_fit_and_one_at_least() {
        let store = Store::in_memory(Arc::new(ManualClock::at(Timestamp::from_ms(1_500)))).unwrap();
        let fifo = [("FifoQueue".to_owned(), "true".to_owned())].into();
        store.ensure_queue("q.fifo", &fifo).await.unwrap();
        for n in 0..5 {
            let message = NewMessage {
                body: "x".repeat(1_000),
                group_id: "g".to_owned(),
                deduplication_id: Some(n.to_string()),
                attributes: [].into(),
                trace_header: None,
            };
            store.send("q.fifo", message).await.unwrap();
        }
        let request = ReceiveRequest { max_messages: 5, ..ReceiveRequest::default() };
        let messages = store.receive("q.fifo", request).await.unwrap();
        let source = EventSource { arn: "arn".to_owned(), region: "us-east-1".to_owned() };
        let bytes = |count: usize| event(&messages[..count], &source).len();
        for (bytes_max, count) in [
            (usize::MAX, 5),
            (bytes(5), 5),
            (bytes(5) - 1, 4),
            (bytes(2), 2),
            (bytes(1), 1),
            (1, 1),
        ] {
            let (fitting, event) = within(&messages, &source, bytes_max);
            assert_eq!((fitting, event.len()), (count, bytes(count)), "{bytes_max}");
        }
    }

    #[tokio::test]
    async fn a_batch_has_the_shape_of_lambdas_documentation() {
        let store = Store::in_memory(Arc::new(ManualClock::at(Timestamp::from_ms(1_500)))).unwrap();
        let fifo = [("FifoQueue".to_owned(), "true".to_owned())].into();
        store.ensure_queue("q.fifo", &fifo).await.unwrap();
        let message = NewMessage {
            body: "\u{6ce8}\n".to_owned(),
            group_id: "g".to_owned(),
            deduplication_id: Some("d".to_owned()),
            attributes: [
                ("route".to_owned(), MessageAttribute::string("sss")),
                (
                    "raw".to_owned(),
                    MessageAttribute {
                        data_type: "Binary".to_owned(),
                        value: AttributeValue::Binary(vec![0, 255]),
                    },
                ),
            ]
            .into(),
            trace_header: None,
        };
        let sent = store.send("q.fifo", message).await.unwrap();
        let messages = store.receive("q.fifo", ReceiveRequest::default()).await.unwrap();
        let source = EventSource {
            arn: "arn:aws:sqs:us-east-1:000000000000:q.fifo".to_owned(),
            region: "us-east-1".to_owned(),
        };
        let event: serde_json::Value = serde_json::from_slice(&event(&messages, &source)).unwrap();
        assert_eq!(
            event,
            json!({ "Records": [{
                "messageId": sent.message_id,
                "receiptHandle": messages[0].receipt_handle,
                "body": "\u{6ce8}\n",
                "attributes": {
                    "ApproximateReceiveCount": "1",
                    "SentTimestamp": "1500",
                    "SequenceNumber": sent.sequence_number.to_string(),
                    "MessageGroupId": "g",
                    "SenderId": "AIDALOCAL",
                    "MessageDeduplicationId": "d",
                    "ApproximateFirstReceiveTimestamp": "1500",
                },
                "messageAttributes": {
                    "raw": { "binaryValue": "AP8=", "stringListValues": [], "binaryListValues": [],
                             "dataType": "Binary" },
                    "route": { "stringValue": "sss", "stringListValues": [],
                               "binaryListValues": [], "dataType": "String" },
                },
                "md5OfBody": crate::sqs::md5::of_body("\u{6ce8}\n"),
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:q.fifo",
                "awsRegion": "us-east-1",
            }] })
        );
    }
}
