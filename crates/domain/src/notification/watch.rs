//! Which conditions a state of the engine shows. What only a history tells (counters that rise, a disk
//! that fills up) is remembered here, in a bounded number of samples.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::kind::Kind;
use crate::time::Uptime;

/// How long counters of what goes wrong now are looked back at.
const RECENT: Duration = Duration::from_mins(15);

/// How long counters of what is gone are looked back at.
const LOST: Duration = Duration::from_hours(1);

/// Samples of a counter in the time that is looked back at.
const SAMPLES: u32 = 30;

/// How long the disk's free room is looked back at, and how far ahead it is drawn.
const TREND: Duration = Duration::from_hours(6);
const AHEAD: Duration = Duration::from_hours(24);

/// More requests than these refused in [`RECENT`] are told.
const REFUSED_MOST: u64 = 20;

/// More starts than these in [`RECENT`] are told.
const STARTS_MOST: usize = 3;

/// Age of the oldest message that is told.
pub const OLDEST_MOST: Duration = Duration::from_mins(15);

/// How long it is told that the engine was not stopped, so that it is also where posts fail at first.
const KILLED_FOR: Duration = Duration::from_hours(1);

/// Longest text of what is wrong with the forwarder, in characters.
const TROUBLE_CHARACTERS_MAX: usize = 300;

/// A condition, of what: a route or `route/destination`; of the whole engine, "".
pub type Topic = (Kind, String);

/// What was seen of a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// Nothing is wrong.
    Well,
    /// Nothing could be seen.
    Unknown,
    /// It needs a person.
    Ill {
        /// How much is wrong: worse if it grows.
        figure: u64,
        /// A sentence with the figure.
        says: String,
    },
}

/// What was seen of all conditions.
#[derive(Debug, Clone, Default)]
pub struct Readings {
    seen: BTreeMap<Topic, Reading>,
    /// Whether the queues did not say what they hold.
    without_queues: bool,
}

/// The engine as it is. Counters are those since it started.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// Whether storage fails, or does not answer.
    pub storage_fails: bool,
    /// `None` where nothing is kept on a disk.
    pub disk: Option<Room>,
    /// Why no forwarder starts, if none does.
    pub forwarder_trouble: Option<String>,
    /// Whether delivery is on, and a counter of batches that the forwarder did not answer; `None` where
    /// nothing is delivered.
    pub delivery: Option<(bool, u64)>,
    /// Counter of requests that were not accepted.
    pub refused: u64,
    /// Counter of log lines that were left out.
    pub log_lines_left_out: u64,
    /// By route and destination, as `route/destination`.
    pub destinations: BTreeMap<String, DestinationState>,
    /// What the queues hold; `None` where they did not say.
    pub queues: Option<Queues>,
}

/// Room on the disk, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Room {
    /// What the engine can use.
    pub free_bytes: u64,
    /// Below this no events are accepted.
    pub reserve_bytes: u64,
}

/// A destination of a route.
#[derive(Debug, Clone, Default)]
pub struct DestinationState {
    /// Whether it is not tried; `None` before it was tried.
    pub is_breaker_open: Option<bool>,
    /// Counter of attempts that were rejected and blocked their group.
    pub blocked: u64,
    /// The ordering key of the last of them.
    pub blocked_key: Option<String>,
}

/// What the queues hold.
#[derive(Debug, Clone, Default)]
pub struct Queues {
    /// Messages that are not what was accepted.
    pub damaged: u64,
    /// Messages that wait.
    pub messages: u64,
    /// Age of the oldest of them.
    pub oldest_age: Duration,
    /// Dead letters.
    pub dead_letters: u64,
    /// Age of the oldest of them.
    pub oldest_dead_letter_age: Duration,
    /// How long a dead letter is kept.
    pub dead_letter_retention: Duration,
    /// By route.
    pub routes: BTreeMap<String, RouteState>,
}

