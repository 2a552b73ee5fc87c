//! Every command of an operator whose output the documents show is run here, on an engine with the real
//! forwarder, and must print what the documents say. `TRANSCRIPTS=write` writes what it prints into them.
#![expect(clippy::unwrap_used, reason = "a helper of a test that cannot go on fails the test")]

#[path = "../status/forwarder.rs"]
mod forwarder;
mod in_a_browser;
mod incidents;
mod mask;
mod operations;
mod page;
mod release;
mod stage;
mod status;
