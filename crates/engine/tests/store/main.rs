//! The store, as its users see it, with a clock that the tests move.

mod deduplication;
mod durability;
mod faults;
mod model;
mod queues;
mod receiving;
mod redrive;
mod support;
mod waiting;
