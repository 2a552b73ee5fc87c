//! Dead letters: what the forwarder sends to the dead-letter queue, and how it comes back.
//!
//! A dead letter is the message it was, with the same body and attributes, and one attribute more:
//! `failure`, a JSON record of what happened. What would not fit into SQS's ten attributes is kept in
//! the record and restored by the redrive.
//!
//! Its message group is its own, and the record keeps the one it came from. SQS shows at most ten
//! messages of a group at a time, and nothing behind them until they are deleted: in a common group
//! an operator could neither list, nor show, nor choose the eleventh dead letter.
//!
//! It always fits by size, as the dead-letter queue takes [`DEAD_LETTER_ROOM_BYTES`] more than the
//! webhook queue does. Where a queue was made by other hands and it does not, the excerpt of the
//! response goes first, and who has it; if SQS still refuses, the message stays and SQS's redrive policy is the net.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::attribute::{
    self, ACCEPTED_AT, Attribute, Attributes, DELIVERED_TO, EDITED_AT, EVENT_ID, FAILURE, HEADERS,
    ROUTE, TOKEN,
};
use crate::batch::Kept;
use crate::message::{Message, sequence_order};
use crate::quota::{
    AWS_MESSAGE_BYTES_MAX, DEAD_LETTER_BYTES_MAX, DEAD_LETTER_ROOM_BYTES, MESSAGE_ATTRIBUTES_MAX,
    MESSAGE_BYTES_MAX, is_body_char, is_id,
};
use crate::signature::token;
use crate::time::Timestamp;

/// The version of the failure record that is written.
pub const VERSION: u32 = 1;

/// How much of a response is kept, in bytes.
pub const RESPONSE_BYTES_MAX: usize = 1_024;

/// How much of a redirect's location is kept, in bytes.
pub const LOCATION_BYTES_MAX: usize = 512;

// JSON writes a quotation mark, backslash or line break in two bytes; a URL has none of them.
const _: () =
    assert!(2 * RESPONSE_BYTES_MAX + LOCATION_BYTES_MAX + 1_024 <= DEAD_LETTER_ROOM_BYTES as usize);

/// Why a message is a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// A destination answered that it will not take it.
    Rejected,
    /// It failed until it was too old.
    GaveUp,
    /// No route takes it.
    Unroutable,
    /// It cannot be understood.
    Malformed,
    /// Its signature is not one that its route accepts. Whatever `on_reject` says, it leaves the
    /// queue: a forged message must not hold up its group.
    Unverified,
    /// It failed, and an operator wanted it out of its group's way.
    Skipped,
}

impl Class {
    /// All there are.
    pub const ALL: [Self; 6] = [
        Self::Rejected,
        Self::GaveUp,
        Self::Unroutable,
        Self::Malformed,
        Self::Unverified,
        Self::Skipped,
    ];

    /// The class's name in records and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::GaveUp => "gave_up",
            Self::Unroutable => "unroutable",
            Self::Malformed => "malformed",
            Self::Unverified => "unverified",
            Self::Skipped => "skipped",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The last thing that happened to a message before it became a dead letter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cause {
    /// The destination that failed.
    pub destination: Option<String>,
    /// Its answer's HTTP status.
    pub status: Option<u16>,
    /// What happened, if there was no answer.
    pub error: Option<String>,
    /// The beginning of the answer's body.
    pub response: Option<String>,
    /// Where a redirect leads to, as a URL without query and fragment.
    pub location: Option<String>,
}

/// The `failure` attribute. Fields are added, never changed; readers ignore what they do not know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Version of this record.
    pub v: u32,
    /// Why the message is a dead letter.
    pub class: Class,
    /// The destination that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// Its answer's HTTP status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What happened, if there was no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The beginning of the answer's body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<String>,
    /// Where a redirect leads to, as a URL without query and fragment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Destinations that have the event: a redrive does not call them again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delivered_to: Vec<String>,
    /// The number of the last attempt; 0 if none was made.
    pub attempts: u32,
    /// When the event was first accepted, in milliseconds since the Unix epoch.
    pub accepted_at: u64,
    /// The message group it had in the webhook queue, and goes back to.
    pub group: String,
    /// The sequence number it had in the webhook queue: the order to redrive in.
    pub sequence: String,
    /// Attributes that had no room beside ours.
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    pub displaced: Attributes,
}

