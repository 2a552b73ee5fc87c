//! What is told, and when: that a condition begins, goes on, and is over. Nothing is queued: what is to
//! be told is the difference between what was told and what is, so that a receiver that is away costs no
//! memory, and hears of the present once it is back.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::kind::{Kind, Place};
use super::watch::{Reading, Readings, Topic};
use crate::time::{Timestamp, Uptime};

/// How long a condition must be gone before it is over: one that comes and goes is one.
pub const CALM: Duration = Duration::from_mins(10);

/// Posts that may follow each other at once, and how long each takes to be allowed again.
const BURST: u32 = 4;
const POST_EVERY: Duration = Duration::from_mins(10);

/// Posts in any hour, at most, those that fail included.
pub const POSTS_PER_HOUR: u32 = 10;
const _: () = assert!(BURST as u64 + 3_600 / POST_EVERY.as_secs() == POSTS_PER_HOUR as u64);

/// Conditions that a post tells of one by one, at most.
pub const TOLD_MOST: usize = 10;

/// Until a post that failed is tried again: doubled from the first to the longest.
const BACK_OFF_FIRST: Duration = Duration::from_secs(30);
const BACK_OFF_LONGEST: Duration = Duration::from_mins(10);

/// Longest time that a receiver can ask for.
const RETRY_AFTER_LONGEST: Duration = Duration::from_hours(1);

/// What is told of an engine.
#[derive(Debug)]
pub struct Teller {
    place: Place,
    conditions: BTreeMap<Topic, Condition>,
    /// Kinds that began and were over before anybody could be told.
    missed: BTreeSet<Kind>,
    /// When all of [`BURST`] is allowed again.
    rested_at: Uptime,
    failures: u32,
    not_before: Uptime,
    /// Whether [`kept`](Self::kept) has changed.
    has_changed: bool,
}

/// A condition that is there, or was told.
#[derive(Debug)]
struct Condition {
    seen: Seen,
    /// Whether it has held for as long as its kind must.
    is_due: bool,
    told: Option<Told>,
}

#[derive(Debug)]
enum Seen {
    /// Not yet, since the engine started.
    NotYet,
    Ill {
        since: Uptime,
        since_wall: Timestamp,
        figure: u64,
        says: String,
    },
    Well {
        since: Uptime,
        since_wall: Timestamp,
    },
}

#[derive(Debug, Clone)]
struct Told {
    /// Since when it has been there.
    since: Timestamp,
    figure: u64,
    at: Since,
}

/// How long ago something was, as far as it matters: this, at `then`.
#[derive(Debug, Clone, Copy)]
struct Since {
    ago: Duration,
    then: Uptime,
}

/// What happened to a condition that is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum News {
    Begins,
    GoesOn,
    IsOver,
}

/// Something to be told.
#[derive(Debug)]
#[must_use = "it is told again until somebody says what became of it"]
pub struct Post {
    /// The text.
    pub text: String,
    /// How many conditions it tells of.
    pub conditions: usize,
    news: Vec<(Topic, News)>,
}

/// What of a teller outlives the engine. Fields that a newer engine adds are passed over by an older one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KeptTeller {
    conditions: Vec<KeptCondition>,
    /// Milliseconds since the Unix epoch.
    rested_at_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct KeptCondition {
    kind: String,
    of: String,
    figure: u64,
    /// Milliseconds since the Unix epoch, as is the next.
    since_ms: u64,
    told_at_ms: u64,
}

impl Teller {
    /// A teller of an engine that starts now, and has told before what is `kept`.
    #[must_use]
    pub fn new(place: Place, kept: KeptTeller, now: Uptime, wall: Timestamp) -> Self {
        let conditions = kept.conditions.into_iter().filter_map(|kept| {
            let kind = Kind::named(&kept.kind)?;
            let ago = wall.since(Timestamp::from_ms(kept.told_at_ms));
            let at = Since { ago, then: now };
            let told = Told { since: Timestamp::from_ms(kept.since_ms), figure: kept.figure, at };
            let condition = Condition { seen: Seen::NotYet, is_due: true, told: Some(told) };
            Some(((kind, kept.of), condition))
        });
        // The wall clock may have been set: no longer than it can be.
        let rest = Timestamp::from_ms(kept.rested_at_ms).since(wall).min(POST_EVERY * BURST);
        Self {
            place,
            conditions: conditions.collect(),
            missed: BTreeSet::new(),
            rested_at: now.plus(rest),
            failures: 0,
            not_before: now,
            has_changed: false,
        }
    }

