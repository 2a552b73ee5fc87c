//! Contracts, and what it takes to hold the built programs to them.
//!
//! The forwarder is started as a process, as Lambda starts it, between three stand-ins: the
//! [Lambda Runtime API](runtime_api), [SQS](fake_sqs) and [SSS](sss); secrets of AWS come from a [fourth](fake_aws). Tests hand it [events](event),
//! and look at what a user would notice: which requests SSS got, which messages were reported as
//! failed, what was asked of SQS, what the log says.
//!
//! Not here: the rules themselves, which `domain` has and tests case by case.

pub mod contract;
pub mod event;
pub mod fake_aws;
pub mod fake_sqs;
pub mod forwarder;
pub mod installed;
pub mod log;
pub mod queue;
pub mod runtime_api;
pub mod settings;
pub mod sss;
pub mod wire;

use std::time::Duration;

/// How long a test waits for something that is bound to happen, before it fails.
/// Much longer than anything here takes, since a busy machine must not fail a test.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// Awaits what is bound to happen.
///
/// # Panics
///
/// When it has not happened after [`PATIENCE`].
pub async fn within_patience<T>(what: &str, future: impl Future<Output = T>) -> T {
    let Ok(value) = tokio::time::timeout(PATIENCE, future).await else {
        panic!("{what}: not after {PATIENCE:?}");
    };
    value
}
