//! A message, as received from the queue.

use std::ops::Deref;
use std::time::Duration;

use crate::attribute::{self, Attributes};
use crate::time::Timestamp;
use crate::{carried, quota};

/// What a queue hands over, before it was looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Received {
    /// SQS's id; another one after a redrive.
    pub message_id: String,
    /// What this receive is answered by.
    pub receipt_handle: String,
    /// The provider's bytes.
    pub body: String,
    /// The message group; empty where the queue does not pass it on.
    pub group_id: String,
    /// SQS's decimal number, increasing within a group; empty where the queue does not pass it on.
    pub sequence_number: String,
    /// How often the message has been received, this time included.
    pub receive_count: u32,
    /// When the queue took it, by the queue's clock; anew after a redrive.
    pub sent_at: Timestamp,
    /// The message attributes.
    pub attributes: Attributes,
    /// The X-Ray trace header, if there is one.
    pub trace_header: Option<String>,
}

/// Who put a message into the queue, which decides what its attributes may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The ingest, or nobody knows: whoever can post a webhook may have shaped the attributes.
    Ingest,
    /// Somebody who may send to the queue itself: an operator's command, the forwarder.
    Sender,
}

impl Origin {
    /// The origin of a message that SQS says was sent by `sender_id`. `ingest` is the unique id of the
    /// role that the ingest sends with; where it is not known, everybody may be the ingest.
    ///
    /// SQS sets the sender's id, and no request can change it. Source: SQS API reference,
    /// `ReceiveMessage`: for a role it is the role's id, a colon and the session's name.
    #[must_use]
    pub fn of(sender_id: Option<&str>, ingest: Option<&str>) -> Self {
        match (sender_id, ingest) {
            (Some(sender), Some(ingest)) if sender.split(':').next() != Some(ingest) => {
                Self::Sender
            }
            _ => Self::Ingest,
        }
    }
}

/// A message that has been received, but not yet deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    received: Received,
    origin: Origin,
}

/// Why what was received is no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Nothing tells it from others.
    #[error("it has no message id")]
    NoId,
    /// SQS has no such messages.
    #[error("it has no body")]
    NoBody,
    /// SQS has no such groups.
    #[error("its message group id is not one")]
    Group,
    /// SQS has no such numbers.
    #[error("its sequence number is no number")]
    SequenceNumber,
}

impl Deref for Message {
    type Target = Received;

    fn deref(&self) -> &Received {
        &self.received
    }
}

