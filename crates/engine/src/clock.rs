//! What time it is: the only place of the engine that asks, so that tests can say.
//!
//! Everything that expires (visibility, deduplication, retention, long polls) is measured with a
//! [`Clock`]; no other module reads the system's.

use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use domain::time::Timestamp;
use tokio::sync::watch;

/// A future that is ready once a point in time is reached.
pub type Wait<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// A source of time that never goes back.
pub trait Clock: Send + Sync + 'static {
    /// The time now, in milliseconds since the Unix epoch.
    fn now(&self) -> Timestamp;

    /// Is ready once [`now`](Clock::now) has reached `time`.
    fn wait_until(&self, time: Timestamp) -> Wait<'_>;

    /// Moves the clock forward to `time`, if it is behind. The store calls this when it opens, with
    /// the last time that it recorded.
    fn not_before(&self, time: Timestamp);
}

/// The machine's time: its wall clock at the start, or the last time the store recorded if that is
/// later, plus the monotonic time since.
///
/// The wall clock is read once only. Were it read for every decision, stepping it (NTP, an operator,
/// a suspended virtual machine) would move everything that is measured in time: forwards, every
/// message in flight is delivered a second time and the oldest ones expire; backwards, groups stay
/// locked and retries wait for as long as the step was. Starting no earlier than the last recorded
/// time keeps this true across a restart with a clock that was set back in between.
#[derive(Debug)]
pub struct SystemClock {
    anchor: Mutex<Anchor>,
}

#[derive(Debug, Clone, Copy)]
struct Anchor {
    time: Timestamp,
    instant: Instant,
}

impl Anchor {
    fn now(self) -> Timestamp {
        self.time.plus(self.instant.elapsed())
    }
}

impl SystemClock {
    /// A clock that starts from the wall clock's time.
    #[must_use]
    pub fn new() -> Self {
        Self::starting_at(SystemTime::now().into())
    }

    fn starting_at(time: Timestamp) -> Self {
        Self { anchor: Mutex::new(Anchor { time, instant: Instant::now() }) }
    }

    fn anchor(&self) -> std::sync::MutexGuard<'_, Anchor> {
        self.anchor.lock().expect("no code panics while it holds the anchor")
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        self.anchor().now()
    }

    fn wait_until(&self, time: Timestamp) -> Wait<'_> {
        Box::pin(async move {
            loop {
                let left = time.since(self.now());
                if left.is_zero() {
                    return;
                }
                tokio::time::sleep(left).await;
            }
        })
    }

    fn not_before(&self, time: Timestamp) {
        let mut anchor = self.anchor();
        if anchor.now() < time {
            *anchor = Anchor { time, instant: Instant::now() };
        }
    }
}

/// A clock that stands still until a test moves it.
#[derive(Debug)]
pub struct ManualClock {
    now: watch::Sender<Timestamp>,
}

impl ManualClock {
    /// A clock that stands at `time`.
    #[must_use]
    pub fn at(time: Timestamp) -> Self {
        Self { now: watch::Sender::new(time) }
    }

    /// Moves the clock forward and wakes whoever waited for a time that is now reached.
    pub fn advance(&self, by: Duration) {
        self.now.send_modify(|now| *now = now.plus(by));
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.now.borrow()
    }

    fn wait_until(&self, time: Timestamp) -> Wait<'_> {
        let mut now = self.now.subscribe();
        Box::pin(async move {
            now.wait_for(|now| *now >= time).await.expect("the sender outlives this borrow of it");
        })
    }

    fn not_before(&self, time: Timestamp) {
        self.now.send_if_modified(|now| {
            let behind = *now < time;
            if behind {
                *now = time;
            }
            behind
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wall_clock_that_was_set_back_does_not_take_the_engine_back() {
        let yesterday = Timestamp::from_ms(1_000_000);
        let recorded = Timestamp::from_ms(87_400_000);
        let clock = SystemClock::starting_at(yesterday);
        clock.not_before(recorded);
        assert!(clock.now() >= recorded);
        assert!(clock.now().since(recorded) < Duration::from_mins(1), "and it does not jump ahead");
    }

    #[test]
    fn a_recorded_time_in_the_past_changes_nothing() {
        let clock = SystemClock::starting_at(Timestamp::from_ms(5_000_000));
        clock.not_before(Timestamp::from_ms(1));
        assert!(clock.now() >= Timestamp::from_ms(5_000_000));
    }

    #[tokio::test]
    async fn a_system_wait_ends_when_the_time_is_reached() {
        let clock = SystemClock::new();
        let time = clock.now().plus(Duration::from_millis(5));
        clock.wait_until(time).await;
        assert!(clock.now() >= time);
    }

    #[tokio::test]
    async fn a_manual_wait_ends_when_the_test_says_so() {
        let clock = ManualClock::at(Timestamp::from_ms(10));
        let mut wait = clock.wait_until(Timestamp::from_ms(1_010));
        clock.advance(Duration::from_millis(999));
        assert!(futures_poll(&mut wait).is_pending());
        clock.advance(Duration::from_millis(1));
        wait.await;
    }

    fn futures_poll(wait: &mut Wait<'_>) -> std::task::Poll<()> {
        wait.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
    }
}
