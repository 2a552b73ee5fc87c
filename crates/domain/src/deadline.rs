//! May this attempt still start? An attempt that the function's end cuts off has an unknown outcome
//! and is repeated; so none is started that could not end in time.

use std::time::Duration;

use crate::time::Timestamp;

/// Kept back at the end of an invocation for dead letters, visibility changes and the response.
pub const RESPONSE_MARGIN: Duration = Duration::from_millis(500);

/// Whether an attempt that may take `attempt_timeout` ends, with room to report it, by `deadline`.
#[must_use]
pub fn may_start(now: Timestamp, deadline: Timestamp, attempt_timeout: Duration) -> bool {
    now.plus(attempt_timeout).plus(RESPONSE_MARGIN) <= deadline
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_needs_its_timeout_and_the_margin() {
        let now = Timestamp::from_ms(1_000_000);
        let timeout = Duration::from_secs(5);
        assert!(may_start(now, Timestamp::from_ms(1_005_500), timeout));
        assert!(!may_start(now, Timestamp::from_ms(1_005_499), timeout));
    }
}
