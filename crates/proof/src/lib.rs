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
//! | [`self_test`] | whether what is broken on purpose is found |
//! | [`report`] | what was tried, and the story of what broke |
//!
//! Deliberately absent: anything of the product. Nothing depends on this crate, and it links none of
//! ours but what writes to a terminal: what it knows of engine and forwarder is what a user knows.

pub mod check;
pub mod history;
pub mod random;

pub mod real;
pub mod report;
pub mod schedule;
pub mod self_test;