/// What became of a route's events. Counters are those of the ledger, which outlives the engine.
#[derive(Debug, Clone, Copy, Default)]
pub struct RouteState {
    /// Events that are neither delivered nor kept.
    pub missing: i64,
    /// Counter of events that were older than the retention.
    pub expired: u64,
    /// Counter of events that were purged or deleted by hand.
    pub removed: u64,
}

/// What outlives the engine: counters of the ledger as they were looked at last, by condition and route.
pub type Counters = BTreeMap<Topic, u64>;

/// How an engine came to run.
#[derive(Debug, Clone, Default)]
pub struct Start {
    /// How long ago each start of late was, this one included.
    pub starts_ago: Vec<Duration>,
    /// Whether the engine before this one ended without having been stopped.
    pub was_killed: bool,
    /// What was looked at last, before.
    pub counters: Counters,
}

/// Looks at states, one after another.
#[derive(Debug)]
pub struct Watch {
    started: Uptime,
    start: Start,
    rises: BTreeMap<Topic, Rise>,
    free: VecDeque<(Uptime, u64)>,
}

/// How a counter rises.
#[derive(Debug)]
struct Rise {
    window: Duration,
    samples: VecDeque<(Uptime, u64)>,
}

impl Readings {
    /// What was seen of a condition. A route or destination that is not there any more is well.
    #[must_use]
    pub fn of(&self, topic: &Topic) -> Reading {
        let is_of_queues = matches!(
            topic.0,
            Kind::MessagesDamaged
                | Kind::EventsMissing
                | Kind::EventsExpired
                | Kind::EventsRemoved
                | Kind::DeadLettersNearRetention
                | Kind::DeadLettersPresent
                | Kind::OldestMessageTooOld
        );
        let unseen =
            if self.without_queues && is_of_queues { Reading::Unknown } else { Reading::Well };
        self.seen.get(topic).cloned().unwrap_or(unseen)
    }

    /// The conditions that need a person.
    pub(crate) fn ill(&self) -> impl Iterator<Item = &Topic> {
        self.figures().map(|(topic, _)| topic)
    }

    /// The same, and how much is wrong.
    pub fn figures(&self) -> impl Iterator<Item = (&Topic, u64)> {
        self.seen.iter().filter_map(|(topic, reading)| match reading {
            Reading::Ill { figure, .. } => Some((topic, *figure)),
            Reading::Well | Reading::Unknown => None,
        })
    }
}

impl Watch {
    /// A watch that begins at `now`.
    #[must_use]
    pub fn new(now: Uptime, start: Start) -> Self {
        Self { started: now, start, rises: BTreeMap::new(), free: VecDeque::new() }
    }

