//! Is what is broken on purpose found? The programs are built with the feature `deliberate-faults`, and one
//! fault after another is there.

use std::time::{Duration, Instant};

use crate::check::Promise;
use crate::real::{self, Options};
use crate::report::Report;

/// The faults, and the promise that each breaks.
pub const DELIBERATE: [(&str, Promise); 13] = [
    ("acknowledge-before-commit", Promise::NothingMissing),
    ("delete-on-failure", Promise::NothingMissing),
    ("forget-what-stays", Promise::NothingMissing),
    ("drop-on-give-up", Promise::NothingMissing),
    ("drop-rejected", Promise::NothingMissing),
    ("drop-unverified", Promise::NothingMissing),
    ("untrue-reason", Promise::NothingMissing),
    ("overtake-blocked", Promise::NoneOvertaken),
    ("repeat-delivered", Promise::RepeatsExplained),
    ("another-id-on-repeat", Promise::RepeatsExplained),
    ("no-verification", Promise::OnlyGenuine),
    ("forget-pauses", Promise::PausesHold),
    ("log-body", Promise::NothingLeaks),
];

/// Whether a deliberate fault was found, and in which time.
#[derive(Debug)]
pub struct Found {
    /// The fault.
    pub fault: &'static str,
    /// The promise that it breaks.
    pub promise: Promise,
    /// Whether the check of that promise found it.
    pub is_found: bool,
    /// How the run ended, if it did not come to its end.
    pub error: Option<String>,
    /// How long it took.
    pub took: Duration,
}

/// Runs every deliberate fault whose name contains `text`, and tells of each.
pub fn run(options: &Options, text: &str, mut told: impl FnMut(&Found)) -> Vec<Found> {
    let one = |(fault, promise)| {
        let started = Instant::now();
        let run = real::run(&Options { deliberate: Some(fault), ..options.clone() });
        let (is_found, error) = match run {
            Ok(run) => (Report::of(&run.history, run.skipped).is_broken(promise), None),
            Err(error) => (false, Some(format!("{error:#}"))),
        };
        let found = Found { fault, promise, is_found, error, took: started.elapsed() };
        told(&found);
        found
    };
    DELIBERATE.into_iter().filter(|(fault, _)| fault.contains(text)).map(one).collect()
}
