//! What still fits before the function's end? An attempt that the end cuts off has an unknown outcome
//! and is repeated, so none is started that could not end, and be answered for, in time.
//!
//! An attempt is followed by a dead letter's send, if it comes to that, and by the response.

use std::time::Duration;

use crate::time::Timestamp;

/// What a dead letter's send may take.
pub const DEAD_LETTER_SEND: Duration = Duration::from_secs(2);

/// Kept back at the end of an invocation for changes of visibility and the response.
pub const RESPONSE: Duration = Duration::from_millis(500);

/// How much of an invocation an attempt that may take `attempt_timeout` needs, with all that follows.
#[must_use]
pub fn needed(attempt_timeout: Duration) -> Duration {
    attempt_timeout + DEAD_LETTER_SEND + RESPONSE
}

/// Whether an attempt that may take `attempt_timeout` can start at `now`.
#[must_use]
pub fn may_start(now: Timestamp, deadline: Timestamp, attempt_timeout: Duration) -> bool {
    now.plus(needed(attempt_timeout)) <= deadline
}

/// How long an attempt that may take `attempt_timeout` can still wait for its turn.
#[must_use]
pub fn time_to_wait(now: Timestamp, deadline: Timestamp, attempt_timeout: Duration) -> Duration {
    deadline.since(now.plus(needed(attempt_timeout)))
}

/// What is left for calls to AWS's services, dead letters among them: after it the response is due.
#[must_use]
pub fn time_for_calls(now: Timestamp, deadline: Timestamp) -> Duration {
    deadline.since(now.plus(RESPONSE))
}

/// What is left for changes of visibility: the response must still get out.
#[must_use]
pub fn time_for_visibility(now: Timestamp, deadline: Timestamp) -> Duration {
    deadline.since(now.plus(RESPONSE / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(ms: u64) -> Timestamp {
        Timestamp::from_ms(1_000_000 + ms)
    }

    #[test]
    fn an_attempt_needs_its_timeout_a_dead_letter_and_the_response() {
        let timeout = Duration::from_secs(5);
        assert_eq!(needed(timeout), Duration::from_millis(7_500));
        assert!(may_start(after(0), after(7_500), timeout));
        assert!(!may_start(after(0), after(7_499), timeout));
    }

    #[test]
    fn after_the_longest_attempt_there_is_time_for_its_dead_letter() {
        let timeout = Duration::from_secs(5);
        let (deadline, ended) = (after(7_500), after(5_000));
        assert_eq!(time_for_calls(ended, deadline), DEAD_LETTER_SEND);
        assert_eq!(time_to_wait(after(0), deadline, timeout), Duration::ZERO);
        assert_eq!(time_to_wait(after(0), after(9_000), timeout), Duration::from_millis(1_500));
    }

    #[test]
    fn the_response_gets_out_last() {
        assert_eq!(time_for_calls(after(0), after(400)), Duration::ZERO);
        assert_eq!(time_for_visibility(after(0), after(400)), Duration::from_millis(150));
        assert_eq!(time_for_visibility(after(0), after(250)), Duration::ZERO);
    }
}