    /// What `state` shows, of everything that there is to look at.
    pub fn look(&mut self, now: Uptime, state: &State) -> Readings {
        let mut readings = BTreeMap::new();
        let mut of_engine = |kind, reading| {
            readings.insert((kind, String::new()), reading);
        };
        of_engine(
            Kind::StorageFails,
            ill(u64::from(state.storage_fails), |_| {
                "the disk takes nothing, or the queues do not answer; webhooks are refused"
                    .to_owned()
            }),
        );
        let trouble = state.forwarder_trouble.as_deref();
        of_engine(
            Kind::ForwarderDown,
            ill(u64::from(trouble.is_some()), |_| {
                let reason = trouble.unwrap_or_default().lines().next().unwrap_or_default();
                let reason: String = reason.chars().take(TROUBLE_CHARACTERS_MAX).collect();
                format!("no forwarder starts ({reason}); nothing is delivered, everything waits")
            }),
        );
        of_engine(Kind::Killed, self.killed(now));
        of_engine(Kind::Restarts, self.restarts(now));
        if let Some(room) = state.disk {
            let is_full = room.free_bytes < room.reserve_bytes;
            let left = mebibytes(room.free_bytes);
            of_engine(
                Kind::DiskFull,
                ill(u64::from(is_full), |_| {
                    let reserve = mebibytes(room.reserve_bytes);
                    format!(
                        "the disk has {left} MiB left, and {reserve} are its reserve; webhooks are refused"
                    )
                }),
            );
            let fills_up = !is_full && self.fills_up(now, room);
            of_engine(
                Kind::DiskFillsUp,
                ill(u64::from(fills_up), |_| {
                    format!("the disk has {left} MiB left, and will be full within a day")
                }),
            );
        }
        if let Some((enabled, errors)) = state.delivery {
            let waiting = state.queues.as_ref().map_or_else(
                || "events wait".to_owned(),
                |queues| format!("{} waiting", counted(queues.messages, "event")),
            );
            of_engine(
                Kind::Paused,
                ill(u64::from(!enabled), |_| format!("delivery is paused, {waiting}")),
            );
            let errors = self.rise(Kind::InvocationErrors, "", now, errors, RECENT);
            of_engine(
                Kind::InvocationErrors,
                ill(errors, |errors| {
                    let times = counted(errors, "time");
                    format!(
                        "the forwarder crashed or ran out of time {times} in a quarter of an hour"
                    )
                }),
            );
        }
        let refused = self.rise(Kind::RequestsRefused, "", now, state.refused, RECENT);
        of_engine(
            Kind::RequestsRefused,
            ill(if refused > REFUSED_MOST { refused } else { 0 }, |refused| {
                format!("{} refused in a quarter of an hour", counted(refused, "request"))
            }),
        );
        let left_out = self.rise(Kind::LogIncomplete, "", now, state.log_lines_left_out, RECENT);
        of_engine(
            Kind::LogIncomplete,
            ill(left_out, |lines| {
                format!("{} left out in a quarter of an hour", counted(lines, "log line"))
            }),
        );
        for (name, destination) in &state.destinations {
            readings.extend(self.destination(now, name, destination));
        }
        if let Some(queues) = &state.queues {
            readings.extend(self.queues(now, queues, state.delivery));
        }
        Readings { seen: readings, without_queues: state.queues.is_none() }
    }