    /// What was posted cannot be kept, so a run before this one may have posted as often as it could, and
    /// the next one will not know of this one's: from now on as if so.
    ///
    /// An engine that has been `up` for as long as a post takes to be allowed does not start again and
    /// again: one may go at once, as of a disk that is full.
    pub fn forget_posts(&mut self, now: Uptime, up: Duration) {
        let allowed = if up < POST_EVERY { BURST } else { BURST - 1 };
        self.rested_at = self.rested_at.max(now.plus(POST_EVERY * allowed));
    }

    /// What is to be kept.
    #[must_use]
    pub fn kept(&self, now: Uptime, wall: Timestamp) -> KeptTeller {
        let told = self.conditions.iter().filter_map(|((kind, of), condition)| {
            let told = condition.told.as_ref()?;
            Some(KeptCondition {
                kind: kind.name().to_owned(),
                of: of.clone(),
                figure: told.figure,
                since_ms: told.since.as_ms(),
                told_at_ms: wall.minus(told.at.elapsed(now)).as_ms(),
            })
        });
        let rest = self.rested_at.since(now);
        KeptTeller { conditions: told.collect(), rested_at_ms: wall.plus(rest).as_ms() }
    }

    /// Whether what is to be kept is another since this was asked last.
    pub fn has_changed(&mut self) -> bool {
        std::mem::take(&mut self.has_changed)
    }

    /// Takes note of what was seen.
    pub fn observe(&mut self, now: Uptime, wall: Timestamp, readings: &Readings) {
        for topic in readings.ill() {
            self.conditions.entry(topic.clone()).or_insert_with(|| Condition {
                seen: Seen::NotYet,
                is_due: false,
                told: None,
            });
        }
        let (missed, has_changed) = (&mut self.missed, &mut self.has_changed);
        self.conditions.retain(|topic, condition| {
            condition.see(now, wall, readings.of(topic));
            condition.is_due |=
                condition.ill_for(now).is_some_and(|held| held >= topic.0.holds_for());
            match condition.told {
                // What nobody was told of, and is not there any more.
                None if !condition.is_due => condition.ill_for(now).is_some(),
                None if condition.is_calm(now) => {
                    missed.insert(topic.0);
                    false
                }
                Some(_) if topic.0.over().is_none() && condition.is_calm(now) => {
                    *has_changed = true;
                    false
                }
                _ => true,
            }
        });
    }

    /// What is to be told now, if anything is and may be. Whether or not it arrives, it counts.
    pub fn post(&mut self, now: Uptime, wall: Timestamp) -> Option<Post> {
        let news: Vec<(Topic, News)> = self
            .conditions
            .iter()
            .filter_map(|(topic, condition)| Some((topic.clone(), condition.news(topic.0, now)?)))
            .collect();
        let is_allowed =
            now >= self.not_before && self.rested_at.since(now) <= POST_EVERY * (BURST - 1);
        if news.is_empty() && self.missed.is_empty() || !is_allowed {
            return None;
        }
        self.rested_at = self.rested_at.max(now).plus(POST_EVERY);
        self.has_changed = true;
        let conditions = news.len() + self.missed.len();
        Some(Post { text: self.text(&news, wall), conditions, news })
    }

    /// A post has arrived.
    pub fn arrived(&mut self, post: &Post, now: Uptime) {
        self.failures = 0;
        self.has_changed = true;
        self.missed.clear();
        for (topic, news) in &post.news {
            match (news, self.conditions.get_mut(topic)) {
                (News::IsOver, _) => {
                    self.conditions.remove(topic);
                }
                (News::Begins | News::GoesOn, Some(condition)) => condition.is_told(now),
                (News::Begins | News::GoesOn, None) => {}
            }
        }
    }

    /// A post has not arrived; the receiver may have said after which time to try again.
    pub fn failed(&mut self, now: Uptime, retry_after: Option<Duration>) {
        let back_off = BACK_OFF_FIRST * 2_u32.pow(self.failures.min(10));
        self.failures += 1;
        let asked = retry_after.unwrap_or_default().min(RETRY_AFTER_LONGEST);
        self.not_before = now.plus(back_off.min(BACK_OFF_LONGEST).max(asked));
    }

