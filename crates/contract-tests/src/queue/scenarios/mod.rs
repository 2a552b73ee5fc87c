//! What SQS does, by AWS's documentation; each scenario on queues of its own.

pub mod dead_letters;
pub mod deduplication;
pub mod messages;
pub mod order;
pub mod queues;
pub mod visibility;
