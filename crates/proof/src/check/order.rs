//! Of a key, none is attempted before those that were accepted before it are delivered or dead: A before
//! B, if A's 2xx was read before B was sent.

use std::collections::HashMap;

use super::{Event, Known, Violation};
use crate::history::{Entry, Micros, Name};

/// An event of a key, at one destination.
#[derive(Debug, Clone, Copy)]
struct Stop {
    name: Name,
    sent_at: Micros,
    /// When its 2xx was read; none if it was not, and it binds nobody then.
    accepted_at: Option<Micros>,
    /// The place of its first attempt.
    attempted: Option<usize>,
    /// The place from which on those behind it may be attempted: of its first success, or of its death;
    /// none if never.
    released: Option<usize>,
}

pub(super) fn check(known: &Known<'_>) -> (u64, Vec<Violation>) {
    let mut keys: HashMap<(&str, u32), Vec<Stop>> = HashMap::new();
    for (name, event) in &known.events {
        for destination in known.destinations(event) {
            let of_key = keys.entry((destination, name.key)).or_default();
            of_key.push(Stop {
                name: *name,
                sent_at: event.sent_at,
                accepted_at: event.accepted_at,
                attempted: event.at(destination).map(|arrival| arrival.place).min(),
                released: event
                    .delivered(destination)
                    .map(|arrival| arrival.place)
                    .into_iter()
                    .chain(death(known, event))
                    .min(),
            });
        }
    }
    let count = keys.values().flatten().filter(|stop| stop.attempted.is_some()).count();
    let violations = keys.into_iter().flat_map(|((at, _), stops)| overtaken(at, stops)).collect();
    (count as u64, violations)
}

/// How far the log's clock, which tells milliseconds, and ours may be apart.
const APART: Micros = 50_000;

/// The place at which an event let its group go on as a dead letter; on a route that blocks, not as a
/// rejected one, until it is too old. The first, if the log did not tell when or its line may have been lost.
fn death(known: &Known<'_>, event: &Event<'_>) -> Option<usize> {
    let lets_go = |reason: &str| match reason {
        "skipped" | "gave_up" | "unverified" | "damaged" => true,
        _ => !known.is_blocking(event),
    };
    if !event.reasons().any(lets_go) && !was_given_up(known, event) {
        return None;
    }
    let Some(died_at) = event.died_at else { return Some(0) };
    let was_lost = |at: &Micros| (event.sent_at..=died_at).contains(at);
    let before = |entry: &Entry| entry.at + APART < died_at;
    let place = known.history.partition_point(before);
    Some(if known.deaths.iter().any(was_lost) { 0 } else { place })
}

/// Whether it was too old when it became a dead letter, whatever it was rejected for then.
fn was_given_up(known: &Known<'_>, event: &Event<'_>) -> bool {
    let Some(route) = known.routes.get(event.route) else { return false };
    let seconds = route.give_up_after_seconds;
    let old_from = event.sent_at + seconds * 1_000_000;
    event.letter.is_some_and(|letter| letter.age_seconds >= seconds)
        || event.deaths.iter().any(|(at, _)| *at >= old_from)
}