    /// What is to outlive the engine.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let is_kept = |kind| matches!(kind, Kind::EventsExpired | Kind::EventsRemoved);
        let last = |rise: &Rise| rise.samples.back().map(|(_, count)| *count).unwrap_or_default();
        let kept = self.rises.iter().filter(|((kind, _), _)| is_kept(*kind));
        kept.map(|(topic, rise)| (topic.clone(), last(rise))).collect()
    }

    fn destination(
        &mut self,
        now: Uptime,
        name: &str,
        destination: &DestinationState,
    ) -> [(Topic, Reading); 2] {
        let (route, short) = name.split_once('/').unwrap_or((name, name));
        let breaker = match destination.is_breaker_open {
            None => Reading::Unknown,
            Some(is_open) => ill(u64::from(is_open), |_| {
                format!("destination {short} of route {route} does not answer; its events wait")
            }),
        };
        let blocked = self.rise(Kind::KeyBlocked, name, now, destination.blocked, RECENT);
        let blocked = ill(blocked, |_| {
            let key = destination.blocked_key.as_deref().unwrap_or("unknown");
            format!(
                "ordering key {key} of route {route} waits: destination {short} rejects its first event"
            )
        });
        [
            ((Kind::BreakerOpen, name.to_owned()), breaker),
            ((Kind::KeyBlocked, name.to_owned()), blocked),
        ]
    }

    fn queues(
        &mut self,
        now: Uptime,
        queues: &Queues,
        delivery: Option<(bool, u64)>,
    ) -> Vec<(Topic, Reading)> {
        let is_on = delivery.is_some_and(|(enabled, _)| enabled);
        let too_old = is_on && queues.oldest_age > OLDEST_MOST;
        let near = near_retention(queues.dead_letter_retention);
        let near = queues.dead_letters > 0 && queues.oldest_dead_letter_age > near;
        let of_engine = |kind, reading| ((kind, String::new()), reading);
        let mut readings = vec![
            of_engine(
                Kind::MessagesDamaged,
                ill(queues.damaged, |damaged| {
                    format!(
                        "{} cannot be read; what is behind in their keys waits",
                        counted(damaged, "event")
                    )
                }),
            ),
            of_engine(
                Kind::OldestMessageTooOld,
                ill(u64::from(too_old), |_| {
                    let age = rough(queues.oldest_age);
                    format!(
                        "an event has waited for {age}, {} waiting",
                        counted(queues.messages, "event")
                    )
                }),
            ),
            of_engine(
                Kind::DeadLettersPresent,
                ill(queues.dead_letters, |letters| {
                    format!(
                        "{} could not be delivered, kept as dead letters",
                        counted(letters, "event")
                    )
                }),
            ),
            of_engine(
                Kind::DeadLettersNearRetention,
                ill(u64::from(near), |_| {
                    let age = rough(queues.oldest_dead_letter_age);
                    let retention = rough(queues.dead_letter_retention);
                    format!(
                        "the oldest dead letter is {age} old, and will be deleted at {retention}"
                    )
                }),
            ),
        ];
        for (route, state) in &queues.routes {
            let of = |kind, reading| ((kind, route.clone()), reading);
            let of_route = match route.as_str() {
                "" => " that names no route".to_owned(),
                route => format!(" of route {route}"),
            };
            let missing = u64::try_from(state.missing).unwrap_or_default();
            readings.push(of(
                Kind::EventsMissing,
                ill(missing, |missing| {
                    format!("{}{of_route} neither delivered nor kept", counted(missing, "event"))
                }),
            ));
            let expired = self.rise(Kind::EventsExpired, route, now, state.expired, LOST);
            readings.push(of(
                Kind::EventsExpired,
                ill(expired, |expired| {
                    format!(
                        "{}{of_route} older than the retention, and gone",
                        counted(expired, "event")
                    )
                }),
            ));
            let removed = self.rise(Kind::EventsRemoved, route, now, state.removed, LOST);
            readings.push(of(
                Kind::EventsRemoved,
                ill(removed, |removed| {
                    format!("{}{of_route} purged or deleted by hand", counted(removed, "event"))
                }),
            ));
        }
        readings
    }

    fn killed(&self, now: Uptime) -> Reading {
        let is_told = self.start.was_killed && now.since(self.started) < KILLED_FOR;
        ill(u64::from(is_told), |_| {
            "the engine runs again; before, it ended without having been stopped: it crashed or was \
             killed, or the machine went down"
                .to_owned()
        })
    }

    fn restarts(&self, now: Uptime) -> Reading {
        let up = now.since(self.started);
        let recent = self.start.starts_ago.iter().filter(|ago| up + **ago < RECENT).count();
        let told = if recent > STARTS_MOST { recent as u64 } else { 0 };
        ill(told, |starts| format!("the engine was started {starts} times in a quarter of an hour"))
    }

    fn rise(&mut self, kind: Kind, of: &str, now: Uptime, count: u64, window: Duration) -> u64 {
        let topic = (kind, of.to_owned());
        let rise = self.rises.entry(topic).or_insert_with_key(|topic| {
            // Counters of the engine began with it; those of the ledger were looked at before, or never.
            let is_of_ledger = matches!(kind, Kind::EventsExpired | Kind::EventsRemoved);
            let begin =
                if is_of_ledger { self.start.counters.get(topic).copied() } else { Some(0) };
            let samples = VecDeque::from([(self.started, begin.unwrap_or(count))]);
            Rise { window, samples }
        });
        rise.by(now, count)
    }

    /// Whether the free room of the last hours, drawn on as a straight line, ends within a day.
    fn fills_up(&mut self, now: Uptime, room: Room) -> bool {
        let free = &mut self.free;
        while free.front().is_some_and(|(at, _)| now.since(*at) > TREND) {
            free.pop_front();
        }
        if free.back().is_none_or(|(at, _)| now.since(*at) >= TREND / SAMPLES) {
            free.push_back((now, room.free_bytes));
        }
        // The least squares of the times, in seconds from the first, and the room, in KiB.
        let first = free.front().map(|(at, _)| *at).unwrap_or_default();
        let points: Vec<(i128, i128)> = free
            .iter()
            .map(|(at, bytes)| (i128::from(at.since(first).as_secs()), i128::from(bytes / 1024)))
            .collect();
        let count = points.len() as i128;
        let sum = |of: fn(&(i128, i128)) -> i128| points.iter().map(of).sum::<i128>();
        let (times, rooms) = (sum(|it| it.0), sum(|it| it.1));
        let over = count * sum(|it| it.0 * it.0) - times * times;
        if over == 0 {
            return false;
        }
        let slope = count * sum(|it| it.0 * it.1) - times * rooms;
        let ahead = i128::from((now.since(first) + AHEAD).as_secs());
        // room = (rooms - slope * times) / count + slope * ahead, everything times count * over.
        let then = rooms * over - slope * times + slope * ahead * count;
        then < i128::from(room.reserve_bytes / 1024) * count * over
    }
}

