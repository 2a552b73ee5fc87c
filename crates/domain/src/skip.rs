//! Skips: events that an operator wants out of the way of their groups.
//!
//! A group waits while its first event fails. An operator who does not want to wait for the service
//! names that event, and at its next failure the forwarder makes it a dead letter instead of keeping
//! it. Everything behind it goes on in order; the event itself is kept, to be sent again later.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::json::JsonError;
use crate::message::Message;

/// Longest list, in bytes: a parameter of the standard tier, which costs nothing.
/// Source: Systems Manager guide, "Managing parameter tiers".
pub const SKIPS_BYTES_MAX: usize = 4_096;

/// What is to be skipped: the sequence number by event id.
///
/// The sequence number is the one that the queue gave the message. An event that was skipped, put
/// right and sent again has another one, and is attempted like any other.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Skips {
    skips: BTreeMap<String, String>,
}

/// A list that cannot be.
#[derive(Debug, thiserror::Error)]
pub enum SkipsError {
    /// It was written by other hands.
    #[error("the list of skips is not one: {0}")]
    Json(#[from] JsonError),
    /// It does not fit where it is kept.
    #[error(
        "{count} skips take {bytes} bytes of {SKIPS_BYTES_MAX}; wait until some of these events \
         have been attempted again"
    )]
    TooLong {
        /// How many are on the list.
        count: usize,
        /// What it takes, in bytes.
        bytes: usize,
    },
}

impl Skips {
    /// Reads a list as [`to_json`](Self::to_json) writes it.
    ///
    /// # Errors
    ///
    /// [`SkipsError::Json`].
    pub fn parse(json: &[u8]) -> Result<Self, SkipsError> {
        Ok(serde_json::from_slice(json).map_err(JsonError::from)?)
    }

    /// The list as it is kept.
    ///
    /// # Errors
    ///
    /// [`SkipsError::TooLong`].
    pub fn to_json(&self) -> Result<String, SkipsError> {
        let json = serde_json::to_string(self).map_err(JsonError::from)?;
        let (count, bytes) = (self.skips.len(), json.len());
        if bytes > SKIPS_BYTES_MAX {
            return Err(SkipsError::TooLong { count, bytes });
        }
        Ok(json)
    }

    /// Asks for the message with this event id and sequence number to be skipped.
    pub fn add(&mut self, event_id: &str, sequence_number: &str) {
        self.skips.insert(event_id.to_owned(), sequence_number.to_owned());
    }

    /// Asks for all that `others` ask for.
    pub fn add_all(&mut self, others: &Self) {
        self.skips.extend(others.skips.clone());
    }

    /// Takes back what `others` ask for. Asked for another sequence number, an event stays.
    pub fn remove_all(&mut self, others: &Self) {
        self.skips.retain(|event_id, sequence| others.skips.get(event_id) != Some(sequence));
    }

    /// The sequence numbers by event id.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.skips.iter().map(|(event_id, sequence)| (&**event_id, &**sequence))
    }

    /// Keeps the skips whose event id `still_waits`.
    pub fn retain(&mut self, still_waits: impl Fn(&str) -> bool) {
        self.skips.retain(|event_id, _sequence_number| still_waits(event_id));
    }

    /// Whether an operator wants `message` out of the way, should it stay otherwise: what was
    /// delivered is delivered, and what is a dead letter keeps its own reason.
    #[must_use]
    pub fn want(&self, message: &Message) -> bool {
        self.skips.get(message.event_id()) == Some(&message.sequence_number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::tests::{changed, message};

    #[test]
    fn what_is_taken_back_is_that_message_and_no_later_one() {
        let list = |sequence: &str| {
            let mut list = Skips::default();
            list.add("m-1", sequence);
            list
        };
        let mut skips = list("2");
        skips.remove_all(&list("1"));
        assert_eq!(skips, list("2"));
        skips.remove_all(&list("2"));
        assert_eq!(skips, Skips::default());
        skips.add_all(&list("3"));
        assert_eq!(skips.iter().collect::<Vec<_>>(), [("m-1", "3")]);
    }

    fn skips() -> Skips {
        let mut skips = Skips::default();
        skips.add("m-1", &message(1, "g").sequence_number);
        skips
    }

    #[test]
    fn the_event_that_is_on_the_list_is_wanted_and_no_other() {
        assert!(skips().want(&message(1, "g")));
        assert!(!skips().want(&message(2, "g")));
        assert!(!Skips::default().want(&message(1, "g")));
    }

    #[test]
    fn an_event_that_was_sent_again_is_attempted_again() {
        let again = changed(1, "g", |it| it.sequence_number = "00000000000000000009".into());
        assert!(!skips().want(&again));
    }

    #[test]
    fn a_list_is_read_as_it_was_written() {
        let json = skips().to_json().unwrap();
        assert_eq!(json, r#"{"skips":{"m-1":"00000000000000000001"}}"#);
        assert_eq!(Skips::parse(json.as_bytes()).unwrap(), skips());
        for broken in ["", "[]", r#"{"skips":{"m-1":1}}"#, r#"{"skips":{},"more":1}"#] {
            assert!(Skips::parse(broken.as_bytes()).is_err(), "{broken}");
        }
    }

    #[test]
    fn a_list_that_a_parameter_cannot_hold_is_refused() {
        let mut skips = Skips::default();
        for n in 0..100 {
            skips.add(&format!("2f1c5a5e-0000-4000-8000-{n:012}"), &format!("{n:020}"));
        }
        let error = skips.to_json().unwrap_err().to_string();
        assert!(error.starts_with("100 skips take 6"), "{error}");
        let with = |id_bytes: usize| {
            let mut skips = Skips::default();
            skips.add(&"x".repeat(id_bytes), "1");
            skips.to_json().map(|json| json.len())
        };
        let most = SKIPS_BYTES_MAX - with(0).unwrap();
        assert_eq!(with(most).unwrap(), SKIPS_BYTES_MAX);
        assert!(with(most + 1).is_err());
        skips.retain(|event_id| event_id.ends_with('7'));
        assert!(skips.to_json().is_ok());
    }
}
