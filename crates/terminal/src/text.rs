//! Sizes, durations, counts and texts as people read them.

use std::time::Duration;

use sha2::{Digest as _, Sha256};
use unicode_width::UnicodeWidthStr as _;

use crate::table::Width;

/// A text on one line, without control characters, those that turn the direction of what follows
/// included: much of it comes from outside.
#[must_use]
pub fn printable(text: &str) -> String {
    // Source: Unicode Standard Annex 9, "Explicit Directional Formatting Characters".
    let turns = |c| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if c.is_control() || turns(c) { '\u{fffd}' } else { c }).collect()
}

/// A text of several lines, without other control characters.
#[must_use]
pub fn printable_lines(text: &str) -> String {
    text.lines().map(printable).collect::<Vec<_>>().join("\n")
}

/// A text in lines that are no wider, broken between words. What stands between backticks is one word, so
/// that a command can be copied; what is wider than a line is not cut.
#[must_use]
pub fn wrapped(text: &str, width: Width) -> String {
    let Width::AtMost(most) = width else { return format!("{text}\n") };
    let mut is_command = false;
    let words = text.split(|c| {
        is_command ^= c == '`';
        c == ' ' && !is_command
    });
    let (mut wrapped, mut at) = (String::new(), 0);
    for word in words {
        let wide = word.width();
        if at > 0 && at + 1 + wide > most {
            wrapped.push('\n');
            at = 0;
        } else if at > 0 {
            wrapped.push(' ');
            at += 1;
        }
        wrapped.push_str(word);
        at += wide;
    }
    wrapped + "\n"
}

/// `3 min`: the two largest units at most.
#[must_use]
pub fn span(duration: Duration) -> String {
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

/// How long something took, to a tenth of a second where that says something: `12 ms`, `2.5 s`, `5 min`.
#[must_use]
pub fn elapsed(ms: u64) -> String {
    match ms {
        1_000..10_000 if ms % 1_000 >= 100 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        60_000..120_000 => format!("{} s", ms / 1_000),
        _ => span(Duration::from_millis(ms)),
    }
}

/// `1.2 MB`.
#[must_use]
pub fn bytes(bytes: u64) -> String {
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
#[must_use]
pub fn count(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// SHA-256 in hexadecimal.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// Bytes as digests are written.
#[must_use]
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
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
    fn what_something_took_is_told_to_a_tenth() {
        let texts = [12, 1_000, 2_500, 59_000, 90_000, 300_000].map(elapsed);
        assert_eq!(texts, ["12 ms", "1 s", "2.5 s", "59 s", "90 s", "5 min"]);
    }

    #[test]
    fn sizes_have_two_digits_at_least() {
        let texts = [999, 1_000, 1_234_567, 12_345_678, 53_000_000_000, u64::MAX].map(bytes);
        assert_eq!(texts, ["999 B", "1.0 kB", "1.2 MB", "12 MB", "53 GB", "18446744 TB"]);
    }

    #[test]
    fn a_line_is_no_wider_than_the_terminal_and_no_command_is_broken() {
        let text =
            "You: key A-7 waits: `queue show local A-7 --data-dir x`; and 注文 注文 注文 注文";
        let lines =
            "You: key A-7 waits:\n`queue show local A-7 --data-dir x`;\nand 注文 注文 注文\n注文\n";
        assert_eq!(wrapped(text, Width::AtMost(20)), lines);
        assert_eq!(wrapped(text, Width::Any), format!("{text}\n"));
    }

    #[test]
    fn what_a_terminal_would_obey_is_shown_as_a_mark() {
        assert_eq!(printable("a\u{1b}[2Jb\n"), "a\u{fffd}[2Jb\u{fffd}");
        assert_eq!(printable_lines("a\u{7}\nb"), "a\u{fffd}\nb");
    }

    #[test]
    fn one_is_not_many_and_a_digest_has_two_digits_a_byte() {
        assert_eq!([0, 1, 2].map(|n| count(n, "key")), ["0 keys", "1 key", "2 keys"]);
        assert_eq!(hexadecimal(&[0, 10, 255]), "000aff");
        assert!(sha256(b"").starts_with("e3b0c44298fc1c14"));
    }
}
