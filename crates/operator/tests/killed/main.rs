//! Commands that are killed: with `kill -9`, at each of their steps, and at random. Nothing is lost, nothing
//! is doubled that the queue can recognise, the order of each key is kept, and the audit log tells it.
#![expect(clippy::unwrap_used, reason = "a helper of a test that cannot go on fails the test")]

mod at_random;
#[path = "../dlq/clock.rs"]
mod clock;
mod each_step;
mod lease;
mod proxy;
mod site;
