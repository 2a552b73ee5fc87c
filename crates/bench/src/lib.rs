//! Benchmarks of the forwarder and the engine, as ratios to floors measured in the same run.
//!
//! The floor of the forwarder is a program that does the same exchanges on bare blocking sockets
//! ([`http`]), and nothing else: no retry, no order, no log.

pub mod http;
