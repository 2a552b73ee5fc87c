//! When is a secret fetched again, and when is a signature that does not match it final?
//!
//! A signature is wrong for good only if the secret was fetched after the event was accepted: before,
//! it may have been rotated in between. Such an event waits for the next fetch, and fetches are rare
//! however many forged events come.

use std::time::Duration;

use crate::time::{Timestamp, Uptime};

/// How long a secret is used unseen: a process that only ever gets good signatures must notice, too,
/// that a secret was withdrawn.
pub const FRESH: Duration = Duration::from_mins(5);

/// Time from one fetch of a secret to the next that a signature asks for, at least: forged events must
/// not become calls.
pub const FETCH_PAUSE: Duration = Duration::from_secs(10);

/// How far the clock that stamps events (SQS's, the engine's) and that of the forwarder may be apart.
/// Both are kept by NTP: Lambda's and SQS's by AWS, one machine has only one.
pub const CLOCK_SKEW: Duration = Duration::from_secs(1);

/// Pause after a fetch that failed; doubled with each further one.
pub const FAILURE_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause after fetches that failed.
pub const FAILURE_PAUSE_MAX: Duration = Duration::from_mins(1);

/// What is known of the fetches of one secret.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fetches {
    fetched: Option<Fetched>,
    failures: u32,
    failed: Uptime,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fetched {
    /// When the fetch began, by the wall clock: to be compared with events.
    at: Timestamp,
    uptime: Uptime,
}

/// What a signature that does not match means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mismatch {
    /// The secret is younger than the event: nothing will make it match.
    Final,
    /// The secret is to be fetched again, now.
    Fetch,
    /// It is not known yet; the secret may be fetched again after this time.
    Wait(Duration),
}

impl Fetches {
    /// Whether the secret has to be fetched before it is used.
    #[must_use]
    pub fn is_due(&self, now: Uptime) -> bool {
        self.fetched.is_none_or(|fetched| FRESH <= now.since(fetched.uptime))
    }

    /// How long the secret must not be fetched, since that has failed.
    #[must_use]
    pub fn failure_pause(&self, now: Uptime) -> Option<Duration> {
        let doublings = self.failures.checked_sub(1)?.min(31);
        let pause = FAILURE_PAUSE.saturating_mul(1 << doublings).min(FAILURE_PAUSE_MAX);
        let left = self.failed.plus(pause).since(now);
        (!left.is_zero()).then_some(left)
    }

    /// What it means that the signature of an event, accepted at `accepted_at` and given to this process at
    /// `given`, does not match.
    #[must_use]
    pub fn mismatch(
        &self,
        accepted_at: Timestamp,
        given: Uptime,
        wall: Timestamp,
        now: Uptime,
    ) -> Mismatch {
        let failure_pause = self.failure_pause(now);
        let Some(fetched) = self.fetched else {
            return failure_pause.map_or(Mismatch::Fetch, Mismatch::Wait);
        };
        let sure_from = accepted_at.plus(CLOCK_SKEW);
        if sure_from <= fetched.at {
            return Mismatch::Final;
        }
        let pause = fetched.uptime.plus(FETCH_PAUSE).since(now);
        // A clock that was set back since, or is far behind, must not make an event wait until it is there
        // again: whenever that was, the event was accepted before it was given to this process.
        let is_ahead = wall.plus(CLOCK_SKEW) < accepted_at;
        if is_ahead && given <= fetched.uptime {
            return Mismatch::Final;
        }
        let unsure = if is_ahead { Duration::ZERO } else { sure_from.since(wall).min(CLOCK_SKEW) };
        let wait = pause.max(unsure).max(failure_pause.unwrap_or_default());
        if wait.is_zero() { Mismatch::Fetch } else { Mismatch::Wait(wait) }
    }

    /// Takes note of a fetch that began at `wall`, `now`.
    pub fn fetched(&mut self, wall: Timestamp, now: Uptime) {
        *self = Self { fetched: Some(Fetched { at: wall, uptime: now }), ..Self::default() };
    }

