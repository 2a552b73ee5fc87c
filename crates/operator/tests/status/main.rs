//! `status`, `trace`, `blocked`, `doctor` and `/metrics`: the built program, on an engine that delivers
//! with the real forwarder.
#![expect(clippy::unwrap_used, reason = "a helper of a test that cannot go on fails the test")]

mod attempts;
mod blocked;
mod damaged;
mod doctor;
mod fake_cloudwatch;
mod forwarder;
mod history;
mod logs;
mod metrics;
mod on_aws;
mod pauses;
mod preflight;
mod redrive;
mod refused;
mod repeat;
mod retry;
mod routes;
mod send;
mod show;
mod skip;
mod status;
mod support;
mod trace;
mod unseen;
mod usage;
mod verdict;
mod viewers;
