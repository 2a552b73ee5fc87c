//! What `status --json` and `/metrics` say at the end is what was.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Known, Violation};
use crate::history::Seen;

pub(super) fn check(known: &Known<'_>) -> (u64, Vec<Violation>) {
    let left = known.history.iter().rev().find_map(|entry| match &entry.seen {
        Seen::Left { status, metrics, .. } => Some((status, metrics)),
        _ => None,
    });
    let Some((status, metrics)) = left else { return (0, Vec::new()) };
    // Nobody was asked.
    if status.is_null() && metrics.is_empty() {
        return (0, Vec::new());
    }
    let mut figures = Figures::default();
    figures.of_status(known, status);
    figures.of_metrics(known, metrics);
    (figures.count, figures.violations)
}

#[derive(Default)]
struct Figures {
    count: u64,
    violations: Vec<Violation>,
}

impl Figures {
    fn equal(&mut self, what: &str, said: Option<i64>, was: i64) {
        self.between(what, said, was, was);
    }

    fn between(&mut self, what: &str, said: Option<i64>, least: i64, most: i64) {
        self.count += 1;
        if said.is_none_or(|said| said < least || said > most) {
            let said = said.map_or_else(|| "nothing".to_owned(), |said| said.to_string());
            let was = if least == most { least.to_string() } else { format!("{least} to {most}") };
            self.violations
                .push(Violation::of([], format!("{what} is said to be {said}, and is {was}")));
        }
    }

    fn of_status(&mut self, known: &Known<'_>, status: &Value) {
        let number = |at: &str| status.pointer(at).and_then(Value::as_i64);
        let (dead, waiting) = (count(known.dead), count(known.waiting));
        self.equal("status: dead letters", number("/dead_letters/count"), dead);
        self.equal("status: events in the queue", number("/queue/events"), waiting);
        self.equal("the loss meter: missing", number("/loss_meter/missing"), 0);
        self.equal("the loss meter: dead letters", number("/loss_meter/total/dead_letters"), dead);
        self.equal("the loss meter: queued", number("/loss_meter/total/queued"), waiting);
        for (route, (least, most)) in accepted(known) {
            let said = number(&format!("/loss_meter/routes/{route}/accepted"));
            self.between(&format!("the loss meter: accepted by {route}"), said, least, most);
        }
        let mut by_reason: BTreeMap<&str, i64> = BTreeMap::new();
        for letter in known.dead {
            *by_reason.entry(&letter.reason).or_default() += 1;
        }
        for (reason, was) in by_reason {
            let said = number(&format!("/dead_letters/by_reason/{reason}"));
            self.equal(&format!("status: dead letters {reason}"), said, was);
        }
    }

    fn of_metrics(&mut self, known: &Known<'_>, metrics: &str) {
        let (dead, waiting) = (count(known.dead), count(known.waiting));
        for (name, was) in [
            ("webhook_queue_messages{queue=\"webhook\"}", waiting),
            ("webhook_queue_messages{queue=\"dead_letter\"}", dead),
        ] {
            self.equal(name, metric(metrics, name), was);
        }
        for route in known.routes.keys() {
            let name = format!("webhook_missing{{route=\"{route}\"}}");
            self.equal(&name, metric(metrics, &name), 0);
        }
    }
}

/// How many events a route has accepted: what was answered with a 2xx, and at most what was not answered
/// as well.
fn accepted<'a>(known: &Known<'a>) -> BTreeMap<&'a str, (i64, i64)> {
    let mut accepted: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
    for event in known.events.values() {
        let (least, most) = accepted.entry(event.route).or_default();
        *least += i64::from(event.accepted_at.is_some());
        *most += i64::from(event.accepted_at.is_some() || event.is_in_doubt);
    }
    accepted
}

fn count<T>(of: &[T]) -> i64 {
    i64::try_from(of.len()).unwrap_or(i64::MAX)
}

fn metric(metrics: &str, name: &str) -> Option<i64> {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::Promise::FiguresAgree;
    use super::super::support::{Story, dead, figures};

    fn story(accepted: i64, dead_letters: i64, missing: i64) -> Story {
        let (status, metrics) = figures(accepted, dead_letters, missing);
        told(status, metrics)
    }

    fn told(status: Value, metrics: String) -> Story {
        let mut story = Story::new();
        story.accepted("k1-0", "plain").got("k1-0", 200).accepted("k1-1", "plain").got("k1-1", 422);
        story.unanswered("k1-2", "plain");
        story.left_with(vec![dead("k1-1", "rejected", Some(422), 1)], &[], status, metrics);
        story
    }

    #[test]
    fn what_was_not_answered_may_be_counted_and_may_not() {
        story(2, 1, 0).holds(FiguresAgree);
        story(3, 1, 0).holds(FiguresAgree);
    }

    #[test]
    fn a_figure_that_is_not_so_is_found() {
        story(1, 1, 0).broken(FiguresAgree, "accepted by plain is said to be 1, and is 2 to 3");
        story(4, 1, 0).broken(FiguresAgree, "accepted by plain is said to be 4");
        story(2, 0, 0).broken(FiguresAgree, "dead letters is said to be 0, and is 1");
        story(2, 1, 1).broken(FiguresAgree, "missing is said to be 1, and is 0");
    }

    #[test]
    fn each_figure_is_looked_at_and_one_that_is_not_said_is_found() {
        let (status, metrics) = figures(2, 1, 0);
        for (at, what) in [
            ("/dead_letters/count", "status: dead letters"),
            ("/dead_letters/by_reason/rejected", "status: dead letters rejected"),
            ("/queue/events", "status: events in the queue"),
            ("/loss_meter/missing", "the loss meter: missing"),
            ("/loss_meter/total/dead_letters", "the loss meter: dead letters"),
            ("/loss_meter/total/queued", "the loss meter: queued"),
            ("/loss_meter/routes/plain/accepted", "the loss meter: accepted by plain"),
        ] {
            for (said, told_as) in [(Value::from(9), "9"), (Value::Null, "nothing")] {
                let mut status = status.clone();
                *status.pointer_mut(at).unwrap() = said;
                let says = format!("{what} is said to be {told_as}, and is");
                told(status, metrics.clone()).broken(FiguresAgree, &says);
            }
        }
        for line in metrics.lines() {
            let (name, _value) = line.rsplit_once(' ').unwrap();
            let nine = metrics.replace(line, &format!("{name} 9"));
            let says = |told_as| format!("{name} is said to be {told_as}, and is");
            told(status.clone(), nine).broken(FiguresAgree, &says("9"));
            let without = metrics.replace(&format!("{line}\n"), "");
            told(status.clone(), without.clone()).broken(FiguresAgree, &says("nothing"));
            told(Value::Null, without).broken(FiguresAgree, "status: dead letters is said to be");
        }
        told(status, String::new()).broken(FiguresAgree, "webhook_missing");
    }
}
