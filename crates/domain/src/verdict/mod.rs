//! Must a person act, or may everybody wait? One verdict on everything that was looked at.
//!
//! | verdict | when |
//! |---|---|
//! | act | something does not heal by itself, or heals too late |
//! | unknown | nothing was seen that needs a person, but not everything could be seen |
//! | nothing to do | all is well, or what waits goes out by itself |
//!
//! What needs a person is what [`notification`](crate::notification) tells of, with its times: two kinds
//! aside. That a destination does not answer, and that an event is old because of it, is told there
//! after some minutes, to whoever can mend the service; the queue only waits, and so does its operator,
//! as long as the event is far from being given up.
//!
//! A verdict is a kind with parameters; sentences are made where they are shown.

mod situation;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

pub use self::situation::{
    Alarm, Condition, Delivery, Failure, Key, Known, Limits, Situation, Storage,
};
use crate::notification::kind::Kind;
use crate::notification::watch::{OLDEST_MOST, near_retention};
use crate::pause::Pause;
use crate::time::Timestamp;

/// How long after a pause began delivery may still be on.
const PAUSE_FOLLOWED_WITHIN: Duration = Duration::from_mins(5);

/// Whether a person must act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Verdict {
    /// Nobody must: everything is well, or goes out by itself.
    NothingToDo {
        /// What waits, and for what.
        waits: Vec<Wait>,
    },
    /// Nothing was seen that needs somebody, and something could not be seen.
    Unknown {
        /// What could not be seen.
        unknown: Vec<Unknown>,
        /// What waits, and for what.
        waits: Vec<Wait>,
    },
    /// Somebody must.
    Act {
        /// Why, the most urgent first.
        findings: Vec<Finding>,
        /// What could not be seen.
        unknown: Vec<Unknown>,
        /// What waits beside it, and for what.
        waits: Vec<Wait>,
    },
}

/// Why a person must act. The order is by urgency, and then that of the variants and
/// of their fields, of which the first is since when, or until when.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Finding {
    /// The engine does not answer: nothing is accepted or delivered.
    EngineDown {
        /// When it wrote the last line of its log.
        last_line_at: Option<Timestamp>,
        /// Why that is unknown.
        unknown: Option<String>,
        /// How it was found to be down, and what starts it.
        reason: String,
    },
    /// The storage takes nothing.
    StorageFails,
    /// The disk has too little room for further events.
    DiskFull {
        /// What is left.
        free_bytes: u64,
    },
    /// Events cannot be read.
    MessagesDamaged {
        /// How many.
        events: u64,
    },
    /// No forwarder starts.
    ForwarderDown {
        /// Why.
        reason: String,
    },
    /// Events are neither delivered nor kept.
    EventsMissing {
        /// How many.
        events: u64,
    },
    /// There are more events than were accepted.
    EventsTooMany {
        /// How many more.
        events: u64,
    },
    /// Events that wait will be deleted.
    EventsNearRetention {
        /// When the oldest is.
        deleted_at: Timestamp,
    },
    /// Dead letters will be deleted.
    DeadLettersNearRetention {
        /// When the oldest is.
        deleted_at: Timestamp,
        /// How many there are.
        count: u64,
    },
    /// An event is done with, and cannot be made a dead letter.
    NotDeadLettered {
        /// Since when.
        since: Timestamp,
        /// The event.
        event_id: String,
        /// Why not.
        reason: Option<String>,
    },
    /// A secret is not to be had, so events of a route wait.
    SecretUnavailable {
        /// Since when.
        since: Timestamp,
        /// The route, if the events name one.
        route: Option<String>,
        /// Why not.
        reason: Option<String>,
        /// Ordering keys that wait.
        keys: u64,
    },
    /// A destination fails, and its events will be given up.
    NearGiveUp {
        /// When the first is.
        give_up_at: Timestamp,
        /// Since when it fails.
        since: Timestamp,
        /// The route.
        route: Option<String>,
        /// The destination.
        destination: Option<String>,
        /// HTTP status or error.
        reason: Option<String>,
        /// Ordering keys that wait.
        keys: u64,
    },
    /// An event has waited for long, and nothing says why.
    EventsStuck {
        /// When the oldest was accepted.
        oldest_at: Timestamp,
        /// How many there are.
        events: u64,
    },
    /// A rejected event holds back its ordering key until somebody decides.
    KeyBlocked {
        /// Since when.
        since: Timestamp,
        /// The ordering key.
        key: String,
        /// The event.
        event_id: String,
        /// The route.
        route: Option<String>,
        /// Who rejects it.
        destination: Option<String>,
        /// HTTP status.
        reason: Option<String>,
    },
    /// There are dead letters.
    DeadLettersPresent {
        /// When the oldest became one, if that is known.
        oldest_at: Option<Timestamp>,
        /// How many.
        count: u64,
    },
    /// Delivery is paused without an end, and has been for long.
    Paused {
        /// Since when, if that is known.
        since: Option<Timestamp>,
        /// The pause's name.
        name: String,
        /// Events that wait.
        events: u64,
    },
    /// Delivery is off, and nobody has paused it.
    SwitchedOff {
        /// The event source mapping's state.
        state: String,
        /// Events that wait.
        events: u64,
    },
    /// Delivery is on though somebody has paused it.
    PauseNotKept {
        /// Since when.
        since: Timestamp,
        /// The pause's name.
        name: String,
    },
    /// The engine saw what only its history tells.
    Observed {
        /// Which condition.
        condition: Kind,
        /// How much is wrong.
        figure: u64,
    },
    /// An alarm rings that nothing else accounts for.
    AlarmRings {
        /// Its section of the runbook.
        section: String,
        /// Since when.
        since: Option<Timestamp>,
    },
    /// A check of what deliveries depend on failed.
    CheckFails {
        /// Its name.
        name: String,
    },
}

