//! What was promised. Each promise is one function over what was known, and names what broke it.

mod agreement;
mod bounds;
mod genuine;
mod missing;
mod order;
mod pauses;
mod repeats;
mod secrecy;
#[cfg(test)]
mod support;
mod waiting;

use std::collections::{BTreeSet, HashMap};

use serde::Serialize;

use crate::history::{Action, Answer, DeadLetter, Entry, History, Micros, Name, Route, Seen};
use crate::schedule::Fault;

/// What is promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Promise {
    /// Every accepted event is delivered, or a dead letter with a true reason, or waits, or was dropped by
    /// an operator who said why.
    NothingMissing,
    /// Of a key, none is attempted before those that were accepted before it are delivered or dead.
    NoneOvertaken,
    /// An event comes again only where nobody may have seen its 2xx, or by an operator, and with its id.
    RepeatsExplained,
    /// Forged events never reach the service, and genuine ones are never taken for forged.
    OnlyGenuine,
    /// While delivery is paused nothing is attempted.
    PausesHold,
    /// Nothing waits longer than its schedule allows once its cause has ended.
    NothingStuck,
    /// What `status` and `/metrics` say is what was.
    FiguresAgree,
    /// No secret and no body is in a log, on a terminal, or in a file that is not the database.
    NothingLeaks,
    /// Memory, descriptors and files are bounded.
    Bounded,
}

impl Promise {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::NothingMissing,
        Self::NoneOvertaken,
        Self::RepeatsExplained,
        Self::OnlyGenuine,
        Self::PausesHold,
        Self::NothingStuck,
        Self::FiguresAgree,
        Self::NothingLeaks,
        Self::Bounded,
    ];

    /// What it says, for people.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::NothingMissing => "nothing accepted is missing",
            Self::NoneOvertaken => "none of a key is overtaken",
            Self::RepeatsExplained => "repeats are explained, and carry the same id",
            Self::OnlyGenuine => "forged events never arrive, genuine ones do",
            Self::PausesHold => "nothing is attempted while paused",
            Self::NothingStuck => "nothing waits without a cause",
            Self::FiguresAgree => "status and metrics say what was",
            Self::NothingLeaks => "no secret and no body in logs or files",
            Self::Bounded => "memory, descriptors and files are bounded",
        }
    }
}

/// What broke a promise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// What happened.
    pub text: String,
    /// The events that it happened to.
    pub names: Vec<Name>,
}

impl Violation {
    fn of(names: impl Into<Vec<Name>>, text: String) -> Self {
        Self { text, names: names.into() }
    }
}

/// How a promise fared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// Which.
    pub promise: Promise,
    /// How often it was looked at: events, repeats, figures or bytes, whatever it is about.
    pub count: u64,
    /// What broke it.
    pub violations: Vec<Violation>,
}

/// Checks every promise.
#[must_use]
pub fn check(history: &History) -> Vec<Checked> {
    let known = Known::of(history);
    let check = |promise| {
        let (count, violations) = match promise {
            Promise::NothingMissing => missing::check(&known),
            Promise::NoneOvertaken => order::check(&known),
            Promise::RepeatsExplained => repeats::check(&known),
            Promise::OnlyGenuine => genuine::check(&known),
            Promise::PausesHold => pauses::check(&known),
            Promise::NothingStuck => waiting::check(&known),
            Promise::FiguresAgree => agreement::check(&known),
            Promise::NothingLeaks => secrecy::check(&known),
            Promise::Bounded => bounds::check(&known),
        };
        Checked { promise, count, violations }
    };
    Promise::ALL.map(check).into()
}

