//! The queues' own time: what visibility, deduplication and retention are measured by.
//!
//! It goes on by the machine's [`Uptime`], so that nobody can set it, and it outlives the machine: an
//! opened store goes on where the last write left off, and adds the time that has passed since. It
//! began as the wall clock's time and may be any way off from it by now. So a [`QueueTime`] never
//! leaves the store: what is shown is the wall clock's time now, less the time since.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use domain::time::Timestamp;
use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, params};

use crate::clock::{Clock, Uptime};

/// What a stop of the machine counts for at most, half of the longest retention: a wall clock that
/// is years ahead at one start must not expire what is queued. Where the machine was not started
/// anew, its uptime tells and nothing is cut.
const STOP_COUNTED_MOST: Duration = Duration::from_hours(7 * 24);

/// The wall clock was set when it moved this much against the queues' time. What is less is how long
/// two looks at clocks take, and would make the same message's time another at each receive.
const STEP_LEAST_MS: u64 = 1_000;

/// A point in the queues' time, in whole milliseconds. Not a time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct QueueTime(i64);

/// A point that is never reached: in a hundred thousand years.
pub(super) const NEVER: QueueTime = QueueTime(1 << 52);

impl QueueTime {
    /// This point and `duration`.
    pub(super) fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(whole_ms(duration)))
    }

    /// This point, less `duration`.
    pub(super) fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(whole_ms(duration)))
    }

    /// The time from `earlier` until this, zero when `earlier` is later.
    pub(super) fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or_default())
    }
}

impl ToSql for QueueTime {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        self.0.to_sql()
    }
}

impl FromSql for QueueTime {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_i64().map(Self)
    }
}

/// A [`QueueTime`] that threads share.
#[derive(Debug, Default)]
pub(super) struct SharedQueueTime(AtomicI64);

impl SharedQueueTime {
    pub(super) fn get(&self) -> QueueTime {
        QueueTime(self.0.load(Ordering::Relaxed))
    }

    pub(super) fn set(&self, time: QueueTime) {
        self.0.store(time.0, Ordering::Relaxed);
    }
}

/// One moment by all clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    pub(super) queue: QueueTime,
    uptime: Uptime,
    wall: Timestamp,
    /// The wall clock's time less the queues', in milliseconds.
    ahead_ms: i64,
}

impl Now {
    /// A point in the queues' time as the wall clock shows it.
    pub(super) fn shown(&self, time: QueueTime) -> Timestamp {
        Timestamp::from_ms(u64::try_from(time.0.saturating_add(self.ahead_ms)).unwrap_or_default())
    }
}

/// Tells the queues' time.
pub(super) struct QueueClock {
    clock: Arc<dyn Clock>,
    boot: Option<String>,
    opened: (QueueTime, Uptime),
    ahead_ms: AtomicI64,
}

impl QueueClock {
    /// Goes on where the last write to the database left off; begins in one that is new.
    pub(super) fn open(connection: &Connection, clock: Arc<dyn Clock>) -> rusqlite::Result<Self> {
        let boot = clock.boot();
        let (wall, uptime) = (clock.wall(), clock.uptime());
        let now = match LastWrite::read(connection)? {
            Some(last) => last.queue.plus(last.passed(wall, uptime, boot.as_deref())),
            None => QueueTime(signed_ms(wall)),
        };
        let ahead_ms = AtomicI64::new(signed_ms(wall).saturating_sub(now.0));
        Ok(Self { clock, boot, opened: (now, uptime), ahead_ms })
    }

    /// What time it is.
    pub(super) fn now(&self) -> Now {
        let (wall, uptime) = (self.clock.wall(), self.clock.uptime());
        let (opened, opened_uptime) = self.opened;
        let queue = opened.plus(uptime.since(opened_uptime));
        let ahead_ms = signed_ms(wall).saturating_sub(queue.0);
        let known_ms = self.ahead_ms.load(Ordering::Relaxed);
        if ahead_ms.abs_diff(known_ms) < STEP_LEAST_MS {
            return Now { queue, uptime, wall, ahead_ms: known_ms };
        }
        self.ahead_ms.store(ahead_ms, Ordering::Relaxed);
        Now { queue, uptime, wall, ahead_ms }
    }

    /// Is ready once `time` is reached.
    pub(super) async fn wait_until(&self, time: QueueTime) {
        let (opened, opened_uptime) = self.opened;
        self.clock.wait_until(opened_uptime.plus(time.since(opened))).await;
    }

    /// Keeps the moment of a write, for the next opening, and the number that is next then.
    pub(super) fn record(
        &self,
        connection: &Connection,
        now: &Now,
        next_number: i64,
    ) -> rusqlite::Result<()> {
        connection
            .prepare_cached(
                "UPDATE progress SET last_time_ms = ?1, clock_time_ms = ?1, clock_wall_ms = ?2,
                                     clock_uptime_ms = ?3, clock_boot = ?4, next_number = ?5",
            )?
            .execute(params![
                now.queue,
                signed_ms(now.wall),
                whole_ms(now.uptime.since_start()),
                self.boot,
                next_number
            ])?;
        Ok(())
    }

    /// The clocks behind it.
    pub(super) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }
}

/// The moment of the last write.
struct LastWrite {
    queue: QueueTime,
    wall: Timestamp,
    boot: Option<(String, Uptime)>,
}

impl LastWrite {
    /// `None` in a database that was never written.
    fn read(connection: &Connection) -> rusqlite::Result<Option<Self>> {
        connection.query_row(
            "SELECT last_time_ms, clock_time_ms, clock_wall_ms, clock_boot, clock_uptime_ms
             FROM progress",
            [],
            |row| {
                let queue: QueueTime = row.get(0)?;
                let unsigned = |ms: i64| u64::try_from(ms).unwrap_or_default();
                if queue == QueueTime::default() {
                    return Ok(None);
                }
                if row.get::<_, Option<QueueTime>>(1)? != Some(queue) {
                    // Written by an engine that knew one time only, and took the wall clock's.
                    let wall = Timestamp::from_ms(unsigned(queue.0));
                    return Ok(Some(Self { queue, wall, boot: None }));
                }
                let uptime = Uptime::from_start(Duration::from_millis(unsigned(row.get(4)?)));
                let boot: Option<String> = row.get(3)?;
                Ok(Some(Self {
                    queue,
                    wall: Timestamp::from_ms(unsigned(row.get(2)?)),
                    boot: boot.map(|boot| (boot, uptime)),
                }))
            },
        )
    }

    /// How much time has passed since: what the machine's uptime says, if it was not started anew
    /// since, or else what the wall clock says, which may have been wrong then or be wrong now.
    fn passed(&self, wall: Timestamp, uptime: Uptime, boot: Option<&str>) -> Duration {
        match &self.boot {
            Some((last_boot, last_uptime))
                if boot == Some(last_boot.as_str()) && uptime >= *last_uptime =>
            {
                uptime.since(*last_uptime)
            }
            _ => wall.since(self.wall).min(STOP_COUNTED_MOST),
        }
    }
}

/// Seconds as a duration.
pub(super) fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}

fn whole_ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn signed_ms(time: Timestamp) -> i64 {
    i64::try_from(time.as_ms()).unwrap_or(i64::MAX)
}
