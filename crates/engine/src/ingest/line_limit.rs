//! How many lines of one kind the log gets, where strangers decide how many there are.

use std::sync::{Mutex, PoisonError};

use crate::clock::Uptime;

/// Lines that come at once, at most; from then on one a second does.
const BURST: u32 = 100;

/// A limit. Whoever is beyond it is counted.
#[derive(Debug, Default)]
pub(super) struct LineLimit(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Lines of the burst that are used up, and when the last of them was given back.
    used: u32,
    counted_at: Uptime,
    unsaid: u64,
}

impl LineLimit {
    /// Whether one more line is to be written, and how many were not since the last one.
    pub(super) fn one_more(&self, now: Uptime) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = now.since(state.counted_at).as_secs();
        if passed > 0 {
            state.used = state.used.saturating_sub(u32::try_from(passed).unwrap_or(u32::MAX));
            state.counted_at = now;
        }
        if state.used >= BURST {
            state.unsaid += 1;
            return None;
        }
        state.used += 1;
        Some(std::mem::take(&mut state.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_has_lines_and_then_one_a_second_does_that_counts_the_others() {
        let limit = LineLimit::default();
        let at = |seconds| Uptime::from_start(Duration::from_secs(seconds));
        let written =
            |from: &LineLimit, at| (0..1_000).filter(|_| from.one_more(at).is_some()).count();
        assert_eq!(written(&limit, at(10)), 100);
        assert_eq!(limit.one_more(at(11)), Some(900));
        assert_eq!(limit.one_more(at(11)), None);
        assert_eq!(limit.one_more(at(12)), Some(1));
        assert_eq!(written(&limit, at(1_000)), 100, "as many as at first");

        let at_ms = |ms| Uptime::from_start(Duration::from_millis(ms));
        assert_eq!(limit.one_more(at_ms(1_000_600)), None);
        assert_eq!(
            limit.one_more(at_ms(1_001_200)),
            Some(901),
            "who asked meanwhile began nothing"
        );
    }
}
