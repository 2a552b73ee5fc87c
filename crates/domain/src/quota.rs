//! AWS's limits, each with its source, and the few limits of ours that follow from them.

use std::time::Duration;

/// Longest message group id, deduplication id or receive request attempt id, in characters.
/// Source: SQS API reference, `SendMessage`.
pub const ID_CHARS_MAX: usize = 128;

/// Most message attributes on one message. Source: SQS guide, "Message metadata".
pub const MESSAGE_ATTRIBUTES_MAX: usize = 10;

/// Longest queue name, in characters, `.fifo` included. Source: SQS guide, "FIFO queue quotas".
pub const QUEUE_NAME_CHARS_MAX: usize = 80;

/// Visibility timeout, most. Source: SQS API reference, `ChangeMessageVisibility`.
pub const VISIBILITY_TIMEOUT_SECONDS_MAX: u32 = 43_200;

/// The most that is asked for when a visibility timeout is changed: the 12 hours count from the
/// receive, so that asking for all of them fails. Source: SQS guide, "Visibility timeout".
pub const VISIBILITY_CHANGE_SECONDS_MAX: u32 = 43_100;

/// Message retention, least. Source: SQS API reference, `CreateQueue`.
pub const RETENTION_SECONDS_MIN: u32 = 60;
/// Message retention, most: 14 days. Source: SQS API reference, `CreateQueue`.
pub const RETENTION_SECONDS_MAX: u32 = 1_209_600;

/// Receive count of a redrive policy, least. Source: Lambda guide, "Retries for SQS": at least 5.
pub const RECEIVE_COUNT_MIN: u32 = 5;
/// Receive count of a redrive policy, most. Source: SQS API reference, `CreateQueue`.
pub const RECEIVE_COUNT_MAX: u32 = 1_000;

/// Function timeout, most. Source: Lambda guide, "Configure function timeout".
pub const FUNCTION_TIMEOUT_SECONDS_MAX: u32 = 900;

/// Function timeouts in one visibility timeout.
/// Source: Lambda guide, "Configuring a queue to use with Lambda".
pub const FUNCTION_TIMEOUTS_PER_VISIBILITY_TIMEOUT: u32 = 6;
const _: () = assert!(
    FUNCTION_TIMEOUTS_PER_VISIBILITY_TIMEOUT * FUNCTION_TIMEOUT_SECONDS_MAX
        <= VISIBILITY_TIMEOUT_SECONDS_MAX
);

/// Messages in one batch of an event source mapping on a FIFO queue.
/// Source: Lambda guide, "Parameters for SQS".
pub const BATCH_SIZE_MAX: u32 = 10;

/// Concurrent invocations of an event source mapping. Source: Lambda guide, "Scaling for SQS".
pub const CONCURRENCY_MIN: u32 = 2;
/// Concurrent invocations of an event source mapping. Source: Lambda guide, "Scaling for SQS".
pub const CONCURRENCY_MAX: u32 = 1_000;

/// All of a function's environment variables together, in bytes.
/// Source: Lambda guide, "Environment variables".
pub const FUNCTION_ENVIRONMENT_BYTES_MAX: usize = 4_096;

/// Memory of a function, least, in MB. Source: Lambda guide, "Configure function memory".
pub const FUNCTION_MEMORY_MEGABYTES_MIN: u32 = 128;
/// Memory of a function, most, in MB. Source: Lambda guide, "Configure function memory".
pub const FUNCTION_MEMORY_MEGABYTES_MAX: u32 = 10_240;

/// What is kept free in a function's environment for the two queue URLs, in bytes.
pub const QUEUE_URLS_BYTES: usize = 512;

/// Maximum message size of the dead-letter queue, in bytes: the most that SQS takes.
/// Source: SQS guide, "Amazon SQS message quotas".
pub const DEAD_LETTER_BYTES_MAX: u32 = 1_048_576;