/// A message to be sent: a dead letter, or one on its way back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// The body.
    pub body: String,
    /// The message group.
    pub group_id: String,
    /// What SQS recognises a repeat by, should the sender die before it deletes the original.
    pub deduplication_id: String,
    /// The message attributes.
    pub attributes: Attributes,
}

impl Outgoing {
    /// What counts toward SQS's limit.
    fn bytes(&self) -> usize {
        self.body.len() + attribute::bytes(&self.attributes)
    }
}

/// A record of a batch that cannot be understood as a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// SQS's id, if that much is there.
    pub message_id: Option<String>,
    /// What this receive is answered by, if that much is there.
    pub receipt_handle: Option<String>,
    /// The body, if that much is there, else the whole record as text.
    pub body: String,
    /// The message group, if that much is there.
    pub group_id: Option<String>,
    /// Attributes, if that much is there.
    pub attributes: Attributes,
    /// What is wrong with it.
    pub error: String,
}

impl Unreadable {
    /// What keeps it in the queue, if it says enough of itself.
    #[must_use]
    pub fn kept(&self, visible_in: Duration) -> Option<Kept> {
        Some(Kept::new(self.message_id.clone()?, self.receipt_handle.clone()?, visible_in))
    }
}

/// The group that records go back to whose own group is unknown.
const UNREADABLE_GROUP: &str = "unreadable";

/// The dead letter of `message`, whose last of `attempts` attempts ended with `cause`, and which the
/// destinations `delivered_to` have.
///
/// The deduplication id is the message's id, as SQS's own redrive policy does it: two messages are two
/// dead letters. A copy that is sent again within [`crate::quota::DEDUPLICATION_INTERVAL`] is the same
/// one; sent later, as after a crash between the send and the response, it may be a second one of the
/// same event.
#[must_use]
pub fn dead_letter(
    message: &Message,
    class: Class,
    cause: Cause,
    attempts: u32,
    delivered_to: Vec<String>,
) -> Outgoing {
    let mut attributes = without_token(message);
    // Also where it has one that cannot be an event's: what it was delivered as is its id from now on.
    attributes.insert(EVENT_ID.to_owned(), Attribute::string(message.event_id()));
    let accepted_at = message.accepted_at().as_ms().to_string();
    attributes.insert(ACCEPTED_AT.to_owned(), Attribute::string(accepted_at));
    let failure = Failure {
        v: VERSION,
        class,
        destination: cause.destination,
        status: cause.status,
        error: cause.error.map(|error| excerpt(&error)),
        response: cause.response.map(|response| excerpt(&response)),
        location: cause
            .location
            .map(|location| cut(&valid(&location), LOCATION_BYTES_MAX).to_owned()),
        delivered_to,
        attempts,
        accepted_at: message.accepted_at().as_ms(),
        group: message.group_id.clone(),
        sequence: message.sequence_number.clone(),
        displaced: Attributes::new(),
    };
    Outgoing {
        attributes: with_failure(attributes, failure, message.body.len()),
        body: message.body.clone(),
        group_id: message.message_id.clone(),
        deduplication_id: message.message_id.clone(),
    }
}

