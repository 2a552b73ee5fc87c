//! No secret and no body is in a log, on a terminal, or in a file that is not the database.

use super::{Known, Violation};
use crate::history::Seen;

pub(super) fn check(known: &Known<'_>) -> (u64, Vec<Violation>) {
    let mut searched = 0;
    let mut violations = Vec::new();
    for entry in known.history {
        match &entry.seen {
            Seen::Searched { bytes } => searched += bytes,
            Seen::Leaked { planted, place } => {
                violations.push(Violation::of([], format!("a planted {planted} is in {place}")));
            }
            _ => {}
        }
    }
    (searched, violations)
}

#[cfg(test)]
mod tests {
    use super::super::Promise::NothingLeaks;
    use super::super::support::Story;

    #[test]
    fn what_is_found_where_it_must_not_be_is_told() {
        let mut story = Story::new();
        story.holds(NothingLeaks);
        story
            .leaked("secret", "engine.log")
            .broken(NothingLeaks, "a planted secret is in engine.log");
    }
}