/// What waits and needs nobody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Wait {
    /// Delivery is paused.
    Paused {
        /// The pause's name.
        name: String,
        /// Who made it.
        by: Option<String>,
        /// When the last pause ends by itself; `None` if somebody has to end it.
        until: Option<Timestamp>,
    },
    /// A destination fails, and is tried again.
    DestinationFails {
        /// Since when.
        since: Timestamp,
        /// The route.
        route: Option<String>,
        /// The destination.
        destination: Option<String>,
        /// HTTP status or error.
        reason: Option<String>,
        /// Ordering keys that wait.
        keys: u64,
        /// When the first event is given up.
        give_up_at: Timestamp,
        /// Whether that has gone on for so long that whoever runs the destination should hear of it.
        is_long: bool,
    },
    /// An alarm rings because of the others here.
    AlarmRings {
        /// Its section of the runbook.
        section: String,
    },
    /// Nobody delivers from this queue: whoever wants its events receives them.
    NobodyDelivers,
}

/// What could not be seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unknown {
    /// What.
    pub what: Input,
    /// Why not.
    pub why: String,
}

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// Where events are kept.
    Storage,
    /// Whether events are delivered.
    Delivery,
    /// Who paused delivery.
    Pauses,
    /// How old the oldest event is.
    OldestEvent,
    /// Which ordering keys wait, and for what.
    Keys,
    /// When events are given up or deleted.
    Limits,
    /// Whether events are missing.
    LossMeter,
    /// What the engine sees of itself.
    Conditions,
    /// Whether alarms ring.
    Alarms,
}

impl Verdict {
    /// The verdict on a situation.
    #[must_use]
    pub fn of(situation: &Situation) -> Self {
        let mut seen = Seen::default();
        seen.storage(situation);
        seen.delivery(situation);
        seen.keys(situation);
        seen.oldest(situation);
        seen.dead_letters(situation);
        seen.missing(situation);
        seen.conditions(situation);
        // Last: what was seen so far accounts for most of them.
        seen.alarms(situation);
        seen.verdict()
    }

    /// The same, once what deliveries depend on was checked; `failed` are names of checks.
    #[must_use]
    pub fn with_failed_checks(self, failed: impl IntoIterator<Item = String>) -> Self {
        let mut seen = self.into_seen();
        seen.findings.extend(failed.into_iter().map(|name| Finding::CheckFails { name }));
        seen.verdict()
    }

