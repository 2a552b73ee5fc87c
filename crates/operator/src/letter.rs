//! A dead letter as it is written to a file: one JSON object a line, complete, so that what was
//! exported can be put back.

use domain::attribute::Attributes;
use domain::message::Message;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A dead letter, without what belongs to one receive of it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Letter {
    /// `webhook-id`; for those who read the file, as it follows from the rest.
    event_id: String,
    message_id: String,
    /// The message group in the dead-letter queue.
    group_id: String,
    sequence_number: String,
    receive_count: u32,
    /// When it became a dead letter, in milliseconds since the Unix epoch.
    sent_at_ms: u64,
    attributes: Attributes,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trace_header: Option<String>,
    body: String,
}

impl From<&Message> for Letter {
    fn from(message: &Message) -> Self {
        Self {
            event_id: message.event_id().to_owned(),
            message_id: message.message_id.clone(),
            group_id: message.group_id.clone(),
            sequence_number: message.sequence_number.clone(),
            receive_count: message.receive_count,
            sent_at_ms: message.sent_at.as_ms(),
            attributes: message.attributes.clone(),
            trace_header: message.trace_header.clone(),
            body: message.body.clone(),
        }
    }
}

impl From<Letter> for Message {
    fn from(letter: Letter) -> Self {
        Self {
            message_id: letter.message_id,
            receipt_handle: String::new(),
            body: letter.body,
            group_id: letter.group_id,
            sequence_number: letter.sequence_number,
            receive_count: letter.receive_count,
            sent_at: Timestamp::from_ms(letter.sent_at_ms),
            attributes: letter.attributes,
            trace_header: letter.trace_header,
        }
    }
}
