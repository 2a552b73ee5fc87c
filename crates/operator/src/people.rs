//! Times, sizes and texts as people read them. Exact ones are in the JSON.

use std::io::{ErrorKind, Write as _};
use std::time::{Duration, SystemTime};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use domain::time::Timestamp;

/// Writes to standard output. Who has read enough, such as `head`, is no failure.
pub(crate) fn print(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
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

/// `3 min`: the two largest units at most.
pub(crate) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let two = |large: u64, large_unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{large} {large_unit}"),
        _ => format!("{large} {large_unit} {small} {small_unit}"),
    };
    match seconds {
        0 => format!("{} ms", duration.as_millis()),
        1..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => two(seconds / 3_600, "h", seconds % 3_600 / 60, "min"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    }
}

/// `1.2 MB`.
pub(crate) fn bytes(bytes: u64) -> String {
    let units = ["kB", "MB", "GB", "TB"];
    if bytes < 1_000 {
        return format!("{bytes} B");
    }
    let (mut tenths, mut unit) = (bytes / 100, 0);
    while tenths >= 10_000 && unit + 1 < units.len() {
        tenths /= 1_000;
        unit += 1;
    }
    match tenths {
        0..100 => format!("{}.{} {}", tenths / 10, tenths % 10, units[unit]),
        _ => format!("{} {}", tenths / 10, units[unit]),
    }
}

/// A number with its noun: `1 event`, `2 events`.
pub(crate) fn count(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// How many events wait: `1 event waits`, `2 events wait`.
pub(crate) fn events_wait(events: u64) -> String {
    format!("{} {}", count(events, "event"), if events == 1 { "waits" } else { "wait" })
}

/// A time to the second, without the `T`: `2026-11-23 10:00:00`.
pub(crate) fn to_the_second(time: Timestamp) -> String {
    let text = time.to_string();
    text.get(..19).unwrap_or(&text).replace('T', " ")
}

/// A text on one line, without control characters: much of it comes from outside.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_two_units_at_most() {
        let texts = [0, 59, 60, 3_599, 3_600, 11_520, 86_400, 100_000]
            .map(|seconds| span(Duration::from_secs(seconds)));
        assert_eq!(
            texts,
            ["0 ms", "59 s", "1 min", "59 min", "1 h", "3 h 12 min", "1 d", "1 d 3 h"]
        );
        assert_eq!(span(Duration::from_millis(12)), "12 ms");
    }

    #[test]
    fn sizes_have_two_digits_at_least() {
        let texts = [999, 1_000, 1_234_567, 12_345_678, 53_000_000_000, u64::MAX].map(bytes);
        assert_eq!(texts, ["999 B", "1.0 kB", "1.2 MB", "12 MB", "53 GB", "18446744 TB"]);
    }

    #[test]
    fn times_of_logs_are_read() {
        let parsed = time("2026-01-01T00:00:00.123Z").unwrap();
        assert_eq!(parsed.as_ms(), 1_767_225_600_123);
        assert_eq!(to_the_second(parsed), "2026-01-01 00:00:00");
        assert_eq!(time("yesterday"), None);
    }
}
