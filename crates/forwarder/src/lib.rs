//! The forwarder: takes a batch of messages from the queue's event source mapping and delivers them
//! to their destinations.
//!
//! `forwarder.rs` walks a batch; what an outcome leads to is asked of the domain, and no rule of
//! delivery stands here. `webhook.rs` says what one POST carries, `signatures.rs` verifies and signs where a
//! route asks for it. What is outside is behind [`Outside`]: [`Network`] posts through the client in
//! `client/`, and `queue.rs` talks to SQS where a message failed.

mod aws;
mod client;
mod deliberate;
mod event;
mod forwarder;
mod gates;
mod identity;
mod init_error;
mod invocation;
mod logging;
mod metrics;
mod network;
mod outside;
mod queue;
mod repeat;
mod report;
mod resolve;
mod secrets;
mod services;
mod settings;
mod signatures;
mod skips;
mod timeout;
mod tls;
mod webhook;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use aws::AwsError;
pub use client::Exchange;
pub use forwarder::{BatchError, Forwarder, Response};
pub use identity::IdentityError;
pub use init_error::report_init_error;
pub use logging::log_error;
pub use network::Network;
pub use outside::Outside;
pub use queue::QueueError;
pub use repeat::Repeated;
pub use settings::{Settings, SettingsError};

/// Everything that can be wrong before the first batch.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The function's environment says something that cannot be.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The certificates cannot be read.
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
    /// The HTTP client cannot be set up.
    #[error("setting up the http client")]
    Client(#[source] reqwest::Error),
}

/// A panic while a lock was held has cost one batch; what is in here is a memory, and still good.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