/// What the shortest story of a violation is: everything that was seen of its events, in order.
#[must_use]
pub fn story<'a>(history: &'a History, violation: &Violation) -> Vec<&'a Entry> {
    let ids = history.entries().iter().filter_map(|entry| match &entry.seen {
        Seen::Accepted { name, event_id, .. } | Seen::Got { name, event_id, .. } => {
            violation.names.contains(name).then_some(event_id.as_str())
        }
        _ => None,
    });
    let ids: BTreeSet<&str> = ids.collect();
    let is_about = |entry: &&Entry| match &entry.seen {
        Seen::Accepted { name, .. } | Seen::NotAccepted { name, .. } | Seen::Got { name, .. } => {
            violation.names.contains(name)
        }
        Seen::DeadLettered { event_id, .. } | Seen::TimedOut { event_id } => {
            ids.contains(event_id.as_str())
        }
        Seen::Acted { event_ids, .. } => {
            event_ids.is_empty() || event_ids.iter().any(|id| ids.contains(id.as_str()))
        }
        Seen::Died { .. } | Seen::Healthy => true,
        _ => false,
    };
    let entries: Vec<&Entry> = history.entries().iter().filter(is_about).collect();
    // What happened to others, before the first and after the last of these, explains nothing.
    let is_own = |entry: &&Entry| {
        !matches!(entry.seen, Seen::Died { .. } | Seen::Healthy | Seen::Acted { .. })
    };
    let first = entries.iter().position(is_own).unwrap_or_default();
    let end = entries.iter().rposition(is_own).map_or(entries.len(), |last| last + 1);
    entries.get(first..end).unwrap_or_default().to_vec()
}

/// An attempt, as the service saw it.
#[derive(Debug, Clone, Copy)]
struct Arrival<'a> {
    at: Micros,
    /// Its place among all that was seen: of two, the one that was seen first.
    place: usize,
    destination: &'a str,
    event_id: &'a str,
    answer: Answer,
}

/// An event, as its sender knows it.
#[derive(Debug, Clone, Default)]
struct Event<'a> {
    route: &'a str,
    /// When the first byte was first sent.
    sent_at: Micros,
    /// When a 2xx was first read.
    accepted_at: Option<Micros>,
    /// The id that it was accepted with.
    id: Option<&'a str>,
    is_forged: bool,
    /// Whether one of its requests got no answer.
    is_in_doubt: bool,
    arrivals: Vec<Arrival<'a>>,
    /// When the log said that it is a dead letter, and why.
    deaths: Vec<(Micros, &'a str)>,
    /// When it first became one, by the log's own time.
    died_at: Option<Micros>,
    timeouts: Vec<Micros>,
    /// What it is a dead letter for at the end.
    letter: Option<&'a DeadLetter>,
}

/// What an operator did.
#[derive(Debug, Clone, Copy)]
struct Act<'a> {
    action: Action,
    event_ids: &'a [String],
    has_reason: bool,
    began_at: Micros,
    ended_at: Micros,
    code: Option<i32>,
}

impl Act<'_> {
    fn names(&self, event: &Event<'_>) -> bool {
        event.ids().any(|id| self.event_ids.iter().any(|it| it == id))
    }

    /// Whether it names this event, or means all.
    fn is_for(&self, event: &Event<'_>) -> bool {
        self.event_ids.is_empty() || self.names(event)
    }
}

/// A history, by what is asked of it.
#[derive(Debug, Default)]
struct Known<'a> {
    history: &'a [Entry],
    routes: HashMap<&'a str, &'a Route>,
    timeout_ms: u32,
    function_timeout: Micros,
    waits_at_most: Micros,
    events: HashMap<Name, Event<'a>>,
    by_id: HashMap<&'a str, Name>,
    acts: Vec<Act<'a>>,
    /// When a process died, in order; and of these, when an engine did.
    deaths: Vec<Micros>,
    engine_deaths: Vec<Micros>,
    /// When the provider got another secret, in order.
    rotated: Vec<Micros>,
    /// When the wall clock was set, in order.
    clocks_set: Vec<Micros>,
    /// When a destination answered anything but a 2xx in time, in order.
    failures: HashMap<&'a str, Vec<Micros>>,
    healthy_at: Option<Micros>,
    dead: &'a [DeadLetter],
    waiting: &'a [String],
}

