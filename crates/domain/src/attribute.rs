//! Message attributes: the names this system uses, and how they count toward SQS's size limit.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Name of the route that accepted the message.
pub const ROUTE: &str = "route";
/// The id that identifies the event from acceptance to delivery, through retries and redrives.
pub const EVENT_ID: &str = "event_id";
/// When the event was accepted, in milliseconds since the Unix epoch.
pub const ACCEPTED_AT: &str = "accepted_at";
/// When an operator sent the event again with another body, in milliseconds since the Unix epoch.
pub const EDITED_AT: &str = "edited_at";
/// The destinations that have the event already, separated by commas, of one that was sent again.
pub const DELIVERED_TO: &str = "delivered_to";
/// When an operator wanted the event to be sent once more, in milliseconds since the Unix epoch.
pub const REPEATED_AT: &str = "repeated_at";
/// Why a dead letter is one: see [`crate::dead_letter`].
pub const FAILURE: &str = "failure";
/// The token of a provider who does not sign: see [`crate::signature::token`].
pub const TOKEN: &str = "token";
/// The headers that travel with the message: see [`crate::carried`].
pub const HEADERS: &str = "headers";
/// Prefix of the attributes that carried a header each, `header.x-workflow-id`, in messages of former
/// versions.
pub const HEADER_PREFIX: &str = "header.";

/// A message attribute's value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attribute {
    /// `String`, `Number` or `Binary`, with an optional `.custom` label.
    #[serde(rename = "t")]
    pub data_type: String,
    /// The value; of a `Binary` its base64 text, as Lambda hands it over.
    #[serde(rename = "v")]
    pub value: String,
}

impl Attribute {
    /// An attribute of type `String`.
    pub fn string(value: impl Into<String>) -> Self {
        Self { data_type: "String".to_owned(), value: value.into() }
    }

    /// Whether the value is base64 of bytes.
    #[must_use]
    pub fn is_binary(&self) -> bool {
        self.data_type == "Binary" || self.data_type.starts_with("Binary.")
    }

    /// Bytes that count toward the message's size, without the name.
    fn bytes(&self) -> usize {
        let padding = self.value.bytes().rev().take_while(|byte| *byte == b'=').count();
        let value = if self.is_binary() {
            (self.value.len() / 4 * 3).saturating_sub(padding)
        } else {
            self.value.len()
        };
        self.data_type.len() + value
    }
}

/// A message's attributes by name.
pub type Attributes = BTreeMap<String, Attribute>;

/// Bytes that `attributes` add to a message: names, types and values.
/// Source: SQS guide, "Message metadata".
#[must_use]
pub fn bytes(attributes: &Attributes) -> usize {
    attributes.iter().map(|(name, attribute)| name.len() + attribute.bytes()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_types_and_values_count() {
        let attributes = Attributes::from([
            ("route".to_owned(), Attribute::string("sss")),
            (
                "raw".to_owned(),
                Attribute { data_type: "Binary".to_owned(), value: "AAEC".to_owned() },
            ),
            (
                "pad".to_owned(),
                Attribute { data_type: "Binary".to_owned(), value: "AA==".to_owned() },
            ),
        ]);
        assert_eq!(bytes(&attributes), (5 + 6 + 3) + (3 + 6 + 3) + (3 + 6 + 1));
    }
}
