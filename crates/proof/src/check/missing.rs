//! Every accepted event is delivered, or a dead letter with a true reason, or waits, or was dropped by an
//! operator who said why.

use super::{Event, Known, Violation};
use crate::history::{Action, DeadLetter, Name};

pub(super) fn check(known: &Known<'_>) -> (u64, Vec<Violation>) {
    let mut violations = Vec::new();
    let mut accepted = 0;
    for (name, event) in &known.events {
        if event.accepted_at.is_some() {
            accepted += 1;
            violations.extend(missing(known, *name, event));
        }
        violations.extend(untrue(known, *name, event));
    }
    (accepted, violations)
}

fn missing(known: &Known<'_>, name: Name, event: &Event<'_>) -> Option<Violation> {
    let id = event.id.unwrap_or_default();
    let destinations = known.destinations(event);
    let is_delivered =
        !destinations.is_empty() && destinations.iter().all(|it| event.delivered(it).is_some());
    let waits = known.waiting.iter().any(|waiting| waiting == id);
    if is_delivered || event.letter.is_some() || waits || is_dropped(known, id) {
        return None;
    }
    let without: Vec<&str> = destinations
        .iter()
        .map(String::as_str)
        .filter(|destination| event.delivered(destination).is_none())
        .collect();
    let text = format!(
        "{name} was accepted as {id} on route {} and is nowhere: not at {}, no dead letter, and does \
         not wait",
        event.route,
        without.join(", ")
    );
    Some(Violation::of([name], text))
}

/// Whether an operator who said why has dropped it, or may have before he was killed, and did not put it
/// back.
fn is_dropped(known: &Known<'_>, id: &str) -> bool {
    let last = |action: Action, codes: &[Option<i32>]| {
        let of = known.acts.iter().filter(|act| act.action == action && act.has_reason);
        let named = of.filter(|act| act.event_ids.iter().any(|it| it == id));
        named.filter(|act| codes.contains(&act.code)).map(|act| act.ended_at).max()
    };
    last(Action::Drop, &[Some(0), None]) > last(Action::Import, &[Some(0)])
}

/// What a dead letter, of now or of before, says that was not so.
fn untrue(known: &Known<'_>, name: Name, event: &Event<'_>) -> Option<Violation> {
    let text = match event.letter.and_then(|letter| untrue_letter(known, event, letter)) {
        Some(text) => text,
        None => event.deaths.iter().find_map(|(_, reason)| untrue_reason(known, event, reason))?,
    };
    Some(Violation::of([name], format!("{name} is a dead letter with an untrue reason: {text}")))
}

fn untrue_letter(known: &Known<'_>, event: &Event<'_>, letter: &DeadLetter) -> Option<String> {
    if let Some(text) = untrue_reason(known, event, &letter.reason) {
        return Some(text);
    }
    let give_up_after = known.routes.get(event.route)?.give_up_after_seconds;
    match letter.reason.as_str() {
        // What a clock showed that was set meanwhile is no age.
        "gave_up" if letter.age_seconds < give_up_after && !was_clock_set(known, event) => {
            Some(format!("given up at the age of {} s, not {give_up_after}", letter.age_seconds))
        }
        "rejected" => {
            let at = letter.destination.as_deref().unwrap_or_default();
            let was_so = event.at(at).any(|arrival| arrival.answer.status == letter.status);
            (!was_so).then(|| format!("{at} never answered {:?}", letter.status))
        }
        _ => None,
    }
}

fn was_clock_set(known: &Known<'_>, event: &Event<'_>) -> bool {
    known.clocks_set.last().is_some_and(|at| *at >= event.sent_at)
}

fn untrue_reason(known: &Known<'_>, event: &Event<'_>, reason: &str) -> Option<String> {
    let rejects = |status: u16| {
        !(200..300).contains(&status) && ![408, 425, 429].contains(&status) && status < 500
    };
    let is_true = match reason {
        "rejected" => event.arrivals.iter().any(|it| it.answer.status.is_some_and(rejects)),
        "unverified" => event.is_forged || !known.was_taken_for_forged(event),
        "skipped" => known.was_told(event, &[Action::Skip]).is_some_and(|act| act.has_reason),
        // It was set aside, and an operator has looked at it.
        "damaged" => known.was_told(event, &[Action::Drop]).is_some_and(|act| act.has_reason),
        "gave_up" => true,
        // Nothing that is sent here is malformed or unroutable, and no receive count comes near its end.
        _ => false,
    };
    (!is_true).then(|| format!("{reason:?}"))
}

#[cfg(test)]
mod tests {
    use super::super::Promise::NothingMissing;
    use super::super::support::{Story, dead};
    use crate::history::Action;
    use crate::schedule::Fault;

    #[test]
    fn what_is_delivered_dead_waiting_or_dropped_is_there() {
        let mut story = Story::new();
        for event in ["k1-0", "k1-1", "k1-2", "k1-3"] {
            story.accepted(event, "plain");
        }
        story.got("k1-0", 200).got("k1-1", 422).got("k1-3", 422);
        story.act(Action::Drop, &["k1-3"], Some(0));
        story.left(vec![dead("k1-1", "rejected", Some(422), 1)], &["k1-2"]);
        story.holds(NothingMissing);
    }