    /// The most urgent first, what is over last.
    fn text(&self, news: &[(Topic, News)], wall: Timestamp) -> String {
        let environment = &self.place.environment;
        let mut text = String::new();
        let mut line = |arguments: std::fmt::Arguments<'_>| {
            let separator = if text.is_empty() { "" } else { "\n" };
            write!(text, "{separator}{arguments}").expect("a String takes everything");
        };
        let (over, there): (Vec<_>, Vec<_>) =
            news.iter().partition(|(_, news)| *news == News::IsOver);
        for (topic, news) in there.iter().chain(&over).take(TOLD_MOST) {
            let kind = topic.0;
            let condition = &self.conditions[topic];
            let of = if topic.1.is_empty() { String::new() } else { format!(" ({})", topic.1) };
            match (&condition.seen, kind.over()) {
                (Seen::Well { since_wall, .. }, Some(over)) => {
                    line(format_args!("{environment}: again fine since {since_wall}: {over}{of}"));
                }
                (Seen::Ill { says, since_wall, .. }, _) => {
                    let severity = kind.severity();
                    let since = condition.told.as_ref().map_or(since_wall, |told| &told.since);
                    let still = if *news == News::GoesOn { "still, " } else { "" };
                    line(format_args!("{environment}: {severity}: {still}since {since}: {says}"));
                    line(format_args!("  {}", kind.to_type(&self.place)));
                    line(format_args!("  docs/runbook.md#{}", kind.runbook()));
                }
                _ => {}
            }
        }
        let more = news.len().saturating_sub(TOLD_MOST);
        if more > 0 {
            let status = Kind::Killed.to_type(&self.place);
            line(format_args!("{environment}: and {more} more: {status}"));
        }
        if !self.missed.is_empty() {
            let names: Vec<&str> = self.missed.iter().map(|kind| kind.name()).collect();
            let names = names.join(", ");
            line(format_args!(
                "{environment}: came and went before it could be told, by {wall}: {names}"
            ));
        }
        text
    }
}

impl Condition {
    fn see(&mut self, now: Uptime, wall: Timestamp, reading: Reading) {
        match (reading, &mut self.seen) {
            (Reading::Ill { figure, says }, Seen::Ill { figure: f, says: s, .. }) => {
                (*f, *s) = (figure, says);
            }
            (Reading::Ill { figure, says }, seen) => {
                *seen = Seen::Ill { since: now, since_wall: wall, figure, says };
            }
            (Reading::Well, seen) if !matches!(seen, Seen::Well { .. }) => {
                *seen = Seen::Well { since: now, since_wall: wall };
            }
            // What is not seen has not been gone meanwhile.
            (Reading::Unknown, Seen::Well { since, .. }) => *since = now,
            (Reading::Well | Reading::Unknown, _) => {}
        }
    }

    fn ill_for(&self, now: Uptime) -> Option<Duration> {
        match self.seen {
            Seen::Ill { since, .. } => Some(now.since(since)),
            Seen::NotYet | Seen::Well { .. } => None,
        }
    }

    /// Whether it has been gone for long.
    fn is_calm(&self, now: Uptime) -> bool {
        matches!(self.seen, Seen::Well { since, .. } if now.since(since) >= CALM)
    }

    fn news(&self, kind: Kind, now: Uptime) -> Option<News> {
        let Seen::Ill { figure, .. } = &self.seen else {
            return (self.told.is_some() && self.is_calm(now)).then_some(News::IsOver);
        };
        let Some(told) = &self.told else { return self.is_due.then_some(News::Begins) };
        let repeats_after = kind.repeats_after(*figure > told.figure)?;
        (told.at.elapsed(now) >= repeats_after).then_some(News::GoesOn)
    }

    fn is_told(&mut self, now: Uptime) {
        if let Seen::Ill { since_wall, figure, .. } = &self.seen {
            let since = self.told.as_ref().map_or(*since_wall, |told| told.since);
            let at = Since { ago: Duration::ZERO, then: now };
            self.told = Some(Told { since, figure: *figure, at });
        }
    }
}

impl Since {
    fn elapsed(self, now: Uptime) -> Duration {
        self.ago + now.since(self.then)
    }
}
