//! What time it is: the only place of the engine that asks, so that tests can say.
//!
//! There are two times, and two types, so that neither is taken for the other:
//!
//! - [`Timestamp`] is the wall clock's. It is what leaves the process and what people say. It can be
//!   wrong, and it is set: by NTP, by an operator, after a start without a battery.
//! - [`Uptime`] is the machine's since its start. It never jumps and cannot be set, and says nothing
//!   to anybody else. Whatever takes its time is measured by it.
//!
//! The queues' own time, which outlives the machine's, is made of both: see
//! [`store`](crate::store).

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, SystemTime};

use domain::time::Timestamp;
pub use domain::time::Uptime;
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::watch;

/// A future that is ready once a point in time is reached.
pub type Wait<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// How long a wait goes on without a look at the clock. The sleeps of the runtime stand still while
/// the machine is suspended, and know nothing of a wall clock that is set.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The system's clock that counts the time in which the machine was suspended.
#[cfg(any(target_os = "linux", target_os = "android"))]
const SINCE_BOOT: ClockId = ClockId::Boottime;
/// Where there is none of that name, the monotonic one: on macOS it counts that time as well.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const SINCE_BOOT: ClockId = ClockId::Monotonic;

/// Where Linux says which start of the machine this is. Source: random(4).
const BOOT_ID_FILE: &str = "/proc/sys/kernel/random/boot_id";

/// A source of both times.
pub trait Clock: Send + Sync + 'static {
    /// The wall clock's time. It may be wrong, and go back.
    fn wall(&self) -> Timestamp;

    /// How long the machine is up. Never goes back, and goes on while the machine is suspended.
    fn uptime(&self) -> Uptime;

    /// What differs from one start of the machine to the next: uptimes of one boot can be compared.
    /// `None` where the system does not say.
    fn boot(&self) -> Option<String>;

    /// Is ready once [`uptime`](Clock::uptime) has reached `time`, a second later at most.
    fn wait_until(&self, time: Uptime) -> Wait<'_>;

    /// Is ready once [`wall`](Clock::wall) has reached `time`, a second later at most, also when
    /// the wall clock is set meanwhile.
    fn wait_until_wall(&self, time: Timestamp) -> Wait<'_>;
}

/// The machine's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl SystemClock {
    /// The machine's clocks.
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}

impl Clock for SystemClock {
    fn wall(&self) -> Timestamp {
        SystemTime::now().into()
    }

    fn uptime(&self) -> Uptime {
        // A time since boot is never negative.
        Uptime::from_start(clock_gettime(SINCE_BOOT).try_into().unwrap_or_default())
    }

    fn boot(&self) -> Option<String> {
        let id = std::fs::read_to_string(BOOT_ID_FILE).ok()?;
        Some(id.trim().to_owned()).filter(|id| !id.is_empty())
    }

    fn wait_until(&self, time: Uptime) -> Wait<'_> {
        Box::pin(sleep_until(move || time.since(self.uptime())))
    }

    fn wait_until_wall(&self, time: Timestamp) -> Wait<'_> {
        Box::pin(sleep_until(move || time.since(self.wall())))
    }
}

/// Sleeps until nothing is `left`, and looks again and again.
async fn sleep_until(left: impl Fn() -> Duration) {
    loop {
        let left = left();
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left.min(LOOK_EVERY)).await;
    }
}

/// Clocks that stand still until a test moves them.
#[derive(Debug)]
pub struct ManualClock {
    now: watch::Sender<Manual>,
}

#[derive(Debug, Clone, Copy)]
struct Manual {
    wall: Timestamp,
    uptime: Uptime,
    boot: u32,
}

impl ManualClock {
    /// A machine that has just started, with a wall clock that stands at `wall`.
    #[must_use]
    pub fn at(wall: Timestamp) -> Self {
        Self { now: watch::Sender::new(Manual { wall, uptime: Uptime::default(), boot: 1 }) }
    }

    /// Lets time pass by both clocks, and wakes whoever waited for a time that is now reached. A
    /// suspend is nothing else.
    pub fn advance(&self, by: Duration) {
        self.now.send_modify(|now| {
            now.wall = now.wall.plus(by);
            now.uptime = now.uptime.plus(by);
        });
    }

    /// Sets the wall clock. No time passes.
    pub fn set_wall(&self, wall: Timestamp) {
        self.now.send_modify(|now| now.wall = wall);
    }

    /// Starts the machine anew, which takes no time by the wall clock.
    pub fn reboot(&self) {
        self.now.send_modify(|now| {
            now.uptime = Uptime::default();
            now.boot += 1;
        });
    }

    fn wait_for(&self, reached: impl Fn(&Manual) -> bool + Send + 'static) -> Wait<'_> {
        let mut now = self.now.subscribe();
        Box::pin(async move {
            now.wait_for(reached).await.expect("the sender outlives this borrow of it");
        })
    }
}

impl Clock for ManualClock {
    fn wall(&self) -> Timestamp {
        self.now.borrow().wall
    }

    fn uptime(&self) -> Uptime {
        self.now.borrow().uptime
    }

    fn boot(&self) -> Option<String> {
        Some(format!("boot {}", self.now.borrow().boot))
    }

    fn wait_until(&self, time: Uptime) -> Wait<'_> {
        self.wait_for(move |now| now.uptime >= time)
    }

    fn wait_until_wall(&self, time: Timestamp) -> Wait<'_> {
        self.wait_for(move |now| now.wall >= time)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_system_wait_ends_when_the_time_is_reached() {
        let clock = SystemClock::new();
        let time = clock.uptime().plus(Duration::from_millis(5));
        clock.wait_until(time).await;
        assert!(clock.uptime() >= time);
        let time = clock.wall().plus(Duration::from_millis(5));
        clock.wait_until_wall(time).await;
        assert!(clock.wall() >= time);
    }

    #[test]
    fn the_system_tells_one_start_of_the_machine_from_another() {
        let clock = SystemClock::new();
        assert_eq!(clock.boot(), clock.boot());
        assert_eq!(clock.boot().is_some(), cfg!(target_os = "linux"));
    }

    #[tokio::test]
    async fn a_long_wait_sees_soon_that_the_clock_has_jumped() {
        let looks = AtomicU64::new(0);
        let first_look_only = || match looks.fetch_add(1, Ordering::Relaxed) {
            0 => Duration::from_hours(12),
            _ => Duration::ZERO,
        };
        let waited = tokio::time::timeout(Duration::from_mins(1), sleep_until(first_look_only));
        waited.await.expect("it looks again after a second");
    }

    #[tokio::test]
    async fn a_manual_wait_ends_when_the_test_says_so() {
        let clock = ManualClock::at(Timestamp::from_ms(10));
        let mut wait = clock.wait_until(Uptime::from_start(Duration::from_secs(1)));
        clock.advance(Duration::from_millis(999));
        assert!(futures_poll(&mut wait).is_pending());
        clock.set_wall(Timestamp::from_ms(1_000_000));
        assert!(futures_poll(&mut wait).is_pending(), "the wall clock has no say");
        clock.advance(Duration::from_millis(1));
        wait.await;
        clock.wait_until_wall(Timestamp::from_ms(1_000_001)).await;
    }

    fn futures_poll(wait: &mut Wait<'_>) -> std::task::Poll<()> {
        wait.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
    }
}
