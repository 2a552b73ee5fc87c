//! Nothing waits longer than its schedule allows once its cause has ended.

use super::{Known, Violation};
use crate::history::Micros;

/// Fewest events that are delivered in a second, of those that wait: a debug build's, on a busy machine.
const DELIVERED_PER_SECOND: u64 = 100;

pub(super) fn check(known: &Known<'_>) -> (u64, Vec<Violation>) {
    let Some(healthy_at) = known.healthy_at else { return (0, Vec::new()) };
    let is_before = |accepted_at: &Micros| *accepted_at <= healthy_at;
    let open = known.events.iter().filter(|(_, event)| {
        let last = event.arrivals.last();
        event.accepted_at.as_ref().is_some_and(is_before)
            && last.is_some_and(|last| last.at > healthy_at)
    });
    let open: Vec<_> = open.collect();
    let bound = known.waits_at_most + open.len() as u64 * 1_000_000 / DELIVERED_PER_SECOND;
    let mut violations = Vec::new();
    for (name, event) in &open {
        let late = event.arrivals.iter().find(|arrival| arrival.at > healthy_at + bound);
        if let Some(late) = late {
            let waited = (late.at - healthy_at) / 1_000_000;
            let text = format!("{name} was attempted {waited} s after everything was well");
            violations.push(Violation::of([**name], text));
        }
    }
    for id in known.waiting {
        let text = format!("{id} waits at the end, although everything is well");
        let names: Vec<_> = known.by_id.get(id.as_str()).copied().into_iter().collect();
        violations.push(Violation::of(names, text));
    }
    (open.len() as u64, violations)
}

#[cfg(test)]
mod tests {
    use super::super::Promise::NothingStuck;
    use super::super::support::Story;

    #[test]
    fn what_goes_out_once_all_is_well_is_in_time() {
        let mut story = Story::new();
        story.accepted("k1-0", "plain").got("k1-0", 500).healthy().later(50).got("k1-0", 200);
        story.left(vec![], &[]).holds(NothingStuck);
    }

    #[test]
    fn what_waits_too_long_or_for_ever_is_stuck() {
        let mut story = Story::new();
        story.accepted("k1-0", "plain").got("k1-0", 500).healthy().later(61).got("k1-0", 200);
        story.left(vec![], &[]).broken(NothingStuck, "k1-0 was attempted 61 s after");

        let mut story = Story::new();
        story.accepted("k1-0", "plain").got("k1-0", 500).healthy().left(vec![], &["k1-0"]);
        story.broken(NothingStuck, "waits at the end");
    }

    #[test]
    fn what_nobody_accepted_or_was_through_before_is_not_looked_at() {
        let mut story = Story::new();
        story.unanswered("k1-0", "plain").accepted("k1-1", "plain").got("k1-1", 200);
        story.accepted("k1-2", "plain").healthy();
        story.later(100).got("k1-0", 200).left(vec![], &[]);
        story.holds(NothingStuck);
        assert_eq!(story.looked_at(NothingStuck), 0);
    }

    #[test]
    fn each_of_many_that_wait_may_take_its_time() {
        for (milliseconds, holds) in [(9, true), (12, false)] {
            let mut story = Story::new();
            for key in 0..300 {
                story.accepted(&format!("k{key}-0"), "plain");
            }
            story.healthy().later(61);
            for key in 0..300 {
                story.soon(milliseconds).got(&format!("k{key}-0"), 200);
            }
            if holds {
                story.holds(NothingStuck);
            } else {
                story.broken(NothingStuck, "was attempted 63 s after");
            }
        }
    }
}
