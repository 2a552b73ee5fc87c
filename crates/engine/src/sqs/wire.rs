//! What requests and answers share: how message attributes are written, how entries of a batch are
//! checked, and what a queue's URL says.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::error::ApiError;
use crate::store::{AttributeValue, MessageAttribute, MessageAttributes, StoreError, limits};

/// A message attribute as it is written.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct WireAttribute {
    data_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    string_value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    binary_value: Option<String>,
}

/// Message attributes as they are written, by name.
pub(super) type WireAttributes = BTreeMap<String, WireAttribute>;

/// Reads message attributes.
pub(super) fn read(attributes: WireAttributes) -> Result<MessageAttributes, StoreError> {
    let read_one = |(name, wire): (String, WireAttribute)| {
        let value = match (wire.string_value, wire.binary_value) {
            (Some(text), None) => AttributeValue::Text(text),
            (None, Some(base64)) => AttributeValue::Binary(
                STANDARD
                    .decode(base64)
                    .map_err(|error| bad_attribute(&name, &error.to_string()))?,
            ),
            _ => return Err(bad_attribute(&name, "it must have exactly one value")),
        };
        Ok((name, MessageAttribute { data_type: wire.data_type, value }))
    };
    attributes.into_iter().map(read_one).collect()
}

fn bad_attribute(name: &str, reason: &str) -> StoreError {
    StoreError::InvalidParameterValue(format!(
        "The message attribute '{name}' is not valid. Reason: {reason}."
    ))
}

/// Writes a message attribute.
pub(super) fn write(attribute: MessageAttribute) -> WireAttribute {
    let (string_value, binary_value) = match attribute.value {
        AttributeValue::Text(text) => (Some(text), None),
        AttributeValue::Binary(bytes) => (None, Some(STANDARD.encode(bytes))),
    };
    WireAttribute { data_type: attribute.data_type, string_value, binary_value }
}

/// The name in a queue's URL. Only the last part of the path counts: the engine has one account, and
/// may be reached by several names.
pub(super) fn queue_name(queue_url: &str) -> Result<&str, StoreError> {
    if queue_url.is_empty() {
        return Err(StoreError::MissingParameter("QueueUrl"));
    }
    let path = queue_url.split(['?', '#']).next().unwrap_or_default();
    Ok(path.trim_end_matches('/').rsplit('/').next().unwrap_or_default())
}

/// Checks how many entries a batch has, and their ids.
pub(super) fn check_entries<'a>(
    ids: impl ExactSizeIterator<Item = &'a String>,
) -> Result<(), ApiError> {
    const ID_CHARS_MAX: usize = 80;
    match ids.len() {
        0 => return Err(ApiError::empty_batch()),
        1..=limits::BATCH_ENTRIES_MAX => {}
        entries => return Err(ApiError::too_many_entries(entries, limits::BATCH_ENTRIES_MAX)),
    }
    let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let mut seen = BTreeSet::new();
    for id in ids {
        if !(1..=ID_CHARS_MAX).contains(&id.len()) || !id.bytes().all(good) {
            return Err(ApiError::invalid_entry_id());
        }
        if !seen.insert(id) {
            return Err(ApiError::ids_not_distinct(id));
        }
    }
    Ok(())
}

/// The answer to a batch.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct BatchAnswer<T> {
    successful: Vec<T>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failed: Vec<FailedEntry>,
}

/// An entry of a batch that was refused.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct FailedEntry {
    id: String,
    sender_fault: bool,
    code: &'static str,
    message: String,
}

/// An entry of a batch that succeeded and has nothing more to say.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DoneEntry {
    pub(super) id: String,
}

impl<T> BatchAnswer<T> {
    pub(super) fn new() -> Self {
        Self { successful: Vec::new(), failed: Vec::new() }
    }

    pub(super) fn add(&mut self, id: String, result: Result<T, StoreError>) {
        match result {
            Ok(entry) => self.successful.push(entry),
            Err(error) => {
                let error = ApiError::from(error);
                let sender_fault = error.sender_fault();
                let (code, message) = (error.code, error.message);
                self.failed.push(FailedEntry { id, sender_fault, code, message });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queues_url_ends_in_its_name() {
        for url in [
            "http://127.0.0.1:9324/000000000000/a.fifo",
            "https://sqs.us-east-1.amazonaws.com/123456789012/a.fifo/",
            "a.fifo",
        ] {
            assert_eq!(queue_name(url).unwrap(), "a.fifo", "{url}");
        }
        assert!(queue_name("").is_err());
    }

    #[test]
    fn a_batch_has_one_to_ten_distinct_ids() {
        let check = |ids: &[&str]| {
            let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
            check_entries(ids.iter()).map_err(|error| error.code)
        };
        assert_eq!(check(&["a", "b-1_"]), Ok(()));
        assert_eq!(check(&[]), Err("AWS.SimpleQueueService.EmptyBatchRequest"));
        assert_eq!(check(&["a", "a"]), Err("AWS.SimpleQueueService.BatchEntryIdsNotDistinct"));
        assert_eq!(check(&["a b"]), Err("AWS.SimpleQueueService.InvalidBatchEntryId"));
        assert_eq!(check(&["a"; 11]), Err("AWS.SimpleQueueService.TooManyEntriesInBatchRequest"));
    }
}