/// The dead letter of a record that is no message.
#[must_use]
pub fn unreadable_dead_letter(record: &Unreadable, now: Timestamp) -> Outgoing {
    let body_bytes_max = (DEAD_LETTER_BYTES_MAX - DEAD_LETTER_ROOM_BYTES) as usize
        - attribute::bytes(&record.attributes).min(DEAD_LETTER_BYTES_MAX as usize / 2);
    let body = if record.body.is_empty() {
        "(empty)".to_owned()
    } else {
        cut(&valid(&record.body), body_bytes_max).to_owned()
    };
    let id = record.message_id.clone().filter(|id| is_id(id)).unwrap_or_else(|| sha256_hex(&body));
    // Sealed with the body as it came: what is cut below must not pass for the event.
    let mut attributes = token::sealed(record.attributes.clone(), &id, &record.body);
    attributes.entry(EVENT_ID.to_owned()).or_insert_with(|| Attribute::string(&id));
    let group_id = record.group_id.clone().filter(|id| is_id(id));
    let failure = Failure {
        v: VERSION,
        class: Class::Malformed,
        destination: None,
        status: None,
        error: Some(excerpt(&record.error)),
        response: None,
        location: None,
        delivered_to: Vec::new(),
        attempts: 0,
        accepted_at: now.as_ms(),
        group: group_id.unwrap_or_else(|| UNREADABLE_GROUP.to_owned()),
        sequence: String::new(),
        displaced: Attributes::new(),
    };
    Outgoing {
        attributes: with_failure(attributes, failure, body.len()),
        body,
        group_id: id.clone(),
        deduplication_id: id,
    }
}

/// The record of a dead letter; `None` if SQS's redrive policy moved it, or if it is not readable. One
/// that came in by the ingest is nobody's.
#[must_use]
pub fn failure_of(message: &Message) -> Option<Failure> {
    serde_json::from_str(message.mark(FAILURE)?).ok()
}

/// The reason of a dead letter without a failure record: SQS's redrive policy moved it, because it
/// was received too often.
pub const MOVED_BY_SQS: &str = "receive_count";

/// Why a message is a dead letter: the class of its failure record, or [`MOVED_BY_SQS`].
#[must_use]
pub fn reason_of(dead_letter: &Message) -> String {
    failure_of(dead_letter)
        .map_or_else(|| MOVED_BY_SQS.to_owned(), |failure| failure.class.to_string())
}

/// The message group that a dead letter came from and goes back to.
#[must_use]
pub fn group_of(dead_letter: &Message) -> String {
    failure_of(dead_letter).map_or_else(|| dead_letter.group_id.clone(), |failure| failure.group)
}

/// The message that `dead_letter` is sent back to the webhook queue as: without the record, with the
/// displaced attributes, in its group, as the same event. Destinations that have it are not called
/// again.
///
/// The deduplication id is a function of the dead letter: a redrive that died between the send and
/// the delete can be started again, and the queue recognises what it has. Should the event fail once
/// more, it becomes another dead letter, with another id.
#[must_use]
pub fn redriven(dead_letter: &Message) -> Outgoing {
    let mut copy = sent_again(dead_letter);
    let delivered_to = failure_of(dead_letter).map(|it| it.delivered_to).unwrap_or_default();
    if !delivered_to.is_empty() && copy.attributes.len() < MESSAGE_ATTRIBUTES_MAX {
        let limit = queue_limit_of(copy.bytes());
        let mark = Attribute::string(delivered_to.join(","));
        copy.attributes.insert(DELIVERED_TO.to_owned(), mark);
        // Without the mark they are called again, which is better than not to go back.
        if copy.bytes() > limit {
            copy.attributes.remove(DELIVERED_TO);
        }
    }
    copy
}

/// The limit of a queue that took a message of so many bytes: on AWS it is the smaller one.
fn queue_limit_of(bytes: usize) -> usize {
    let limits = [AWS_MESSAGE_BYTES_MAX, MESSAGE_BYTES_MAX].map(|limit| limit as usize);
    limits.into_iter().find(|limit| bytes <= *limit).unwrap_or(0)
}

/// A dead letter as the message it was, as far as all destinations are concerned.
fn sent_again(dead_letter: &Message) -> Outgoing {
    let mut attributes = without_token(dead_letter);
    if let Some(failure) = failure_of(dead_letter) {
        attributes.extend(failure.displaced);
    }
    attributes.remove(FAILURE);
    attributes.remove(DELIVERED_TO);
    keep_event_id(&mut attributes, dead_letter);
    Outgoing {
        body: dead_letter.body.clone(),
        group_id: group_of(dead_letter),
        deduplication_id: format!("redrive-{}", dead_letter.message_id),
        attributes,
    }
}