    /// The verdict where nothing but `findings` could be seen.
    #[must_use]
    pub fn of_findings(findings: impl IntoIterator<Item = Finding>) -> Self {
        Seen { findings: findings.into_iter().collect(), ..Seen::default() }.verdict()
    }

    /// Whether nobody is needed.
    #[must_use]
    pub fn is_nothing_to_do(&self) -> bool {
        matches!(self, Self::NothingToDo { .. })
    }

    /// Why a person must act, the most urgent first.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        match self {
            Self::Act { findings, .. } => findings,
            Self::Unknown { .. } | Self::NothingToDo { .. } => &[],
        }
    }

    /// What could not be seen.
    #[must_use]
    pub fn unknown(&self) -> &[Unknown] {
        match self {
            Self::Act { unknown, .. } | Self::Unknown { unknown, .. } => unknown,
            Self::NothingToDo { .. } => &[],
        }
    }

    /// What waits and needs nobody.
    #[must_use]
    pub fn waits(&self) -> &[Wait] {
        match self {
            Self::Act { waits, .. } | Self::Unknown { waits, .. } | Self::NothingToDo { waits } => {
                waits
            }
        }
    }

    fn into_seen(self) -> Seen {
        match self {
            Self::Act { findings, unknown, waits } => Seen { findings, unknown, waits },
            Self::Unknown { unknown, waits } => Seen { unknown, waits, findings: Vec::new() },
            Self::NothingToDo { waits } => Seen { waits, ..Seen::default() },
        }
    }
}

/// What was seen so far.
#[derive(Default)]
struct Seen {
    findings: Vec<Finding>,
    unknown: Vec<Unknown>,
    waits: Vec<Wait>,
}

impl Seen {
    fn verdict(self) -> Verdict {
        let Self { mut findings, unknown, waits } = self;
        findings.sort_by(|a, b| (a.urgency(), a).cmp(&(b.urgency(), b)));
        if !findings.is_empty() {
            Verdict::Act { findings, unknown, waits }
        } else if !unknown.is_empty() {
            Verdict::Unknown { unknown, waits }
        } else {
            Verdict::NothingToDo { waits }
        }
    }

