//! What was tried, and the story of what broke.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};
use terminal::table::{Width, render};

use crate::check::{Checked, Promise, check, story};
use crate::history::{Entry, History, Micros, Name, Seen};
use crate::schedule::Fault;

/// Violations of a promise whose stories are told: the shortest of so many.
const STORIES_MAX: usize = 3;
const LOOKED_AT_MAX: usize = 50;
/// Lines of a story that are shown.
const LINES_MAX: usize = 40;
/// How long after its end a fault still counts for what happens.
const ECHO: Micros = 2_000_000;

/// What is said of a run.
#[derive(Debug)]
pub struct Report {
    checked: Vec<Checked>,
    /// By fault: how often it came, how often it met somebody, and how many events it touched that each of
    /// [`PER_EVENT`] looked at.
    faults: BTreeMap<Fault, Exercise>,
    skipped: Vec<(Fault, String)>,
    figures: Figures,
    scope: Scope,
}

/// What an attacker can exercise.
#[derive(Debug, Clone, Copy)]
pub struct Scope {
    /// The faults that it has.
    pub faults: &'static [Fault],
    /// Promises about what it has not.
    pub beyond: &'static [Promise],
}

impl Scope {
    /// The programs are attacked.
    pub const REAL: Self = Self { faults: &Fault::ALL, beyond: &[] };

    /// Days are simulated: what programs print and use is not there.
    pub const SIMULATED: Self =
        Self { faults: &Fault::SIMULATED, beyond: &[Promise::FiguresAgree, Promise::Bounded] };
}

/// How a fault was exercised.
#[derive(Debug, Clone, Copy, Default)]
struct Exercise {
    times: u64,
    hits: u64,
    events: [u64; PER_EVENT.len()],
}

impl Exercise {
    fn add(&mut self, more: Self) {
        self.times += more.times;
        self.hits += more.hits;
        for (events, more) in self.events.iter_mut().zip(more.events) {
            *events += more;
        }
    }
}

/// Promises about single events.
const PER_EVENT: [Promise; 4] = [
    Promise::NothingMissing,
    Promise::NoneOvertaken,
    Promise::RepeatsExplained,
    Promise::OnlyGenuine,
];

#[derive(Debug, Default)]
struct Figures {
    accepted: u64,
    in_doubt: u64,
    refused: u64,
    attempts: u64,
    dead: u64,
    seconds: u64,
    /// Simulated days, by the size that they passed on.
    days: BTreeMap<&'static str, u64>,
}

impl Report {
    /// Checks a history of the programs.
    #[must_use]
    pub fn of(history: &History, skipped: Vec<(Fault, String)>) -> Self {
        Self { skipped, ..Self::within(Scope::REAL, history) }
    }

    /// Checks a history of an attacker of this scope.
    #[must_use]
    pub fn within(scope: Scope, history: &History) -> Self {
        let (faults, figures) = (exercises(history.entries()), Figures::of(history.entries()));
        Self { checked: check(history), faults, skipped: Vec::new(), figures, scope }
    }

    /// Adds what is said of another history.
    pub fn add(&mut self, other: Self) {
        for (checked, more) in self.checked.iter_mut().zip(other.checked) {
            checked.count += more.count;
            checked.violations.extend(more.violations);
        }
        for (fault, more) in other.faults {
            self.faults.entry(fault).or_default().add(more);
        }
        self.skipped.extend(other.skipped);
        self.figures.add(&other.figures);
    }

    /// The promises that were broken.
    pub fn broken(&self) -> impl Iterator<Item = Promise> {
        let broken = self.checked.iter().filter(|checked| !checked.violations.is_empty());
        broken.map(|checked| checked.promise)
    }