impl Rise {
    /// Takes note of the counter, and says by how much it rose in the window.
    fn by(&mut self, now: Uptime, count: u64) -> u64 {
        let last = self.samples.back().copied().unwrap_or((now, count));
        if count < last.1 {
            // It began anew.
            self.samples = VecDeque::from([(now, count)]);
            return 0;
        }
        // The newest of those that are too old is where the window begins.
        while self.samples.get(1).is_some_and(|(at, _)| now.since(*at) >= self.window) {
            self.samples.pop_front();
        }
        let since_last_kept =
            self.samples.iter().rev().nth(1).map_or(self.window, |(at, _)| last.0.since(*at));
        if since_last_kept < self.window / SAMPLES {
            self.samples.pop_back();
        }
        self.samples.push_back((now, count));
        count - self.samples.front().map_or(count, |(_, count)| *count)
    }
}

/// Age of the oldest dead letter from which on it is told.
#[must_use]
pub fn near_retention(dead_letter_retention: Duration) -> Duration {
    dead_letter_retention / 5 * 4
}

fn ill(figure: u64, says: impl FnOnce(u64) -> String) -> Reading {
    if figure == 0 { Reading::Well } else { Reading::Ill { figure, says: says(figure) } }
}

fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn mebibytes(bytes: u64) -> u64 {
    bytes / (1024 * 1024)
}

/// To the minute.
fn rough(duration: Duration) -> humantime::FormattedDuration {
    humantime::format_duration(Duration::from_secs(duration.as_secs() / 60 * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rise_of_one_a_look(every: Duration) -> (u64, usize) {
        let start = Uptime::from_start(Duration::from_secs(5));
        let mut rise = Rise { window: RECENT, samples: VecDeque::from([(start, 0)]) };
        let looks = 2 * RECENT.as_secs() / every.as_secs();
        let mut last = 0;
        for look in 1..=looks {
            let now = start.plus(every * u32::try_from(look).unwrap());
            last = rise.by(now, look);
        }
        (last, rise.samples.len())
    }

    #[test]
    fn a_rise_is_that_of_its_window_and_costs_as_many_samples_however_often_it_is_looked_at() {
        assert_eq!(rise_of_one_a_look(Duration::from_secs(30)), (30, 31));
        let (rise, samples) = rise_of_one_a_look(Duration::from_secs(1));
        assert!((900..=930).contains(&rise), "{rise}");
        assert!(samples <= 33, "{samples}");
    }
}
