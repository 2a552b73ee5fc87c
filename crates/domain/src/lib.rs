//! The rules of delivery between a `SaaS`'s webhooks and a service, each in one place.
//!
//! | question | module |
//! |---|---|
//! | what may a configuration say? | [`config`] |
//! | how does a request become a queue message? | [`mapping`] |
//! | by which rule was a request not accepted? | [`refusal`] |
//! | what is a message, once received? | [`message`] |
//! | in which order are a batch's messages attempted, and what happens to the rest of a group? | [`batch`] |
//! | what does an answer, or none, lead to? | [`outcome`] |
//! | when is the next attempt? | [`schedule`] |
//! | is it worth attempting at all, now? | [`breaker`], [`deadline`] |
//! | which failing event does an operator want out of the way? | [`skip`] |
//! | why does delivery stand still, and until when? | [`pause`] |
//! | who may redrive now? | [`lease`] |
//! | what does a dead letter look like, and how does it go back? | [`dead_letter`] |
//! | may an operator have an event attempted before its time? | [`retry`] |
//! | which dead letters have one cause? | [`issue`] |
//! | who sent a message, and how does a receiver know that we forwarded it? | [`signature`] |
//! | where is a secret? | [`secret`] |
//! | what needs a person on one machine, and when is it told? | [`notification`] |
//! | must a person act, or may everybody wait? | [`verdict`] |
//! | what may be called, and which addresses never? | [`address`] |
//! | what does an error say of JSON? | [`json`] |
//! | what tries a route, and why would that come to nothing? | [`test_event`] |
//! | which numbers come from AWS? | [`quota`] |
//!
//! Deliberately absent: sockets, files, the environment, the clock, randomness, async, the AWS SDK.
//! Time and settings come in as values, so that every rule can be tested to its last case.

pub mod address;
pub mod attribute;
pub mod batch;
pub mod breaker;
pub mod carried;
pub mod config;
pub mod dead_letter;
pub mod deadline;
pub mod environment;
pub mod freshness;
#[cfg(test)]
mod fuzz;
pub mod gate;
pub mod header;
pub mod issue;
pub mod json;
pub mod lease;
pub mod mapping;
pub mod memory;
pub mod message;
pub mod notification;
pub mod outcome;
pub mod pace;
pub mod pause;
pub mod quota;
pub mod refusal;
pub mod repeat;
pub mod retry;
pub mod route;
pub mod route_path;
pub mod schedule;
pub mod secret;
pub mod selection;
pub mod signature;
pub mod skip;
pub mod status;
pub mod test_event;
pub mod time;
pub mod transport;
pub mod verdict;