    /// What is known of `known`; takes note of what is not.
    fn known<'a, T>(&mut self, what: Input, known: &'a Known<T>) -> Option<&'a T> {
        let unknown = known.why_not().map(|why| Unknown { what, why: why.to_owned() });
        self.unknown.extend(unknown);
        known.value()
    }

    fn storage(&mut self, situation: &Situation) {
        if let Some(storage) = self.known(Input::Storage, &situation.storage) {
            let Storage { fails, full_with_bytes, damaged } = *storage;
            self.findings.extend(fails.then_some(Finding::StorageFails));
            let full = full_with_bytes.map(|free_bytes| Finding::DiskFull { free_bytes });
            self.findings.extend(full);
            let damaged = (damaged > 0).then_some(Finding::MessagesDamaged { events: damaged });
            self.findings.extend(damaged);
        }
        let trouble = situation.forwarder_trouble.clone();
        self.findings.extend(trouble.map(|reason| Finding::ForwarderDown { reason }));
    }

    fn delivery(&mut self, situation: &Situation) {
        let Some(delivery) = self.known(Input::Delivery, &situation.delivery) else { return };
        match delivery {
            Delivery::Nobody => self.waits.push(Wait::NobodyDelivers),
            Delivery::On => {
                // Who paused matters where it is off.
                let pauses = situation.pauses.value().into_iter().flatten();
                self.findings.extend(pauses.filter_map(|pause| not_kept(pause, situation.now)));
            }
            Delivery::Off(state) => {
                let Some(pauses) = self.known(Input::Pauses, &situation.pauses) else { return };
                self.paused(pauses, state, situation);
            }
        }
    }

    fn paused(&mut self, pauses: &[Pause], state: &str, situation: &Situation) {
        let Situation { now, events, .. } = *situation;
        let Some(last) = pauses.iter().max_by_key(|pause| (pause.until.is_none(), pause.until))
        else {
            self.findings.push(Finding::SwitchedOff { state: state.to_owned(), events });
            return;
        };
        let is_long = |pause: &&Pause| {
            let lasts = pause.since.map(|since| now.since(since));
            pause.until.is_none() && lasts.is_none_or(|lasts| lasts >= Kind::Paused.holds_for())
        };
        if let Some(Pause { name, since, .. }) = pauses.iter().find(is_long) {
            let (name, since) = (name.clone(), *since);
            self.findings.push(Finding::Paused { since, name, events });
        } else {
            let Pause { name, by, until, .. } = last.clone();
            self.waits.push(Wait::Paused { name, by, until });
        }
    }

    fn keys(&mut self, situation: &Situation) {
        if situation.events == 0 {
            return;
        }
        let is_on = is_on(situation);
        // While nothing is tried every key waits, and why is said.
        let keys = match (is_on, &situation.keys) {
            (false, keys) => keys.value(),
            (true, keys) => self.known(Input::Keys, keys),
        };
        let keys = keys.map(Vec::as_slice).unwrap_or_default();
        let mut failing: BTreeMap<_, Vec<&Key>> = BTreeMap::new();
        let mut unexplained = Vec::new();
        for key in keys {
            match key.failure {
                Failure::Rejected => self.findings.push(Finding::KeyBlocked {
                    since: key.since,
                    key: key.key.clone(),
                    event_id: key.event_id.clone(),
                    route: key.route.clone(),
                    destination: key.destination.clone(),
                    reason: key.reason.clone(),
                }),
                Failure::NotDeadLettered => self.findings.push(Finding::NotDeadLettered {
                    since: key.since,
                    event_id: key.event_id.clone(),
                    reason: key.reason.clone(),
                }),
                Failure::Failed | Failure::NoSecret if is_on => {
                    let of = (key.failure == Failure::NoSecret, &key.route, &key.destination);
                    failing.entry(of).or_default().push(key);
                }
                Failure::Unknown if is_on => unexplained.push(key.key.as_str()),
                Failure::Failed | Failure::NoSecret | Failure::Unknown | Failure::NotTried => {}
            }
        }
        for ((no_secret, ..), keys) in &failing {
            if *no_secret { self.no_secret(keys) } else { self.failing(keys, situation) }
        }
        if let [first, ..] = unexplained.as_slice() {
            let why = match unexplained.len() {
                1 => format!("nothing tells why {first} waits"),
                keys => format!("nothing tells why {keys} keys wait, one of them {first}"),
            };
            self.unknown.push(Unknown { what: Input::Keys, why });
        }
    }

    fn no_secret(&mut self, keys: &[&Key]) {
        let Some(first) = keys.iter().min_by_key(|key| key.since) else { return };
        self.findings.push(Finding::SecretUnavailable {
            since: first.since,
            route: first.route.clone(),
            reason: first.reason.clone(),
            keys: keys.len() as u64,
        });
    }

    /// The keys that wait for one destination of a route.
    fn failing(&mut self, failing: &[&Key], situation: &Situation) {
        let Some(first) = failing.iter().min_by_key(|key| key.since) else { return };
        let Some(limits) = self.known_once(Input::Limits, &situation.limits) else { return };
        let Key { since, route, destination, .. } = (*first).clone();
        let Some(give_up_after) = limits.give_up_after(route.as_deref()) else { return };
        let accepted = failing.iter().map(|key| key.accepted_at).collect::<Option<Vec<_>>>();
        let Some(accepted_at) = accepted.and_then(|all| all.into_iter().min()) else {
            let why = "when what fails was accepted".to_owned();
            return self.unknown.push(Unknown { what: Input::OldestEvent, why });
        };
        // One that was not tried since says less.
        let reason = failing.iter().find_map(|key| key.reason.clone());
        let (keys, give_up_at) = (failing.len() as u64, accepted_at.plus(give_up_after));
        let now = situation.now;
        if now.since(accepted_at) >= give_up_after / 2 {
            self.findings.push(Finding::NearGiveUp {
                give_up_at,
                since,
                route,
                destination,
                reason,
                keys,
            });
        } else {
            let is_long = now.since(since) >= Kind::BreakerOpen.holds_for();
            self.waits.push(Wait::DestinationFails {
                since,
                route,
                destination,
                reason,
                keys,
                give_up_at,
                is_long,
            });
        }
    }

    /// As [`Self::known`], for what several ask for.
    fn known_once<'a, T>(&mut self, what: Input, known: &'a Known<T>) -> Option<&'a T> {
        if self.unknown.iter().any(|unknown| unknown.what == what) {
            return known.value();
        }
        self.known(what, known)
    }

    fn oldest(&mut self, situation: &Situation) {
        let Situation { now, events, .. } = *situation;
        if events == 0 || matches!(situation.delivery, Known::Is(Delivery::Nobody)) {
            return;
        }
        let Some(&oldest_at) = self.known_once(Input::OldestEvent, &situation.oldest_at) else {
            return;
        };
        if is_on(situation) {
            let old = |at: Timestamp| now.since(at) > OLDEST_MOST;
            let mut keys = situation.keys.value().into_iter().flatten();
            if old(oldest_at) && !keys.any(|key| key.accepted_at.is_none_or(old)) {
                self.findings.push(Finding::EventsStuck { oldest_at, events });
            }
            return;
        }
        // Nothing is given up while nothing is tried, but SQS deletes.
        let Some(limits) = self.known_once(Input::Limits, &situation.limits) else { return };
        let deleted_at = oldest_at.plus(limits.retention);
        let pauses_end = situation.pauses.value().into_iter().flatten().filter_map(|it| it.until);
        let ends_too_late = pauses_end.max().is_some_and(|end| end >= deleted_at);
        if ends_too_late || now.since(oldest_at) >= limits.retention / 2 {
            self.findings.push(Finding::EventsNearRetention { deleted_at });
        }
    }

    fn dead_letters(&mut self, situation: &Situation) {
        let (count, oldest_at) = (situation.dead_letters, situation.oldest_dead_letter_at);
        if count == 0 {
            return;
        }
        let limits = situation.limits.value();
        let near = oldest_at.zip(limits).and_then(|(oldest_at, limits)| {
            let retention = limits.dead_letter_retention;
            let is_near = situation.now.since(oldest_at) > near_retention(retention);
            is_near.then(|| oldest_at.plus(retention))
        });
        self.findings.push(match near {
            Some(deleted_at) => Finding::DeadLettersNearRetention { deleted_at, count },
            None => Finding::DeadLettersPresent { oldest_at, count },
        });
    }

    fn missing(&mut self, situation: &Situation) {
        let Some(missing) = self.known(Input::LossMeter, &situation.missing) else { return };
        let events = missing.unsigned_abs();
        match missing {
            0 => {}
            1.. => self.findings.push(Finding::EventsMissing { events }),
            _ => self.findings.push(Finding::EventsTooMany { events }),
        }
    }

    /// What else the engine saw is seen here as well, and by now.
    fn conditions(&mut self, situation: &Situation) {
        let Some(conditions) = self.known(Input::Conditions, &situation.conditions) else { return };
        for Condition { kind, since, figure } in conditions {
            let is_of_history = matches!(
                kind,
                Kind::Restarts
                    | Kind::Killed
                    | Kind::DiskFillsUp
                    | Kind::InvocationErrors
                    | Kind::RequestsRefused
            );
            if is_of_history && situation.now.since(*since) >= kind.holds_for() {
                self.findings.push(Finding::Observed { condition: *kind, figure: *figure });
            }
        }
    }

    fn alarms(&mut self, situation: &Situation) {
        let Some(alarms) = self.known(Input::Alarms, &situation.alarms) else { return };
        let silent = alarms.iter().filter(|alarm| !alarm.rings);
        let silent: Vec<&str> = silent.map(|alarm| alarm.section.as_str()).collect();
        if !silent.is_empty() {
            let why = format!("too little data for {}", silent.join(", "));
            self.unknown.push(Unknown { what: Input::Alarms, why });
        }
        for Alarm { section, since, .. } in alarms.iter().filter(|alarm| alarm.rings) {
            if self.findings.iter().any(|finding| finding.accounts_for(section)) {
                // Said already, with more of it.
            } else if self.waits.iter().any(|wait| wait.accounts_for(section)) {
                self.waits.push(Wait::AlarmRings { section: section.clone() });
            } else {
                let section = section.clone();
                self.findings.push(Finding::AlarmRings { section, since: *since });
            }
        }
    }
}