fn overtaken(destination: &str, stops: Vec<Stop>) -> Vec<Violation> {
    let mut earlier = stops.clone();
    earlier.retain(|stop| stop.accepted_at.is_some());
    earlier.sort_by_key(|stop| stop.accepted_at);
    let mut attempted = stops;
    attempted.retain(|stop| stop.attempted.is_some());
    attempted.sort_by_key(|stop| stop.sent_at);
    let mut violations = Vec::new();
    let mut before = earlier.into_iter().peekable();
    // Of those that were accepted before the next was sent, the one that was released last.
    let mut latest: Option<Stop> = None;
    for stop in attempted {
        while let Some(next) = before.next_if(|it| it.accepted_at < Some(stop.sent_at)) {
            let place = |stop: &Stop| stop.released.unwrap_or(usize::MAX);
            if latest.is_none_or(|latest| place(&latest) < place(&next)) {
                latest = Some(next);
            }
        }
        let Some(first) = latest else { continue };
        if first.released.is_none_or(|released| Some(released) > stop.attempted) {
            let (earlier, later) = (first.name, stop.name);
            let text = format!("{destination} got {later} before {earlier} was delivered");
            violations.push(Violation::of([earlier, later], text));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::super::Promise::NoneOvertaken;
    use super::super::support::{Story, dead};

    #[test]
    fn the_order_of_acceptance_holds_and_repeats_do_not_matter() {
        let mut story = Story::new();
        story.accepted("k1-0", "plain").accepted("k1-1", "plain");
        story.got("k1-0", 500).got("k1-0", 200).got("k1-1", 200).got("k1-0", 200);
        story.left(vec![], &[]).holds(NoneOvertaken);
    }

    #[test]
    fn an_attempt_before_the_earlier_is_delivered_overtakes() {
        let mut story = Story::new();
        story.accepted("k1-0", "plain").accepted("k1-1", "plain").accepted("k2-0", "plain");
        story.got("k1-0", 500).got("k2-0", 200).got("k1-1", 200).got("k1-0", 200);
        story.left(vec![], &[]).broken(NoneOvertaken, "sss got k1-1 before k1-0 was delivered");
    }

    #[test]
    fn who_overtakes_what_still_waits_is_found_too() {
        let mut story = Story::new();
        story.accepted("k1-0", "plain").accepted("k1-1", "plain").got("k1-1", 200);
        story.left(vec![], &["k1-0"]).broken(NoneOvertaken, "k1-1 before k1-0");
    }

    #[test]
    fn what_was_sent_at_the_same_time_has_no_order() {
        let mut story = Story::new();
        story.accepted_together(&["k1-0", "k1-1"], "plain").got("k1-1", 200).got("k1-0", 200);
        story.left(vec![], &[]).holds(NoneOvertaken);
    }

    #[test]
    fn a_dead_letter_may_not_be_overtaken_before_it_is_one() {
        let overtaken = |lost: bool| {
            let mut story = Story::new();
            story.accepted("k1-0", "plain").accepted("k1-1", "plain");
            story.got("k1-0", 422).got("k1-1", 200);
            if lost {
                story.killed("forwarder");
            }
            story.died("k1-0", "rejected").got("k1-2", 200).left(vec![], &[]);
            story
        };
        overtaken(false).broken(NoneOvertaken, "sss got k1-1 before k1-0");
        // A line that told of an earlier death may have been lost.
        overtaken(true).holds(NoneOvertaken);
    }

    #[test]
    fn a_dead_letter_may_be_overtaken_and_a_rejected_one_of_a_blocking_route_may_not() {
        for (route, reason, holds) in [
            ("plain", "rejected", true),
            ("plain", "gave_up", true),
            ("block", "rejected", false),
            ("block", "skipped", true),
            ("block", "gave_up", true),
            ("block", "unverified", true),
        ] {
            let mut story = Story::new();
            story.accepted("k1-0", route).accepted("k1-1", route);
            story.got_on(route, "k1-0", 422).got_on(route, "k1-1", 200);
            story.left(vec![dead("k1-0", reason, Some(422), 59)], &[]);
            if holds { story.holds(NoneOvertaken) } else { story.broken(NoneOvertaken, "k1-1") }
        }
    }
    #[test]
    fn a_rejected_event_blocks_until_it_is_too_old() {
        for (seconds, holds) in [(57, false), (59, true)] {
            let mut story = Story::new();
            story.accepted("k1-0", "block").accepted("k1-1", "block").got_on("block", "k1-0", 422);
            story.later(seconds).died("k1-0", "rejected").got_on("block", "k1-1", 200);
            if holds { story.holds(NoneOvertaken) } else { story.broken(NoneOvertaken, "k1-1") }
        }
    }

    #[test]
    fn the_first_attempt_is_the_one_that_overtakes() {
        let mut story = Story::new();
        story.accepted("k1-0", "plain").accepted("k1-1", "plain");
        story.got("k1-1", 500).got("k1-0", 200).got("k1-1", 200).accepted("k1-2", "plain");
        story.broken(NoneOvertaken, "sss got k1-1 before k1-0");
        assert_eq!(story.looked_at(NoneOvertaken), 2);
    }

    #[test]
    fn what_is_delivered_lets_others_go_whatever_becomes_of_it_later() {
        let mut story = Story::new();
        story.accepted("k1-0", "plain").accepted("k1-1", "plain").got("k1-0", 200).got("k1-1", 200);
        story.got("k1-0", 422).died("k1-0", "rejected").holds(NoneOvertaken);
    }

    #[test]
    fn the_first_death_lets_others_go() {
        let mut story = Story::new();
        story.accepted("k1-0", "plain").accepted("k1-1", "plain").got("k1-0", 422);
        story.died("k1-0", "rejected").got("k1-1", 200).got("k1-0", 422).died("k1-0", "rejected");
        story.holds(NoneOvertaken);
    }

    #[test]
    fn the_log_s_clock_may_be_a_little_apart() {
        for (milliseconds, holds) in [(20, true), (80, false)] {
            let mut story = Story::new();
            story.accepted("k1-0", "plain").accepted("k1-1", "plain").got("k1-0", 422);
            story.got("k1-1", 200).soon(milliseconds).died("k1-0", "rejected");
            if holds { story.holds(NoneOvertaken) } else { story.broken(NoneOvertaken, "k1-1") }
        }
    }

    #[test]
    fn what_was_old_enough_when_it_died_lets_others_go() {
        for (age_seconds, holds) in [(60, true), (59, false)] {
            let mut story = Story::new();
            story.accepted("k1-0", "block").accepted("k1-1", "block").got_on("block", "k1-0", 422);
            story.got_on("block", "k1-1", 200);
            story.left(vec![dead("k1-0", "rejected", Some(422), age_seconds)], &[]);
            if holds { story.holds(NoneOvertaken) } else { story.broken(NoneOvertaken, "k1-1") }
        }
    }

    #[test]
    fn of_those_before_the_one_that_was_released_last_counts() {
        let mut story = Story::new();
        for event in ["k1-0", "k1-1", "k1-2"] {
            story.accepted(event, "plain");
        }
        story.got("k1-1", 200).got("k1-2", 200).left(vec![], &["k1-0"]);
        story.broken(NoneOvertaken, "sss got k1-2 before k1-0");
    }

    #[test]
    fn what_is_sent_again_was_sent_when_it_was_sent_first() {
        let mut story = Story::new();
        story.unanswered("k1-1", "plain").accepted("k1-0", "plain").accepted("k1-1", "plain");
        story.got("k1-1", 200).got("k1-0", 200).holds(NoneOvertaken);
    }
}
