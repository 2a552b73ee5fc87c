//! What happened in each minute of the last day, also of one in which the engine was started again: for
//! looking at, and nothing is decided by it. A minute in which no engine ran is not there, and never 0.
//!
//! What is accepted, delivered and dead-lettered is the ledger's, as the last commit left it: once a minute
//! and when somebody asks, the difference to the last look is taken. How many attempts failed, and how old
//! events were when they were delivered, the forwarder's lines say. So an event costs nothing here, and a
//! kill loses the minute that is under way, of a chart.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use domain::config::LogLevel;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::Mutex;

use crate::admin::Admin;
use crate::ages::Ages;
use crate::deliveries::Attempts;
use crate::error_text::in_full;
use crate::files::{read_if_there, replace};
use crate::http::{answer, failed};
use crate::loss_meter;
use crate::store::StoreError;

/// Minutes that are kept: a day. In the file each takes some 30 bytes, and 8 more for each kind of age.
const MINUTES_MAX: usize = 1_440;

const MINUTE: Duration = Duration::from_mins(1);
const MINUTE_MS: u64 = 60_000;

/// Name of the file in the data directory: beside the database, which an event's commit need not share
/// with a chart.
const FILE: &str = "history.json";

/// A minute.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Row", into = "Row")]
struct Minute {
    accepted: u64,
    delivered: u64,
    failed: u64,
    dead_lettered: u64,
    ages: Ages,
}

/// A minute in the file: short, as there are many.
type Row = (u64, u64, u64, u64, Ages);

/// The file.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    /// By their number since the Unix epoch.
    minutes: BTreeMap<u64, Minute>,
}

/// All that was counted, ever.
#[derive(Debug, Clone, Copy, Default)]
struct Totals {
    accepted: u64,
    delivered: u64,
    dead_lettered: u64,
}

#[derive(Debug)]
struct Look {
    minute: u64,
    totals: Totals,
}

#[derive(Debug, Default)]
struct Day {
    minutes: BTreeMap<u64, Minute>,
    last: Option<Look>,
}

/// The day, as it goes on.
pub(crate) struct History {
    admin: Arc<Admin>,
    file: Option<PathBuf>,
    day: Mutex<Day>,
    /// Held while the file is written: by one at a time.
    writing: Arc<Mutex<()>>,
}

/// The route of this module.
pub(crate) fn router(history: Arc<History>) -> Router {
    Router::new().route("/_engine/history", get(told)).with_state(history)
}

async fn told(State(history): State<Arc<History>>) -> Response {
    match history.told().await {
        Ok(told) => answer(StatusCode::OK, &told),
        Err(error) => failed(&in_full(&error)),
    }
}

impl History {
    /// Goes on with what is in `data_dir`, and looks for the first time: before anything is accepted. That it
    /// cannot be read is told, and it begins anew.
    pub(crate) async fn open(admin: Arc<Admin>, data_dir: Option<&Path>) -> Self {
        let file = data_dir.map(|dir| dir.join(FILE));
        let kept = file.as_deref().map_or_else(|| Ok(Kept::default()), read);
        let kept = kept.unwrap_or_else(|error| {
            let message = "the history of the last day cannot be read: it begins anew";
            admin.log.line(LogLevel::Warn, message, json!({ "error": error.to_string() }));
            Kept::default()
        });
        let day = Mutex::new(Day { minutes: kept.minutes, last: None });
        let history = Self { admin, file, day, writing: Arc::default() };
        // What the store cannot tell is told by others, and here by nobody.
        let _gap = history.look().await;
        history
    }

    /// Looks when a minute ends, and writes, for as long as it is polled.
    pub(crate) async fn run(self: Arc<Self>) {
        let clock = Arc::clone(self.admin.store.clock());
        let mut fails = false;
        loop {
            let _gap = self.look().await;
            let written = self.write().await;
            if let (false, Err(error)) = (fails, &written) {
                let message = "the history of the last day is not written: a restart forgets it";
                let fields = json!({ "error": error.to_string() });
                self.admin.log.line(LogLevel::Warn, message, fields);
            }
            fails = written.is_err();
            let (wall, up) = (clock.wall(), clock.uptime());
            let next = Timestamp::from_ms((minute_of(wall) + 1) * MINUTE_MS);
            tokio::select! {
                () = clock.wait_until_wall(next) => {}
                // The wall clock may have been set back.
                () = clock.wait_until(up.plus(MINUTE)) => {}
            }
        }
    }

