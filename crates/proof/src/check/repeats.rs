//! An event comes again only after an attempt of which no 2xx was seen, a crash, a success that could not
//! be deleted, a fellow destination's failure, or by an operator; and always with the same `webhook-id`.

use super::{Act, Arrival, Event, Known, Violation};
use crate::history::{Action, Micros, Name, Seen};
use crate::schedule::Fault;

/// How long after its answer a delivery may still have to be deleted, beside the rest of its batch, which
/// has as long as the function.
const DELETED_WITHIN: Micros = 7_000_000;

/// How far apart the attempts of one receive at two destinations may arrive: they are made side by side.
const SIDE_BY_SIDE: Micros = 500_000;

pub(super) fn check(known: &Known<'_>) -> (u64, Vec<Violation>) {
    let full_disks = windows(known, Fault::FullDisk);
    let unheard = windows(known, Fault::DeadLetterFails);
    let mut violations = Vec::new();
    let mut count = 0;
    for (name, event) in &known.events {
        violations.extend(other_id(*name, event));
        for destination in known.destinations(event) {
            let attempts: Vec<&Arrival<'_>> = event.at(destination).collect();
            for pair in attempts.windows(2) {
                let [before, again] = pair else { continue };
                count += 1;
                if !is_explained(known, event, before, again, &full_disks)
                    && !was_dead_and_stayed(known, event, before, again, &unheard)
                {
                    let text = format!(
                        "{destination} got {name} again, {} ms after it had answered {}",
                        (again.at - before.at) / 1_000,
                        before.answer.status.unwrap_or_default(),
                    );
                    violations.push(Violation::of([*name], text));
                }
            }
        }
    }
    (count, violations)
}

/// When a fault was there: while the disk is full nothing can be deleted.
fn windows(known: &Known<'_>, of: Fault) -> Vec<(Micros, Micros)> {
    let mut windows = Vec::new();
    for entry in known.history {
        match entry.seen {
            Seen::Began { fault } if fault == of => windows.push((entry.at, Micros::MAX)),
            Seen::Ended { fault, .. } if fault == of => {
                if let Some(last) = windows.last_mut() {
                    last.1 = entry.at;
                }
            }
            _ => {}
        }
    }
    windows
}

fn is_explained(
    known: &Known<'_>,
    event: &Event<'_>,
    before: &Arrival<'_>,
    again: &Arrival<'_>,
    full_disks: &[(Micros, Micros)],
) -> bool {
    if !before.answer.is_success_in_time(known.timeout_ms) {
        return true;
    }
    let answered_at = before.at + Micros::from(before.answer.after_ms) * 1_000;
    let deleted_by = answered_at + known.function_timeout + DELETED_WITHIN;
    let end = again.at.min(deleted_by);
    let within = |at: &Micros| (before.at..=end).contains(at);
    let died = known.deaths.partition_point(|at| *at < before.at);
    if known.deaths.get(died).is_some_and(|at| *at <= end) || event.timeouts.iter().any(within) {
        return true;
    }
    // A forwarder outlives its engine until it has something to tell it, at the end of its batch: it has
    // delivered, and nobody was left to delete.
    let orphans_from = before.at.saturating_sub(known.function_timeout);
    let orphaned = known.engine_deaths.partition_point(|at| *at < orphans_from);
    if known.engine_deaths.get(orphaned).is_some_and(|at| *at <= before.at) {
        return true;
    }
    if full_disks.iter().any(|(began, ended)| *began <= end && *ended >= before.at) {
        return true;
    }
    let has_failed = |other: &&Arrival<'_>| {
        other.destination != before.destination
            && other.at <= again.at
            && !other.answer.is_success_in_time(known.timeout_ms)
    };
    // Who was refused a connection, or was not called, has failed unseen.
    let beside = before.at + SIDE_BY_SIDE;
    let had_it =
        |other: &String| event.at(other).any(|it| it.answer.may_be_success() && it.at <= beside);
    let fellows = known.destinations(event).iter().filter(|other| *other != before.destination);
    let fellow_failed = fellows.into_iter().any(|other| !had_it(other));
    fellow_failed
        || fellow_rested(known, event, before)
        || event.arrivals.iter().any(|other| has_failed(&other))
        || was_sent_again(known, event, again)
        || was_asked_for(known, event, again)
        || fellow_was_unreachable(known, event, before)
}