impl<'a> Known<'a> {
    fn of(history: &'a History) -> Self {
        let mut known = Self { history: history.entries(), ..Self::default() };
        for (place, entry) in known.history.iter().enumerate() {
            known.learn(place, entry);
        }
        known.learn_of_ids();
        known
    }

    fn learn(&mut self, place: usize, Entry { at, seen }: &'a Entry) {
        let at = *at;
        match seen {
            Seen::Configured { routes, timeout_ms, function_timeout_ms, waits_at_most_ms } => {
                self.routes.extend(routes.iter().map(|route| (route.name.as_str(), route)));
                self.timeout_ms = *timeout_ms;
                self.function_timeout = Micros::from(*function_timeout_ms) * 1_000;
                self.waits_at_most = Micros::from(*waits_at_most_ms) * 1_000;
            }
            Seen::Accepted { name, route, event_id, sent_at, is_forged } => {
                let event = self.events.entry(*name).or_default();
                event.sent(route, *sent_at, *is_forged);
                event.accepted_at.get_or_insert(at);
                event.id.get_or_insert(event_id);
                self.by_id.insert(event_id, *name);
            }
            Seen::NotAccepted { name, route, status, sent_at, is_forged } => {
                let event = self.events.entry(*name).or_default();
                // What was refused for certain was not sent.
                if status.is_none() {
                    event.sent(route, *sent_at, *is_forged);
                    event.is_in_doubt = true;
                }
                event.is_forged = *is_forged;
                event.route = route;
            }
            Seen::Got { name, destination, event_id, answer } => {
                let arrival = Arrival { at, place, destination, event_id, answer: *answer };
                self.events.entry(*name).or_default().arrivals.push(arrival);
                if !answer.is_success_in_time(self.timeout_ms) {
                    self.failures.entry(destination).or_default().push(at);
                }
                self.by_id.entry(event_id).or_insert(*name);
            }
            Seen::Acted { action, event_ids, has_reason, began_at, code } => self.acts.push(Act {
                action: *action,
                event_ids,
                has_reason: *has_reason,
                began_at: *began_at,
                ended_at: at,
                code: *code,
            }),
            Seen::Died { process } => {
                self.deaths.push(at);
                if *process == "engine" {
                    self.engine_deaths.push(at);
                }
            }
            Seen::Began { fault: Fault::RotateSecret } => self.rotated.push(at),
            Seen::Began { fault: Fault::StepClock } => self.clocks_set.push(at),
            Seen::Healthy => self.healthy_at = Some(at),
            Seen::Left { dead, waiting, .. } => (self.dead, self.waiting) = (dead, waiting),
            _ => {}
        }
    }

    /// What names an event by its id only, which may be seen before its sender has read it.
    fn learn_of_ids(&mut self) {
        for entry in self.history {
            let (id, what): (&str, fn(&mut Event<'a>, &'a Entry)) = match &entry.seen {
                Seen::DeadLettered { event_id, .. } => (event_id, |event, entry| {
                    if let Seen::DeadLettered { reason, died_at, .. } = &entry.seen {
                        event.deaths.push((entry.at, reason));
                        event.died_at = event.died_at.into_iter().chain(*died_at).min();
                    }
                }),
                Seen::TimedOut { event_id } => {
                    (event_id, |event, entry| event.timeouts.push(entry.at))
                }
                _ => continue,
            };
            if let Some(event) = self.by_id.get(id).and_then(|name| self.events.get_mut(name)) {
                what(event, entry);
            }
        }
        for letter in self.dead {
            let name = self.by_id.get(letter.event_id.as_str());
            if let Some(event) = name.and_then(|name| self.events.get_mut(name)) {
                event.letter = Some(letter);
            }
        }
    }