/// The message that puts an exported dead letter back among the dead letters, with its record.
#[must_use]
pub fn imported(dead_letter: &Message) -> Outgoing {
    let mut attributes = without_token(dead_letter);
    keep_event_id(&mut attributes, dead_letter);
    Outgoing {
        body: dead_letter.body.clone(),
        group_id: dead_letter.group_id.clone(),
        deduplication_id: format!("import-{}", dead_letter.message_id),
        attributes,
    }
}

/// The message that sends a dead letter again with another body: the same event, with a mark, to all
/// destinations. `None` if its attributes leave no room for the mark.
#[must_use]
pub fn edited(dead_letter: &Message, body: String, at: Timestamp) -> Option<Outgoing> {
    let mut copy = sent_again(dead_letter);
    // It stands for the body that the provider sent.
    copy.attributes.remove(TOKEN);
    let is_marked = copy.attributes.contains_key(EDITED_AT);
    if !is_marked && copy.attributes.len() >= MESSAGE_ATTRIBUTES_MAX {
        return None;
    }
    copy.attributes.insert(EDITED_AT.to_owned(), Attribute::string(at.as_ms().to_string()));
    let digest = sha256_hex(&body);
    copy.deduplication_id = format!("edit-{}-{}", dead_letter.message_id, &digest[..16]);
    copy.body = body;
    Some(copy)
}

/// The attributes of `message`, with a seal in place of a token. SQS's own redrive policy moves a
/// message with the token in clear.
#[must_use]
pub fn without_token(message: &Message) -> Attributes {
    token::sealed(message.own_attributes(), message.event_id(), &message.body)
}

/// SQS's id changes with every copy, so the event's id must not depend on it. A message with ten
/// attributes of its own, moved by SQS itself, has no room for it.
fn keep_event_id(attributes: &mut Attributes, message: &Message) {
    if attributes.contains_key(EVENT_ID) || attributes.len() < MESSAGE_ATTRIBUTES_MAX {
        attributes.insert(EVENT_ID.to_owned(), Attribute::string(message.event_id()));
    }
}

/// The order in which the dead letters of one group go back, as text: that of the webhook queue. Those
/// without a record were moved by SQS, in order of their own sequence numbers.
#[must_use]
pub fn redrive_order(dead_letter: &Message) -> String {
    let sequence = failure_of(dead_letter)
        .map(|failure| failure.sequence)
        .filter(|sequence| !sequence.is_empty())
        .unwrap_or_else(|| dead_letter.sequence_number.clone());
    let (digits, number) = sequence_order(&sequence);
    format!("{digits:04}{number}")
}

/// Adds the record, keeping within SQS's number of attributes, and its size if possible.
fn with_failure(mut attributes: Attributes, mut failure: Failure, body_bytes: usize) -> Attributes {
    // A dead letter that was redriven by other hands still carries its former record.
    attributes.remove(FAILURE);
    while attributes.len() + 1 > MESSAGE_ATTRIBUTES_MAX {
        let ours = [ROUTE, EVENT_ID, ACCEPTED_AT, HEADERS, TOKEN];
        let last = attributes.keys().rev().find(|name| !ours.contains(&name.as_str())).cloned();
        let name = last.expect("ours are five of more than nine");
        let value = attributes.remove(&name).expect("the name was just found");
        failure.displaced.insert(name, value);
    }
    let written = |failure: &Failure| {
        let json = serde_json::to_string(failure).expect("strings and numbers");
        Attribute::string(json)
    };
    attributes.insert(FAILURE.to_owned(), written(&failure));
    if body_bytes + attribute::bytes(&attributes) > DEAD_LETTER_BYTES_MAX as usize {
        failure.response = None;
        failure.delivered_to.clear();
        attributes.insert(FAILURE.to_owned(), written(&failure));
    }
    attributes
}

/// The beginning of `text`, in characters that SQS takes.
/// As much of a text as a record keeps of it.
#[must_use]
pub fn excerpt(text: &str) -> String {
    cut(&valid(text), RESPONSE_BYTES_MAX).to_owned()
}

