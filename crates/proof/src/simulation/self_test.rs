//! Is what is broken on purpose found by days that are simulated? Engine and forwarder are built with the feature
//! `deliberate-faults`; each fault is there in a process of its own.

use std::path::Path;
use std::process::Command;

use crate::check::Promise;

/// The faults, and the promise that each breaks. Not those of what is not simulated, such as the engine's ingest
/// and its figures; and not `wait-too-long`, whose 100 s are within what most of the days' configurations allow.
pub const DELIBERATE: [(&str, Promise); 25] = [
    ("delete-on-failure", Promise::NothingMissing),
    ("forget-what-stays", Promise::NothingMissing),
    ("drop-on-give-up", Promise::NothingMissing),
    ("drop-rejected", Promise::NothingMissing),
    ("drop-unverified", Promise::NothingMissing),
    ("give-up-early", Promise::NothingMissing),
    ("miss-fellow", Promise::NothingMissing),
    ("reject-429", Promise::NothingMissing),
    ("skip-silently", Promise::NothingMissing),
    ("untrue-reason", Promise::NothingMissing),
    ("overtake-blocked", Promise::NoneOvertaken),
    ("overtake-failed", Promise::NoneOvertaken),
    ("repeat-delivered", Promise::RepeatsExplained),
    ("another-id-on-repeat", Promise::RepeatsExplained),
    ("no-verification", Promise::OnlyGenuine),
    ("refuse-genuine", Promise::OnlyGenuine),
    ("log-body", Promise::NothingLeaks),
    // The engine's.
    ("deduplicate-by-group", Promise::NothingMissing),
    ("expire-early", Promise::NothingMissing),
    ("lose-on-restart", Promise::NothingMissing),
    ("lose-what-is-sent-again", Promise::NothingMissing),
    ("forget-delete", Promise::RepeatsExplained),
    ("second-first", Promise::NoneOvertaken),
    ("deliver-while-paused", Promise::PausesHold),
    ("forget-pauses", Promise::PausesHold),
];

/// Days that pass at most until a fault is found.
pub const DAYS_MAX: u64 = 60;

/// What names a fault to the forwarder.
pub const FAULT_VARIABLE: &str = "WEBHOOK_DELIBERATE_FAULT";

/// The first day that breaks `promise`; `None` if none does.
#[must_use]
pub fn first_broken(seed: u64, promise: Promise) -> Option<u64> {
    let broken = super::days(seed, 0..DAYS_MAX, &super::Only::default())
        .find(|(_, _, report)| report.is_broken(promise));
    broken.map(|(day, ..)| day)
}

/// How many days it takes `program` to find each fault; `None` where it does not, in [`DAYS_MAX`].
///
/// # Errors
///
/// When the program cannot be started.
pub fn run(
    program: &Path,
    seed: u64,
    mut told: impl FnMut(&str, Promise, Option<u64>),
) -> std::io::Result<bool> {
    let mut all = true;
    for (fault, promise) in DELIBERATE {
        let arguments = ["simulate", "--until-broken", fault, "--seed", &seed.to_string()];
        let output = Command::new(program).args(arguments).env(FAULT_VARIABLE, fault).output()?;
        let days = String::from_utf8_lossy(&output.stdout).trim().parse().ok();
        all &= days.is_some();
        told(fault, promise, days);
    }
    Ok(all)
}
