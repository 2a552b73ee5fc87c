//! Every command of an operator whose output the documents show is run here, on an engine with the real
//! forwarder, and must print what the documents say. `TRANSCRIPTS=write` writes what it prints into them.

mod mask;
mod operations;
mod page;
mod release;
mod stage;
mod status;