/// Whether an operator wanted it to be sent once more.
fn was_asked_for(known: &Known<'_>, event: &Event<'_>, again: &Arrival<'_>) -> bool {
    let mut of = known.acts.iter().filter(|act| act.action == Action::Repeat && act.names(event));
    of.any(|act| {
        (act.began_at..=act.ended_at + Micros::from(known.timeout_ms) * 1_000).contains(&again.at)
    })
}

/// Whether a command that was cut off may have sent a dead letter and not deleted it.
fn was_sent_again(known: &Known<'_>, event: &Event<'_>, again: &Arrival<'_>) -> bool {
    let was_dead = event.reasons().next().is_some();
    let sends = |action| matches!(action, Action::Redrive | Action::Edit);
    was_dead
        && known.acts.iter().filter(|act| sends(act.action) && act.began_at < again.at).any(|act| {
            let died = known.deaths.iter().any(|at| (act.began_at..=act.ended_at).contains(at));
            act.code != Some(0) || died
        })
}

/// Whether a fellow destination had failed, be it with another event, so that it was left alone: a process
/// that does not know that it has this event keeps it until it may ask, and another that knows asks here
/// again.
fn fellow_rested(known: &Known<'_>, event: &Event<'_>, before: &Arrival<'_>) -> bool {
    let rests_from = before.at.saturating_sub(known.waits_at_most);
    known.destinations(event).iter().filter(|other| *other != before.destination).any(|other| {
        let failures = known.failures.get(other.as_str()).map_or(&[][..], Vec::as_slice);
        let later = failures.partition_point(|at| *at < rests_from);
        failures.get(later).is_some_and(|at| *at <= before.at)
    })
}

/// Whether a fellow destination could not be reached then, which nobody has seen; it may have had the event long
/// before, from a process that knew so.
fn fellow_was_unreachable(known: &Known<'_>, event: &Event<'_>, before: &Arrival<'_>) -> bool {
    let beside = before.at.saturating_sub(SIDE_BY_SIDE)..=before.at + SIDE_BY_SIDE;
    let mut times =
        [Fault::Refuse, Fault::ResetBefore].into_iter().flat_map(|it| windows(known, it));
    known.destinations(event).len() > 1
        && times.any(|(began, ended)| began <= *beside.end() && ended >= *beside.start())
}

/// Whether it became a dead letter, and stayed all the same as its forwarder died or never heard of it; so
/// that it was delivered, and came again when the dead letter was sent again.
fn was_dead_and_stayed(
    known: &Known<'_>,
    event: &Event<'_>,
    before: &Arrival<'_>,
    again: &Arrival<'_>,
    unheard: &[(Micros, Micros)],
) -> bool {
    let stayed = |dead_at: Micros| {
        let until = dead_at + known.function_timeout + DELETED_WITHIN;
        known.deaths.iter().any(|at| (dead_at..=until).contains(at))
            || unheard.iter().any(|(began, ended)| (*began..=*ended).contains(&dead_at))
    };
    let sends = |act: &&Act<'_>| matches!(act.action, Action::Redrive | Action::Edit);
    // The line that told of its death may have been lost with the process.
    let was_dead = event.reasons().next().is_some();
    let failed = event.arrivals.iter().filter(|it| {
        was_dead && it.at < before.at && !it.answer.is_success_in_time(known.timeout_ms)
    });
    let dead_at = event.deaths.iter().map(|(at, _)| *at).filter(|at| *at <= before.at);
    dead_at.chain(failed.map(|it| it.at)).any(stayed)
        && known
            .acts
            .iter()
            .filter(sends)
            .any(|act| act.is_for(event) && act.began_at < again.at && act.ended_at >= before.at)
}

fn other_id(name: Name, event: &Event<'_>) -> Option<Violation> {
    let id = event.id.or_else(|| event.arrivals.first().map(|first| first.event_id))?;
    let other = event.arrivals.iter().find(|arrival| arrival.event_id != id)?;
    let text = format!("{name} is {id}, and {} got it as {}", other.destination, other.event_id);
    Some(Violation::of([name], text))
}

