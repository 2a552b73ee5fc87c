//! What is sent once more of an event that was delivered.

use crate::attribute::{
    ACCEPTED_AT, Attribute, Attributes, DELIVERED_TO, EVENT_ID, FAILURE, REPEATED_AT,
};
use crate::dead_letter::without_token;
use crate::message::Message;
use crate::time::Timestamp;

/// The attributes of `message`, which was delivered, as they are sent once more when somebody asks for it
/// `at`: as the same event, to all its destinations.
#[must_use]
pub fn repeated(message: &Message, at: Timestamp) -> Attributes {
    let mut attributes = without_token(message);
    for name in [DELIVERED_TO, FAILURE] {
        attributes.remove(name);
    }
    let ms = |time: Timestamp| Attribute::string(time.as_ms().to_string());
    attributes.insert(EVENT_ID.to_owned(), Attribute::string(message.event_id()));
    attributes.insert(ACCEPTED_AT.to_owned(), ms(message.accepted_at()));
    attributes.insert(REPEATED_AT.to_owned(), ms(at));
    attributes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::tests::{message, sent, with};

    #[test]
    fn it_is_the_same_event_for_all_its_destinations() {
        let at = Timestamp::from_ms(2_000_000);
        let mut delivered = message(1, "g");
        for (name, value) in [
            ("route", "sss"),
            ("headers", "x-a: 1"),
            ("edited_at", "1"),
            ("delivered_to", "crm"),
            ("accepted_at", "1767225600123"),
            ("repeated_at", "1"),
        ] {
            delivered = with(delivered, name, value);
        }
        let of_ingest = repeated(&delivered, at);
        let text = |attributes: &Attributes, name: &str| {
            attributes.get(name).map(|it| it.value.clone()).unwrap_or_default()
        };
        assert_eq!(text(&of_ingest, "event_id"), "m-1");
        assert_eq!(
            text(&of_ingest, "accepted_at"),
            "1000000",
            "what a request says is not believed"
        );
        assert_eq!(text(&of_ingest, "repeated_at"), "2000000");
        assert_eq!(
            (text(&of_ingest, "route"), text(&of_ingest, "headers")),
            ("sss".into(), "x-a: 1".into())
        );
        assert_eq!(text(&of_ingest, "edited_at"), "");
        let of_operator = repeated(&sent(delivered), at);
        assert_eq!(text(&of_operator, "accepted_at"), "1767225600123");
        assert_eq!(text(&of_operator, "edited_at"), "1");
        assert_eq!(text(&of_operator, "delivered_to"), "");
    }
}
