//! The store, as its users see it, with a clock that the tests move.

#![expect(clippy::unwrap_used, reason = "what a test sets up must succeed, in its helpers too")]

mod clocks;
mod copy;
mod damage;
mod deduplication;
mod durability;
mod faults;
mod kept;
mod leases;
mod ledger;
mod looking;
mod model;
mod queues;
mod receiving;
mod redrive;
mod retrying;
mod support;
mod waiting;
