//! The whole engine, with real function processes, through its listeners.
#![expect(clippy::unwrap_used, reason = "a helper of a test that cannot go on fails the test")]

mod clocks;
mod commands;
mod data;
mod disk;
mod faults;
mod function;
mod gateway;
mod history;
mod ingest;
mod looking;
mod monitoring;
mod notify;
mod operators;
mod outages;
mod program;
mod service;
mod sqs;
mod sqs_recorded;
mod support;
mod syncs;
mod trust;

/// What [`support::function`] starts; by itself it does nothing.
#[test]
fn function_process() {
    support::function::entry();
}