fn valid(text: &str) -> String {
    text.chars().map(|c| if is_body_char(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
}

fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

fn sha256_hex(text: &str) -> String {
    use std::fmt::Write;

    Sha256::digest(text).iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a String takes everything");
        hex
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::tests::{changed, message, sent, with};

    fn dead_letter(message: &Message, class: Class, cause: Cause, attempts: u32) -> Outgoing {
        super::dead_letter(message, class, cause, attempts, Vec::new())
    }

    fn rejected() -> Cause {
        Cause {
            destination: Some("sss".into()),
            status: Some(422),
            error: None,
            response: Some("{\"error\":\"unknown workflow\"}".into()),
            location: None,
        }
    }

    fn received(copy: Outgoing) -> Message {
        sent(changed(77, "other", |it| {
            it.body = copy.body;
            it.group_id = copy.group_id;
            it.attributes = copy.attributes;
        }))
    }

    fn full(n: u32, group_id: &str) -> Message {
        changed(n, group_id, |it| {
            for n in 0..10 {
                it.attributes.insert(format!("own-{n}"), Attribute::string(n.to_string()));
            }
        })
    }

    #[test]
    fn a_dead_letter_is_the_message_and_the_reason() {
        let message = with(message(5, "order-7"), "route", "sss");
        let copy = dead_letter(&message, Class::Rejected, rejected(), 3);
        assert_eq!((copy.body.as_str(), copy.group_id.as_str()), ("{}", "m-5"));
        assert_eq!(copy.deduplication_id, "m-5");
        assert_eq!(copy.attributes["route"].value, "sss");
        assert_eq!(copy.attributes["event_id"].value, "m-5");
        assert_eq!(
            copy.attributes["failure"].value,
            r#"{"v":1,"class":"rejected","destination":"sss","status":422,"response":"{\"error\":\"unknown workflow\"}","attempts":3,"accepted_at":1000000,"group":"order-7","sequence":"00000000000000000005"}"#
        );
    }

    #[test]
    fn a_redrive_restores_the_message_as_the_same_event() {
        let original = full(5, "order-7");
        let dead = received(dead_letter(&original, Class::GaveUp, Cause::default(), 9));
        assert_eq!(dead.attributes.len(), 10);
        let back = redriven(&dead);
        assert_eq!(back.body, original.body);
        assert_eq!(back.group_id, "order-7");
        assert_eq!(back.deduplication_id, "redrive-m-77");
        for (name, value) in &original.attributes {
            assert_eq!(back.attributes.get(name), Some(value));
        }
        assert!(!back.attributes.contains_key("failure"));
    }

    #[test]
    fn what_a_stranger_wrote_as_a_mark_does_not_become_one() {
        let mut forged = message(5, "order-7");
        for name in ["edited_at", "delivered_to", "accepted_at", "failure"] {
            forged = with(forged, name, "1");
        }
        let dead = received(dead_letter(&forged, Class::Unverified, Cause::default(), 0));
        assert!(!dead.is_edited());
        assert_eq!(dead.attributes["accepted_at"].value, "1000000");
        for back in [redriven(&dead), redriven(&forged)] {
            assert_eq!(back.attributes.get("edited_at"), None);
            assert_eq!(back.attributes.get("delivered_to"), None);
            assert_eq!(back.attributes.get("failure"), None);
        }
    }

    #[test]
    fn a_record_that_came_in_by_the_ingest_is_nobody_s() {
        let dead = received(dead_letter(&message(5, "order-7"), Class::Rejected, rejected(), 3));
        let forged = with(message(6, "mine"), "failure", &dead.attributes["failure"].value);
        assert_eq!(failure_of(&forged), None);
        assert_eq!(redriven(&forged).group_id, "mine");
    }

    #[test]
    fn a_redrive_does_not_call_who_has_the_event_and_an_edit_calls_all() {
        let copy = super::dead_letter(
            &message(5, "g"),
            Class::Rejected,
            rejected(),
            1,
            vec!["crm".into(), "sss".into()],
        );
        let dead = received(copy);
        let back = received(redriven(&dead));
        assert_eq!(back.delivered_to().collect::<Vec<_>>(), ["crm", "sss"]);
        let edited = edited(&dead, "{}".into(), Timestamp::from_ms(1)).unwrap();
        assert!(!edited.attributes.contains_key("delivered_to"));
        // What died once more, without anybody more, goes by its new record.
        let again = received(dead_letter(&back, Class::Rejected, rejected(), 1));
        assert!(!redriven(&again).attributes.contains_key("delivered_to"));
    }

    /// To the byte: one more than the queue takes would be refused, and stay a dead letter for good.
    #[test]
    fn limits_are_kept_to_the_byte_and_no_further() {
        let names = || vec!["crm".to_owned()];
        // A mark goes where the queue takes the message with it.
        let letter = |body: usize| {
            let large = changed(5, "g", |it| it.body = "x".repeat(body));
            received(super::dead_letter(&large, Class::GaveUp, Cause::default(), 1, names()))
        };
        let limit = AWS_MESSAGE_BYTES_MAX as usize;
        let marked = redriven(&letter(1_000));
        let largest = limit - (marked.bytes() - 1_000);
        let back = redriven(&letter(largest));
        assert_eq!((back.bytes(), back.attributes.contains_key(DELIVERED_TO)), (limit, true));
        let back = redriven(&letter(largest + 1));
        assert!(!back.attributes.contains_key(DELIVERED_TO) && back.bytes() < limit);

        // An answer is kept where the dead-letter queue takes it.
        let letter = |body: usize| {
            let large = changed(5, "g", |it| it.body = "x".repeat(body));
            dead_letter(&large, Class::Rejected, rejected(), 3)
        };
        let limit = DEAD_LETTER_BYTES_MAX as usize;
        let largest = limit - (letter(1_000).bytes() - 1_000);
        let response = |copy: Outgoing| failure_of(&received(copy)).unwrap().response;
        assert_eq!(letter(largest).bytes(), limit);
        assert!(response(letter(largest)).is_some());
        assert!(letter(largest + 1).bytes() < limit);
        assert_eq!(response(letter(largest + 1)), None);
    }

    /// One that SQS, a header or a person would stumble over is replaced by the message's id when it is
    /// first delivered; a copy has another message id.
    #[test]
    fn an_event_without_a_usable_id_keeps_the_one_it_was_delivered_as() {
        let long = "x".repeat(129);
        for odd in ["", "a b c", "\u{6ce8}\u{6587}", long.as_str()] {
            let message = with(message(5, "g"), "event_id", odd);
            assert_eq!(message.event_id(), "m-5");
            let dead = received(dead_letter(&message, Class::Rejected, rejected(), 1));
            assert_eq!(dead.event_id(), "m-5");
            let edited = edited(&dead, "{}".into(), Timestamp::from_ms(1)).unwrap();
            // Moved by SQS itself, too.
            for copy in
                [redriven(&dead), imported(&dead), edited, redriven(&message), imported(&message)]
            {
                assert_eq!(received(copy).event_id(), "m-5", "{odd:?}");
            }
        }
    }

    #[test]
    fn a_tenth_attribute_has_room_and_an_eleventh_has_not() {
        let of = |count: usize, more: &[&str]| {
            let dead = changed(5, "g", |it| {
                for n in 0..count {
                    it.attributes.insert(format!("own-{n}"), Attribute::string("x"));
                }
            });
            let record = super::dead_letter(
                &dead,
                Class::GaveUp,
                Cause::default(),
                1,
                more.iter().map(|&name| name.to_owned()).collect(),
            );
            received(record)
        };
        // What was moved by SQS itself has no event's id among its own.
        let moved = |count: usize| {
            sent(changed(5, "g", |it| {
                for n in 0..count {
                    it.attributes.insert(format!("own-{n}"), Attribute::string("x"));
                }
            }))
        };
        assert!(imported(&moved(9)).attributes.contains_key(EVENT_ID));
        assert_eq!(imported(&moved(10)).attributes.len(), 10);
        // Its own, the event's id, the time of acceptance, and the mark.
        let back = redriven(&of(7, &["crm"]));
        assert_eq!((back.attributes.len(), back.attributes.contains_key(DELIVERED_TO)), (10, true));
        let back = redriven(&of(8, &["crm"]));
        assert_eq!(
            (back.attributes.len(), back.attributes.contains_key(DELIVERED_TO)),
            (10, false)
        );
    }

    #[test]
    fn of_a_record_that_is_no_message_as_much_is_kept_as_fits() {
        let record = |attribute_bytes: usize| Unreadable {
            message_id: Some("m-1".to_owned()),
            receipt_handle: Some("r-1".to_owned()),
            body: "x".repeat(2 * DEAD_LETTER_BYTES_MAX as usize),
            group_id: None,
            attributes: Attributes::from([(
                "a".to_owned(),
                Attribute::string("x".repeat(attribute_bytes - "aString".len())),
            )]),
            error: "no".to_owned(),
        };
        let body_bytes = |attribute_bytes: usize| {
            unreadable_dead_letter(&record(attribute_bytes), Timestamp::from_ms(1)).body.len()
        };
        let room = (DEAD_LETTER_BYTES_MAX - DEAD_LETTER_ROOM_BYTES) as usize;
        let half = DEAD_LETTER_BYTES_MAX as usize / 2;
        for attribute_bytes in [7, 1_000, half - 1, half] {
            assert_eq!(body_bytes(attribute_bytes), room - attribute_bytes);
        }
        assert_eq!(body_bytes(half + 1_000), room - half);
        let kept = record(7).kept(Duration::from_secs(30)).unwrap();
        assert_eq!(kept, Kept::new("m-1".to_owned(), "r-1".to_owned(), Duration::from_secs(30)));
        assert_eq!(Unreadable { receipt_handle: None, ..record(7) }.kept(Duration::ZERO), None);
    }

    #[test]
    fn a_mark_that_does_not_fit_is_left_out() {
        let names = || vec!["crm".to_owned()];
        let dead = super::dead_letter(&full(5, "g"), Class::GaveUp, Cause::default(), 1, names());
        assert!(!redriven(&received(dead)).attributes.contains_key("delivered_to"));
        for limit in [AWS_MESSAGE_BYTES_MAX, MESSAGE_BYTES_MAX] {
            let is_marked = |spare: usize| {
                let large = changed(5, "g", |it| it.body = "x".repeat(limit as usize - spare));
                let dead = super::dead_letter(&large, Class::GaveUp, Cause::default(), 1, names());
                redriven(&received(dead)).attributes.contains_key("delivered_to")
            };
            assert!(!is_marked(60), "{limit}");
            assert!(is_marked(200), "{limit}");
        }
    }

    #[test]
    fn a_message_that_sqs_moved_keeps_its_id_as_the_event_id() {
        let moved = message(5, "order-7");
        assert_eq!(failure_of(&moved), None);
        assert_eq!(redriven(&moved).attributes["event_id"].value, "m-5");
        assert_eq!(redriven(&moved).group_id, "order-7");
    }

    #[test]
    fn what_was_exported_comes_back_as_the_same_dead_letter() {
        let dead = received(dead_letter(&message(5, "order-7"), Class::Rejected, rejected(), 3));
        let copy = imported(&dead);
        assert_eq!(copy.deduplication_id, "import-m-77");
        let back = received(copy);
        assert_eq!(failure_of(&back), failure_of(&dead));
        assert_eq!((back.group_id.as_str(), back.event_id()), ("m-5", "m-5"));
        assert_eq!(received(imported(&message(5, "g"))).event_id(), "m-5", "moved by SQS");
    }

    #[test]
    fn an_edited_event_is_the_same_event_with_a_mark() {
        let dead = received(dead_letter(&message(5, "order-7"), Class::Rejected, rejected(), 3));
        let at = Timestamp::from_ms(1_767_225_600_123);
        let copy = edited(&dead, "{\"fixed\":true}".into(), at).unwrap();
        assert_eq!((copy.group_id.as_str(), copy.body.as_str()), ("order-7", "{\"fixed\":true}"));
        assert_eq!(copy.attributes["event_id"].value, "m-5");
        assert_eq!(copy.attributes["edited_at"].value, "1767225600123");
        assert!(!copy.attributes.contains_key("failure"));
        let other = edited(&dead, "{}".into(), at).unwrap();
        assert_ne!(copy.deduplication_id, other.deduplication_id);

        assert_eq!(edited(&full(5, "g"), "{}".into(), at), None);
    }

    #[test]
    fn a_token_is_in_no_dead_letter_in_clear() {
        const TOKEN: &str = "planted token";
        let original = with(full(5, "order-7"), "token", TOKEN);
        let dead = received(dead_letter(&original, Class::Unverified, rejected(), 1));
        let unreadable = Unreadable {
            message_id: None,
            receipt_handle: None,
            body: "no \u{0} message".into(),
            group_id: None,
            attributes: original.attributes.clone(),
            error: "no sequence number".into(),
        };
        let unreadable = received(unreadable_dead_letter(&unreadable, Timestamp::from_ms(5)));
        for copy in
            [redriven(&dead), redriven(&original), imported(&original), redriven(&unreadable)]
        {
            assert!(copy.attributes["token"].value.starts_with("hmac-sha256:"), "{copy:?}");
            assert!(!format!("{copy:?}").contains(TOKEN), "{copy:?}");
        }
        for dead in [&dead, &unreadable] {
            assert!(!format!("{dead:?}").contains(TOKEN), "{dead:?}");
        }
        let at = Timestamp::from_ms(1_767_225_600_123);
        let small = with(message(5, "g"), "token", TOKEN);
        let edited = edited(&small, "{}".into(), at).unwrap();
        assert!(!edited.attributes.contains_key("token"), "{edited:?}");
    }

    #[test]
    fn dead_letters_go_back_in_the_order_of_the_webhook_queue() {
        let order = |n| {
            redrive_order(&received(dead_letter(
                &message(n, "g"),
                Class::GaveUp,
                Cause::default(),
                1,
            )))
        };
        assert!(order(9) < order(10));
        assert!(redrive_order(&message(1, "g")) < redrive_order(&message(2, "g")));
    }

    #[test]
    fn what_cannot_be_understood_is_kept_as_it_is() {
        let record = Unreadable {
            message_id: None,
            receipt_handle: None,
            body: "no \u{0} message".into(),
            group_id: Some("has space".into()),
            attributes: Attributes::new(),
            error: "no sequence number".into(),
        };
        let copy = unreadable_dead_letter(&record, Timestamp::from_ms(5));
        assert_eq!(copy.body, "no \u{fffd} message");
        assert_eq!(copy.deduplication_id.len(), 64);
        let dead = received(copy);
        assert_eq!(failure_of(&dead).unwrap().class, Class::Malformed);
        assert_eq!(redriven(&dead).group_id, "unreadable");
    }

    proptest! {
        /// A message at the webhook queue's limit, whatever the response, fits the dead-letter queue.
        #[test]
        fn every_message_fits(response in "\\PC{0,3000}", control in "[\\x00-\\x1f\"\\\\]{0,2000}", attempts: u32) {
            let message = changed(5, &"g".repeat(128), |it| {
                it.attributes.insert("route".into(), Attribute::string("r".repeat(40)));
                let room = MESSAGE_BYTES_MAX as usize - attribute::bytes(&it.attributes);
                it.body = "x".repeat(room);
            });
            let cause = Cause {
                destination: Some("d".repeat(40)),
                status: Some(599),
                error: None,
                response: Some(control + &response),
                location: Some("l".repeat(3_000)),
            };
            let copy = dead_letter(&message, Class::Rejected, cause, attempts);
            let bytes = copy.body.len() + attribute::bytes(&copy.attributes);
            prop_assert!(bytes <= DEAD_LETTER_BYTES_MAX as usize, "{bytes}");
            prop_assert!(copy.attributes["failure"].value.chars().all(is_body_char));
            let failure = failure_of(&received(copy)).unwrap();
            prop_assert!(failure.response.is_some_and(|text| text.len() <= RESPONSE_BYTES_MAX));
            prop_assert_eq!(failure.location.map(|text| text.len()), Some(LOCATION_BYTES_MAX));
        }
    }
}
