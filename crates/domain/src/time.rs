//! Points in time, as values. Nothing here knows what time it is.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A point in time, in whole milliseconds since the Unix epoch, as SQS and API Gateway give it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

/// A time that a process counts from its start, by a clock that nobody sets: what its pauses are
/// measured by. It is never compared with a [`Timestamp`], which leaves the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Uptime(Duration);

impl Uptime {
    /// The time `elapsed` after the process's start.
    #[must_use]
    pub fn from_start(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    /// The time from `earlier` until this, zero when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// This time and `duration`.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

/// The last millisecond that RFC 3339 can write: 9999-12-31T23:59:59.999Z.
const LAST_MS: u64 = 253_402_300_799_999;

impl Timestamp {
    /// A point `ms` milliseconds after the Unix epoch; what lies after the year 9999 becomes its end.
    #[must_use]
    pub fn from_ms(ms: u64) -> Self {
        Self(ms.min(LAST_MS))
    }

    /// A point so many seconds, or milliseconds, after the Unix epoch: whichever makes it a time
    /// between 1973 and the year 5138.
    #[must_use]
    pub fn from_seconds_or_ms(number: u64) -> Self {
        /// What lies below is seconds: in milliseconds it would be before 1973.
        const MILLISECONDS_FROM: u64 = 100_000_000_000;
        Self::from_ms(if number < MILLISECONDS_FROM { number * 1_000 } else { number })
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub fn as_ms(self) -> u64 {
        self.0
    }

    /// The time from `earlier` until this, zero when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// This point without `duration`, at the earliest the Unix epoch.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_sub(ms))
    }

    /// This point and `duration`.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self::from_ms(self.0.saturating_add(ms))
    }
}

/// Reads RFC 3339 in UTC, such as `2026-01-31T12:00:00Z`, with or without parts of a second.
impl FromStr for Timestamp {
    type Err = humantime::TimestampError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        humantime::parse_rfc3339(text).map(Self::from)
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::default().plus(since_epoch)
    }
}

/// RFC 3339 in UTC with milliseconds: `2026-01-31T12:00:00.123Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = UNIX_EPOCH + Duration::from_millis(self.0);
        humantime::format_rfc3339_millis(time).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_written_as_rfc_3339_whatever_its_value() {
        assert_eq!(Timestamp::from_ms(1_767_225_600_123).to_string(), "2026-01-01T00:00:00.123Z");
        assert_eq!(Timestamp::from_ms(u64::MAX).to_string(), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn what_is_written_can_be_read() {
        let time = Timestamp::from_ms(1_767_225_600_123);
        assert_eq!(time.to_string().parse(), Ok(time));
        assert_eq!("2026-01-01T00:00:00Z".parse(), Ok(Timestamp::from_ms(1_767_225_600_000)));
        assert!("2026-01-01".parse::<Timestamp>().is_err());
    }

    #[test]
    fn an_age_is_never_negative() {
        let (early, late) = (Timestamp::from_ms(1_000), Timestamp::from_ms(3_500));
        assert_eq!(late.since(early), Duration::from_millis(2_500));
        assert_eq!(early.since(late), Duration::ZERO);
    }
}
