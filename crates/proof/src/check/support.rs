//! Histories made by hand.

use serde_json::{Value, json};

use super::{Promise, check};
use crate::history::{Action, Answer, DeadLetter, History, Micros, Name, Route, Seen, Written};
use crate::schedule::Fault;

/// What one attempt may take, in milliseconds.
const TIMEOUT_MS: u32 = 2_000;

/// A history that is told step by step, a second for each. An event's id is `id-of-` and its name.
pub(super) struct Story {
    now: Micros,
    history: History,
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn id(text: &str) -> String {
    format!("id-of-{text}")
}

pub(super) fn dead(event: &str, reason: &str, status: Option<u16>, age_seconds: u64) -> DeadLetter {
    let destination = Some("sss".to_owned());
    DeadLetter { event_id: id(event), reason: reason.to_owned(), destination, status, age_seconds }
}

/// What status and metrics say of one route.
pub(super) fn figures(accepted: i64, dead: i64, missing: i64) -> (Value, String) {
    let status = json!({
        "dead_letters": { "count": dead, "by_reason": { "rejected": dead } },
        "queue": { "events": 0 },
        "loss_meter": {
            "missing": missing, "total": { "dead_letters": dead, "queued": 0 },
            "routes": { "plain": { "accepted": accepted } },
        },
    });
    let route = |name: &str| format!("webhook_missing{{route=\"{name}\"}} {missing}\n");
    let metrics = ["plain", "block", "pair"].map(route).concat();
    let queue = "webhook_queue_messages{queue=\"webhook\"} 0\n";
    let dead = format!("webhook_queue_messages{{queue=\"dead_letter\"}} {dead}\n");
    (status, format!("{metrics}{queue}{dead}"))
}

impl Story {
    pub(super) fn new() -> Self {
        let mut story = Self { now: 0, history: History::default() };
        let route = |name: &str, destinations: &[&str], is_blocking| Route {
            name: name.to_owned(),
            destinations: destinations.iter().map(|it| (*it).to_owned()).collect(),
            is_blocking,
            give_up_after_seconds: 60,
        };
        let routes = vec![
            route("plain", &["sss"], false),
            route("block", &["strict"], true),
            route("pair", &["left", "right"], false),
        ];
        story.push(Seen::Configured {
            routes,
            timeout_ms: TIMEOUT_MS,
            function_timeout_ms: 5_000,
            waits_at_most_ms: 60_000,
        });
        story
    }

    fn push(&mut self, seen: Seen) -> &mut Self {
        self.now += 1_000_000;
        self.history.push(self.now, seen);
        self
    }

    /// The next comes at the same time as the last.
    pub(super) fn at_once(&mut self) -> &mut Self {
        self.now -= 1_000_000;
        self
    }

    /// The next comes so soon after the last.
    pub(super) fn soon(&mut self, milliseconds: Micros) -> &mut Self {
        self.now = self.now + milliseconds * 1_000 - 1_000_000;
        self
    }

    pub(super) fn later(&mut self, seconds: Micros) -> &mut Self {
        self.now += (seconds - 1) * 1_000_000;
        self
    }

    fn accepted_at(&mut self, event: &str, route: &str, is_forged: bool, sent_at: Micros) {
        let (event_id, route) = (id(event), route.to_owned());
        self.push(Seen::Accepted { name: name(event), route, event_id, sent_at, is_forged });
    }

    pub(super) fn accepted(&mut self, event: &str, route: &str) -> &mut Self {
        self.accepted_at(event, route, false, self.now + 1);
        self
    }

    pub(super) fn accepted_together(&mut self, events: &[&str], route: &str) -> &mut Self {
        let sent_at = self.now + 1;
        for event in events {
            self.accepted_at(event, route, false, sent_at);
        }
        self
    }

    pub(super) fn forged(&mut self, event: &str, route: &str) -> &mut Self {
        self.accepted_at(event, route, true, self.now + 1);
        self
    }

    pub(super) fn unanswered(&mut self, event: &str, route: &str) -> &mut Self {
        let (name, route, sent_at) = (name(event), route.to_owned(), self.now + 1);
        self.push(Seen::NotAccepted { name, route, status: None, sent_at, is_forged: false })
    }

    fn arrived(&mut self, at: &str, event: &str, event_id: String, answer: Answer) -> &mut Self {
        let (name, destination) = (name(event), at.to_owned());
        self.push(Seen::Got { name, destination, event_id, answer })
    }

    pub(super) fn got(&mut self, event: &str, status: u16) -> &mut Self {
        self.got_at("sss", event, status)
    }

