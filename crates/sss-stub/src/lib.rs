//! A stand-in for the Sales Support System. It takes webhooks as the service would, records what it
//! got, and fails, is slow or is down when told to.
//!
//! Every `POST` is a webhook, except below `/_stub/`, where it is told what to do:
//!
//! | request | what |
//! |---|---|
//! | `GET /_stub/received?at_least=N&wait_ms=T` | what was received, oldest first; waits until there are N or T is over |
//! | `DELETE /_stub/received` | forgets it |
//! | `PUT /_stub/behavior` | a [`Behavior`] as JSON: what it answers from now on |
//!
//! Nothing is written to disk.

#![warn(clippy::disallowed_macros)]

#[macro_use]
extern crate terminal;

mod behavior;
mod received;
pub mod report;
mod server;

pub use behavior::{Behavior, Rule};
pub use received::Received;
pub use server::Stub;
