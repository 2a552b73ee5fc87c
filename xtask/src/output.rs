//! Text for people: colours only on a terminal, and never with `NO_COLOR`.

use std::ffi::OsStr;
use std::fmt::Arguments;
use std::io::{ErrorKind, IsTerminal as _, Write as _};

// In the place of the standard library's, which panic when nobody reads any more: `| head`, a terminal
// that was closed. What has begun must come to its end, and on record.
macro_rules! eprint {
    ($($text:tt)*) => { $crate::output::say(format_args!($($text)*)) };
}
macro_rules! eprintln {
    ($($text:tt)*) => { $crate::output::say(format_args!("{}\n", format_args!($($text)*))) };
}
macro_rules! print {
    ($($text:tt)*) => { $crate::output::print(format_args!($($text)*)) };
}
macro_rules! println {
    ($($text:tt)*) => { $crate::output::print(format_args!("{}\n", format_args!($($text)*))) };
}

/// Writes to standard error, if somebody reads it.
pub(crate) fn say(text: Arguments<'_>) {
    // In one piece, so that lines of threads do not mix.
    let _unread = std::io::stderr().write_all(text.to_string().as_bytes());
}

/// Writes to standard output, if somebody reads it.
///
/// # Panics
///
/// When it cannot be written for another reason, such as a full disk: it is the command's result.
pub(crate) fn print(text: Arguments<'_>) {
    match std::io::stdout().write_all(text.to_string().as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            panic!("writing to standard output: {error}")
        }
        _written_or_unread => {}
    }
}

/// A colour, as a terminal's code.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Color {
    Green = 32,
    Yellow = 33,
    Red = 31,
    Dim = 2,
}

/// `text` in `color`, if standard output shows colours.
pub(crate) fn colored(color: Color, text: &str) -> String {
    if shows_colors() { format!("\x1b[{}m{text}\x1b[0m", color as u8) } else { text.to_owned() }
}

/// Whether standard output shows colours.
pub(crate) fn shows_colors() -> bool {
    wants_colors(std::env::var_os("NO_COLOR").as_deref(), std::io::stdout().is_terminal())
}

/// Source: <https://no-color.org>, "when present and not an empty string".
fn wants_colors(no_color: Option<&OsStr>, is_terminal: bool) -> bool {
    is_terminal && no_color.is_none_or(OsStr::is_empty)
}

/// A duration for people: `12 ms`, `4 s`, `5 min`.
pub(crate) fn duration(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..10_000 if ms % 1_000 >= 100 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        1_000..120_000 => format!("{} s", ms / 1_000),
        _ => format!("{} min", ms / 60_000),
    }
}

/// A size for people: `812 B`, `2.1 MB`.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{}.{} kB", bytes / 1_000, bytes % 1_000 / 100),
        _ => format!("{}.{:02} MB", bytes / 1_000_000, bytes % 1_000_000 / 10_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colors_are_for_terminals_that_want_them() {
        assert!(wants_colors(None, true));
        assert!(wants_colors(Some(OsStr::new("")), true));
        assert!(!wants_colors(Some(OsStr::new("1")), true));
        assert!(!wants_colors(None, false));
    }

    #[test]
    fn durations_and_sizes_are_for_people() {
        let durations = [12, 1_000, 2_500, 59_000, 300_000].map(duration);
        assert_eq!(durations, ["12 ms", "1 s", "2.5 s", "59 s", "5 min"]);
        assert_eq!([812, 1_500, 2_100_000].map(size), ["812 B", "1.5 kB", "2.10 MB"]);
    }
}
