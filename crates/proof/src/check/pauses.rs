//! While delivery is paused nothing is attempted: from the end of the command that paused, which waits for
//! what is under way, until the next that resumes begins.

use super::{Known, Violation};
use crate::history::{Action, Micros, Seen};

pub(super) fn check(known: &Known<'_>) -> (u64, Vec<Violation>) {
    let pauses = pauses(known);
    let mut violations = Vec::new();
    for entry in known.history {
        let Seen::Got { name, destination, .. } = &entry.seen else { continue };
        if let Some((since, _)) = pauses.iter().find(|(from, to)| (*from..*to).contains(&entry.at))
        {
            let after = (entry.at - since) / 1_000;
            let text = format!("{destination} got {name}, {after} ms after delivery was paused");
            violations.push(Violation::of([*name], text));
        }
    }
    (pauses.len() as u64, violations)
}

/// From when to when delivery was paused for certain.
fn pauses(known: &Known<'_>) -> Vec<(Micros, Micros)> {
    let mut acts: Vec<_> = known.acts.iter().filter(|act| act.action == Action::Resume).collect();
    acts.sort_by_key(|act| act.began_at);
    let is_done = |act: &&super::Act<'_>| act.action == Action::Pause && act.code == Some(0);
    let paused = known.acts.iter().filter(is_done).map(|act| act.ended_at);
    let until = |from: Micros| acts.iter().map(|act| act.began_at).find(|began| *began >= from);
    paused.filter_map(|from| Some((from, until(from)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Promise::PausesHold;
    use super::super::support::Story;
    use crate::history::Action;

    #[test]
    fn an_attempt_while_paused_is_found() {
        let mut story = Story::new();
        story.accepted("k1-0", "plain").got("k1-0", 500);
        story.act(Action::Pause, &[], Some(0)).act(Action::Resume, &[], Some(0));
        story.got("k1-0", 200).holds(PausesHold);

        let mut story = Story::new();
        story.accepted("k1-0", "plain").act(Action::Pause, &[], Some(0)).killed("engine");
        story.got("k1-0", 200).act(Action::Resume, &[], Some(0));
        story.broken(PausesHold, "sss got k1-0, 2000 ms after delivery was paused");
    }

    #[test]
    fn a_pause_that_was_cut_off_promises_nothing() {
        let mut story = Story::new();
        story.accepted("k1-0", "plain").act(Action::Pause, &[], None).got("k1-0", 200);
        story.act(Action::Resume, &[], Some(0)).holds(PausesHold);
    }
}
