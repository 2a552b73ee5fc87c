//! Events as Lambda hands them to a function: batches of SQS messages from a FIFO queue.
//!
//! Source of the shape: Lambda guide, "Using Lambda with Amazon SQS", example of a FIFO event.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use domain::time::Timestamp;
use serde_json::{Value, json};

use crate::settings;

/// The ARN of the queue that events come from.
pub const QUEUE_ARN: &str = "arn:aws:sqs:us-east-1:000000000000:test-webhook.fifo";

/// The unique id of the role that the ingest sends messages with.
pub const INGEST: &str = "AROAEXAMPLEEXAMPLE";

/// One record of an event.
#[derive(Debug, Clone)]
pub struct Record(Value);

/// Sequence numbers increase in the order in which a test makes its messages, as SQS's do.
static SEQUENCE: AtomicU64 = AtomicU64::new(0);
/// A number with as many digits as SQS's have; twenty are more than a `u64` holds.
const SEQUENCE_PREFIX: &str = "188494964";

/// A message as the ingest sends it: accepted just now, received for the first time, with the event
/// id [`event_id`] of its message id.
#[must_use]
pub fn message(message_id: &str, group_id: &str) -> Record {
    let sequence = SEQUENCE.fetch_add(1, Ordering::Relaxed);
    let now = Timestamp::from(SystemTime::now()).as_ms().to_string();
    let record = Record(json!({
        "messageId": message_id,
        "receiptHandle": receipt_handle(message_id),
        "body": format!("{{\"message\":\"{message_id}\"}}"),
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": now,
            "SequenceNumber": format!("{SEQUENCE_PREFIX}{sequence:011}"),
            "MessageGroupId": group_id,
            "SenderId": format!("{INGEST}:ingest"),
            "MessageDeduplicationId": format!("deduplication-{message_id}"),
            "ApproximateFirstReceiveTimestamp": now,
        },
        "messageAttributes": {},
        "md5OfBody": "00000000000000000000000000000000",
        "eventSource": "aws:sqs",
        "eventSourceARN": QUEUE_ARN,
        "awsRegion": "us-east-1",
    }));
    record
        .attribute("route", settings::ROUTE)
        .attribute("event_id", &event_id(message_id))
        .attribute("accepted_at", &now)
}

/// The event id that [`message`] gives.
#[must_use]
pub fn event_id(message_id: &str) -> String {
    format!("evt-{message_id}")
}

/// The receipt handle that [`message`] gives.
#[must_use]
pub fn receipt_handle(message_id: &str) -> String {
    format!("receipt-{message_id}")
}

/// The event of a batch.
#[must_use]
pub fn event(records: impl IntoIterator<Item = Record>) -> Value {
    json!({ "Records": records.into_iter().map(|record| record.0).collect::<Vec<_>>() })
}

impl Record {
    /// With this body.
    #[must_use]
    pub fn body(self, body: &str) -> Self {
        self.field("body", json!(body))
    }

    /// With this message attribute of type `String`.
    #[must_use]
    pub fn attribute(mut self, name: &str, value: &str) -> Self {
        self.0["messageAttributes"][name] = json!({
            "stringValue": value,
            "stringListValues": [],
            "binaryListValues": [],
            "dataType": "String",
        });
        self
    }

    /// With this message attribute of type `Binary`, as base64.
    #[must_use]
    pub fn binary_attribute(mut self, name: &str, base64: &str) -> Self {
        self.0["messageAttributes"][name] = json!({
            "binaryValue": base64,
            "stringListValues": [],
            "binaryListValues": [],
            "dataType": "Binary",
        });
        self
    }

    /// Without any message attribute: as somebody sends it who knows nothing of this system.
    #[must_use]
    pub fn without_attributes(self) -> Self {
        self.field("messageAttributes", json!({}))
    }

    /// With this route.
    #[must_use]
    pub fn route(self, name: &str) -> Self {
        self.attribute("route", name)
    }

    /// Received this many times, this time included.
    #[must_use]
    pub fn received(self, times: u32) -> Self {
        self.system_attribute("ApproximateReceiveCount", &times.to_string())
    }

    /// Sent to the queue, and accepted, this long ago.
    #[must_use]
    pub fn aged(self, age: Duration) -> Self {
        let sent = Timestamp::from(SystemTime::now() - age).as_ms().to_string();
        self.system_attribute("SentTimestamp", &sent).attribute("accepted_at", &sent)
    }

    /// Sent to the queue by an operator, not by the ingest.
    #[must_use]
    pub fn sent_by_operator(self) -> Self {
        self.system_attribute("SenderId", "AIDAEXAMPLEOPERATOR")
    }

    /// With this system attribute, such as `AWSTraceHeader`.
    #[must_use]
    pub fn system_attribute(mut self, name: &str, value: &str) -> Self {
        self.0["attributes"][name] = json!(value);
        self
    }

    /// With any value in one of the record's own fields.
    #[must_use]
    pub fn field(mut self, name: &str, value: Value) -> Self {
        self.0[name] = value;
        self
    }

    /// Without one of the record's own fields.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.object().remove(name);
        self
    }

    /// Without one of the system attributes.
    #[must_use]
    pub fn without_system_attribute(mut self, name: &str) -> Self {
        let attributes = self.0["attributes"].as_object_mut();
        attributes.expect("message() made an object").remove(name);
        self
    }

    /// The sequence number.
    #[must_use]
    pub fn sequence(&self) -> String {
        let sequence = self.0["attributes"]["SequenceNumber"].as_str();
        sequence.expect("message() made a text").to_owned()
    }

    fn object(&mut self) -> &mut serde_json::Map<String, Value> {
        self.0.as_object_mut().expect("message() made an object")
    }
}
