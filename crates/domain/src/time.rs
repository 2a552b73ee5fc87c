//! Points in time, as values. Nothing here knows what time it is.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A point in time, in whole milliseconds since the Unix epoch, as SQS and API Gateway give it. In JSON
/// it is RFC 3339.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(into = "String", try_from = "String")]
pub struct Timestamp(u64);

/// A time that is counted from a start, the process's or the machine's, by a clock that nobody sets: what
/// pauses are measured by. It is never compared with a [`Timestamp`], which leaves the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Uptime(Duration);

impl Uptime {
    /// The time `elapsed` after the start.
    #[must_use]
    pub fn from_start(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    /// The time since the start.
    #[must_use]
    pub fn since_start(self) -> Duration {
        self.0
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

/// Reads RFC 3339, such as `2026-01-31T12:00:00Z` or `2026-01-31T21:00:00.5+09:00`.
impl FromStr for Timestamp {
    type Err = humantime::TimestampError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.to_ascii_uppercase();
        let parsed = match text.strip_suffix('Z') {
            Some(local) => Some((local, true, Duration::ZERO)),
            None => split_offset(&text),
        };
        // What follows the seconds is looked at here: the parser lets more pass than RFC 3339 does.
        let (local, is_east, offset) = parsed
            .filter(|(local, ..)| local.get(LOCAL_TIME_BYTES..).is_some_and(is_fraction))
            .ok_or(humantime::TimestampError::InvalidFormat)?;
        let local = Self::from(humantime::parse_rfc3339(&format!("{local}Z"))?);
        let epoch = Self::default();
        Ok(if is_east { epoch.plus(local.since(epoch.plus(offset))) } else { local.plus(offset) })
    }
}

const LOCAL_TIME_BYTES: usize = "2026-01-31T12:00:00".len();

/// Whether this may follow the seconds of a time.
fn is_fraction(text: &str) -> bool {
    let digits = text.strip_prefix('.');
    text.is_empty()
        || digits.is_some_and(|d| !d.is_empty() && d.bytes().all(|byte| byte.is_ascii_digit()))
}

/// `…+09:00` as the time on that clock, whether it is ahead of UTC, and by how much it is off.
fn split_offset(text: &str) -> Option<(&str, bool, Duration)> {
    let (local, offset) = text.split_at_checked(text.len().checked_sub("+00:00".len())?)?;
    let is_east = offset.starts_with('+');
    let (hours, minutes) = offset.strip_prefix(['+', '-'])?.split_once(':')?;
    let number = |text: &str, max: u64| {
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|number: &u64| digits && *number <= max)
    };
    let seconds = number(hours, 23)? * 3_600 + number(minutes, 59)? * 60;
    Some((local, is_east, Duration::from_secs(seconds)))
}

impl TryFrom<String> for Timestamp {
    type Error = humantime::TimestampError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Timestamp> for String {
    fn from(time: Timestamp) -> Self {
        time.to_string()
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
    fn a_number_is_seconds_until_1973_in_milliseconds() {
        let ms = |number| Timestamp::from_seconds_or_ms(number).as_ms();
        assert_eq!(ms(99_999_999_999), 99_999_999_999_000);
        assert_eq!(ms(100_000_000_000), 100_000_000_000);
    }

    #[test]
    fn an_uptime_is_what_passed_since_the_start() {
        let start = Uptime::from_start(Duration::from_millis(1_500));
        assert_eq!(start.plus(Duration::from_secs(1)).since_start(), Duration::from_millis(2_500));
    }

    #[test]
    fn what_is_written_can_be_read() {
        let time = Timestamp::from_ms(1_767_225_600_123);
        assert_eq!(time.to_string().parse(), Ok(time));
        assert_eq!("2026-01-01T00:00:00Z".parse(), Ok(Timestamp::from_ms(1_767_225_600_000)));
        assert!("2026-01-01".parse::<Timestamp>().is_err());
    }

    /// The first are the examples of RFC 3339, "Examples".
    #[test]
    fn every_form_of_rfc_3339_is_read() {
        for (text, utc) in [
            ("1985-04-12T23:20:50.52Z", "1985-04-12T23:20:50.520Z"),
            ("1996-12-19T16:39:57-08:00", "1996-12-20T00:39:57.000Z"),
            ("2026-01-01t09:00:00.123456789z", "2026-01-01T09:00:00.123Z"),
            ("2026-01-01T09:00:00.5+09:00", "2026-01-01T00:00:00.500Z"),
            ("2026-01-01T00:15:00+00:30", "2025-12-31T23:45:00.000Z"),
            ("2026-01-01T00:00:00-00:00", "2026-01-01T00:00:00.000Z"),
            ("1970-01-01T00:00:00+09:00", "1970-01-01T00:00:00.000Z"),
        ] {
            let read: Result<Timestamp, _> = text.parse();
            assert_eq!(read.map(|time| time.to_string()).as_deref(), Ok(utc), "{text}");
        }
        for text in [
            "",
            "+09:00",
            "2026-01-01T09:00:00",
            "2026-01-01T09:00:00+0900",
            "2026-01-01T09:00:00+9:000",
            "2026-01-01T09:00:00+24:00",
            "2026-01-01T09:00:00+00:60",
            "2026-01-01T09:00:00+-1:00",
            "2026-01-01T09:00:00Z+09:00",
            "2026-01-01T09:00:00.+09:00",
            "2026-01-01T09:00:00.Z",
            "2026-01-01T09:00:00Z1Z",
            "2026-01-01T09:00Z",
            "2026-01-01 09:00:00Z",
            "2026-01-01T09:00:00注09:00",
            "2026-01-01T09:00:00 09:00",
            "2026-13-01T09:00:00Z",
        ] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_age_is_never_negative() {
        let (early, late) = (Timestamp::from_ms(1_000), Timestamp::from_ms(3_500));
        assert_eq!(late.since(early), Duration::from_millis(2_500));
        assert_eq!(early.since(late), Duration::ZERO);
    }
}
