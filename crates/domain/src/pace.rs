//! How fast a destination is called at most: what it can take, as its owner says. What waits for its
//! turn is not attempted, and its order does not change.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::time::Uptime;

/// How long an attempt waits for its turn within the process, at most. Who waits there keeps a process
/// from events of other destinations; longer waits are the queue's.
pub const TURN_WAIT: Duration = Duration::from_secs(1);

/// What an attempt is taken to last, where one has to end before another begins.
const ATTEMPT: Duration = Duration::from_secs(1);

/// For how long an attempt is put back, at most: by then the destination may be faster.
const PUT_BACK_MAX: Duration = Duration::from_mins(5);

/// The pace of one destination in one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pace {
    /// Attempts at the same time, at most.
    most_in_flight: Option<NonZeroU32>,
    /// Time from the beginning of one attempt to that of the next, at least.
    interval: Option<Duration>,
}

impl Pace {
    /// Time from one turn to the next, at least, as far as it is known.
    fn spacing(self) -> Duration {
        let attempts = self.most_in_flight.map_or(Duration::ZERO, |most| ATTEMPT / most.get());
        self.interval.unwrap_or_default().max(attempts)
    }

    /// The share of one of `processes` in what a destination takes in all: at least one attempt at a
    /// time.
    #[must_use]
    pub fn shared(
        max_in_flight: Option<NonZeroU32>,
        max_per_second: Option<NonZeroU32>,
        processes: NonZeroU32,
    ) -> Self {
        let share = |most: NonZeroU32| {
            NonZeroU32::new(most.get() / processes.get()).unwrap_or(NonZeroU32::MIN)
        };
        Self {
            most_in_flight: max_in_flight.map(share),
            interval: max_per_second
                .map(|most| Duration::from_secs(1) * processes.get() / most.get()),
        }
    }
}

/// Which attempts of a destination are under way, and when the last one began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Turns {
    in_flight: u32,
    next: Uptime,
    /// The last turn that was promised.
    promised: Uptime,
}

/// When an attempt's turn is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Now; it counts.
    Now,
    /// After this time.
    In(Duration),
    /// As soon as another attempt has ended.
    AfterAnother,
}

impl Turns {
    /// Asks for a turn at `now`; one that is given must be [ended](Self::end).
    pub fn take(&mut self, pace: Pace, now: Uptime) -> Turn {
        if pace.most_in_flight.is_some_and(|most| most.get() <= self.in_flight) {
            return Turn::AfterAnother;
        }
        if let Some(interval) = pace.interval {
            if now < self.next {
                return Turn::In(self.next.since(now));
            }
            self.next = now.plus(interval);
        }
        self.in_flight += 1;
        Turn::Now
    }

    /// Puts an attempt back whose turn does not come soon enough, and says for how long. Each is told
    /// another time, so that they do not come back all at once, and are received once and not again and
    /// again.
    pub fn put_back(&mut self, pace: Pace, now: Uptime) -> Duration {
        let spacing = pace.spacing();
        let turn = self.promised.plus(spacing).max(now.plus(spacing));
        self.promised = turn.min(now.plus(PUT_BACK_MAX));
        self.promised.since(now)
    }

    /// An attempt has ended.
    pub fn end(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(n: u32) -> Option<NonZeroU32> {
        NonZeroU32::new(n)
    }

    fn at(ms: u64) -> Uptime {
        Uptime::from_start(Duration::from_millis(ms))
    }

    #[test]
    fn without_a_pace_everything_goes() {
        let mut turns = Turns::default();
        for _ in 0..1_000 {
            assert_eq!(turns.take(Pace::default(), at(0)), Turn::Now);
        }
    }

    #[test]
    fn so_many_at_a_time_and_no_more() {
        let pace = Pace::shared(number(4), None, number(2).unwrap());
        let mut turns = Turns::default();
        assert_eq!(turns.take(pace, at(0)), Turn::Now);
        assert_eq!(turns.take(pace, at(0)), Turn::Now);
        assert_eq!(turns.take(pace, at(0)), Turn::AfterAnother);
        turns.end();
        assert_eq!(turns.take(pace, at(0)), Turn::Now);
    }

    #[test]
    fn so_many_a_second_and_no_more() {
        let pace = Pace::shared(None, number(10), number(2).unwrap());
        let mut turns = Turns::default();
        assert_eq!(turns.take(pace, at(0)), Turn::Now);
        assert_eq!(turns.take(pace, at(50)), Turn::In(Duration::from_millis(150)));
        assert_eq!(turns.take(pace, at(200)), Turn::Now);
        // A quiet time is not saved up.
        assert_eq!(turns.take(pace, at(10_000)), Turn::Now);
        assert_eq!(turns.take(pace, at(10_000)), Turn::In(Duration::from_millis(200)));
    }

    #[test]
    fn who_is_put_back_comes_one_after_another() {
        let seconds = |turns: &mut Turns, pace, ms| {
            let mut put_back = || turns.put_back(pace, at(ms)).as_millis();
            [put_back(), put_back(), put_back()]
        };
        let slow = Pace::shared(None, number(2), number(10).unwrap());
        let mut turns = Turns::default();
        assert_eq!(turns.take(slow, at(100)), Turn::Now);
        assert_eq!(seconds(&mut turns, slow, 100), [5_000, 10_000, 15_000]);
        // The third is due at 15.1 s.
        assert_eq!(seconds(&mut turns, slow, 14_100), [6_000, 11_000, 16_000]);
        assert_eq!(seconds(&mut turns, slow, 90_000), [5_000, 10_000, 15_000]);
        let narrow = Pace::shared(number(4), None, NonZeroU32::MIN);
        assert_eq!(seconds(&mut Turns::default(), narrow, 0), [250, 500, 750]);
        let both = Pace::shared(number(4), number(2), NonZeroU32::MIN);
        assert_eq!(seconds(&mut Turns::default(), both, 0), [500, 1_000, 1_500]);
        let mut turns = Turns::default();
        let last = (0..1_000).map(|_| turns.put_back(slow, at(0))).last();
        assert_eq!(last, Some(PUT_BACK_MAX));
    }

    #[test]
    fn every_process_may_make_an_attempt() {
        let pace = Pace::shared(number(1), None, number(10).unwrap());
        let mut turns = Turns::default();
        assert_eq!(turns.take(pace, at(0)), Turn::Now);
        assert_eq!(turns.take(pace, at(0)), Turn::AfterAnother);
    }
}