    /// Looks and writes for the last time.
    pub(crate) async fn end(&self) {
        let _gap = self.look().await;
        let _forgotten = self.write().await;
    }

    /// Takes what has happened since the last look.
    async fn look(&self) -> Result<Timestamp, StoreError> {
        let Admin { store, queue, dead_letter_queue, deliveries, .. } = &*self.admin;
        // Held meanwhile: of two looks the later one has the later totals.
        let mut day = self.day.lock().await;
        let (ledger, dead_ledger) = store.ledgers(queue, dead_letter_queue).await?;
        let mut totals = Totals::default();
        for balance in loss_meter::balances(&ledger, &dead_ledger).values() {
            totals.accepted += balance.accepted;
            totals.delivered += balance.delivered;
            totals.dead_lettered += balance.dead_lettered;
        }
        let now = store.clock().wall();
        day.look(minute_of(now), totals, &deliveries.take_attempts());
        Ok(now)
    }

    async fn write(&self) -> io::Result<()> {
        let Some(file) = self.file.clone() else { return Ok(()) };
        let kept = Kept { minutes: self.day.lock().await.minutes.clone() };
        let held = Arc::clone(&self.writing).lock_owned().await;
        let write = move || {
            let _held = held;
            replace(&file, &serde_json::to_vec(&kept)?)
        };
        tokio::task::spawn_blocking(write).await.map_err(io::Error::other)?
    }

    async fn told(&self) -> Result<serde_json::Value, StoreError> {
        let now = self.look().await?;
        let day = self.day.lock().await;
        let level = self.admin.log_level;
        let oldest = minute_of(now).saturating_sub(MINUTES_MAX as u64 - 1);
        let minutes = day.minutes.range(oldest..=minute_of(now)).map(|(number, minute)| {
            json!({
                "at": Timestamp::from_ms(number * MINUTE_MS).to_string(),
                "accepted": minute.accepted,
                "delivered": minute.delivered,
                // What is not logged is not seen.
                "failed": (level <= LogLevel::Warn).then_some(minute.failed),
                "dead_lettered": minute.dead_lettered,
                "p50_ms": minute.ages.percentile(50),
                "p99_ms": minute.ages.percentile(99),
            })
        });
        let minutes: Vec<_> = minutes.collect();
        Ok(json!({ "now": now.to_string(), "minutes": minutes }))
    }
}

impl Day {
    /// What was counted since the last look is of the minute of that look: there is one at each minute's end.
    fn look(&mut self, now: u64, totals: Totals, attempts: &Attempts) {
        let last = self.last.replace(Look { minute: now, totals });
        let of = last.as_ref().map_or(now, |last| last.minute);
        // At the first look nothing has been counted yet: totals are of all times.
        let before = last.map_or(totals, |last| last.totals);
        let minute = self.minutes.entry(of).or_default();
        minute.accepted += totals.accepted.saturating_sub(before.accepted);
        minute.delivered += totals.delivered.saturating_sub(before.delivered);
        minute.dead_lettered += totals.dead_lettered.saturating_sub(before.dead_lettered);
        minute.failed += attempts.failed;
        minute.ages.add(&attempts.ages);
        // That the engine runs in this one is known already.
        self.minutes.entry(now).or_default();
        self.forget(now);
    }

    /// First what a clock has told that was ahead, then the oldest: a clock that jumps for a moment takes
    /// nothing of the day along.
    fn forget(&mut self, now: u64) {
        while self.minutes.len() > MINUTES_MAX {
            let newest = self.minutes.last_key_value().map(|(minute, _)| *minute);
            if newest > Some(now) {
                self.minutes.pop_last();
            } else {
                self.minutes.pop_first();
            }
        }
    }
}

