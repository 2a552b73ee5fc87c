//! Memory, descriptors and files are bounded.

use super::{Known, Violation};
use crate::history::Seen;

/// Most memory of a process, in KiB. Release builds take a tenth; debug builds are here too.
const MEMORY_KIB_MAX: u64 = 400 * 1_024;
/// Most open descriptors of a process: its connections to senders and service, and its files.
const DESCRIPTORS_MAX: u64 = 512;
/// Most files of a data directory: the database, the log and its nine former ones, the room held in
/// reserve, and what is being written.
const FILES_MAX: u64 = 64;

pub(super) fn check(known: &Known<'_>) -> (u64, Vec<Violation>) {
    let mut count = 0;
    let mut violations = Vec::new();
    let mut bound = |what: String, used: u64, most: u64| {
        count += 1;
        if used > most {
            violations.push(Violation::of([], format!("{what}: {used}, of {most} at most")));
        }
    };
    for entry in known.history {
        match &entry.seen {
            Seen::Used { process, memory_kib, descriptors } => {
                bound(format!("memory of the {process} in KiB"), *memory_kib, MEMORY_KIB_MAX);
                bound(format!("descriptors of the {process}"), *descriptors, DESCRIPTORS_MAX);
            }
            Seen::Files { count } => bound("files of the data directory".into(), *count, FILES_MAX),
            _ => {}
        }
    }
    (count, violations)
}

#[cfg(test)]
mod tests {
    use super::super::Promise::Bounded;
    use super::super::support::Story;

    #[test]
    fn what_grows_beyond_its_bound_is_found() {
        let mut story = Story::new();
        story.used("engine", 409_600, 512).files(64).holds(Bounded);
        story.used("engine", 500_000, 100).broken(Bounded, "memory of the engine");
        Story::new().used("forwarder", 1, 600).broken(Bounded, "descriptors of the forwarder");
        Story::new().files(65).broken(Bounded, "files");
    }
}
