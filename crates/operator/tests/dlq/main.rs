//! `webhook-operator dlq`, the built program, on the engine's queues.
#![expect(clippy::unwrap_used, reason = "a helper of a test that cannot go on fails the test")]

mod change;
mod clock;
mod issues;
mod list;
mod local;
mod redrive;
mod select;
mod show;
mod signals;
mod support;
mod told;
mod truth;
mod usage;
