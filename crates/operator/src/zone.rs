//! The clock by which people are told times: UTC, or with `--local` that of `TZ` or of this machine, each
//! time with its offset. Everything for people asks here; JSON, logs and names of files are in UTC.
//!
//! The zones' rules are the machine's own (`/usr/share/zoneinfo`), read by jiff.

use std::sync::OnceLock;

use anyhow::Context as _;
use domain::time::Timestamp;
use jiff::tz::TimeZone;
use terminal::exit::Failure;

use crate::people::time;

/// UTC as long as nobody chose.
static CHOSEN: OnceLock<Zone> = OnceLock::new();
static UTC: Zone = Zone(None);

/// UTC, or a zone with offsets.
struct Zone(Option<TimeZone>);

/// Tells times by `TZ`, or by this machine's zone, from now on.
///
/// # Errors
///
/// When that is not known here.
pub(crate) fn be_local() -> anyhow::Result<()> {
    let zone = TimeZone::try_system().context(
        "--local: the zone of this machine is not known; name it with TZ, such as TZ=Asia/Tokyo (of those \
         in /usr/share/zoneinfo), or leave --local out",
    );
    let zone = Zone(Some(zone.map_err(|error| Failure::Environment.of(error))?));
    // Chosen once: there is one command line.
    let _ = CHOSEN.set(zone);
    Ok(())
}

fn chosen() -> &'static Zone {
    CHOSEN.get().unwrap_or(&UTC)
}

/// The zone's name, for a heading: `WHEN (UTC)`.
pub(crate) fn heading(of: &str) -> String {
    format!("{of} ({})", chosen().name())
}

/// To the second: `2026-11-23 10:00:00`, for a column whose heading names the zone.
pub(crate) fn to_the_second(at: Timestamp) -> String {
    chosen().told(at, "%Y-%m-%d %H:%M:%S", "")
}

/// The same of a time as it is kept, RFC 3339.
pub(crate) fn kept_to_the_second(rfc_3339: &str) -> String {
    let as_kept = || rfc_3339.get(..19).unwrap_or(rfc_3339).replace('T', " ");
    time(rfc_3339).map_or_else(as_kept, to_the_second)
}

/// To the millisecond, of a time as it is kept, RFC 3339: `2026-11-23 10:00:00.123`.
pub(crate) fn kept_to_the_millisecond(rfc_3339: &str) -> String {
    let as_kept = || rfc_3339.replace('T', " ").replace('Z', "");
    let told = |at| chosen().told(at, "%Y-%m-%d %H:%M:%S%.3f", "");
    time(rfc_3339).map_or_else(as_kept, told)
}

/// In a sentence: `2026-11-23 10:00:00 UTC`.
pub(crate) fn in_words(at: Timestamp) -> String {
    chosen().told(at, "%Y-%m-%d %H:%M:%S", " UTC")
}

/// In a short sentence, to the minute, and without the date where it is today's: `10:00 UTC`.
pub(crate) fn clock(at: Timestamp, now: Timestamp) -> String {
    chosen().clock(at, now)
}

/// To the minute: `2026-11-23 10:00`.
pub(crate) fn to_the_minute(at: Timestamp) -> String {
    chosen().told(at, "%Y-%m-%d %H:%M", "")
}

/// To the minute without the year, where there is little room: `11-23 10:00`.
pub(crate) fn short(at: Timestamp) -> String {
    chosen().told(at, "%m-%d %H:%M", "")
}

/// All of it, as RFC 3339.
pub(crate) fn exact(at: Timestamp) -> String {
    chosen().told(at, "%Y-%m-%dT%H:%M:%S%.3f", "Z")
}

impl Zone {
    fn name(&self) -> &str {
        match &self.0 {
            None => "UTC",
            // `/etc/localtime` may be a copy, which has no name; the times have their offset.
            Some(zone) => zone.iana_name().unwrap_or("local"),
        }
    }

    /// A time with its offset; in UTC with `utc` behind it instead.
    fn told(&self, at: Timestamp, format: &str, utc: &str) -> String {
        let instant = i64::try_from(at.as_ms()).ok();
        let instant = instant.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
        // Later than jiff can tell: the year 9999.
        let Some(instant) = instant else { return at.to_string() };
        match &self.0 {
            None => instant.strftime(format).to_string() + utc,
            Some(zone) => instant
                .to_zoned_datetime(zone.clone())
                .strftime(&format!("{format}%:z"))
                .to_string(),
        }
    }

    fn clock(&self, at: Timestamp, now: Timestamp) -> String {
        let day = |at| self.told(at, "%F", "").chars().take("2026-11-23".len()).collect::<String>();
        let format = if day(at) == day(now) { "%H:%M" } else { "%Y-%m-%d %H:%M" };
        self.told(at, format, " UTC")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> Zone {
        Zone(Some(TimeZone::get(name).unwrap()))
    }

    fn at(text: &str) -> Timestamp {
        time(text).unwrap()
    }

    #[test]
    fn a_time_is_told_on_the_zone_s_clock_with_its_offset() {
        let told = |zone: &Zone, text| zone.told(at(text), "%Y-%m-%d %H:%M:%S", " UTC");
        assert_eq!(told(&UTC, "2026-01-01T23:30:00.999Z"), "2026-01-01 23:30:00 UTC");
        let (tokyo, new_york) = (zone("Asia/Tokyo"), zone("America/New_York"));
        assert_eq!(told(&tokyo, "2026-01-01T23:30:00Z"), "2026-01-02 08:30:00+09:00");
        assert_eq!(told(&new_york, "2026-01-01T03:30:00Z"), "2025-12-31 22:30:00-05:00");
        // From winter to summer, and back: the same hour comes twice, with another offset.
        assert_eq!(told(&new_york, "2026-03-08T06:59:59Z"), "2026-03-08 01:59:59-05:00");
        assert_eq!(told(&new_york, "2026-03-08T07:00:00Z"), "2026-03-08 03:00:00-04:00");
        assert_eq!(told(&new_york, "2026-11-01T05:30:00Z"), "2026-11-01 01:30:00-04:00");
        assert_eq!(told(&new_york, "2026-11-01T06:30:00Z"), "2026-11-01 01:30:00-05:00");
        assert_eq!((UTC.name(), tokyo.name()), ("UTC", "Asia/Tokyo"));
        assert_eq!(Zone(Some(TimeZone::fixed(jiff::tz::offset(2)))).name(), "local");
    }

    #[test]
    fn today_is_the_zone_s_own() {
        let tokyo = zone("Asia/Tokyo");
        // 23:50 and 00:10 in Tokyo, one day in UTC.
        let (before, after) = (at("2026-01-01T14:50:00Z"), at("2026-01-01T15:10:00Z"));
        assert_eq!(UTC.clock(after, before), "15:10 UTC");
        assert_eq!(tokyo.clock(after, before), "2026-01-02 00:10+09:00");
        // One day in Tokyo, two in UTC.
        let (before, after) = (at("2026-01-01T23:50:00Z"), at("2026-01-02T00:10:00Z"));
        assert_eq!(UTC.clock(after, before), "2026-01-02 00:10 UTC");
        assert_eq!(tokyo.clock(after, before), "09:10+09:00");
    }

    #[test]
    fn a_time_that_no_calendar_has_is_told_as_it_is() {
        let never = Timestamp::from_ms(u64::MAX);
        assert_eq!(zone("Asia/Tokyo").told(never, "%F", ""), never.to_string());
    }
}