    /// Takes note of a fetch that failed at `now`.
    pub fn failed(&mut self, now: Uptime) {
        self.failures = self.failures.saturating_add(1);
        self.failed = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wall(ms: u64) -> Timestamp {
        Timestamp::from_ms(1_767_225_600_000 + ms)
    }

    fn up(ms: u64) -> Uptime {
        Uptime::from_start(Duration::from_millis(ms))
    }

    fn fetched(ms: u64) -> Fetches {
        let mut fetches = Fetches::default();
        fetches.fetched(wall(ms), up(ms));
        fetches
    }

    fn wait(ms: u64) -> Mismatch {
        Mismatch::Wait(Duration::from_millis(ms))
    }

    #[test]
    fn a_secret_is_fetched_first_and_every_five_minutes() {
        assert!(Fetches::default().is_due(up(0)));
        assert!(!fetched(0).is_due(up(299_999)));
        assert!(fetched(0).is_due(up(300_000)));
    }

    #[test]
    fn a_mismatch_is_final_only_against_a_younger_secret() {
        let mismatch =
            |accepted| fetched(50_000).mismatch(wall(accepted), up(0), wall(70_000), up(70_000));
        assert_eq!(mismatch(40_000), Mismatch::Final);
        assert_eq!(mismatch(49_000), Mismatch::Final);
        // Nearer than the two clocks may be apart.
        assert_eq!(mismatch(49_001), Mismatch::Fetch);
        assert_eq!(mismatch(60_000), Mismatch::Fetch);
    }

    #[test]
    fn an_event_waits_for_a_fetch_that_will_tell_and_fetches_are_rare() {
        let at =
            |accepted, now| fetched(50_000).mismatch(wall(accepted), up(0), wall(now), up(now));
        assert_eq!(at(51_000, 52_500), wait(7_500));
        assert_eq!(at(51_000, 59_999), wait(1));
        assert_eq!(at(51_000, 60_000), Mismatch::Fetch);
    }

    #[test]
    fn a_fetch_right_after_acceptance_would_not_tell() {
        let at = |now| fetched(0).mismatch(wall(60_000), up(0), wall(now), up(now));
        assert_eq!(at(60_200), wait(800));
        assert_eq!(at(61_000), Mismatch::Fetch);
        // As far as the two clocks may be apart.
        assert_eq!(at(59_000), wait(1_000));
    }

    #[test]
    fn a_wrong_clock_does_not_make_an_event_wait_for_ever() {
        let (behind, far_ahead) = (wall(0), wall(3_600_000));
        let given = |at: u64, now: u64| fetched(0).mismatch(far_ahead, up(at), behind, up(now));
        assert_eq!(given(9_000, 9_000), wait(1_000));
        assert_eq!(given(60_000, 60_000), Mismatch::Fetch);
        assert_eq!(given(1, 1), wait(9_999));
        // Fetched since it was given to this process, and so since it was accepted.
        assert_eq!(given(0, 0), Mismatch::Final);
    }

    #[test]
    fn failed_fetches_back_off_and_a_good_one_ends_that() {
        let mut fetches = Fetches::default();
        assert_eq!(fetches.failure_pause(up(0)), None);
        for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
            fetches.failed(up(5_000));
            let pause = Duration::from_secs(pause);
            assert_eq!(fetches.failure_pause(up(5_000)), Some(pause));
            assert_eq!(fetches.failure_pause(up(5_000).plus(pause)), None);
        }
        (0..100).for_each(|_| fetches.failed(up(5_000)));
        assert_eq!(fetches.failure_pause(up(5_000)), Some(FAILURE_PAUSE_MAX));
        fetches.fetched(wall(9_000), up(9_000));
        assert_eq!(fetches.failure_pause(up(9_000)), None);
    }

    #[test]
    fn a_secret_that_was_never_there_is_asked_for_and_not_without_end() {
        let mut fetches = Fetches::default();
        assert_eq!(fetches.mismatch(wall(0), up(0), wall(0), up(0)), Mismatch::Fetch);
        fetches.failed(up(0));
        assert_eq!(fetches.mismatch(wall(0), up(0), wall(0), up(0)), wait(1_000));
    }

    #[test]
    fn a_secret_that_cannot_be_fetched_again_keeps_the_event_waiting() {
        let mut fetches = fetched(0);
        (0..3).for_each(|_| fetches.failed(up(60_000)));
        assert_eq!(fetches.mismatch(wall(30_000), up(0), wall(60_500), up(60_500)), wait(3_500));
    }
}
