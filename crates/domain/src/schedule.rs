//! When the next attempt is made: exponential, jittered, capped.
//!
//! SQS's visibility timeouts are whole seconds, so delays are as well. The jitter is a function of
//! the event and the attempt: it spreads events, and a test or a reader can repeat it.

use std::time::Duration;

/// A retry schedule: the delays between the attempts of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    initial_delay_seconds: u32,
    max_delay_seconds: u32,
}

/// Jitter takes at most this share off a delay. It only shortens, so the cap holds, and it is small,
/// because every attempt costs a receive and SQS counts to a thousand.
const JITTER_PERCENT: u64 = 10;

/// Delay before the second attempt, unless the configuration says otherwise, in seconds.
pub const INITIAL_DELAY_SECONDS: u32 = 2;
/// Longest delay between two attempts, unless the configuration says otherwise, in seconds.
pub const MAX_DELAY_SECONDS: u32 = 300;

impl Default for Schedule {
    fn default() -> Self {
        Self { initial_delay_seconds: INITIAL_DELAY_SECONDS, max_delay_seconds: MAX_DELAY_SECONDS }
    }
}

impl Schedule {
    /// A schedule that doubles `initial_delay_seconds` up to `max_delay_seconds`.
    /// Returns `None` unless `1 <= initial <= max`.
    #[must_use]
    pub fn new(initial_delay_seconds: u32, max_delay_seconds: u32) -> Option<Self> {
        (1..=max_delay_seconds)
            .contains(&initial_delay_seconds)
            .then_some(Self { initial_delay_seconds, max_delay_seconds })
    }

    /// The delay after the first failed attempt, in seconds.
    #[must_use]
    pub(crate) fn initial_delay_seconds(self) -> u32 {
        self.initial_delay_seconds
    }

    /// The longest delay.
    #[must_use]
    pub fn max_delay(self) -> Duration {
        Duration::from_secs(u64::from(self.max_delay_seconds))
    }

    /// The delay after the failed attempt number `attempt` (from 1) of the event `event_id`:
    /// whole seconds, at least one, at most the cap.
    #[must_use]
    pub fn delay(self, event_id: &str, attempt: u32) -> Duration {
        let full_ms = u64::from(self.full_delay_seconds(attempt)) * 1_000;
        let jitter_ms = full_ms * JITTER_PERCENT / 100;
        let taken_ms = hash(event_id, attempt) % (jitter_ms + 1);
        Duration::from_secs((full_ms - taken_ms).div_ceil(1_000))
    }

    /// The number, from 1, of the attempt that a message with this receive count and this age is at.
    ///
    /// A receive is not an attempt: a message that waits behind a failing one of its group is
    /// received as often as that one. So the count is bounded by the attempts that this schedule
    /// could have made in the message's life at all.
    #[must_use]
    pub fn attempt_number(self, receive_count: u32, age: Duration) -> u32 {
        receive_count.clamp(1, self.attempts_within(age))
    }

    /// How many attempts the schedule can make in `age` at most: the first one, and one more for
    /// each shortest delay that has passed.
    #[must_use]
    pub fn attempts_within(self, age: Duration) -> u32 {
        let (mut attempts, mut left_seconds) = (1_u32, age.as_secs());
        loop {
            let shortest = u64::from(self.shortest_delay_seconds(attempts));
            if self.full_delay_seconds(attempts) == self.max_delay_seconds {
                let rest = u32::try_from(left_seconds / shortest).unwrap_or(u32::MAX);
                return attempts.saturating_add(rest);
            }
            if left_seconds < shortest {
                return attempts;
            }
            left_seconds -= shortest;
            attempts += 1;
        }
    }

    fn full_delay_seconds(self, attempt: u32) -> u32 {
        let doublings = attempt.saturating_sub(1).min(31);
        let delay = u64::from(self.initial_delay_seconds) << doublings;
        u32::try_from(delay).unwrap_or(u32::MAX).min(self.max_delay_seconds)
    }