    /// Whether every promise was kept.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.checked.iter().all(|checked| checked.violations.is_empty())
    }

    /// Whether this promise was broken.
    #[must_use]
    pub fn is_broken(&self, promise: Promise) -> bool {
        let broken = |checked: &&Checked| !checked.violations.is_empty();
        self.checked.iter().filter(broken).any(|checked| checked.promise == promise)
    }

    /// Faults that were never exercised, and promises that were not while they were there, unless it was
    /// said why.
    #[must_use]
    pub fn unexercised(&self) -> Vec<String> {
        let is_skipped = |fault: Fault| self.skipped.iter().any(|(skipped, _)| *skipped == fault);
        let mut unexercised = Vec::new();
        for fault in self.scope.faults.iter().copied().filter(|fault| !is_skipped(*fault)) {
            let exercise = self.faults.get(&fault).copied().unwrap_or_default();
            if exercise.hits == 0 {
                unexercised.push(format!("{fault:?}"));
                continue;
            }
            for (promise, events) in PER_EVENT.iter().zip(exercise.events) {
                if events == 0 {
                    unexercised.push(format!("{fault:?} with \"{}\"", promise.text()));
                }
            }
        }
        let is_beyond = |checked: &&Checked| self.scope.beyond.contains(&checked.promise);
        let never = self.checked.iter().filter(|checked| checked.count == 0);
        for checked in never.filter(|checked| !is_beyond(checked)) {
            unexercised.push(format!("\"{}\"", checked.promise.text()));
        }
        unexercised
    }

    /// As JSON.
    #[must_use]
    pub fn json(&self, seed: u64) -> Value {
        let skipped = self.skipped.iter().map(|(fault, why)| json!({ "fault": fault, "why": why }));
        let faults = self.faults.iter().map(|(fault, exercise)| {
            let mut row = json!({
                "fault": fault, "times": exercise.times, "hits": exercise.hits,
            });
            for (promise, events) in PER_EVENT.iter().zip(exercise.events) {
                if let Some(name) = json!(promise).as_str() {
                    row[name] = events.into();
                }
            }
            row
        });
        json!({
            "seed": seed,
            "kept": self.is_kept(),
            "accepted": self.figures.accepted,
            "in_doubt": self.figures.in_doubt,
            "refused": self.figures.refused,
            "attempts": self.figures.attempts,
            "dead_letters": self.figures.dead,
            "seconds": self.figures.seconds,
            "days": self.figures.days,
            "promises": self.checked,
            "faults": faults.collect::<Vec<_>>(),
            "skipped": skipped.collect::<Vec<_>>(),
            "unexercised": self.unexercised(),
        })
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let Figures { accepted, in_doubt, refused, attempts, dead, seconds, days } = &self.figures;
        let mut text = format!(
            "{accepted} events accepted, {in_doubt} without an answer, {refused} refused; {attempts} \
             attempts, {dead} dead letters at the end; {seconds} s\n\n"
        );
        if !days.is_empty() {
            let days: Vec<String> =
                days.iter().map(|(size, count)| format!("{count} on {size}")).collect();
            text.extend([format!("days: {}\n\n", days.join(", "))]);
        }
        let promises = self.checked.iter().map(|checked| {
            let kept = match checked.violations.len() {
                0 => "kept".to_owned(),
                count => format!("BROKEN {count} times"),
            };
            [checked.promise.text().to_owned(), checked.count.to_string(), kept]
        });
        text.push_str(&table(["PROMISE", "LOOKED AT", ""], promises));
        text.push('\n');
        let faults = self.faults.iter().map(|(fault, exercise)| {
            let [missing, order, repeats, genuine] = exercise.events.map(|count| count.to_string());
            let (times, hits) = (exercise.times.to_string(), exercise.hits.to_string());
            [format!("{fault:?}"), times, hits, missing, order, repeats, genuine]
        });
        let heading = ["FAULT", "TIMES", "MET", "MISSING", "OVERTAKEN", "REPEATED", "GENUINE"];
        text.push_str(&table(heading, faults));
        for (fault, why) in &self.skipped {
            text.extend([format!("skipped {fault:?}: {why}\n")]);
        }
        for what in self.unexercised() {
            text.extend([format!("never exercised: {what}\n")]);
        }
        text
    }

    /// The stories of what broke.
    #[must_use]
    pub fn stories(&self, history: &History) -> String {
        let mut text = String::new();
        for checked in self.checked.iter().filter(|checked| !checked.violations.is_empty()) {
            text.extend([format!("\nBROKEN: {}\n", checked.promise.text())]);
            let mut told: Vec<_> = checked
                .violations
                .iter()
                .take(LOOKED_AT_MAX)
                .map(|it| (it, story(history, it)))
                .collect();
            told.sort_by_key(|(_, story)| story.len());
            for (violation, story) in told.iter().take(STORIES_MAX) {
                text.extend([format!("\n{}\n", violation.text)]);
                // How it began, and how it ended.
                let left_out = story.len().saturating_sub(LINES_MAX);
                for (place, entry) in story.iter().enumerate() {
                    if left_out > 0 && place == LINES_MAX / 2 {
                        text.extend([format!("  … {left_out} more\n")]);
                    }
                    if (LINES_MAX / 2..LINES_MAX / 2 + left_out).contains(&place) {
                        continue;
                    }
                    let line = serde_json::to_string(entry).unwrap_or_default();
                    text.extend([format!("  {line}\n")]);
                }
            }
            if checked.violations.len() > STORIES_MAX {
                let more = checked.violations.len() - STORIES_MAX;
                text.extend([format!("\nand {more} more\n")]);
            }
        }
        text
    }
}