/// What a dead letter may need more than the message it was, in bytes: the failure record and an
/// event id. The webhook queue's limit is smaller by this, so that every message fits.
pub const DEAD_LETTER_ROOM_BYTES: u32 = 4_096;

/// Maximum message size of the webhook queue, most, in bytes.
pub const MESSAGE_BYTES_MAX: u32 = DEAD_LETTER_BYTES_MAX - DEAD_LETTER_ROOM_BYTES;

/// The same on AWS, in bytes: the dead-letter queue has the most that the Terraform provider 5.100 can
/// set. Source: its schema, `max_message_size`.
pub const AWS_MESSAGE_BYTES_MAX: u32 = 262_144 - DEAD_LETTER_ROOM_BYTES;

/// Event of one invocation, in bytes. Source: Lambda guide, "Lambda quotas", invocation payload.
pub const INVOCATION_BYTES_MAX: usize = 6 * 1_024 * 1_024;
/// Maximum message size of a queue, least, in bytes. Source: SQS API reference, `CreateQueue`.
pub const MESSAGE_BYTES_MIN: u32 = 1_024;

/// The part of a request body in which `$request.body.a.b` is looked for, in bytes.
/// Source: API Gateway guide, "Integrations with AWS services for HTTP APIs".
pub const BODY_FIELD_BYTES_MAX: usize = 102_400;

/// Request payload of an HTTP API, in bytes. Source: API Gateway guide, "HTTP API quotas".
pub const REQUEST_BODY_BYTES_MAX: usize = 10 * 1_024 * 1_024;
/// Request line and headers of an HTTP API, in bytes. Source: API Gateway guide, "HTTP API quotas".
pub const REQUEST_HEAD_BYTES_MAX: usize = 10_240;

/// How long an authorizer's decision can be kept, in seconds.
/// Source: API Gateway API reference, `CreateAuthorizer`.
pub const AUTHORIZER_RESULT_SECONDS_MAX: u32 = 3_600;

/// How long SQS uses a data key, least, in seconds. Source: SQS API reference, `CreateQueue`.
pub const DATA_KEY_REUSE_SECONDS_MIN: u32 = 60;
/// How long SQS uses a data key, most, in seconds. Source: SQS API reference, `CreateQueue`.
pub const DATA_KEY_REUSE_SECONDS_MAX: u32 = 86_400;

/// How long `CloudWatch` can keep log lines, in days.
/// Source: `CloudWatch` Logs API reference, `PutRetentionPolicy`.
pub const LOG_RETENTION_DAYS: [u32; 22] = [
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
    3288, 3653,
];

/// Actions of an alarm for one state. Source: `CloudWatch` API reference, `PutMetricAlarm`.
pub const ALARM_ACTIONS_MAX: usize = 5;

/// How long SQS recognises a deduplication id. Source: SQS guide, "Message deduplication id".
pub const DEDUPLICATION_INTERVAL: Duration = Duration::from_mins(5);

/// Whether SQS takes `id` as a message group id or deduplication id.
/// Source: SQS API reference, `SendMessage`: letters, digits and ASCII punctuation, 1 to 128.
#[must_use]
pub fn is_id(id: &str) -> bool {
    (1..=ID_CHARS_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether SQS takes `c` in a message body or attribute value.
/// Source: SQS API reference, `SendMessage`.
#[must_use]
pub fn is_body_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_printable_ascii_without_spaces() {
        for good in ["a", "order-7", "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", &"x".repeat(128)] {
            assert!(is_id(good), "{good}");
        }
        for bad in ["", "order 7", "注文", "tab\t", "\u{7f}", &"x".repeat(129)] {
            assert!(!is_id(bad), "{bad}");
        }
    }

    #[test]
    fn control_characters_are_not_body_characters() {
        assert!("\t\n\r 注文🦀\u{fffd}".chars().all(is_body_char));
        assert!(
            !['\0', '\u{8}', '\u{b}', '\u{1f}', '\u{fffe}', '\u{ffff}']
                .into_iter()
                .any(is_body_char)
        );
    }
}
