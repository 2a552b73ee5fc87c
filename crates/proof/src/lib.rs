//! Tries to break every promise, and says what it tried.
//!
//! An attacker makes a [`history`]: what was seen from outside, by senders, the service and operators.
//! [`check`] looks whether each promise was kept in it; it does no I/O, and asks nothing of the product.
//!
//! | module | what |
//! |---|---|
//! | [`random`] | numbers by a seed |
//! | [`schedule`] | which fault comes when: a pure function of the seed |
//! | [`history`] | what was seen |
//! | [`check`] | what was promised |
//! | [`real`] | attacks the programs, over HTTP and by signals |
//! | [`simulation`] | lets days pass in one process and one simulated time, around the forwarder's own code |
//! | [`self_test`] | whether what is broken on purpose is found |
//! | [`report`] | what was tried, and the story of what broke |
//!
//! Nothing depends on this crate. Deliberately absent from all but [`simulation`]: anything of the product.
//! What they know of engine and forwarder is what a user knows.

pub mod check;
mod fate;
pub mod history;
mod kind;
mod planted;
pub mod random;

pub mod real;
pub mod report;
pub mod schedule;
pub mod self_test;
pub mod simulation;
