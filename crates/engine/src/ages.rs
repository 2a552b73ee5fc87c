//! How old events were when they were delivered: a histogram of few numbers, whose percentiles are told.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Buckets of ages: the first is of 1 ms, each bound is √2 of the one before, and the last, of 4 days and
/// more, has none. In the middle of one an age is told within 19 %.
const BUCKETS: u8 = 58;

/// How old events were at their delivery, by bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Ages(BTreeMap<u8, u64>);

impl Ages {
    pub(crate) fn note(&mut self, age: Duration) {
        let ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        let bucket = (0..BUCKETS - 1).find(|bucket| ms <= bound(f64::from(*bucket)));
        *self.0.entry(bucket.unwrap_or(BUCKETS - 1)).or_default() += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (bucket, count) in &other.0 {
            *self.0.entry(*bucket).or_default() += count;
        }
    }

    /// The age, in milliseconds, that so many percent were not above; `None` if there are none.
    pub(crate) fn percentile(&self, percent: u64) -> Option<u64> {
        let all: u64 = self.0.values().sum();
        let rank = (all * percent).div_ceil(100);
        let mut counted = 0;
        let bucket = self.0.iter().find(|(_, count)| {
            counted += *count;
            counted >= rank
        });
        bucket.map(|(bucket, _)| bound((f64::from(*bucket) - 0.5).max(0.0)))
    }
}

/// Where a bucket ends, in milliseconds; half a bucket less is its middle.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "2 to the power of 0 to 29"
)]
fn bound(bucket: f64) -> u64 {
    (bucket / 2.0).exp2().round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_told_within_19_percent() {
        let mut ages = Ages::default();
        assert_eq!(ages.percentile(50), None, "nothing was delivered");
        for ms in [0_u64, 1, 2, 3, 7, 100, 250, 1_340, 60_000, 3_600_000, 259_200_000] {
            let mut one = Ages::default();
            one.note(Duration::from_millis(ms));
            let told = one.percentile(50).unwrap();
            assert!(told.abs_diff(ms) * 100 <= ms * 19 + 100, "{ms}: {told}");
        }
        (0..99).for_each(|_| ages.note(Duration::from_millis(100)));
        ages.note(Duration::from_hours(1));
        let (p50, p99) = (ages.percentile(50).unwrap(), ages.percentile(99).unwrap());
        assert_eq!(p50, p99);
        ages.note(Duration::from_hours(1));
        assert!(ages.percentile(99).unwrap() > 3_000_000);
        ages.note(Duration::MAX);
        assert_eq!(ages.0.last_key_value().unwrap().0, &(BUCKETS - 1));
    }
}
