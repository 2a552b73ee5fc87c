//! When a destination is not there, trying it with every message group helps no one: after a few
//! failures in a row that say so the breaker opens, and closes at the first answer.
//!
//! Open, it lets a probe through after a while, and events that were never attempted, one at a time of
//! those that are new and one of those that were put back: a group that has done nothing wrong must
//! not wait for others. Such events often come together, so one waits a moment for another. After it
//! closes, delivery ramps up instead of arriving all at once.
//!
//! A process that waits for an answer takes no other events: a probe, and what was put back, wait as long
//! as the last attempt that had no answer did, and so take at most half of a process's time.
//!
//! What fails for itself opens nothing: a 500 is the application's answer to one event.
//! A destination that names a time by `Retry-After` is asked by nobody until then.
//!
//! Order is not touched: what is not attempted stays where it is. One breaker per destination and
//! process; it lives in memory, as a new process does well to try.

use std::time::Duration;

use crate::time::Uptime;

/// Failures in a row that open the breaker.
pub const FAILURES_TO_OPEN: u32 = 5;

/// How long no probe is made after the breaker has opened, and after a probe that failed; longer if the
/// attempt took longer.
pub const OPEN_FOR: Duration = Duration::from_secs(5);

/// Attempts at the same time when the breaker has just closed; each answer adds one.
pub const RAMP_FROM: u32 = 2;

/// Attempts at the same time at which the ramp is over.
pub const RAMP_TO: u32 = 64;

/// What an attempt's end says about the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// It is there, whatever it said about the event.
    Answered {
        /// How long it wants to be left alone, if it said so.
        rest: Option<Duration>,
    },
    /// It is not there.
    NotThere {
        /// How long it wants to be left alone, if it said so.
        rest: Option<Duration>,
    },
    /// The attempt ended without one.
    Unknown,
}

/// How far the event has come for which an attempt is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It was received for the first time.
    New,
    /// It was received before, and never attempted as far as the process remembers.
    PutBack,
    /// It was attempted before.
    Tried,
}

/// Leave for one attempt, to be handed back with its [`Signal`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// The breaker was closed.
    Plain,
    /// The one attempt that asks whether the destination is there again.
    Probe,
    /// The new event among those that an open breaker lets through.
    New,
    /// The event that was put back among those that an open breaker lets through.
    PutBack,
}

/// What the breaker says to an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permit {
    /// Go ahead.
    Granted(Pass),
    /// As soon as another attempt has ended.
    Turn,
    /// As soon as that of another such event has ended; who cannot wait for it is refused for this time.
    InTurn {
        /// At least one millisecond.
        wait: Duration,
    },
    /// Not now; a probe may be due after this time.
    Refused {
        /// At least one millisecond.
        wait: Duration,
        /// Whether the destination asked for it.
        asked: bool,
    },
}

/// A circuit breaker for one destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Breaker {
    state: State,
    /// Until when the destination wants to be left alone.
    quiet_until: Uptime,
    in_flight: u32,
    probing: bool,
    new: bool,
    put_back: bool,
    /// Until when nothing that was put back is let through.
    put_back_at: Uptime,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed {
        failures: u32,
        /// Attempts at the same time, at most, while delivery ramps up.
        most: Option<u32>,
    },
    Open {
        probe_at: Uptime,
    },
}

impl Default for State {
    fn default() -> Self {
        Self::Closed { failures: 0, most: None }
    }
}

impl Breaker {
    /// Whether an attempt may be made at `now`. What is granted must be [recorded](Self::record).
    pub fn permit(&mut self, now: Uptime, standing: Standing) -> Permit {
        if now < self.quiet_until {
            return Permit::Refused { wait: self.quiet_until.since(now), asked: true };
        }
        let pass = match self.state {
            State::Closed { most, .. } if most.is_none_or(|most| self.in_flight < most) => {
                Some(Pass::Plain)
            }
            State::Open { probe_at } if probe_at <= now && !self.probing => Some(Pass::Probe),
            State::Closed { .. } | State::Open { .. } => self.free_pass(now, standing),
        };
        if let Some(pass) = pass {
            self.in_flight += 1;
            self.set_taken(pass, true);
            return Permit::Granted(pass);
        }
        match self.state {
            State::Closed { .. } => Permit::Turn,
            State::Open { probe_at } => {
                let wait = if now < probe_at { probe_at.since(now) } else { OPEN_FOR };
                match standing {
                    Standing::New => Permit::InTurn { wait },
                    Standing::PutBack if self.put_back_at <= now => Permit::InTurn { wait },
                    Standing::PutBack | Standing::Tried => Permit::Refused { wait, asked: false },
                }
            }
        }
    }

