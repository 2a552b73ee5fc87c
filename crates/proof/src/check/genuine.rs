//! Forged events never reach the service, and genuine ones are never taken for forged.

use super::{Known, Violation};

pub(super) fn check(known: &Known<'_>) -> (u64, Vec<Violation>) {
    let mut violations = Vec::new();
    for (name, event) in &known.events {
        if event.is_forged && !event.arrivals.is_empty() {
            let text = format!("{name} is forged, and {} got it", event.arrivals[0].destination);
            violations.push(Violation::of([*name], text));
        }
        if !event.is_forged && event.reasons().any(|reason| reason == "unverified") {
            let text = format!("{name} is genuine, and was taken for forged");
            violations.push(Violation::of([*name], text));
        }
    }
    (known.events.len() as u64, violations)
}

#[cfg(test)]
mod tests {
    use super::super::Promise::OnlyGenuine;
    use super::super::support::{Story, dead};

    #[test]
    fn a_forged_event_that_arrives_is_found_and_one_that_is_dead_is_well() {
        let mut story = Story::new();
        story.forged("k1-0", "plain").left(vec![dead("k1-0", "unverified", None, 1)], &[]);
        story.holds(OnlyGenuine);
        story.got("k1-0", 200).broken(OnlyGenuine, "k1-0 is forged, and sss got it");
    }

    #[test]
    fn a_genuine_event_that_is_taken_for_forged_is_found() {
        let mut story = Story::new();
        story.accepted("k1-0", "plain").died("k1-0", "unverified").got("k1-0", 200);
        story.broken(OnlyGenuine, "k1-0 is genuine");
    }
}
