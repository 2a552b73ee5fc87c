//! A queue's attributes: what they may be, and what they are unless set.

use std::collections::BTreeMap;
use std::fmt::Display;

use domain::json::JsonError;
use domain::quota;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::arn;
use super::error::StoreError;
use super::limits;

/// A queue's attributes, by SQS's names: `VisibilityTimeout`, `RedrivePolicy` and so on.
pub type Attributes = BTreeMap<String, String>;

/// Attributes that are kept and shown but change nothing: access control and encryption are the
/// business of the machine's owner.
const WITHOUT_EFFECT: [&str; 4] =
    ["Policy", "KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds", "SqsManagedSseEnabled"];

/// What a queue does. Stored as JSON: a field that is added needs a default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct QueueSettings {
    /// How long a received message stays in flight.
    pub visibility_timeout_seconds: u32,
    /// How long a message stays, from the send.
    pub retention_seconds: u32,
    /// How long a message waits before it can be received.
    pub delay_seconds: u32,
    /// How long a receive waits unless it says otherwise.
    pub receive_wait_seconds: u32,
    /// Largest message: body, and names, types and values of its attributes.
    pub max_message_bytes: u32,
    /// Whether the body's digest stands in for a missing deduplication id.
    pub content_based_deduplication: bool,
    /// Where a deduplication id counts.
    pub deduplication_scope: DeduplicationScope,
    /// `perQueue` or `perMessageGroupId`; the engine does not throttle.
    pub fifo_throughput_limit: ThroughputLimit,
    /// When a message goes to which dead-letter queue.
    pub redrive_policy: Option<RedrivePolicy>,
    /// Which queues may use this one as their dead-letter queue.
    pub redrive_allow_policy: Option<RedriveAllowPolicy>,
    /// `Policy`, `KmsMasterKeyId` and the like, which have no effect here.
    pub without_effect: Attributes,
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self {
            visibility_timeout_seconds: limits::VISIBILITY_TIMEOUT_SECONDS,
            retention_seconds: limits::RETENTION_SECONDS,
            delay_seconds: 0,
            receive_wait_seconds: 0,
            max_message_bytes: limits::MESSAGE_BYTES_MAX,
            content_based_deduplication: false,
            deduplication_scope: DeduplicationScope::Queue,
            fifo_throughput_limit: ThroughputLimit::PerQueue,
            redrive_policy: None,
            redrive_allow_policy: None,
            without_effect: Attributes::new(),
        }
    }
}

/// Where a deduplication id counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DeduplicationScope {
    /// In the whole queue.
    Queue,
    /// In its message group.
    MessageGroup,
}

/// What a throughput quota counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ThroughputLimit {
    /// All messages of the queue.
    PerQueue,
    /// The messages of a group.
    PerMessageGroupId,
}

/// When a message goes to which dead-letter queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RedrivePolicy {
    /// ARN of the dead-letter queue.
    pub dead_letter_target_arn: String,
    /// How often a message is delivered before it goes there.
    pub max_receive_count: u32,
}

/// Which queues may use a queue as their dead-letter queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RedriveAllowPolicy {
    /// All, none, or those named.
    pub redrive_permission: RedrivePermission,
    /// The queues named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub source_queue_arns: Vec<String>,
}

/// How a [`RedriveAllowPolicy`] chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RedrivePermission {
    /// Every queue.
    AllowAll,
    /// No queue.
    DenyAll,
    /// The queues named.
    ByQueue,
}

impl RedriveAllowPolicy {
    /// Whether the queue `source_arn` may name this queue in its redrive policy.
    #[must_use]
    pub fn allows(&self, source_arn: &str) -> bool {
        match self.redrive_permission {
            RedrivePermission::AllowAll => true,
            RedrivePermission::DenyAll => false,
            RedrivePermission::ByQueue => {
                self.source_queue_arns.iter().any(|arn| arn::same_queue(arn, source_arn))
            }
        }
    }
}