#[cfg(test)]
mod tests {
    use super::super::Promise::RepeatsExplained;
    use super::super::support::Story;
    use crate::history::Action;
    use crate::schedule::Fault;

    fn delivered() -> Story {
        let mut story = Story::new();
        story.accepted("k1-0", "plain").got("k1-0", 200);
        story
    }

    #[test]
    fn a_repeat_after_a_success_needs_a_reason() {
        delivered().got("k1-0", 200).broken(RepeatsExplained, "again");
        delivered().killed("forwarder").got("k1-0", 200).holds(RepeatsExplained);
        delivered().timed_out("k1-0").got("k1-0", 200).holds(RepeatsExplained);
        delivered().during(Fault::FullDisk).got("k1-0", 200).holds(RepeatsExplained);
    }

    #[test]
    fn a_death_long_after_or_before_the_delivery_is_no_reason() {
        delivered().later(13).killed("engine").got("k1-0", 200).broken(RepeatsExplained, "again");
        let mut story = Story::new();
        story.accepted("k1-0", "plain").killed("forwarder").got("k1-0", 200).got("k1-0", 200);
        story.broken(RepeatsExplained, "again");
    }

    #[test]
    fn a_forwarder_that_outlived_its_engine_is_a_reason_for_as_long_as_its_batch_takes() {
        for (seconds, holds) in [(1, true), (5, true), (6, false)] {
            let mut story = Story::new();
            story.accepted("k1-0", "plain").killed("engine").later(seconds).got("k1-0", 200);
            story.got("k1-0", 200);
            if holds {
                story.holds(RepeatsExplained);
            } else {
                story.broken(RepeatsExplained, "again");
            }
        }
    }

    #[test]
    fn a_failure_or_a_late_success_is_a_reason() {
        for (status, after_ms) in [(500, 0), (200, 1_500)] {
            let mut story = Story::new();
            story.accepted("k1-0", "plain").got_late("k1-0", status, after_ms).got("k1-0", 200);
            story.holds(RepeatsExplained);
        }
    }

    #[test]
    fn a_fellow_destination_that_fails_is_a_reason_and_one_that_does_not_is_none() {
        for (status, holds) in [(500, true), (200, false)] {
            let mut story = Story::new();
            story.accepted("k1-0", "pair").got_at("left", "k1-0", 200);
            story.at_once().got_at("right", "k1-0", status).got_at("left", "k1-0", 200);
            if holds {
                story.holds(RepeatsExplained);
            } else {
                story.broken(RepeatsExplained, "left");
            }
        }
    }

    #[test]
    fn a_fellow_destination_that_could_not_be_reached_is_a_reason() {
        let mut story = Story::new();
        story.accepted("k1-0", "pair").got_at("left", "k1-0", 200).got_at("left", "k1-0", 200);
        story.got_at("right", "k1-0", 200).holds(RepeatsExplained);
    }

    /// One process knows that it has the event, and another that asks both does not.
    #[test]
    fn a_fellow_destination_that_cannot_be_reached_any_more_is_a_reason() {
        for (fault, holds) in [(Fault::ResetBefore, true), (Fault::Slow, false)] {
            let mut story = Story::new();
            story.accepted("k1-0", "pair").got_at("left", "k1-0", 200).got_at("right", "k1-0", 500);
            story.later(70).during(fault).got_at("right", "k1-0", 200).later(70);
            story.got_at("right", "k1-0", 200);
            if holds {
                story.holds(RepeatsExplained);
            } else {
                story.broken(RepeatsExplained, "right");
            }
        }
    }

    #[test]
    fn a_fellow_destination_that_is_left_alone_is_a_reason() {
        for (status, after, holds) in [(503, 1, true), (503, 70, false), (200, 1, false)] {
            let mut story = Story::new();
            story.accepted("k1-0", "pair").accepted("k2-0", "pair").got_at("left", "k1-0", 200);
            story.got_at("left", "k2-0", status).later(after);
            story.got_at("right", "k1-0", 200).got_at("right", "k1-0", 200);
            if holds {
                story.holds(RepeatsExplained);
            } else {
                story.broken(RepeatsExplained, "right got k1-0 again");
            }
        }
    }

