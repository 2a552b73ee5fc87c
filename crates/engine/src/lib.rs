//! The one-machine engine: what API Gateway, SQS and Lambda do on AWS, in one process, with the
//! same forwarder binary and the same configuration file.
//!
//! | part | module |
//! |---|---|
//! | what time it is | [`clock`] |
//! | durable FIFO queues | [`store`] |
//! | the SQS protocol in front of them | [`sqs`] |
//! | webhooks in | `ingest` |
//! | from the queue to the function | `event_source_mapping` |
//! | the function's processes | `function`, `runtime_api` |
//! | who may use the API | `access` |
//! | the engine's own API | `admin`, `status`, `metrics`, `history`, [`operators`] |
//! | telling a person of what needs one | `notifier` |
//! | pausing and resuming, as on AWS | `lambda_api` |
//! | all of it together | [`Engine`] |
//! | store and mapping within a simulation | [`simulation`] |
//! | would it start? | [`check()`] |
//! | webhooks in, for what was deployed to an AWS emulator | [`Gateway`] |

pub mod clock;
pub mod leases_api;
pub mod operators;
pub mod simulation;
pub mod sqs;
pub mod store;

mod access;
mod admin;
mod ages;
mod check;
mod conditions;
mod damage_api;
mod deliberate;
mod deliveries;
mod departures;
mod destinations;
mod disk;
mod engine;
mod error;
mod error_text;
mod event_source_mapping;
mod failing;
mod failure;
mod files;
mod function;
mod gateway;
mod heartbeat;
mod history;
mod http;
mod ingest;
mod lambda_api;
mod log;
mod log_file;
mod looking_api;
mod loss_meter;
mod metrics;
mod notifier;
mod pauses_api;
mod queues;
mod receiver;
mod repeat_api;
mod retry_api;
mod runtime_api;
mod search_api;
mod secrets;
mod server;
mod spare_room;
mod start_command;
mod status;
mod storage;
mod storage_health;
mod target;
mod watched;

pub use check::{Findings, check};
pub use disk::RESERVE_BYTES;
pub use engine::{Engine, EngineOptions, Sockets};
pub use error::EngineError;
pub use error_text::in_full;
pub use failure::Failure;
pub use files::Untrusted;
pub use gateway::Gateway;
pub use receiver::{Answered, PostError, notify};
pub use start_command::start_command;
pub use storage::Storage;
pub use target::with_target;