    /// Hands back a pass that was not used; as if it had never been asked for.
    pub fn give_back(&mut self, pass: Pass) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.set_taken(pass, false);
    }

    /// Takes note of how an attempt ended, and how long it `took`.
    pub fn record(&mut self, pass: Pass, now: Uptime, took: Duration, signal: Signal) {
        self.give_back(pass);
        let rest = match signal {
            Signal::Answered { rest } => {
                self.state = self.after_answer();
                rest
            }
            Signal::NotThere { rest } => {
                self.state = self.after_failure(pass, now, took);
                self.put_back_at = now.plus(took);
                rest
            }
            Signal::Unknown => {
                if pass == Pass::Probe {
                    self.state = State::Open { probe_at: now.plus(OPEN_FOR) };
                }
                None
            }
        };
        if let Some(rest) = rest.filter(|rest| !rest.is_zero()) {
            self.quiet_until = self.quiet_until.max(now.plus(rest));
            // The first one after it is the probe.
            self.state = State::Open { probe_at: self.quiet_until };
        }
    }

    fn after_answer(self) -> State {
        match self.state {
            State::Open { .. } => State::Closed { failures: 0, most: Some(RAMP_FROM) },
            State::Closed { most, .. } => {
                let most = most.map(|most| most + 1).filter(|most| *most < RAMP_TO);
                State::Closed { failures: 0, most }
            }
        }
    }

    fn after_failure(self, pass: Pass, now: Uptime, took: Duration) -> State {
        match self.state {
            State::Closed { failures, most } if failures + 1 < FAILURES_TO_OPEN => {
                State::Closed { failures: failures + 1, most }
            }
            // New events may fail as often as they come; the probe must not wait for them.
            open @ State::Open { .. } if matches!(pass, Pass::New | Pass::PutBack) => open,
            State::Closed { .. } | State::Open { .. } => {
                State::Open { probe_at: now.plus(OPEN_FOR.max(took)) }
            }
        }
    }

    fn free_pass(self, now: Uptime, standing: Standing) -> Option<Pass> {
        match standing {
            Standing::New if !self.new => Some(Pass::New),
            Standing::PutBack if !self.put_back && self.put_back_at <= now => Some(Pass::PutBack),
            Standing::New | Standing::PutBack | Standing::Tried => None,
        }
    }

    /// Of these passes there is only one at a time.
    fn set_taken(&mut self, pass: Pass, taken: bool) {
        match pass {
            Pass::Plain => {}
            Pass::Probe => self.probing = taken,
            Pass::New => self.new = taken,
            Pass::PutBack => self.put_back = taken,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SHORT: Duration = Duration::from_millis(10);
    const THERE: Signal = Signal::Answered { rest: None };
    const GONE: Signal = Signal::NotThere { rest: None };

    fn at(ms: u64) -> Uptime {
        Uptime::from_start(Duration::from_millis(ms))
    }

    fn refused(ms: u64) -> Permit {
        Permit::Refused { wait: Duration::from_millis(ms), asked: false }
    }

    fn opened() -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..FAILURES_TO_OPEN {
            assert_eq!(breaker.permit(at(0), Standing::Tried), Permit::Granted(Pass::Plain));
            breaker.record(Pass::Plain, at(0), SHORT, GONE);
        }
        breaker
    }

    fn is_open(breaker: &Breaker) -> bool {
        matches!(breaker.state, State::Open { .. })
    }

    /// A breaker whose probe has just been answered.
    fn closed_again() -> Breaker {
        let mut breaker = opened();
        assert_eq!(breaker.permit(at(5_000), Standing::Tried), Permit::Granted(Pass::Probe));
        breaker.record(Pass::Probe, at(5_010), SHORT, THERE);
        breaker
    }

    #[test]
    fn opens_after_failures_in_a_row_only() {
        let mut breaker = Breaker::default();
        for n in 0..100_u64 {
            let signal = if n % u64::from(FAILURES_TO_OPEN) == 0 { THERE } else { GONE };
            let Permit::Granted(pass) = breaker.permit(at(n), Standing::Tried) else {
                panic!("opened")
            };
            breaker.record(pass, at(n), SHORT, signal);
            assert!(!is_open(&breaker));
        }
        assert!(is_open(&opened()));
    }

    #[test]
    fn one_probe_asks_and_its_answer_closes() {
        let mut breaker = opened();
        assert_eq!(breaker.permit(at(4_000), Standing::Tried), refused(1_000));
        assert_eq!(breaker.permit(at(4_999), Standing::Tried), refused(1));
        assert_eq!(breaker.permit(at(5_000), Standing::Tried), Permit::Granted(Pass::Probe));
        assert_eq!(breaker.permit(at(5_001), Standing::Tried), refused(5_000));
        breaker.record(Pass::Probe, at(5_010), SHORT, THERE);
        assert_eq!(breaker.permit(at(5_011), Standing::Tried), Permit::Granted(Pass::Plain));
    }

    #[test]
    fn a_failed_probe_renews_the_pause_and_a_lost_one_as_well() {
        for signal in [GONE, Signal::Unknown] {
            let mut breaker = opened();
            assert_eq!(breaker.permit(at(5_000), Standing::Tried), Permit::Granted(Pass::Probe));
            breaker.record(Pass::Probe, at(6_000), SHORT, signal);
            assert_eq!(breaker.permit(at(10_000), Standing::Tried), refused(1_000));
            assert_eq!(breaker.permit(at(11_000), Standing::Tried), Permit::Granted(Pass::Probe));
        }
    }

    #[test]
    fn what_hangs_takes_half_of_the_time_and_keeps_nothing_new_waiting() {
        let (mut breaker, took) = (opened(), Duration::from_secs(9));
        assert_eq!(breaker.permit(at(5_000), Standing::Tried), Permit::Granted(Pass::Probe));
        assert_eq!(breaker.permit(at(5_000), Standing::PutBack), Permit::Granted(Pass::PutBack));
        breaker.record(Pass::PutBack, at(14_000), took, GONE);
        breaker.record(Pass::Probe, at(14_000), took, GONE);
        assert_eq!(breaker.permit(at(22_999), Standing::Tried), refused(1));
        assert_eq!(breaker.permit(at(22_999), Standing::PutBack), refused(1));
        assert_eq!(breaker.permit(at(22_999), Standing::New), Permit::Granted(Pass::New));
        breaker.give_back(Pass::New);
        let mut then = breaker;
        assert_eq!(then.permit(at(23_000), Standing::PutBack), Permit::Granted(Pass::Probe));
        assert_eq!(then.permit(at(23_000), Standing::PutBack), Permit::Granted(Pass::PutBack));
        // A new event that hung puts off what was put back, and not the probe.
        breaker.record(Pass::New, at(22_999), took, GONE);
        assert_eq!(breaker.permit(at(23_000), Standing::PutBack), Permit::Granted(Pass::Probe));
        assert_eq!(breaker.permit(at(23_000), Standing::PutBack), refused(5_000));
    }

    #[test]
    fn an_open_breaker_lets_one_new_event_and_one_that_was_put_back_through() {
        let mut breaker = opened();
        for (standing, pass) in [(Standing::New, Pass::New), (Standing::PutBack, Pass::PutBack)] {
            assert_eq!(breaker.permit(at(1_000), standing), Permit::Granted(pass));
            let wait = Duration::from_secs(4);
            assert_eq!(breaker.permit(at(1_000), standing), Permit::InTurn { wait });
        }
        assert_eq!(breaker.permit(at(1_000), Standing::Tried), refused(4_000));
        // Their failures, however many, do not put the probe off.
        breaker.record(Pass::New, at(4_900), SHORT, GONE);
        breaker.record(Pass::PutBack, at(4_900), SHORT, GONE);
        assert_eq!(breaker.permit(at(4_999), Standing::New), Permit::Granted(Pass::New));
        assert_eq!(breaker.permit(at(5_000), Standing::Tried), Permit::Granted(Pass::Probe));
    }

    #[test]
    fn any_answer_closes() {
        for (standing, pass) in [(Standing::New, Pass::New), (Standing::PutBack, Pass::PutBack)] {
            let mut breaker = opened();
            assert_eq!(breaker.permit(at(1_000), standing), Permit::Granted(pass));
            breaker.record(pass, at(1_010), SHORT, THERE);
            assert_eq!(breaker.permit(at(1_011), Standing::Tried), Permit::Granted(Pass::Plain));
        }
    }

    #[test]
    fn delivery_ramps_up_after_it_closes() {
        let mut breaker = closed_again();
        for _ in 0..RAMP_FROM {
            let granted = breaker.permit(at(5_020), Standing::Tried);
            assert_eq!(granted, Permit::Granted(Pass::Plain));
        }
        assert_eq!(breaker.permit(at(5_020), Standing::Tried), Permit::Turn);
        assert_eq!(breaker.permit(at(5_020), Standing::New), Permit::Granted(Pass::New));
        breaker.record(Pass::New, at(5_021), SHORT, THERE);
        breaker.record(Pass::Plain, at(5_021), SHORT, THERE);
        // Two answers later, two more at a time than before.
        for _ in 0..3 {
            let granted = breaker.permit(at(5_022), Standing::Tried);
            assert_eq!(granted, Permit::Granted(Pass::Plain));
        }
        assert_eq!(breaker.permit(at(5_022), Standing::Tried), Permit::Turn);
    }

    #[test]
    fn the_ramp_ends() {
        let mut breaker = closed_again();
        for n in 0..u64::from(RAMP_TO - RAMP_FROM) {
            let Permit::Granted(pass) = breaker.permit(at(6_000 + n), Standing::Tried) else {
                panic!("refused")
            };
            breaker.record(pass, at(6_000 + n), SHORT, THERE);
        }
        for _ in 0..1_000 {
            let granted = breaker.permit(at(7_000), Standing::Tried);
            assert_eq!(granted, Permit::Granted(Pass::Plain));
        }
    }

    #[test]
    fn a_destination_that_names_a_time_is_left_alone_until_then() {
        let rest = Some(Duration::from_secs(30));
        for signal in [Signal::Answered { rest }, Signal::NotThere { rest }] {
            let mut breaker = Breaker::default();
            assert_eq!(breaker.permit(at(0), Standing::New), Permit::Granted(Pass::Plain));
            assert_eq!(breaker.permit(at(0), Standing::New), Permit::Granted(Pass::Plain));
            breaker.record(Pass::Plain, at(1_000), SHORT, signal);
            // One that began before does not shorten it.
            let sooner = Signal::NotThere { rest: Some(Duration::from_secs(1)) };
            breaker.record(Pass::Plain, at(1_000), SHORT, sooner);
            for standing in [Standing::New, Standing::PutBack, Standing::Tried] {
                let wait = Duration::from_millis(1);
                let permit = breaker.permit(at(30_999), standing);
                assert_eq!(permit, Permit::Refused { wait, asked: true });
            }
            let first = breaker.permit(at(31_000), Standing::Tried);
            assert_eq!(first, Permit::Granted(Pass::Probe));
            assert_eq!(breaker.permit(at(31_000), Standing::Tried), refused(5_000));
        }
    }

    #[test]
    fn a_pass_that_was_not_used_changes_nothing() {
        let mut breaker = opened();
        let before = breaker;
        assert_eq!(breaker.permit(at(5_000), Standing::Tried), Permit::Granted(Pass::Probe));
        breaker.give_back(Pass::Probe);
        assert_eq!(breaker, before);
    }

    proptest! {
        /// Whatever happens, nobody waits for longer than the pause, or than the destination asked
        /// for, and when nothing is under way the next one after that is let through.
        #[test]
        fn a_refusal_is_never_for_ever(
            steps in prop::collection::vec((0_u64..20_000, 0_u8..3, 0_u8..4, 0_u64..60), 0..80),
        ) {
            let mut breaker = Breaker::default();
            let mut now = 0;
            for (ms, standing, signal, rest) in steps {
                now += ms;
                let standing =
                    [Standing::New, Standing::PutBack, Standing::Tried][usize::from(standing)];
                let rest = Some(Duration::from_secs(rest));
                match breaker.permit(at(now), standing) {
                    Permit::Granted(pass) => {
                        let signals = [THERE, GONE, Signal::NotThere { rest }, Signal::Unknown];
                        breaker.record(pass, at(now), SHORT, signals[usize::from(signal)]);
                    }
                    Permit::Turn | Permit::InTurn { .. } => {
                        prop_assert!(false, "nothing is under way");
                    }
                    Permit::Refused { wait, asked } => {
                        let most = if asked { Duration::from_mins(1) } else { OPEN_FOR };
                        prop_assert!(wait <= most && !wait.is_zero());
                        let later = at(now).plus(wait);
                        let mut then = breaker;
                        let granted = matches!(then.permit(later, Standing::Tried), Permit::Granted(_));
                        prop_assert!(granted);
                    }
                }
            }
        }
    }
}
