//! Is what is broken on purpose found? The programs are built with the feature `deliberate-faults`, and one
//! fault after another is there.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::check::Promise;
use crate::real::{self, Options};
use crate::report::Report;

/// The faults, and the promise that each breaks. The slow ones first: they are run side by side.
pub const DELIBERATE: [(&str, Promise); 31] = [
    ("wait-too-long", Promise::NothingStuck),
    ("forget-delete", Promise::RepeatsExplained),
    ("acknowledge-before-commit", Promise::NothingMissing),
    ("deduplicate-by-group", Promise::NothingMissing),
    ("delete-on-failure", Promise::NothingMissing),
    ("drop-on-give-up", Promise::NothingMissing),
    ("drop-rejected", Promise::NothingMissing),
    ("drop-unverified", Promise::NothingMissing),
    ("expire-early", Promise::NothingMissing),
    ("forget-what-stays", Promise::NothingMissing),
    ("give-up-early", Promise::NothingMissing),
    ("lose-on-restart", Promise::NothingMissing),
    ("lose-what-is-sent-again", Promise::NothingMissing),
    ("miss-fellow", Promise::NothingMissing),
    ("reject-429", Promise::NothingMissing),
    ("skip-silently", Promise::NothingMissing),
    ("untrue-reason", Promise::NothingMissing),
    ("overtake-blocked", Promise::NoneOvertaken),
    ("overtake-failed", Promise::NoneOvertaken),
    ("second-first", Promise::NoneOvertaken),
    ("another-id-on-repeat", Promise::RepeatsExplained),
    ("repeat-delivered", Promise::RepeatsExplained),
    ("no-verification", Promise::OnlyGenuine),
    ("refuse-genuine", Promise::OnlyGenuine),
    ("deliver-while-paused", Promise::PausesHold),
    ("forget-pauses", Promise::PausesHold),
    ("count-twice", Promise::FiguresAgree),
    ("log-body", Promise::NothingLeaks),
    ("log-secret", Promise::NothingLeaks),
    ("leak-descriptors", Promise::Bounded),
    ("leak-memory", Promise::Bounded),
];

/// How many faults are tried at the same time: most of a run is waiting.
const SIDE_BY_SIDE: usize = 3;

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

/// Runs every deliberate fault whose name contains `text`, a few at a time, and tells of each.
pub fn run(options: &Options, text: &str, told: impl Fn(&Found) + Sync) -> Vec<Found> {
    let chosen = DELIBERATE.into_iter().filter(|(fault, _)| fault.contains(text));
    let waiting = Mutex::new(chosen);
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        let mut found = Vec::new();
        while let Some((fault, promise)) = next() {
            found.push(try_one(options, fault, promise));
            found.last().into_iter().for_each(&told);
        }
        found
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..SIDE_BY_SIDE).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no worker panics")).collect()
    })
}

fn try_one(options: &Options, fault: &'static str, promise: Promise) -> Found {
    let started = Instant::now();
    let run = real::run(&Options { deliberate: Some(fault), ..options.clone() });
    let (is_found, error) = match run {
        Ok(run) => (Report::of(&run.history, run.skipped).is_broken(promise), None),
        Err(error) => (false, Some(format!("{error:#}"))),
    };
    Found { fault, promise, is_found, error, took: started.elapsed() }
}
