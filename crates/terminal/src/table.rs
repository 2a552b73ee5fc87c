//! Tables for people: columns as wide as their widest cell, as a terminal shows it (Japanese characters
//! take two places), and narrower where the terminal is.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Between two columns, in characters.
const GAP: usize = 2;

/// A column does not become narrower than this, in characters: what is left must tell rows apart.
const NARROWEST: usize = 8;

/// How wide a table may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// As wide as it is.
    Any,
    /// In characters; cells are cut at their ends, with a `…`.
    AtMost(usize),
}

impl Width {
    /// That of standard output if it is a terminal; programs and files get everything.
    #[must_use]
    pub fn of_stdout() -> Self {
        let size = terminal_size::terminal_size_of(std::io::stdout());
        size.map_or(Self::Any, |(width, _height)| Self::AtMost(width.0.into()))
    }
}

/// Columns, and how wide each has to be for the rows that it was told of.
#[derive(Debug)]
pub struct Columns<'h, const N: usize> {
    heading: [&'h str; N],
    widths: [usize; N],
    /// Which hold nothing but times.
    is_time: [bool; N],
}

impl<'h, const N: usize> Columns<'h, N> {
    /// Columns under a heading.
    #[must_use]
    pub fn new(heading: [&'h str; N]) -> Self {
        Self { heading, widths: heading.map(str::len), is_time: [true; N] }
    }

    /// Makes them wide enough for `row`.
    pub fn widen(&mut self, row: &[String; N]) {
        for ((width, is_time), cell) in self.widths.iter_mut().zip(&mut self.is_time).zip(row) {
            *width = (*width).max(cell.width());
            *is_time &= is_a_time(cell);
        }
    }

    /// Makes them narrow enough for `width`: the widest gives way first. Times do not, as their end is what
    /// tells them apart.
    pub fn fit(&mut self, width: Width) {
        let Width::AtMost(most) = width else { return };
        let gaps = GAP * N.saturating_sub(1);
        while self.widths.iter().sum::<usize>() + gaps > most {
            let places = self.widths.iter_mut().zip(self.is_time).filter(|(_, is_time)| !is_time);
            let widest = places.map(|(width, _)| width).max();
            match widest.filter(|width| **width > NARROWEST) {
                Some(widest) => *widest -= 1,
                None => return,
            }
        }
    }

    /// The line above the rows.
    #[must_use]
    pub fn heading(&self) -> String {
        self.line(&self.heading.map(str::to_owned))
    }

    /// A row as a line. The last column is not padded.
    #[must_use]
    pub fn line(&self, row: &[String; N]) -> String {
        let mut line = String::new();
        for (cell, &width) in row.iter().zip(&self.widths) {
            let cell = cut(cell, width);
            line.push_str(&cell);
            line.push_str(&" ".repeat(width.saturating_sub(cell.width()) + GAP));
        }
        format!("{}\n", line.trim_end())
    }
}

/// Whether it is a time as tables have them, such as `2026-11-23 10:00:00`, or `11-23 10:00`.
fn is_a_time(cell: &str) -> bool {
    cell.contains(' ')
        && cell.contains(':')
        && cell.chars().all(|c| c.is_ascii_digit() || " -:+.".contains(c))
}

/// A text that is `width` characters wide at most. A single word is cut in its middle: ids differ at
/// either end, and must not look the same.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let left = width.saturating_sub(1);
    let at_end = if text.contains(' ') { 0 } else { left / 2 };
    let start: String = beginning(text.chars(), left - at_end);
    let end: String = beginning(text.chars().rev(), at_end);
    format!("{start}…{}", end.chars().rev().collect::<String>())
}

/// As many of the characters as are `width` wide at most.
fn beginning(text: impl Iterator<Item = char>, width: usize) -> String {
    let mut left = width;
    let fits = |c: &char| {
        let taken = c.width().unwrap_or_default();
        let fits = taken <= left;
        left = left.saturating_sub(taken);
        fits
    };
    text.take_while(fits).collect()
}

/// Renders rows under a heading, for standard output.
#[must_use]
pub fn render<const N: usize>(heading: [&str; N], rows: &[[String; N]], width: Width) -> String {
    let mut columns = Columns::new(heading);
    for row in rows {
        columns.widen(row);
    }
    columns.fit(width);
    let lines = rows.iter().map(|row| columns.line(row));
    std::iter::once(columns.heading()).chain(lines).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_the_script() {
        let rows = [["1", "注文-7"], ["22", "order-8"]].map(|row| row.map(str::to_owned));
        let text = render(["id", "group"], &rows, Width::Any);
        assert_eq!(text, "id  group\n1   注文-7\n22  order-8\n");
        let rows = [["注文", "x"], ["ab", "y"]].map(|row| row.map(str::to_owned));
        assert_eq!(render(["id", "g"], &rows, Width::Any), "id    g\n注文  x\nab    y\n");
    }

    #[test]
    fn a_table_is_no_wider_than_the_terminal_and_the_widest_column_gives_way() {
        let rows = [["5f0c3c2e-6d0b-4a43", "注文注文注文注文注文", "422"]];
        let rows = rows.map(|row| row.map(str::to_owned));
        let text = render(["EVENT ID", "GROUP", "STATUS"], &rows, Width::AtMost(40));
        let widest = text.lines().map(unicode_width::UnicodeWidthStr::width).max();
        assert_eq!(widest, Some(40), "{text}");
        assert!(text.ends_with("5f0c3c2…0b-4a43  注文注…文注文    422\n"), "{text}");
        let narrow = render(["EVENT ID", "GROUP", "STATUS"], &rows, Width::AtMost(1));
        assert!(narrow.contains("5f0c…a43  注文…文"), "rows can still be told apart: {narrow}");
        let times = [["2026-11-23 10:00:00", "what could not be resolved"]];
        let times = times.map(|row| row.map(str::to_owned));
        let text = render(["TIME (UTC)", "WHY"], &times, Width::AtMost(40));
        assert!(text.ends_with("2026-11-23 10:00:00  what could not be …\n"), "{text}");
    }
}