    fn destinations(&self, event: &Event<'_>) -> &'a [String] {
        self.routes.get(event.route).map_or(&[], |route| route.destinations.as_slice())
    }

    fn is_blocking(&self, event: &Event<'_>) -> bool {
        self.routes.get(event.route).is_some_and(|route| route.is_blocking)
    }

    /// Whether it was taken for forged while the secret that it was signed with was known: the provider's
    /// newest and the one before are.
    fn was_taken_for_forged(&self, event: &Event<'_>) -> bool {
        let next = self.rotated.partition_point(|at| *at < event.sent_at);
        let unknown_from = self.rotated.get(next + 1).copied().unwrap_or(Micros::MAX);
        let is_unverified = |reason: &str| reason == "unverified";
        // What is left at the end was seen in the log or in a list, unless its line was lost.
        let letter = event.letter.is_some_and(|letter| is_unverified(&letter.reason));
        let mut deaths = event.deaths.iter().filter(|(_, reason)| is_unverified(reason));
        deaths.any(|(at, _)| *at < unknown_from) || letter && unknown_from == Micros::MAX
    }

    /// Whether an operator named this event, or all, in a command that began before `at`.
    fn was_told(&self, event: &Event<'_>, actions: &[Action]) -> Option<&Act<'a>> {
        let is_meant = |act: &&Act<'_>| actions.contains(&act.action) && act.is_for(event);
        self.acts.iter().find(is_meant)
    }
}

impl<'a> Event<'a> {
    fn sent(&mut self, route: &'a str, sent_at: Micros, is_forged: bool) {
        if self.accepted_at.is_none() && !self.is_in_doubt {
            self.sent_at = sent_at;
        }
        self.route = route;
        self.is_forged = is_forged;
    }

    fn ids(&self) -> impl Iterator<Item = &'a str> + '_ {
        self.id.into_iter().chain(self.arrivals.iter().map(|arrival| arrival.event_id))
    }

    fn at<'s>(&'s self, destination: &str) -> impl Iterator<Item = &'s Arrival<'a>> {
        self.arrivals.iter().filter(move |arrival| arrival.destination == destination)
    }

    /// Its attempt at a destination that was answered with a 2xx.
    fn delivered(&self, destination: &str) -> Option<&Arrival<'a>> {
        self.at(destination).find(|arrival| arrival.answer.may_be_success())
    }

    /// All reasons for which it ever was a dead letter.
    fn reasons(&self) -> impl Iterator<Item = &'a str> + '_ {
        let letter = self.letter.map(|letter| letter.reason.as_str());
        self.deaths.iter().map(|(_, reason)| *reason).chain(letter)
    }
}

#[cfg(test)]
mod tests {
    use super::support::Story;
    use super::*;

    /// What a story of `k1-0` tells, word by word.
    fn told(story: &Story) -> Vec<String> {
        let name = Name::parse("k1-0").unwrap();
        let violation = Violation::of([name], String::new());
        let word = |entry: &&Entry| {
            let told = serde_json::to_value(entry).unwrap();
            format!("{} {}", told["what"], told["name"]).replace('"', "").replace(" null", "")
        };
        super::story(story.history(), &violation).iter().map(word).collect()
    }

    #[test]
    fn a_story_is_what_was_seen_of_its_events_and_of_all_between() {
        let mut story = Story::new();
        story.killed("engine").accepted("k1-0", "plain").accepted("k1-1", "plain");
        story.act(Action::Skip, &["k1-1"], Some(0)).act(Action::Skip, &["k1-1", "k1-0"], Some(0));
        story.act(Action::Retry, &[], Some(0)).used("engine", 1, 1).killed("engine");
        story.died("k1-1", "skipped").timed_out("k1-0").got("k1-0", 200).healthy().killed("engine");
        assert_eq!(
            told(&story),
            ["accepted k1-0", "acted", "acted", "died", "timed_out", "got k1-0"]
        );
    }
}
