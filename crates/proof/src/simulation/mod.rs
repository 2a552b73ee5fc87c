//! Days of operation in one process, one simulated time and by one seed, around the forwarder's own code.
//!
//! Every second day passes on AWS, where SQS with the lock that was recorded there, and Lambda with its event
//! source mapping, are modelled; the others on one machine, with the engine's own store and event source
//! mapping. Senders, the API, the service, operators and clocks are simulated on both. A day is its seed's and
//! its number's: the same day passes in the same way, to the byte of its history.
//!
//! Not simulated: connections and TLS, what programs print, and what a disk does beside being full and
//! damaging what is stored.

mod configuration;
mod day;
mod delivery;
mod function;
mod host;
mod lambda;
mod machine;
mod operators;
mod outside;
mod plan;
mod processes;
pub mod self_test;
mod senders;
mod service;
mod shrink;
mod sqs;
mod world;

pub use plan::Only;
pub use shrink::{Shortest, shrink};

use std::ops::Range;
use std::sync::mpsc;

use crate::history::History;
use crate::report::{Report, Scope};

/// How many days of a thread wait to be looked at.
const AHEAD: usize = 4;

/// Which of the product's two sizes a day passes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    Aws,
    OneMachine,
}

impl Size {
    const ALL: [Self; 2] = [Self::Aws, Self::OneMachine];

    /// They take turns.
    fn of(day: u64) -> Self {
        if day.is_multiple_of(2) { Self::Aws } else { Self::OneMachine }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Aws => "AWS",
            Self::OneMachine => "one machine",
        }
    }
}

/// Lets a day pass, or what of it is left, and gives what was seen.
#[must_use]
pub fn day(seed: u64, day: u64, only: &Only) -> History {
    day::pass(seed_of(seed, day), plan::Plan::of(seed, day, only))
}

/// Lets days pass, as many at a time as there are processors, and gives them in their order with what is
/// said of each.
pub fn days(
    seed: u64,
    days: Range<u64>,
    only: &Only,
) -> impl Iterator<Item = (u64, History, Report)> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let passing = (0..threads).map(|thread| {
        let (passed, days_of_thread) = mpsc::sync_channel(AHEAD);
        let (only, days) = (only.clone(), days.clone());
        // It ends when nobody asks any more.
        std::thread::spawn(move || {
            for number in days.skip(thread).step_by(threads) {
                let history = day(seed, number, &only);
                let report = report(&history);
                if passed.send((number, history, report)).is_err() {
                    return;
                }
            }
        });
        days_of_thread
    });
    let passing: Vec<_> = passing.collect();
    days.zip((0..threads).cycle()).map(move |(_, thread)| {
        let days = passing.get(thread).expect("there is one for each thread");
        days.recv().expect("no day panics")
    })
}

/// What is said of a day.
#[must_use]
pub fn report(history: &History) -> Report {
    Report::within(Scope::SIMULATED, history)
}

/// Every day has numbers of its own.
fn seed_of(seed: u64, day: u64) -> u64 {
    crate::random::Random::of(seed, day * 16 + 3).number()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(history: &History) -> String {
        let mut text = Vec::new();
        history.write_to(&mut text).expect("memory takes everything");
        String::from_utf8(text).expect("JSON is text")
    }

    #[test]
    fn a_day_passes_in_the_same_way_again_to_the_byte() {
        for number in 0..6 {
            let first = text(&day(7, number, &Only::default()));
            assert!(first.lines().count() > 300);
            assert!(first == text(&day(7, number, &Only::default())), "day {number}");
            assert!(first != text(&day(8, number, &Only::default())), "day {number}");
        }
    }

    #[test]
    fn every_promise_is_kept_and_everything_is_exercised() {
        let mut report = report(&History::default());
        for number in 0..40 {
            let history = day(1, number, &Only::default());
            let of_day = super::report(&history);
            let stories = of_day.stories(&history);
            assert!(of_day.is_kept(), "day {number} of seed 1:\n{stories}");
            report.add(of_day);
        }
        assert_eq!(report.unexercised(), Vec::<String>::new());
    }
}
