//! The one-machine engine: what API Gateway, SQS and Lambda do on AWS, in one process, with the
//! same forwarder binary and the same configuration file.
//!
//! | part | module |
//! |---|---|
//! | what time it is | [`clock`] |
//! | durable FIFO queues | [`store`] |

pub mod clock;
pub mod store;
