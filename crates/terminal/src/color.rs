//! Colours: on a terminal that shows them, and never where `NO_COLOR` is set or the terminal is `dumb`.

use anstream::{AutoStream, ColorChoice};

/// A colour, as a terminal's code. Source: ECMA-48, SGR.
#[derive(Debug, Clone, Copy)]
pub enum Color {
    /// It is well.
    Green = 32,
    /// It waits, or may be wrong.
    Yellow = 33,
    /// It failed.
    Red = 31,
    /// Less important.
    Dim = 2,
}

/// `text` in `color`, if standard output shows colours.
#[must_use]
pub fn colored(color: Color, text: &str) -> String {
    if shows_colors() { format!("\x1b[{}m{text}\x1b[0m", color as u8) } else { text.to_owned() }
}

/// Whether standard output shows colours.
#[must_use]
pub fn shows_colors() -> bool {
    AutoStream::choice(&std::io::stdout()) != ColorChoice::Never
}
