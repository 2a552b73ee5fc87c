//! `webhook-operator dlq`, the built program, on the engine's queues.

mod list;
mod redrive;
mod show;
mod support;
mod usage;