impl Message {
    /// A message from what a queue handed over.
    ///
    /// # Errors
    ///
    /// [`MessageError`] with what SQS would never have taken.
    pub fn parse(received: Received, origin: Origin) -> Result<Self, MessageError> {
        if received.message_id.is_empty() {
            return Err(MessageError::NoId);
        }
        if received.body.is_empty() {
            return Err(MessageError::NoBody);
        }
        if !received.group_id.is_empty() && !quota::is_id(&received.group_id) {
            return Err(MessageError::Group);
        }
        if !received.sequence_number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(MessageError::SequenceNumber);
        }
        Ok(Self { received, origin })
    }

    /// What was received.
    #[must_use]
    pub fn into_received(self) -> Received {
        self.received
    }

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

    /// When the event was accepted. Of what the ingest sent, that is when the queue took it: a request
    /// that could say otherwise could be replayed for ever. Of what was sent again it is the attribute.
    #[must_use]
    pub fn accepted_at(&self) -> Timestamp {
        match self.origin {
            Origin::Sender => self.said_accepted_at(),
            Origin::Ingest => self.sent_at,
        }
    }

    /// When the event had been accepted at the latest: before the queue took this message of it. What the
    /// attribute says is ahead of that where a clock was set back since.
    #[must_use]
    pub fn accepted_before(&self) -> Timestamp {
        self.accepted_at().min(self.sent_at)
    }

    /// When the event was accepted by what the attribute says, whoever wrote it: for people to look at,
    /// and for nothing to be decided by.
    #[must_use]
    pub fn said_accepted_at(&self) -> Timestamp {
        let number = self.text(attribute::ACCEPTED_AT).and_then(|text| text.parse().ok());
        number.map_or(self.sent_at, Timestamp::from_seconds_or_ms)
    }

    /// Whether an operator has sent it again with another body.
    #[must_use]
    pub fn is_edited(&self) -> bool {
        self.mark(attribute::EDITED_AT).is_some()
    }

    /// The destinations that have this event already, as the dead letter's record said when it was
    /// sent again.
    pub fn delivered_to(&self) -> impl Iterator<Item = &str> {
        self.mark(attribute::DELIVERED_TO).into_iter().flat_map(|names| names.split(','))
    }

    /// When an operator wanted it to be sent once more, of what is that; see [`is_repeat`](Self::is_repeat).
    #[must_use]
    pub fn repeated_at(&self) -> Option<Timestamp> {
        let ms = self.mark(attribute::REPEATED_AT)?.parse().ok()?;
        Some(Timestamp::from_ms(ms))
    }

    /// Whether it is an event that was delivered, and that an operator wants to be sent once more: one
    /// attempt, beside the queue.
    #[must_use]
    pub fn is_repeat(&self) -> bool {
        self.repeated_at().is_some()
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
        self.headers().find(|(header, _)| *header == name).map(|(_, value)| value)
    }

    /// The headers of the provider's request that travel with the message, by name in lower case.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let together = self.text(attribute::HEADERS);
        // What waits since a former version has an attribute for each.
        let apart = together.is_none().then_some(&self.attributes).into_iter().flatten();
        let apart = apart.filter_map(|(name, attribute)| {
            let name = name.strip_prefix(attribute::HEADER_PREFIX)?;
            (!attribute.is_binary()).then_some((name, attribute.value.as_str()))
        });
        together.into_iter().flat_map(carried::read).chain(apart)
    }

    /// Whether the headers that travel with the message can be told apart.
    ///
    /// # Errors
    ///
    /// [`carried::UnreadableHeaders`] if they cannot.
    pub fn check_headers(&self) -> Result<(), carried::UnreadableHeaders> {
        self.attributes.get(attribute::HEADERS).map_or(Ok(()), |headers| {
            if headers.is_binary() {
                Err(carried::UnreadableHeaders)
            } else {
                carried::check(&headers.value)
            }
        })
    }

    /// The token in clear, or what stands for it in a dead letter: see [`crate::signature::token`].
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        self.text(attribute::TOKEN)
    }

    fn text(&self, name: &str) -> Option<&str> {
        let attribute = self.attributes.get(name).filter(|attribute| !attribute.is_binary())?;
        Some(&attribute.value)
    }

    /// The attributes without the marks that only who may send to the queue itself can set, unless such
    /// a one did.
    #[must_use]
    pub fn own_attributes(&self) -> Attributes {
        let mut attributes = self.attributes.clone();
        if self.origin == Origin::Ingest {
            for name in [
                attribute::EDITED_AT,
                attribute::DELIVERED_TO,
                attribute::FAILURE,
                attribute::REPEATED_AT,
            ] {
                attributes.remove(name);
            }
        }
        attributes
    }

    /// An attribute that only who may send to the queue itself can set.
    pub(crate) fn mark(&self, name: &str) -> Option<&str> {
        match self.origin {
            Origin::Sender => self.text(name),
            Origin::Ingest => None,
        }
    }
}