impl Finding {
    /// What is told of it where nobody looks, if something is.
    #[must_use]
    pub fn notified_as(&self) -> Option<Kind> {
        Some(match self {
            Self::StorageFails => Kind::StorageFails,
            Self::DiskFull { .. } => Kind::DiskFull,
            Self::MessagesDamaged { .. } => Kind::MessagesDamaged,
            Self::ForwarderDown { .. } => Kind::ForwarderDown,
            Self::EventsMissing { .. } => Kind::EventsMissing,
            Self::DeadLettersNearRetention { .. } => Kind::DeadLettersNearRetention,
            Self::NearGiveUp { .. } | Self::EventsStuck { .. } => Kind::OldestMessageTooOld,
            Self::KeyBlocked { .. } => Kind::KeyBlocked,
            Self::DeadLettersPresent { .. } => Kind::DeadLettersPresent,
            Self::Paused { .. } | Self::SwitchedOff { .. } => Kind::Paused,
            Self::Observed { condition, .. } => *condition,
            Self::EventsTooMany { .. }
            | Self::EventsNearRetention { .. }
            | Self::NotDeadLettered { .. }
            | Self::SecretUnavailable { .. }
            | Self::PauseNotKept { .. }
            | Self::AlarmRings { .. }
            | Self::EngineDown { .. }
            | Self::CheckFails { .. } => return None,
        })
    }