impl From<Row> for Minute {
    fn from((accepted, delivered, failed, dead_lettered, ages): Row) -> Self {
        Self { accepted, delivered, failed, dead_lettered, ages }
    }
}

impl From<Minute> for Row {
    fn from(minute: Minute) -> Self {
        let Minute { accepted, delivered, failed, dead_lettered, ages } = minute;
        (accepted, delivered, failed, dead_lettered, ages)
    }
}

fn minute_of(time: Timestamp) -> u64 {
    time.as_ms() / MINUTE_MS
}

fn read(file: &Path) -> io::Result<Kept> {
    match read_if_there(file)? {
        None => Ok(Kept::default()),
        Some(text) => Ok(serde_json::from_slice(&text)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(accepted: u64) -> Totals {
        Totals { accepted, delivered: accepted / 2, dead_lettered: 0 }
    }

    fn counts(day: &Day) -> Vec<(u64, u64)> {
        day.minutes.iter().map(|(minute, it)| (*minute, it.accepted)).collect()
    }

    #[test]
    fn what_was_counted_is_of_the_minute_in_which_it_began_and_gaps_stay() {
        let mut day = Day::default();
        day.look(10, totals(1_000), &Attempts::default());
        day.look(10, totals(1_003), &Attempts::default());
        day.look(11, totals(1_005), &Attempts { failed: 2, ages: Ages::default() });
        assert_eq!(counts(&day), [(10, 5), (11, 0)], "what was there before is not of this minute");
        assert_eq!((day.minutes[&10].delivered, day.minutes[&10].failed), (2, 2));
        // The machine slept.
        day.look(20, totals(1_006), &Attempts::default());
        assert_eq!(counts(&day), [(10, 5), (11, 1), (20, 0)]);
        // Totals never shrink, but if they did that is no event.
        day.look(20, totals(0), &Attempts::default());
        assert_eq!(day.minutes[&20].accepted, 0);
    }

    #[test]
    fn a_day_is_all_that_is_kept_and_a_wrong_clock_takes_none_of_it() {
        let mut day = Day::default();
        let max = MINUTES_MAX as u64;
        for minute in 0..max + 10 {
            day.look(minute, totals(minute), &Attempts::default());
            assert!(day.minutes.len() <= MINUTES_MAX);
        }
        assert_eq!(day.minutes.first_key_value().unwrap().0, &10);
        let whole: Vec<u64> = day.minutes.keys().copied().collect();
        let ahead = max + 10 + 80 * 60;
        day.look(ahead, totals(max + 20), &Attempts::default());
        day.look(max + 9, totals(max + 21), &Attempts::default());
        day.look(max + 10, totals(max + 21), &Attempts::default());
        let after: Vec<u64> = day.minutes.keys().copied().collect();
        assert!(!after.contains(&ahead), "what was ahead goes first");
        assert_eq!(after[..MINUTES_MAX - 1], whole[1..], "{:?}", &after[..3]);
        // Back to yesterday: what is there adds up.
        let before = day.minutes[&20].accepted;
        day.look(20, totals(max + 21), &Attempts::default());
        day.look(20, totals(max + 22), &Attempts::default());
        assert_eq!(day.minutes[&20].accepted, before + 1);
    }

    #[test]
    fn a_full_day_s_file_is_small() {
        let mut minute = Minute { accepted: 60_000, delivered: 60_000, ..Minute::default() };
        for ms in [2, 3, 5, 8] {
            minute.ages.note(Duration::from_millis(ms));
        }
        let minutes = (0..MINUTES_MAX as u64).map(|it| (29_000_000 + it, minute.clone())).collect();
        let text = serde_json::to_vec(&Kept { minutes }).unwrap();
        assert!(text.len() < 150_000, "{}", text.len());
        let read: Kept = serde_json::from_slice(&text).unwrap();
        assert_eq!(read.minutes[&29_000_007], minute);
    }
}