    pub(super) fn got_on(&mut self, route: &str, event: &str, status: u16) -> &mut Self {
        self.got_at(if route == "block" { "strict" } else { "sss" }, event, status)
    }

    pub(super) fn got_at(&mut self, at: &str, event: &str, status: u16) -> &mut Self {
        let answer = Answer { status: Some(status), written: Written::StatusLine, after_ms: 1 };
        self.arrived(at, event, id(event), answer)
    }

    /// It came, and was answered with nothing.
    pub(super) fn got_no_answer(&mut self, event: &str) -> &mut Self {
        self.arrived("sss", event, id(event), Answer::NONE)
    }

    pub(super) fn got_late(&mut self, event: &str, status: u16, after_ms: u32) -> &mut Self {
        let answer = Answer { status: Some(status), written: Written::StatusLine, after_ms };
        self.arrived("sss", event, id(event), answer)
    }

    pub(super) fn got_as(&mut self, event: &str, event_id: &str) -> &mut Self {
        let answer = Answer { status: Some(200), written: Written::StatusLine, after_ms: 1 };
        self.arrived("sss", event, event_id.to_owned(), answer)
    }

    pub(super) fn died(&mut self, event: &str, reason: &str) -> &mut Self {
        let died_at = Some(self.now + 1_000_000);
        self.push(Seen::DeadLettered { event_id: id(event), reason: reason.to_owned(), died_at })
    }

    pub(super) fn timed_out(&mut self, event: &str) -> &mut Self {
        self.push(Seen::TimedOut { event_id: id(event) })
    }

    pub(super) fn killed(&mut self, process: &'static str) -> &mut Self {
        self.push(Seen::Died { process })
    }

    pub(super) fn during(&mut self, fault: Fault) -> &mut Self {
        self.push(Seen::Began { fault })
    }

    pub(super) fn over(&mut self, fault: Fault) -> &mut Self {
        self.push(Seen::Ended { fault, hits: 1 })
    }

    pub(super) fn act(&mut self, action: Action, events: &[&str], code: Option<i32>) -> &mut Self {
        self.act_for(action, events, code, true)
    }

    pub(super) fn act_for(
        &mut self,
        action: Action,
        events: &[&str],
        code: Option<i32>,
        has_reason: bool,
    ) -> &mut Self {
        let (event_ids, began_at) = (events.iter().map(|event| id(event)).collect(), self.now + 1);
        self.push(Seen::Acted { action, event_ids, has_reason, began_at, code })
    }

    pub(super) fn healthy(&mut self) -> &mut Self {
        self.push(Seen::Healthy)
    }

    pub(super) fn leaked(&mut self, planted: &'static str, place: &str) -> &mut Self {
        self.push(Seen::Leaked { planted, place: place.to_owned() })
    }

    pub(super) fn used(
        &mut self,
        process: &'static str,
        memory_kib: u64,
        descriptors: u64,
    ) -> &mut Self {
        self.push(Seen::Used { process, memory_kib, descriptors })
    }

    pub(super) fn files(&mut self, count: u64) -> &mut Self {
        self.push(Seen::Files { count })
    }

    pub(super) fn left(&mut self, dead: Vec<DeadLetter>, waiting: &[&str]) -> &mut Self {
        self.left_with(dead, waiting, Value::Null, String::new())
    }

    pub(super) fn left_with(
        &mut self,
        dead: Vec<DeadLetter>,
        waiting: &[&str],
        status: Value,
        metrics: String,
    ) -> &mut Self {
        let waiting = waiting.iter().map(|event| id(event)).collect();
        self.push(Seen::Left { dead, waiting, status, metrics })
    }

    /// How often a promise was looked at.
    pub(super) fn looked_at(&self, promise: Promise) -> u64 {
        check(&self.history).into_iter().find(|it| it.promise == promise).unwrap().count
    }

    pub(super) fn history(&self) -> &History {
        &self.history
    }

    fn violations(&self, promise: Promise) -> Vec<String> {
        let checked = check(&self.history).into_iter().find(|it| it.promise == promise).unwrap();
        checked.violations.into_iter().map(|violation| violation.text).collect()
    }

    pub(super) fn holds(&self, promise: Promise) {
        assert_eq!(self.violations(promise), Vec::<String>::new());
    }

    pub(super) fn broken(&self, promise: Promise, says: &str) {
        let violations = self.violations(promise);
        assert!(violations.iter().any(|text| text.contains(says)), "{says:?}: {violations:?}");
    }
}