    #[test]
    fn a_redrive_is_a_reason_if_it_was_cut_off_and_the_event_was_dead() {
        for (was_dead, code, holds) in
            [(true, None, true), (true, Some(0), false), (false, None, false)]
        {
            let mut story = Story::new();
            story.accepted("k1-0", "plain").got("k1-0", 422);
            if was_dead {
                story.died("k1-0", "rejected");
            }
            story.act(Action::Redrive, &[], code).got("k1-0", 200).got("k1-0", 200);
            if holds {
                story.holds(RepeatsExplained);
            } else {
                story.broken(RepeatsExplained, "again");
            }
        }
    }

    #[test]
    fn a_dead_letter_whose_line_was_lost_comes_again_too() {
        for (has_cause, holds) in [(true, true), (false, false)] {
            let mut story = Story::new();
            story.accepted("k1-0", "plain").got("k1-0", 422);
            if has_cause {
                story.killed("engine").later(30);
            }
            story.got("k1-0", 200).died("k1-0", "rejected");
            story.act(Action::Redrive, &[], Some(0)).got("k1-0", 200);
            if holds {
                story.holds(RepeatsExplained);
            } else {
                story.broken(RepeatsExplained, "again");
            }
        }
    }

    #[test]
    fn a_repeat_that_was_asked_for_is_explained_while_it_is_asked_for() {
        for (event, later, holds) in [("k1-0", 1, true), ("k1-0", 4, false), ("k1-1", 1, false)] {
            let mut story = delivered();
            story.act(Action::Repeat, &[event], Some(0)).later(later).got("k1-0", 200);
            if holds {
                story.holds(RepeatsExplained);
            } else {
                story.broken(RepeatsExplained, "again");
            }
        }
    }

    #[test]
    fn a_dead_letter_that_stayed_all_the_same_comes_again_when_it_is_redriven() {
        for (has_cause, holds) in [(true, true), (false, false)] {
            let mut story = Story::new();
            story.accepted("k1-0", "plain").got("k1-0", 422).died("k1-0", "rejected");
            if has_cause {
                story.killed("forwarder").later(30);
            }
            story.got("k1-0", 200).act(Action::Redrive, &[], Some(0)).got("k1-0", 200);
            if holds {
                story.holds(RepeatsExplained);
            } else {
                story.broken(RepeatsExplained, "again");
            }
        }
    }

    #[test]
    fn another_webhook_id_is_found() {
        let mut story = Story::new();
        story.accepted("k1-0", "plain").got("k1-0", 500).got_as("k1-0", "other");
        story.broken(RepeatsExplained, "sss got it as other");
    }

    /// Was a dead letter, stayed all the same as its forwarder died, and was delivered.
    fn stayed() -> Story {
        let mut story = Story::new();
        story.accepted("k1-0", "plain").got("k1-0", 422).died("k1-0", "rejected");
        story.killed("forwarder").later(30).got("k1-0", 200);
        story
    }

    #[test]
    fn a_full_disk_is_a_reason_while_it_is_full() {
        let mut story = Story::new();
        story.accepted("k1-0", "plain").during(Fault::FullDisk).over(Fault::FullDisk);
        story.got("k1-0", 200).got("k1-0", 200);
        story.broken(RepeatsExplained, "again, 1000 ms after");
        let mut later = delivered();
        later.later(15).during(Fault::FullDisk).got("k1-0", 200).over(Fault::FullDisk);
        later.broken(RepeatsExplained, "again");
        let mut other = Story::new();
        other.accepted("k1-0", "plain").during(Fault::FullDisk).over(Fault::Slow).got("k1-0", 200);
        other.got("k1-0", 200).holds(RepeatsExplained);
    }

    #[test]
    fn a_batch_has_its_time_from_the_answer_on() {
        let mut story = Story::new();
        story.accepted("k1-0", "plain").got_late("k1-0", 200, 900).soon(12_500).killed("engine");
        story.got("k1-0", 200).holds(RepeatsExplained);
    }

