//! Forged events never reach the service, and genuine ones are never taken for forged.

use super::{Known, Violation};

pub(super) fn check(known: &Known<'_>) -> (u64, Vec<Violation>) {
    let mut violations = Vec::new();
    for (name, event) in &known.events {
        if event.is_forged && !event.arrivals.is_empty() {
            let text = format!("{name} is forged, and {} got it", event.arrivals[0].destination);
            violations.push(Violation::of([*name], text));
        }
        if !event.is_forged && known.was_taken_for_forged(event) {
            let text = format!("{name} is genuine, and was taken for forged");
            violations.push(Violation::of([*name], text));
        }
    }
    (known.events.len() as u64, violations)
}

#[cfg(test)]
mod tests {
    use super::super::Promise::{NothingMissing, OnlyGenuine};
    use super::super::support::{Story, dead};
    use crate::schedule::Fault;

    #[test]
    fn a_forged_event_that_arrives_is_found_and_one_that_is_dead_is_well() {
        let mut story = Story::new();
        story.forged("k1-0", "plain").left(vec![dead("k1-0", "unverified", None, 1)], &[]);
        story.holds(OnlyGenuine);
        story.got("k1-0", 200).broken(OnlyGenuine, "k1-0 is forged, and sss got it");
    }

    #[test]
    fn what_was_signed_two_secrets_ago_cannot_be_verified_and_what_was_signed_with_the_last_can() {
        for (rotations, holds) in [(0, false), (1, false), (2, true), (3, true)] {
            let mut story = Story::new();
            story.during(Fault::RotateSecret).accepted("k1-0", "plain").got("k1-0", 422);
            for _ in 0..rotations {
                story.during(Fault::RotateSecret);
            }
            story.died("k1-0", "unverified").got("k1-0", 200);
            if holds {
                story.holds(OnlyGenuine);
                story.holds(NothingMissing);
            } else {
                story.broken(OnlyGenuine, "k1-0 is genuine");
                story.broken(NothingMissing, "\"unverified\"");
            }
        }
    }

    #[test]
    fn a_genuine_event_that_died_before_its_secret_was_unknown_is_found() {
        let mut story = Story::new();
        story.accepted("k1-0", "plain").during(Fault::RotateSecret).died("k1-0", "unverified");
        story.during(Fault::RotateSecret).got("k1-0", 200);
        story.broken(OnlyGenuine, "k1-0 is genuine");
    }

    #[test]
    fn a_genuine_letter_whose_line_was_lost_is_found() {
        let mut story = Story::new();
        story.accepted("k1-0", "plain").during(Fault::RotateSecret);
        story.left(vec![dead("k1-0", "unverified", None, 1)], &[]);
        story.broken(OnlyGenuine, "k1-0 is genuine");
    }

    #[test]
    fn a_genuine_event_that_is_taken_for_forged_is_found() {
        let mut story = Story::new();
        story.accepted("k1-0", "plain").died("k1-0", "unverified").got("k1-0", 200);
        story.broken(OnlyGenuine, "k1-0 is genuine");
    }

    #[test]
    fn what_is_genuine_and_arrives_is_well() {
        let mut story = Story::new();
        story.accepted("k1-0", "plain").got("k1-0", 200).holds(OnlyGenuine);
        assert_eq!(story.looked_at(OnlyGenuine), 1);
    }

    #[test]
    fn a_letter_of_two_secrets_ago_is_well_though_its_line_was_lost() {
        let mut story = Story::new();
        story.accepted("k1-0", "plain").during(Fault::RotateSecret).during(Fault::RotateSecret);
        story.left(vec![dead("k1-0", "unverified", None, 1)], &[]).holds(OnlyGenuine);
    }
}
