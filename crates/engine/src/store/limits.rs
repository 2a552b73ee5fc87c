//! Limits of a queue that only the store and its protocol need; the others are in
//! [`domain::quota`]. Plain numbers are in seconds or bytes, as the names say.

use std::time::Duration;

/// Messages in one batch request, or in one receive. Source: SQS API reference, `ReceiveMessage`.
pub const BATCH_ENTRIES_MAX: usize = 10;

/// All messages of one batch request together, in bytes. Source: SQS API reference, `SendMessageBatch`.
pub const BATCH_BYTES_MAX: usize = 1_048_576;

/// Maximum message size of a queue, most and default, in bytes. Source: SQS API reference, `CreateQueue`.
pub const MESSAGE_BYTES_MAX: u32 = 1_048_576;

/// Visibility timeout of a queue unless it says otherwise. Source: SQS API reference, `CreateQueue`.
pub const VISIBILITY_TIMEOUT_SECONDS: u32 = 30;

/// Retention of a queue unless it says otherwise: 4 days. Source: SQS API reference, `CreateQueue`.
pub const RETENTION_SECONDS: u32 = 345_600;

/// Delay of a queue, most. Source: SQS API reference, `CreateQueue`.
pub const DELAY_SECONDS_MAX: u32 = 900;

/// Wait of a receive, most. Source: SQS API reference, `ReceiveMessage`.
pub const WAIT_SECONDS_MAX: u32 = 20;

/// Messages in flight on a FIFO queue; at the limit a receive returns nothing.
/// Source: SQS guide, "FIFO queue quotas".
pub const IN_FLIGHT_MAX: i64 = 120_000;

/// Message attribute name, in characters. Source: SQS guide, "Message metadata".
pub const ATTRIBUTE_NAME_CHARS_MAX: usize = 256;

/// How long a receive request attempt id is remembered. Source: SQS API reference, `ReceiveMessage`.
pub const RECEIVE_ATTEMPT: Duration = Duration::from_mins(5);

/// Time between two purges of a queue. Source: SQS API reference, `PurgeQueue`.
pub const PURGE_INTERVAL: Duration = Duration::from_mins(1);

/// Source queues that a redrive allow policy may name. Source: SQS API reference, `CreateQueue`.
pub const REDRIVE_SOURCES_MAX: usize = 10;

/// Messages a second that a move task may be asked for. Source: SQS API reference, `StartMessageMoveTask`.
pub const MOVE_RATE_MAX: u32 = 500;

/// Move tasks of a source that are listed at most. Source: SQS API reference, `ListMessageMoveTasks`.
pub const MOVE_TASKS_LISTED_MAX: u32 = 10;

/// Tags of a queue. Source: SQS API reference, `TagQueue`.
pub const TAGS_MAX: usize = 50;