    fn shortest_delay_seconds(self, attempt: u32) -> u32 {
        let full = u64::from(self.full_delay_seconds(attempt));
        let shortest = (full * (100 - JITTER_PERCENT)).div_ceil(100);
        u32::try_from(shortest).expect("at most the full delay, a u32")
    }
}

/// FNV-1a over the id, mixed with the attempt (the finaliser of SplitMix64): stable across
/// processes and releases, which `std`'s hasher does not promise.
fn hash(event_id: &str, attempt: u32) -> u64 {
    let fnv = event_id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut mixed = fnv.wrapping_add(u64::from(attempt).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn schedules() -> impl Strategy<Value = Schedule> {
        (1_u32..=3_600, 0_u32..=3_600).prop_map(|(initial, more)| {
            Schedule::new(initial, initial + more).expect("initial <= max")
        })
    }

    /// Computed apart from this code: a release that mixes otherwise would move every waiting event.
    #[test]
    fn the_hash_is_the_same_in_every_release() {
        assert_eq!(hash("evt-1", 1), 0x4013_6300_7068_ac7f);
        assert_eq!(hash("evt-1", 2), 0xe107_ace5_a9a3_1271);
        assert_eq!(hash("", 1), 0xc381_7c01_6ba4_ff30);
    }

    #[test]
    fn up_to_a_whole_tenth_is_taken_off_and_no_more() {
        let schedule = Schedule::new(10, 10).unwrap();
        assert_eq!(schedule.initial_delay_seconds(), 10);
        let delays = (0..20_000).map(|n| schedule.delay(&format!("event-{n}"), 1).as_secs());
        let seen: std::collections::BTreeSet<u64> = delays.collect();
        // 9 s only where all of the 1,000 ms are taken off, as seconds are whole.
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [9, 10]);
    }

    #[test]
    fn the_default_doubles_from_two_seconds_to_five_minutes() {
        let delays: Vec<u64> =
            (1..=9).map(|attempt| Schedule::default().delay("event", attempt).as_secs()).collect();
        for (delay, full) in delays.iter().zip([2, 4, 8, 16, 32, 64, 128, 256, 300]) {
            assert!((full * 9_u64).div_ceil(10) <= *delay && *delay <= full, "{delays:?}");
        }
    }

    #[test]
    fn events_are_spread() {
        let delays: std::collections::BTreeSet<Duration> =
            (0..100).map(|n| Schedule::default().delay(&format!("event-{n}"), 9)).collect();
        assert!(delays.len() > 20, "{delays:?}");
    }

    #[test]
    fn a_schedule_needs_a_delay_and_a_cap_above_it() {
        assert_eq!(Schedule::new(0, 10), None);
        assert_eq!(Schedule::new(11, 10), None);
        assert!(Schedule::new(10, 10).is_some());
    }

    #[test]
    fn receives_behind_a_failing_message_are_not_attempts() {
        let schedule = Schedule::default();
        assert_eq!(schedule.attempt_number(400, Duration::ZERO), 1);
        assert_eq!(schedule.attempt_number(400, Duration::from_secs(2)), 2);
        assert_eq!(schedule.attempt_number(1, Duration::from_hours(72)), 1);
        assert_eq!(schedule.attempt_number(0, Duration::ZERO), 1);
    }

    proptest! {
        #[test]
        fn a_delay_stays_within_jitter_and_cap(
            schedule in schedules(), id in ".*", attempt in 1_u32..2_000,
        ) {
            let delay = schedule.delay(&id, attempt);
            prop_assert!(delay >= Duration::from_secs(1));
            prop_assert!(delay <= schedule.max_delay());
            prop_assert!(delay.as_secs() >= u64::from(schedule.shortest_delay_seconds(attempt)));
            prop_assert_eq!(delay, schedule.delay(&id, attempt));
        }

        #[test]
        fn attempts_never_outrun_the_schedule(
            schedule in schedules(), id in "[a-z]{1,8}", attempts in 1_u32..200,
        ) {
            let age: Duration = (1..attempts).map(|attempt| schedule.delay(&id, attempt)).sum();
            prop_assert!(schedule.attempts_within(age) >= attempts);
            prop_assert_eq!(schedule.attempt_number(attempts, age), attempts);
        }
    }
}