/// A key that sorts sequence numbers as the numbers they are, however many digits they have.
#[must_use]
pub fn sequence_order(sequence_number: &str) -> (usize, &str) {
    let digits = sequence_number.trim_start_matches('0');
    (digits.len(), digits)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::attribute::Attribute;

    /// A message `n` of a group, received once, that the ingest sent.
    pub(crate) fn message(n: u32, group_id: &str) -> Message {
        changed(n, group_id, |_| {})
    }

    /// The same, with something changed.
    pub(crate) fn changed(n: u32, group_id: &str, change: impl FnOnce(&mut Received)) -> Message {
        let mut received = Received {
            message_id: format!("m-{n}"),
            receipt_handle: format!("r-{n}"),
            body: "{}".to_owned(),
            group_id: group_id.to_owned(),
            sequence_number: format!("{n:020}"),
            receive_count: 1,
            sent_at: Timestamp::from_ms(1_000_000),
            attributes: Attributes::new(),
            trace_header: None,
        };
        change(&mut received);
        Message::parse(received, Origin::Ingest).unwrap()
    }

    /// The same, sent by somebody who may send to the queue itself.
    pub(crate) fn sent(message: Message) -> Message {
        Message { origin: Origin::Sender, ..message }
    }

    /// The same with an attribute more.
    pub(crate) fn with(message: Message, name: &str, value: &str) -> Message {
        let Message { mut received, origin } = message;
        received.attributes.insert(name.to_owned(), Attribute::string(value));
        Message { received, origin }
    }

    #[test]
    fn what_sqs_would_not_take_is_no_message() {
        let parse = |change: fn(&mut Received)| {
            let mut received = message(1, "g").into_received();
            change(&mut received);
            Message::parse(received, Origin::Ingest).map(|_| ())
        };
        assert_eq!(parse(|it| it.message_id.clear()), Err(MessageError::NoId));
        assert_eq!(parse(|it| it.body.clear()), Err(MessageError::NoBody));
        assert_eq!(parse(|it| it.group_id = "a b".into()), Err(MessageError::Group));
        assert_eq!(parse(|it| it.sequence_number = "7a".into()), Err(MessageError::SequenceNumber));
        assert_eq!(parse(|it| it.group_id.clear()), Ok(()));
        assert_eq!(parse(|it| it.sequence_number.clear()), Ok(()));
    }

    #[test]
    fn the_event_id_is_the_attribute_or_the_message_id() {
        assert_eq!(message(1, "g").event_id(), "m-1");
        assert_eq!(with(message(1, "g"), "event_id", "evt-9").event_id(), "evt-9");
        assert_eq!(with(message(1, "g"), "event_id", "line\nbreak").event_id(), "m-1");
    }

    #[test]
    fn headers_are_read_together_and_as_they_were_before() {
        let bytes = Attribute { data_type: "Binary".to_owned(), value: "AAEC".to_owned() };
        let of = |attributes: &[(&str, Attribute)]| {
            changed(1, "g", |it| {
                let attributes = attributes.iter().cloned();
                it.attributes = attributes.map(|(name, value)| (name.to_owned(), value)).collect();
            })
        };
        let before = [("header.x-raw", bytes.clone()), ("header.x-a", Attribute::string("old"))];
        let message = of(&before);
        assert_eq!(message.headers().collect::<Vec<_>>(), [("x-a", "old")]);
        assert_eq!((message.header("x-a"), message.header("x-raw")), (Some("old"), None));
        assert_eq!(message.check_headers(), Ok(()));
        let [raw, old] = before;
        let message = of(&[raw, old, ("headers", Attribute::string("x-b: new\nx-c: "))]);
        assert_eq!(message.headers().collect::<Vec<_>>(), [("x-b", "new")]);
        assert_eq!((message.header("x-a"), message.header("x-c")), (None, None));
        assert_eq!(message.check_headers(), Ok(()));
        for bad in [Attribute::string("x-b"), bytes] {
            assert!(of(&[("headers", bad)]).check_headers().is_err());
        }
    }

    #[test]
    fn the_time_of_acceptance_is_in_milliseconds_or_seconds() {
        let message = sent(message(1, "g"));
        assert_eq!(message.accepted_at(), message.sent_at);
        for (text, ms) in [
            ("1767225600123", 1_767_225_600_123),
            ("1767225600", 1_767_225_600_000),
            ("soon", 1_000_000),
        ] {
            let message = with(message.clone(), "accepted_at", text);
            assert_eq!(message.accepted_at().as_ms(), ms, "{text}");
        }
    }

    /// One that says otherwise was accepted by a clock that was set back since.
    #[test]
    fn an_event_was_accepted_before_the_queue_took_it_again() {
        let at = Timestamp::from_ms(1_767_225_600_000);
        let message = sent(changed(1, "g", |it| it.sent_at = at));
        for (said, before) in
            [("1767225599999", 1_767_225_599_999), ("1767312000000", 1_767_225_600_000)]
        {
            let message = with(message.clone(), "accepted_at", said);
            assert_eq!(message.accepted_before().as_ms(), before);
        }
        assert_eq!(message.accepted_before(), message.sent_at);
    }

    #[test]
    fn only_a_sender_to_the_queue_can_mark_a_message() {
        let mut marked = message(1, "g");
        for (name, value) in [
            ("edited_at", "1"),
            ("delivered_to", "sss,crm"),
            ("accepted_at", "1767225600123"),
            ("repeated_at", "1767225600124"),
        ] {
            marked = with(marked, name, value);
        }
        assert!(!marked.is_edited() && marked.delivered_to().next().is_none());
        assert!(!marked.is_repeat() && !marked.own_attributes().contains_key("repeated_at"));
        assert_eq!(marked.accepted_at(), marked.sent_at);
        assert_eq!(marked.said_accepted_at().as_ms(), 1_767_225_600_123);
        let marked = sent(marked);
        assert!(marked.is_edited());
        assert_eq!(marked.repeated_at(), Some(Timestamp::from_ms(1_767_225_600_124)));
        assert_eq!(marked.delivered_to().collect::<Vec<_>>(), ["sss", "crm"]);
        assert_eq!(marked.accepted_at().as_ms(), 1_767_225_600_123);
    }

    #[test]
    fn the_ingest_is_known_by_the_id_that_sqs_sets() {
        let of = |sender| Origin::of(sender, Some("AROAINGEST"));
        assert_eq!(of(Some("AROAINGEST:BackplaneAssumeRoleSession")), Origin::Ingest);
        assert_eq!(of(Some("AROAINGEST")), Origin::Ingest);
        assert_eq!(of(Some("AROAINGESTER:session")), Origin::Sender);
        assert_eq!(of(Some("AIDAOPERATOR")), Origin::Sender);
        assert_eq!(of(None), Origin::Ingest);
        assert_eq!(Origin::of(Some("AIDAOPERATOR"), None), Origin::Ingest);
    }

    #[test]
    fn sequence_numbers_are_compared_as_numbers() {
        assert!(sequence_order("9") < sequence_order("10"));
        assert!(sequence_order("00018849496460467696128") < sequence_order("18849496460467696129"));
        assert_eq!(sequence_order("007"), sequence_order("7"));
    }
}