impl QueueSettings {
    /// The settings with `attributes` applied, each checked.
    pub fn with(mut self, attributes: &Attributes) -> Result<Self, StoreError> {
        for (name, value) in attributes {
            self.set(name, value)?;
        }
        if self.fifo_throughput_limit == ThroughputLimit::PerMessageGroupId
            && self.deduplication_scope == DeduplicationScope::Queue
        {
            return Err(invalid(
                "FifoThroughputLimit",
                "perMessageGroupId needs DeduplicationScope messageGroup",
            ));
        }
        Ok(self)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), StoreError> {
        match name {
            "VisibilityTimeout" => {
                let most = quota::VISIBILITY_TIMEOUT_SECONDS_MAX;
                self.visibility_timeout_seconds = number(name, value, 0, most)?;
            }
            "MessageRetentionPeriod" => {
                let (least, most) = (quota::RETENTION_SECONDS_MIN, quota::RETENTION_SECONDS_MAX);
                self.retention_seconds = number(name, value, least, most)?;
            }
            "DelaySeconds" => {
                self.delay_seconds = number(name, value, 0, limits::DELAY_SECONDS_MAX)?;
            }
            "ReceiveMessageWaitTimeSeconds" => {
                self.receive_wait_seconds = number(name, value, 0, limits::WAIT_SECONDS_MAX)?;
            }
            "MaximumMessageSize" => {
                let (least, most) = (quota::MESSAGE_BYTES_MIN, limits::MESSAGE_BYTES_MAX);
                self.max_message_bytes = number(name, value, least, most)?;
            }
            "FifoQueue" => {
                if !boolean(name, value)? {
                    return Err(invalid(name, "Modifying queue type is not supported"));
                }
            }
            "ContentBasedDeduplication" => {
                self.content_based_deduplication = boolean(name, value)?;
            }
            "DeduplicationScope" => self.deduplication_scope = choice(name, value)?,
            "FifoThroughputLimit" => self.fifo_throughput_limit = choice(name, value)?,
            "RedrivePolicy" => self.redrive_policy = redrive_policy(value)?,
            "RedriveAllowPolicy" => self.redrive_allow_policy = redrive_allow_policy(value)?,
            _ if WITHOUT_EFFECT.contains(&name) => self.keep(name, value),
            _ => return Err(StoreError::InvalidAttributeName(name.to_owned())),
        }
        Ok(())
    }

    fn keep(&mut self, name: &str, value: &str) {
        if value.is_empty() {
            self.without_effect.remove(name);
        } else {
            self.without_effect.insert(name.to_owned(), value.to_owned());
        }
    }

    /// The settings as SQS's attributes, for `GetQueueAttributes`.
    #[must_use]
    pub fn attributes(&self) -> Attributes {
        let mut attributes = self.without_effect.clone();
        let mut put = |name: &str, value: String| attributes.insert(name.to_owned(), value);
        put("VisibilityTimeout", self.visibility_timeout_seconds.to_string());
        put("MessageRetentionPeriod", self.retention_seconds.to_string());
        put("DelaySeconds", self.delay_seconds.to_string());
        put("ReceiveMessageWaitTimeSeconds", self.receive_wait_seconds.to_string());
        put("MaximumMessageSize", self.max_message_bytes.to_string());
        put("FifoQueue", "true".to_owned());
        put("ContentBasedDeduplication", self.content_based_deduplication.to_string());
        put("DeduplicationScope", plain(&self.deduplication_scope));
        put("FifoThroughputLimit", plain(&self.fifo_throughput_limit));
        if let Some(policy) = &self.redrive_policy {
            put("RedrivePolicy", json(policy));
        }
        if let Some(policy) = &self.redrive_allow_policy {
            put("RedriveAllowPolicy", json(policy));
        }
        attributes
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("settings have string keys only")
}

/// A unit variant's name, without the quotes of its JSON.
fn plain(value: &impl Serialize) -> String {
    json(value).trim_matches('"').to_owned()
}

fn invalid(name: &str, reason: impl Into<String>) -> StoreError {
    StoreError::InvalidAttributeValue { name: name.to_owned(), reason: reason.into() }
}

/// Of the two policies about dead letters SQS says what it says of parameters, not of attributes.
pub(super) fn invalid_policy(name: &str, value: &str, reason: impl Display) -> StoreError {
    StoreError::InvalidParameterValue(format!(
        "Value {value} for parameter {name} is invalid. Reason: {reason}."
    ))
}

fn number(name: &str, value: &str, least: u32, most: u32) -> Result<u32, StoreError> {
    value
        .parse()
        .ok()
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| invalid(name, format!("{value:?} is not a number from {least} to {most}")))
}

pub(super) fn boolean(name: &str, value: &str) -> Result<bool, StoreError> {
    // In any case, as Python and JavaScript write them.
    match value.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(invalid(name, format!("{value:?} is neither true nor false"))),
    }
}

fn choice<T: for<'a> Deserialize<'a>>(name: &str, value: &str) -> Result<T, StoreError> {
    serde_json::from_value(Value::from(value)).map_err(|error| invalid(name, error.to_string()))
}

