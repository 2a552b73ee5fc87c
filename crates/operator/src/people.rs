//! Times as people say them, beside sizes and texts; on the clock [`crate::zone`] tells them.

use std::time::{Duration, SystemTime};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use commands::Output;
use domain::time::Timestamp;
use terminal::table::Width;
pub(crate) use terminal::text::{bytes, count, printable, printable_lines, span};

/// How wide a table may be.
pub(crate) fn width(output: Output) -> Width {
    if output.wide() { Width::Any } else { Width::of_stdout() }
}

/// What time it is.
pub(crate) fn now() -> Timestamp {
    SystemTime::now().into()
}

/// So long before a time.
pub(crate) fn before(time: Timestamp, duration: Duration) -> Timestamp {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Timestamp::from_ms(time.as_ms().saturating_sub(ms))
}

/// A time as logs and the engine write it: RFC 3339.
pub(crate) fn time(rfc_3339: &str) -> Option<Timestamp> {
    let time = DateTime::from_str(rfc_3339, Format::DateTimeWithOffset).ok()?;
    Some(Timestamp::from_ms(u64::try_from(time.to_millis().ok()?).ok()?))
}

/// A time as HTTP writes it, such as `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(crate) fn http_date(text: &str) -> Option<Timestamp> {
    let date = DateTime::from_str(text, Format::HttpDate).ok()?;
    Some(Timestamp::from_ms(u64::try_from(date.to_millis().ok()?).ok()?))
}

/// `3 min ago`.
pub(crate) fn ago(time: Timestamp, now: Timestamp) -> String {
    format!("{} ago", span(now.since(time)))
}

/// How many events wait: `1 event waits`, `2 events wait`.
pub(crate) fn events_wait(events: u64) -> String {
    format!("{} {}", count(events, "event"), if events == 1 { "waits" } else { "wait" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_logs_are_read() {
        let parsed = time("2026-01-01T00:00:00.123Z").unwrap();
        assert_eq!(parsed.as_ms(), 1_767_225_600_123);
        assert_eq!(time("yesterday"), None);
    }
}
