//! A message, as received from the queue.

use std::time::Duration;

use crate::attribute::{self, Attributes};
use crate::quota;
use crate::time::Timestamp;

/// A message that has been received, but not yet deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// SQS's id; another one after a redrive.
    pub message_id: String,
    /// What this receive is answered by.
    pub receipt_handle: String,
    /// The provider's bytes.
    pub body: String,
    /// The message group.
    pub group_id: String,
    /// SQS's decimal number, increasing within a group.
    pub sequence_number: String,
    /// How often the message has been received, this time included.
    pub receive_count: u32,
    /// When the queue took it; anew after a redrive.
    pub sent_at: Timestamp,
    /// The message attributes.
    pub attributes: Attributes,
    /// The X-Ray trace header, if there is one.
    pub trace_header: Option<String>,
}

impl Message {
    /// The name of the route that accepted this message, if one did.
    #[must_use]
    pub fn route_name(&self) -> Option<&str> {
        self.text(attribute::ROUTE)
    }

    /// The event's id: the attribute, or SQS's id for messages that were sent straight to the queue.
    #[must_use]
    pub fn event_id(&self) -> &str {
        self.text(attribute::EVENT_ID).filter(|id| quota::is_id(id)).unwrap_or(&self.message_id)
    }

    /// When the event was accepted: the attribute, or when the queue took the message.
    #[must_use]
    pub fn accepted_at(&self) -> Timestamp {
        let number = self.text(attribute::ACCEPTED_AT).and_then(|text| text.parse().ok());
        number.map_or(self.sent_at, Timestamp::from_seconds_or_ms)
    }

    /// Whether an operator has sent it again with another body.
    #[must_use]
    pub fn is_edited(&self) -> bool {
        self.attributes.contains_key(attribute::EDITED_AT)
    }

    /// How long the queue has had this message. A redriven message starts anew, so that an old event
    /// gets its attempts again.
    #[must_use]
    pub fn age(&self, now: Timestamp) -> Duration {
        now.since(self.sent_at)
    }

    /// A header of the provider's request, if the route carries it. `name` is in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.text(&attribute::header(name))
    }

    fn text(&self, name: &str) -> Option<&str> {
        let attribute = self.attributes.get(name).filter(|attribute| !attribute.is_binary())?;
        Some(&attribute.value)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::attribute::Attribute;

    /// A message `n` of a group, received once.
    pub(crate) fn message(n: u32, group_id: &str) -> Message {
        Message {
            message_id: format!("m-{n}"),
            receipt_handle: format!("r-{n}"),
            body: "{}".to_owned(),
            group_id: group_id.to_owned(),
            sequence_number: format!("{n:020}"),
            receive_count: 1,
            sent_at: Timestamp::from_ms(1_000_000),
            attributes: Attributes::new(),
            trace_header: None,
        }
    }

    #[test]
    fn the_event_id_is_the_attribute_or_the_message_id() {
        let mut message = message(1, "g");
        assert_eq!(message.event_id(), "m-1");
        message.attributes.insert("event_id".into(), Attribute::string("evt-9"));
        assert_eq!(message.event_id(), "evt-9");
        message.attributes.insert("event_id".into(), Attribute::string("line\nbreak"));
        assert_eq!(message.event_id(), "m-1");
    }

    #[test]
    fn the_time_of_acceptance_is_in_milliseconds_or_seconds() {
        let mut message = message(1, "g");
        assert_eq!(message.accepted_at(), message.sent_at);
        for (text, ms) in [
            ("1767225600123", 1_767_225_600_123),
            ("1767225600", 1_767_225_600_000),
            ("soon", 1_000_000),
        ] {
            message.attributes.insert("accepted_at".into(), Attribute::string(text));
            assert_eq!(message.accepted_at().as_ms(), ms, "{text}");
        }
    }
}
