//! May a destination be called now? Its [breaker](crate::breaker) and its [pace](crate::pace) both
//! have a say.

use std::fmt;
use std::time::Duration;

use crate::breaker::{Breaker, Pass, Permit, Signal, Standing};
#[cfg(doc)]
use crate::pace::TURN_WAIT;
use crate::pace::{Pace, Turn, Turns};
use crate::time::Uptime;

/// What stands before one destination in one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gate {
    breaker: Breaker,
    pace: Pace,
    turns: Turns,
}

/// What the gate says to an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// Go ahead.
    Open(Pass),
    /// It is worth waiting until another attempt has ended.
    Wait,
    /// It is worth waiting until that of another event which was never attempted has ended, but no
    /// longer than [`TURN_WAIT`]; then it is put back.
    InTurn(Refusal),
    /// The destination's pace lets others go first: it is worth waiting until one has ended, or for this
    /// time, but no longer than [`TURN_WAIT`].
    Paced(Option<Duration>),
    /// Put it back.
    Shut(Refusal),
}

/// An attempt that was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// When it is worth asking again.
    pub wait: Duration,
    /// Why.
    pub reason: RefusalReason,
}

/// Why an attempt was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalReason {
    /// The destination is not there.
    CircuitOpen,
    /// It asked to be left alone by `Retry-After`.
    RetryAfter,
    /// Others had their turn first.
    Pace,
}

impl RefusalReason {
    /// The reason's name in logs and dead letters.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CircuitOpen => "circuit_open",
            Self::RetryAfter => "retry_after",
            Self::Pace => "pace",
        }
    }
}

impl fmt::Display for RefusalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Gate {
    /// The gate of a destination with this pace.
    #[must_use]
    pub fn new(pace: Pace) -> Self {
        Self { pace, ..Self::default() }
    }

    /// Whether an attempt may be made at `now`. Who goes through must [leave](Self::leave).
    pub fn enter(&mut self, now: Uptime, standing: Standing) -> Entry {
        let pass = match self.breaker.permit(now, standing) {
            Permit::Granted(pass) => pass,
            Permit::Turn => return Entry::Wait,
            Permit::InTurn { wait } => {
                return Entry::InTurn(Refusal { wait, reason: RefusalReason::CircuitOpen });
            }
            Permit::Refused { wait, asked } => {
                let reason =
                    if asked { RefusalReason::RetryAfter } else { RefusalReason::CircuitOpen };
                return Entry::Shut(Refusal { wait, reason });
            }
        };
        let wait = match self.turns.take(self.pace, now) {
            Turn::Now => return Entry::Open(pass),
            Turn::In(wait) => Some(wait),
            Turn::AfterAnother => None,
        };
        self.breaker.give_back(pass);
        Entry::Paced(wait)
    }

    /// Puts an attempt back that has waited for as long as it may.
    pub fn put_back(&mut self, now: Uptime) -> Refusal {
        Refusal { wait: self.turns.put_back(self.pace, now), reason: RefusalReason::Pace }
    }

    /// Takes note of how an attempt ended, and how long it `took`.
    pub fn leave(&mut self, pass: Pass, now: Uptime, took: Duration, signal: Signal) {
        self.turns.end();
        self.breaker.record(pass, now, took, signal);
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::breaker::FAILURES_TO_OPEN;

    const SHORT: Duration = Duration::from_millis(10);

    fn gate(max_in_flight: u32) -> Gate {
        Gate::new(Pace::shared(NonZeroU32::new(max_in_flight), None, NonZeroU32::MIN))
    }

    fn open_breaker(gate: &mut Gate) {
        for _ in 0..FAILURES_TO_OPEN {
            let Entry::Open(pass) = gate.enter(Uptime::default(), Standing::Tried) else {
                panic!("shut")
            };
            gate.leave(pass, Uptime::default(), SHORT, Signal::NotThere { rest: None });
        }
    }

    #[test]
    fn who_has_to_wait_for_its_turn_takes_no_pass() {
        let mut gate = gate(1);
        open_breaker(&mut gate);
        let now = Uptime::from_start(Duration::from_secs(5));
        assert_eq!(gate.enter(now, Standing::New), Entry::Open(Pass::Probe));
        assert_eq!(gate.enter(now, Standing::New), Entry::Paced(None));
        gate.leave(Pass::Probe, now, SHORT, Signal::NotThere { rest: None });
        assert_eq!(gate.enter(now, Standing::New), Entry::Open(Pass::New));
    }

    #[test]
    fn the_reason_of_a_refusal_is_told() {
        let mut gate = gate(9);
        open_breaker(&mut gate);
        let refused = gate.enter(Uptime::default(), Standing::Tried);
        let (wait, reason) = (Duration::from_secs(5), RefusalReason::CircuitOpen);
        assert_eq!(refused, Entry::Shut(Refusal { wait, reason }));
        let Entry::Open(pass) = gate.enter(Uptime::default(), Standing::New) else {
            panic!("shut")
        };
        let refused = gate.enter(Uptime::default(), Standing::New);
        assert_eq!(refused, Entry::InTurn(Refusal { wait, reason }));
        let rest = Some(Duration::from_secs(9));
        gate.leave(pass, Uptime::default(), SHORT, Signal::NotThere { rest });
        let refused = gate.enter(Uptime::default(), Standing::New);
        let (wait, reason) = (Duration::from_secs(9), RefusalReason::RetryAfter);
        assert_eq!(refused, Entry::Shut(Refusal { wait, reason }));
        let names = [RefusalReason::CircuitOpen, RefusalReason::RetryAfter, RefusalReason::Pace];
        assert_eq!(names.map(RefusalReason::as_str), ["circuit_open", "retry_after", "pace"]);
    }
}