    #[test]
    fn an_event_that_is_nowhere_is_missing() {
        let mut story = Story::new();
        story.accepted("k1-0", "plain").accepted("k1-1", "plain").got("k1-0", 200).got("k1-1", 500);
        story.left(vec![], &[]);
        story.broken(NothingMissing, "k1-1 was accepted");
    }

    #[test]
    fn a_drop_that_failed_or_says_no_reason_accounts_for_nothing() {
        for (code, has_reason) in [(Some(1), true), (None, false), (Some(0), false)] {
            let mut story = Story::new();
            story.accepted("k1-0", "plain").got("k1-0", 422);
            story.act_for(Action::Drop, &["k1-0"], code, has_reason).left(vec![], &[]);
            story.broken(NothingMissing, "k1-0 was accepted");
        }
    }

    #[test]
    fn a_drop_that_was_killed_may_have_dropped_and_what_was_put_back_has_to_be_there() {
        let dropped = |code| {
            let mut story = Story::new();
            story.accepted("k1-0", "plain").got("k1-0", 422);
            story.act(Action::Drop, &["k1-0"], code);
            story
        };
        dropped(None).left(vec![], &[]).holds(NothingMissing);
        for (code, holds) in [(Some(0), false), (None, true), (Some(1), true)] {
            let mut story = dropped(Some(0));
            story.act(Action::Import, &["k1-0"], code).left(vec![], &[]);
            if holds {
                story.holds(NothingMissing);
            } else {
                story.broken(NothingMissing, "k1-0 was accepted");
            }
        }
    }

    #[test]
    fn what_was_put_back_may_be_dropped_again_and_several_may_be_dropped_at_once() {
        let mut story = Story::new();
        for event in ["k1-0", "k1-1"] {
            story.accepted(event, "plain").got(event, 422);
        }
        let both = ["k1-0", "k1-1"];
        story.act(Action::Drop, &both, Some(0)).act(Action::Import, &both, Some(0));
        story.act(Action::Drop, &both, Some(0)).left(vec![], &[]);
        story.holds(NothingMissing);
    }

    #[test]
    fn a_dead_letter_with_a_true_reason_is_well() {
        let mut story = Story::new();
        story.accepted("k1-0", "plain").got("k1-0", 500).got("k1-0", 422).accepted("k1-1", "plain");
        let left = vec![dead("k1-0", "rejected", Some(422), 1), dead("k1-1", "gave_up", None, 60)];
        story.left(left, &[]).holds(NothingMissing);
    }

    #[test]
    fn every_destination_of_a_route_has_to_have_it() {
        let mut story = Story::new();
        story.accepted("k1-0", "pair").got_at("left", "k1-0", 200);
        story.left(vec![], &[]);
        story.broken(NothingMissing, "not at right");
    }

    #[test]
    fn a_dead_letter_with_an_untrue_reason_is_found() {
        for (letter, says) in [
            (dead("k1-0", "rejected", Some(410), 1), "never answered Some(410)"),
            (dead("k1-0", "gave_up", None, 5), "given up at the age of 5 s, not 60"),
            (dead("k1-0", "unverified", None, 1), "\"unverified\""),
            (dead("k1-0", "skipped", Some(422), 1), "\"skipped\""),
            (dead("k1-0", "receive_count", None, 1), "\"receive_count\""),
        ] {
            let mut story = Story::new();
            story.accepted("k1-0", "plain").got("k1-0", 422).left(vec![letter], &[]);
            story.broken(NothingMissing, says);
        }
    }

    #[test]
    fn the_age_of_what_died_is_no_age_once_the_clock_was_set() {
        for (is_before, holds) in [(false, true), (true, false)] {
            let mut story = Story::new();
            story.during(Fault::StepClock);
            if is_before {
                story.during(Fault::StepClock);
            }
            story.accepted("k1-0", "plain").got("k1-0", 500);
            if !is_before {
                story.during(Fault::StepClock);
            }
            story.left(vec![dead("k1-0", "gave_up", None, 5)], &[]);
            if holds {
                story.holds(NothingMissing);
            } else {
                story.broken(NothingMissing, "given up at the age of 5 s");
            }
        }
    }

    #[test]
    fn a_reason_of_before_is_looked_at_too() {
        for status in [None, Some(500), Some(503), Some(429), Some(425), Some(408), Some(200)] {
            let mut story = Story::new();
            story.accepted("k1-0", "plain");
            match status {
                Some(status) => story.got("k1-0", status),
                None => story.got_no_answer("k1-0"),
            };
            story.died("k1-0", "rejected").got("k1-0", 200).left(vec![], &[]);
            story.broken(NothingMissing, "\"rejected\"");
        }
    }

    #[test]
    fn what_was_skipped_was_named_by_whom_said_why() {
        for (action, event, has_reason, holds) in [
            (Action::Skip, "k1-0", true, true),
            (Action::Skip, "k1-0", false, false),
            (Action::Skip, "k1-1", true, false),
            (Action::Retry, "k1-0", true, false),
        ] {
            let mut story = Story::new();
            story.accepted("k1-0", "plain").got_as("k1-0", "other");
            story.act_for(action, &[event], Some(0), has_reason).died("k1-0", "skipped");
            if holds {
                story.holds(NothingMissing);
            } else {
                story.broken(NothingMissing, "\"skipped\"");
            }
        }
    }
}
