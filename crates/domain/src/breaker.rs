//! When a destination is down, trying it with every message group helps no one: after a few failures
//! in a row the breaker opens, lets one probe through after a while, and closes when that succeeds.
//!
//! Order is not touched: what is not attempted stays where it is. One breaker per destination and
//! process; it lives in memory, as a new process does well to try.

use std::time::Duration;

use crate::time::Timestamp;

/// Failures in a row that open the breaker.
pub const FAILURES_TO_OPEN: u32 = 5;

/// How long no attempt is made, and then again while a probe has not answered.
pub const OPEN_FOR: Duration = Duration::from_secs(5);

/// A circuit breaker for one destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Breaker {
    state: State,
}

/// What the breaker says to an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permit {
    /// Go ahead.
    Granted,
    /// Not now; the next probe is due after this time.
    Refused(Duration),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed {
        failures: u32,
    },
    /// No attempts until [`OPEN_FOR`] after `since`; then one, which renews `since`.
    Open {
        since: Timestamp,
    },
}

impl Default for State {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

impl Breaker {
    /// Whether an attempt may be made at `now`. A granted one must be [recorded](Self::record);
    /// one that never is (a crash) costs [`OPEN_FOR`], not for ever.
    pub fn permit(&mut self, now: Timestamp) -> Permit {
        let State::Open { since } = self.state else { return Permit::Granted };
        let open_until = since.plus(OPEN_FOR);
        // A clock that was set back must not keep the breaker open for longer.
        if now < since || open_until <= now {
            self.state = State::Open { since: now };
            return Permit::Granted;
        }
        Permit::Refused(open_until.since(now))
    }

    /// Whether attempts are being refused, probes aside.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. })
    }

    /// Takes note of an attempt's end. `answered`: the destination is there, whatever it said;
    /// a rejection is an answer, a 5xx or a timeout is not.
    pub fn record(&mut self, now: Timestamp, answered: bool) {
        self.state = match self.state {
            _ if answered => State::default(),
            State::Closed { failures } if failures + 1 < FAILURES_TO_OPEN => {
                State::Closed { failures: failures + 1 }
            }
            // A failed probe, or a late failure of an attempt that began before, renews the pause.
            State::Closed { .. } | State::Open { .. } => State::Open { since: now },
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_ms(1_000_000 + ms)
    }

    fn opened() -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..FAILURES_TO_OPEN {
            assert_eq!(breaker.permit(at(0)), Permit::Granted);
            breaker.record(at(0), false);
        }
        breaker
    }

    #[test]
    fn opens_after_failures_in_a_row_only() {
        let mut breaker = Breaker::default();
        for n in 0..100 {
            breaker.record(at(n), n % u64::from(FAILURES_TO_OPEN) == 0);
            assert!(!breaker.is_open());
        }
        assert!(opened().is_open());
    }

    #[test]
    fn lets_one_probe_through_and_closes_when_it_is_answered() {
        let mut breaker = opened();
        assert_eq!(breaker.permit(at(4_000)), Permit::Refused(Duration::from_secs(1)));
        assert_eq!(breaker.permit(at(5_000)), Permit::Granted);
        assert_eq!(breaker.permit(at(5_001)), Permit::Refused(Duration::from_millis(4_999)));
        breaker.record(at(5_010), true);
        assert_eq!(breaker.permit(at(5_011)), Permit::Granted);
        assert!(!breaker.is_open());
    }

    #[test]
    fn a_failed_probe_renews_the_pause() {
        let mut breaker = opened();
        assert_eq!(breaker.permit(at(5_000)), Permit::Granted);
        breaker.record(at(6_000), false);
        assert_eq!(breaker.permit(at(10_000)), Permit::Refused(Duration::from_secs(1)));
    }

    #[test]
    fn a_clock_set_back_does_not_keep_it_open() {
        let mut breaker = opened();
        assert_eq!(breaker.permit(Timestamp::from_ms(1)), Permit::Granted);
    }

    proptest! {
        #[test]
        fn a_refusal_never_lasts_longer_than_the_pause(
            steps in prop::collection::vec((0_u64..20_000, any::<bool>()), 0..50),
        ) {
            let mut breaker = Breaker::default();
            for (ms, answered) in steps {
                match breaker.permit(at(ms)) {
                    Permit::Granted => breaker.record(at(ms), answered),
                    Permit::Refused(pause) => prop_assert!(pause <= OPEN_FOR && !pause.is_zero()),
                }
            }
        }
    }
}