fn table<const N: usize>(heading: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    render(heading, &rows.collect::<Vec<_>>(), Width::Any)
}

impl Figures {
    fn add(&mut self, more: &Self) {
        self.accepted += more.accepted;
        self.in_doubt += more.in_doubt;
        self.refused += more.refused;
        self.attempts += more.attempts;
        self.dead += more.dead;
        self.seconds += more.seconds;
        for (size, count) in &more.days {
            *self.days.entry(size).or_default() += count;
        }
    }

    fn of(entries: &[Entry]) -> Self {
        let mut figures = Self::default();
        for entry in entries {
            figures.seconds = figures.seconds.max(entry.at / 1_000_000);
            match &entry.seen {
                Seen::Day { on } => *figures.days.entry(on).or_default() += 1,
                Seen::Accepted { .. } => figures.accepted += 1,
                Seen::NotAccepted { status: None, .. } => figures.in_doubt += 1,
                Seen::NotAccepted { .. } => figures.refused += 1,
                Seen::Got { .. } => figures.attempts += 1,
                Seen::Left { dead, .. } => figures.dead = dead.len() as u64,
                _ => {}
            }
        }
        figures
    }
}

/// When a fault was there, and for how long it counts.
type Windows = Vec<(Micros, Micros)>;

fn exercises(entries: &[Entry]) -> BTreeMap<Fault, Exercise> {
    let mut faults: BTreeMap<Fault, (Exercise, Windows)> = BTreeMap::new();
    for entry in entries {
        match entry.seen {
            Seen::Began { fault } => {
                let (exercise, windows) = faults.entry(fault).or_default();
                exercise.times += 1;
                windows.push((entry.at, Micros::MAX));
            }
            Seen::Ended { fault, hits } => {
                let (exercise, windows) = faults.entry(fault).or_default();
                exercise.hits += hits;
                // Of one destination's after another's: the oldest that has not ended.
                let open = windows.iter_mut().find(|(_, end)| *end == Micros::MAX);
                if let Some((_, end)) = open {
                    *end = entry.at + ECHO;
                }
            }
            _ => {}
        }
    }
    let events = moments(entries);
    for (exercise, windows) in faults.values_mut() {
        for event in events.values() {
            let touched = |at: &Micros| windows.iter().any(|(from, to)| (*from..=*to).contains(at));
            if !event.at.iter().any(touched) {
                continue;
            }
            let looked = [event.is_accepted, event.attempts > 0, event.attempts > 1, true];
            for (count, is_looked_at) in exercise.events.iter_mut().zip(looked) {
                *count += u64::from(is_looked_at);
            }
        }
    }
    faults.into_iter().map(|(fault, (exercise, _))| (fault, exercise)).collect()
}

/// When an event was seen.
#[derive(Debug, Default)]
struct Moments {
    at: Vec<Micros>,
    is_accepted: bool,
    attempts: u64,
}

fn moments(entries: &[Entry]) -> HashMap<Name, Moments> {
    let mut moments: HashMap<Name, Moments> = HashMap::new();
    for entry in entries {
        match &entry.seen {
            Seen::Accepted { name, .. } => {
                let event = moments.entry(*name).or_default();
                event.at.push(entry.at);
                event.is_accepted = true;
            }
            Seen::Got { name, .. } => {
                let event = moments.entry(*name).or_default();
                event.at.push(entry.at);
                event.attempts += 1;
            }
            _ => {}
        }
    }
    moments
}