fn redrive_policy(value: &str) -> Result<Option<RedrivePolicy>, StoreError> {
    let name = "RedrivePolicy";
    if value.is_empty() {
        return Ok(None);
    }
    let policy: Value = serde_json::from_str(value)
        .map_err(|error| invalid_policy(name, value, JsonError::from(error)))?;
    // AWS takes the count as a number and as a string; Terraform's jsonencode gives either.
    let max_receive_count = match policy.get("maxReceiveCount") {
        Some(Value::String(text)) => text.parse().ok(),
        Some(count) => count.as_u64().and_then(|count| u32::try_from(count).ok()),
        None => None,
    };
    let target = policy.get("deadLetterTargetArn").and_then(Value::as_str);
    let Some(target) = target.filter(|target| arn::is_queue(target)) else {
        return Err(invalid_policy(name, value, "Invalid value for deadLetterTargetArn"));
    };
    let Some(max_receive_count @ 1..=quota::RECEIVE_COUNT_MAX) = max_receive_count else {
        let reason = format!(
            "Invalid value for maxReceiveCount, valid values are from 1 to {} both inclusive",
            quota::RECEIVE_COUNT_MAX
        );
        return Err(invalid_policy(name, value, reason));
    };
    Ok(Some(RedrivePolicy { dead_letter_target_arn: target.to_owned(), max_receive_count }))
}

fn redrive_allow_policy(value: &str) -> Result<Option<RedriveAllowPolicy>, StoreError> {
    let name = "RedriveAllowPolicy";
    if value.is_empty() {
        return Ok(None);
    }
    let policy: RedriveAllowPolicy = serde_json::from_str(value)
        .map_err(|error| invalid_policy(name, value, JsonError::from(error)))?;
    let named = policy.source_queue_arns.len();
    let by_queue = policy.redrive_permission == RedrivePermission::ByQueue;
    if by_queue != (named > 0) || named > limits::REDRIVE_SOURCES_MAX {
        let reason = "byQueue, and only it, needs 1 to 10 sourceQueueArns";
        return Err(invalid_policy(name, value, reason));
    }
    Ok(Some(policy))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, value: &str) -> Result<QueueSettings, String> {
        let attributes = Attributes::from([(name.to_owned(), value.to_owned())]);
        QueueSettings::default().with(&attributes).map_err(|error| error.to_string())
    }

    fn by_queue(number: usize) -> String {
        let arn = r#""arn:aws:sqs:us-east-1:000000000000:q.fifo""#;
        let arns = vec![arn; number].join(",");
        format!(r#"{{"redrivePermission":"byQueue","sourceQueueArns":[{arns}]}}"#)
    }

    #[test]
    fn what_is_set_is_shown() {
        for (name, value) in [
            ("VisibilityTimeout", "43200"),
            ("MessageRetentionPeriod", "60"),
            ("DelaySeconds", "900"),
            ("ReceiveMessageWaitTimeSeconds", "20"),
            ("MaximumMessageSize", "1024"),
            ("ContentBasedDeduplication", "true"),
            ("DeduplicationScope", "messageGroup"),
            ("FifoThroughputLimit", "perQueue"),
            ("Policy", "{}"),
            (
                "RedrivePolicy",
                r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:d.fifo","maxReceiveCount":3}"#,
            ),
            ("RedriveAllowPolicy", r#"{"redrivePermission":"denyAll"}"#),
            ("RedriveAllowPolicy", &by_queue(10)),
        ] {
            assert_eq!(check(name, value).unwrap().attributes()[name], value, "{name}");
        }
    }

    #[test]
    fn what_aws_refuses_is_refused() {
        for (name, value) in [
            ("VisibilityTimeout", "43201"),
            ("VisibilityTimeout", "-1"),
            ("MessageRetentionPeriod", "59"),
            ("DelaySeconds", "901"),
            ("ReceiveMessageWaitTimeSeconds", "21"),
            ("MaximumMessageSize", "1048577"),
            ("FifoQueue", "false"),
            ("ContentBasedDeduplication", "yes"),
            ("ContentBasedDeduplication", ""),
            ("DeduplicationScope", "group"),
            ("FifoThroughputLimit", "perMessageGroupId"),
            ("RedrivePolicy", r#"{"maxReceiveCount":3}"#),
            (
                "RedrivePolicy",
                r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:d.fifo","maxReceiveCount":1001}"#,
            ),
            ("RedrivePolicy", r#"{"deadLetterTargetArn":"d.fifo","maxReceiveCount":3}"#),
            ("RedriveAllowPolicy", r#"{"redrivePermission":"byQueue"}"#),
            ("RedriveAllowPolicy", &by_queue(11)),
            ("NoSuchAttribute", "1"),
        ] {
            assert!(check(name, value).is_err(), "{name} = {value}");
        }
    }

    #[test]
    fn a_boolean_may_be_written_in_any_case() {
        for (value, expected) in [("True", true), ("TRUE", true), ("False", false)] {
            let settings = check("ContentBasedDeduplication", value).unwrap();
            assert_eq!(settings.content_based_deduplication, expected, "{value}");
        }
    }

    #[test]
    fn a_receive_count_may_be_a_string() {
        let policy = r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:d.fifo","maxReceiveCount":"7"}"#;
        let settings = check("RedrivePolicy", policy).unwrap();
        assert_eq!(settings.redrive_policy.map(|policy| policy.max_receive_count), Some(7));
    }
}
