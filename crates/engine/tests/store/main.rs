//! The store, as its users see it, with a clock that the tests move.

mod deduplication;
mod receiving;
mod support;
