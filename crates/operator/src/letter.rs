//! A dead letter as it is written to a file: one JSON object a line, complete, so that what was
//! exported can be put back.

use std::ops::Deref;

use anyhow::Context as _;
use domain::attribute::Attributes;
use domain::dead_letter::without_token;
use domain::message::{Message, Origin, Received};
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A dead letter as the queue hands it out.
#[derive(Debug, Clone)]
pub(crate) struct DeadLetter {
    pub(crate) message: Message,
    /// `MessageDeduplicationId`: the id of the message that died, whoever made it a dead letter, the
    /// forwarder or SQS's redrive policy.
    pub(crate) deduplication_id: String,
}

impl Deref for DeadLetter {
    type Target = Message;

    fn deref(&self) -> &Message {
        &self.message
    }
}

/// What the deduplication id of a dead letter that was put back begins with.
const IMPORTED: &str = "import-";

impl DeadLetter {
    /// What tells a dead letter from all others, also when it was exported, dropped and put back.
    pub(crate) fn identity(&self) -> &str {
        self.deduplication_id.strip_prefix(IMPORTED).unwrap_or(&self.deduplication_id)
    }

    /// The deduplication id that it is put back under: one that says who it is, and not the one it
    /// had, which the queue may remember and would take for a repeat.
    pub(crate) fn import_id(&self) -> String {
        format!("{IMPORTED}{}", self.identity())
    }
}

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
    /// What it is recognised by; not in files of the first versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deduplication_id: Option<String>,
    receive_count: u32,
    /// When it became a dead letter, in milliseconds since the Unix epoch.
    sent_at_ms: u64,
    attributes: Attributes,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trace_header: Option<String>,
    body: String,
}

impl From<&DeadLetter> for Letter {
    fn from(letter: &DeadLetter) -> Self {
        let DeadLetter { message, deduplication_id } = letter;
        Self {
            event_id: message.event_id().to_owned(),
            message_id: message.message_id.clone(),
            group_id: message.group_id.clone(),
            sequence_number: message.sequence_number.clone(),
            deduplication_id: Some(deduplication_id.clone()),
            receive_count: message.receive_count,
            sent_at_ms: message.sent_at.as_ms(),
            attributes: without_token(message),
            trace_header: message.trace_header.clone(),
            body: message.body.clone(),
        }
    }
}

impl Letter {
    /// The dead letter, as received with this handle; none if it was not received.
    ///
    /// # Errors
    ///
    /// If it is none: files are written by hand as well.
    pub(crate) fn received_by(self, receipt_handle: String) -> anyhow::Result<DeadLetter> {
        let deduplication_id = self.deduplication_id.unwrap_or_else(|| self.message_id.clone());
        let received = Received {
            message_id: self.message_id,
            receipt_handle,
            body: self.body,
            group_id: self.group_id,
            sequence_number: self.sequence_number,
            receive_count: self.receive_count,
            sent_at: Timestamp::from_ms(self.sent_at_ms),
            attributes: self.attributes,
            trace_header: self.trace_header,
        };
        let message = Message::parse(received, Origin::Sender).context("no dead letter")?;
        Ok(DeadLetter { message, deduplication_id })
    }
}
