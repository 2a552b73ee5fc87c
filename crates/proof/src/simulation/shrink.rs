//! Makes a story of a broken promise as short as it gets: faults and events are left out, as long as it
//! stays broken.

use super::plan::{Only, Plan};
use crate::check::{Promise, Violation, check};
use crate::history::{History, Name};

/// Days that pass at most until a story is as short as it is told.
const DAYS_MAX: u32 = 200;

/// The shortest story that was found.
#[derive(Debug)]
pub struct Shortest {
    /// What of the day is left.
    pub only: Only,
    /// What was seen then.
    pub history: History,
    /// What broke the promise.
    pub violations: Vec<Violation>,
    /// How many faults and events are left.
    pub faults: usize,
    /// See above.
    pub events: usize,
}

/// The shortest story of a promise that a day breaks; `None` if it does not.
#[must_use]
pub fn shrink(seed: u64, day: u64, promise: Promise) -> Option<Shortest> {
    shrink_by(seed, day, |history| {
        let checked = check(history).into_iter().find(|checked| checked.promise == promise);
        checked.map(|checked| checked.violations).unwrap_or_default()
    })
}

fn shrink_by(
    seed: u64,
    day: u64,
    violations: impl Fn(&History) -> Vec<Violation>,
) -> Option<Shortest> {
    let plan = Plan::of(seed, day, &Only::default());
    let mut faults: Vec<u32> = plan.faults.iter().map(|fault| fault.place).collect();
    let mut events: Vec<Name> = plan.events.iter().map(|event| event.name).collect();
    // By their keys, so that whole keys are left out.
    events.sort_unstable();
    let mut days = 0;
    let mut fails = |faults: &[u32], events: &[Name]| {
        days += 1;
        let history = super::day(seed, day, &only(faults, events));
        let is_broken = !violations(&history).is_empty();
        (days <= DAYS_MAX && is_broken).then_some(())
    };
    fails(&faults, &events)?;
    loop {
        let before = (faults.len(), events.len());
        less(&mut faults, |faults| fails(faults, &events).is_some());
        less(&mut events, |events| fails(&faults, events).is_some());
        if before == (faults.len(), events.len()) {
            break;
        }
    }
    let only = only(&faults, &events);
    let history = super::day(seed, day, &only);
    let violations = violations(&history);
    Some(Shortest { only, history, violations, faults: faults.len(), events: events.len() })
}

fn only(faults: &[u32], events: &[Name]) -> Only {
    Only {
        faults: Some(faults.iter().copied().collect()),
        events: Some(events.iter().copied().collect()),
    }
}

/// Leaves out of `items` what can be, in halves first and one by one at last.
fn less<T: Clone>(items: &mut Vec<T>, mut fails: impl FnMut(&[T]) -> bool) {
    let mut size = items.len().div_ceil(2);
    while size > 0 {
        let mut from = 0;
        while from < items.len() {
            let to = (from + size).min(items.len());
            let mut left = items.clone();
            left.drain(from..to);
            if fails(&left) {
                *items = left;
            } else {
                from = to;
            }
        }
        size /= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Seen;

    #[test]
    fn what_need_not_be_there_is_left_out() {
        let mut items: Vec<u32> = (0..100).collect();
        less(&mut items, |left| left.contains(&17) && left.contains(&80));
        assert_eq!(items, [17, 80]);
    }

    /// As if it were a promise that no event is rejected while a fault is there.
    #[test]
    fn a_story_gets_as_short_as_its_cause() {
        let rejected = |history: &History| {
            let mut is_there = 0;
            let mut violations = Vec::new();
            for entry in history.entries() {
                match &entry.seen {
                    Seen::Began { .. } => is_there += 1,
                    Seen::Ended { .. } => is_there -= 1,
                    Seen::Got { name, answer, .. }
                        if is_there > 0 && answer.status == Some(422) =>
                    {
                        violations.push(Violation { text: String::new(), names: vec![*name] });
                    }
                    _ => {}
                }
            }
            violations
        };
        let day =
            (0..20).find(|day| !rejected(&super::super::day(2, *day, &Only::default())).is_empty());
        let shortest = shrink_by(2, day.expect("it happens every day"), rejected);
        let shortest = shortest.expect("it was so before");
        assert!(shortest.faults == 1 && shortest.events <= 8, "{shortest:?}");
        assert!(!shortest.violations.is_empty());
        let again = super::super::day(2, day.expect("see above"), &shortest.only);
        assert_eq!(again.entries(), shortest.history.entries());
    }
}