    #[test]
    fn a_fellow_that_fails_only_later_is_no_reason() {
        let mut story = Story::new();
        story.accepted("k1-0", "pair").got_at("left", "k1-0", 200);
        story.at_once().got_at("right", "k1-0", 200).got_at("left", "k1-0", 200);
        story.got_at("right", "k1-0", 500).broken(RepeatsExplained, "left got k1-0 again");
    }

    #[test]
    fn a_fellow_that_failed_with_this_event_long_ago_is_a_reason() {
        let mut story = Story::new();
        story.accepted("k1-0", "pair").got_at("left", "k1-0", 500).later(70);
        story.got_at("left", "k1-0", 200).at_once().got_at("right", "k1-0", 200);
        story.got_at("right", "k1-0", 200).holds(RepeatsExplained);
    }

    #[test]
    fn only_a_redrive_that_was_cut_off_before_explains_that_a_dead_letter_came_twice() {
        let dead = || {
            let mut story = Story::new();
            story.accepted("k1-0", "plain").got("k1-0", 422).died("k1-0", "rejected");
            story
        };
        let mut after = dead();
        after.got("k1-0", 200).got("k1-0", 200).act(Action::Redrive, &[], None);
        after.broken(RepeatsExplained, "again");
        let mut retry = dead();
        retry.act(Action::Retry, &[], None).got("k1-0", 200).got("k1-0", 200);
        retry.broken(RepeatsExplained, "again");
        let mut one_of_two = dead();
        one_of_two.act(Action::Redrive, &[], Some(0)).act(Action::Redrive, &[], None);
        one_of_two.got("k1-0", 200).got("k1-0", 200).holds(RepeatsExplained);
    }

    #[test]
    fn what_was_no_dead_letter_did_not_stay_as_one() {
        let mut story = Story::new();
        story.accepted("k1-0", "plain").got("k1-0", 500).killed("engine").later(30);
        story.got("k1-0", 200).act(Action::Redrive, &[], Some(0)).got("k1-0", 200);
        story.broken(RepeatsExplained, "again");
    }

    #[test]
    fn a_dead_letter_that_was_never_attempted_stays_as_well() {
        let mut story = Story::new();
        story.accepted("k1-0", "plain").got("k1-0", 500).later(100).died("k1-0", "gave_up");
        story.killed("engine").later(30).got("k1-0", 200);
        story.act(Action::Redrive, &[], Some(0)).got("k1-0", 200).holds(RepeatsExplained);
    }

    #[test]
    fn what_stayed_comes_again_by_a_redrive_of_it_and_not_before() {
        let again = |mut story: Story| {
            story.got("k1-0", 200);
            story
        };
        let mut story = stayed();
        story.act(Action::Redrive, &["k9-0"], Some(0));
        again(story).broken(RepeatsExplained, "again");
        let mut story = again(stayed());
        story.act(Action::Redrive, &[], Some(0)).broken(RepeatsExplained, "again");
        let mut story = Story::new();
        story.accepted("k1-0", "plain").got("k1-0", 422).died("k1-0", "rejected");
        story.killed("forwarder").act(Action::Redrive, &[], Some(0)).later(30).got("k1-0", 200);
        again(story).broken(RepeatsExplained, "again");
        let mut story = stayed();
        story.act(Action::Redrive, &["k9-0"], Some(0)).act(Action::Redrive, &["k1-0"], Some(0));
        again(story).holds(RepeatsExplained);
    }

    #[test]
    fn a_repeat_of_several_is_one_of_each() {
        let mut story = delivered();
        story.act(Action::Repeat, &["k1-0", "k2-0"], Some(0)).got("k1-0", 200);
        story.holds(RepeatsExplained);
        assert_eq!(story.looked_at(RepeatsExplained), 1);
    }

    #[test]
    fn whose_sender_never_heard_is_called_as_it_came_first() {
        let mut story = Story::new();
        story.unanswered("k1-0", "plain").got("k1-0", 500).got_as("k1-0", "other");
        story.broken(RepeatsExplained, "k1-0 is id-of-k1-0, and sss got it as other");
    }
}