    /// How urgent it is: as what is told, or as what is like it.
    fn urgency(&self) -> Kind {
        let told = self.notified_as();
        told.unwrap_or(match self {
            Self::EngineDown { .. } => Kind::StorageFails,
            Self::EventsTooMany { .. } => Kind::EventsMissing,
            Self::EventsNearRetention { .. } => Kind::DeadLettersNearRetention,
            Self::NotDeadLettered { .. } | Self::SecretUnavailable { .. } => {
                Kind::OldestMessageTooOld
            }
            Self::PauseNotKept { .. } => Kind::Paused,
            _ => Kind::LogIncomplete,
        })
    }

    /// Whether an alarm of AWS says nothing beside this. Source: `modules/monitoring`.
    fn accounts_for(&self, section: &str) -> bool {
        match self {
            Self::DeadLettersPresent { .. } => {
                ["dead-letters-present", "dead-letters-arriving"].contains(&section)
            }
            Self::DeadLettersNearRetention { .. } => section.starts_with("dead-letters-"),
            Self::Paused { .. } | Self::SwitchedOff { .. } => is_of_a_pause(section),
            Self::NearGiveUp { .. }
            | Self::EventsStuck { .. }
            | Self::KeyBlocked { .. }
            | Self::SecretUnavailable { .. } => is_of_waiting(section),
            _ => false,
        }
    }
}

impl Wait {
    /// Whether an alarm of AWS rings because of it.
    fn accounts_for(&self, section: &str) -> bool {
        match self {
            Self::Paused { .. } => is_of_a_pause(section),
            Self::DestinationFails { .. } => is_of_waiting(section),
            Self::AlarmRings { .. } | Self::NobodyDelivers => false,
        }
    }
}

fn is_of_waiting(section: &str) -> bool {
    section == "oldest-message-too-old" || section.starts_with("nothing-delivered")
}

fn is_of_a_pause(section: &str) -> bool {
    section == "mapping-not-enabled" || is_of_waiting(section)
}

fn is_on(situation: &Situation) -> bool {
    // One that is not known to be off is tried.
    !matches!(situation.delivery.value(), Some(Delivery::Off(_) | Delivery::Nobody))
}

fn not_kept(pause: &Pause, now: Timestamp) -> Option<Finding> {
    let since = pause.since.filter(|since| now.since(*since) >= PAUSE_FOLLOWED_WITHIN)?;
    Some(Finding::PauseNotKept { since, name: pause.name.clone() })
}
