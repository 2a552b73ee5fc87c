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
pub struct Columns<const N: usize> {
    heading: [&'static str; N],
    widths: [usize; N],
}

impl<const N: usize> Columns<N> {
    /// Columns under a heading.
    #[must_use]
    pub fn new(heading: [&'static str; N]) -> Self {
        Self { heading, widths: heading.map(str::len) }
    }

    /// Makes them wide enough for `row`.
    pub fn widen(&mut self, row: &[String; N]) {
        for (width, cell) in self.widths.iter_mut().zip(row) {
            *width = (*width).max(cell.width());
        }
    }

    /// Makes them narrow enough for `width`: the widest gives way first, whatever it holds.
    pub fn fit(&mut self, width: Width) {
        let Width::AtMost(most) = width else { return };
        let gaps = GAP * N.saturating_sub(1);
        while self.widths.iter().sum::<usize>() + gaps > most {
            let widest = self.widths.iter_mut().max();
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

/// A text that is `width` characters wide at most.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut left = width.saturating_sub(1);
    let fits = |c: &char| {
        let taken = c.width().unwrap_or_default();
        let fits = taken <= left;
        left = left.saturating_sub(taken);
        fits
    };
    let mut start: String = text.chars().take_while(fits).collect();
    start.push('…');
    start
}

/// Renders rows under a heading, for standard output.
#[must_use]
pub fn render<const N: usize>(
    heading: [&'static str; N],
    rows: &[[String; N]],
    width: Width,
) -> String {
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
        assert!(text.ends_with("5f0c3c2e-6d0b-…  注文注文注文注…  422\n"), "{text}");
        let narrow = render(["EVENT ID", "GROUP", "STATUS"], &rows, Width::AtMost(1));
        assert!(narrow.contains("5f0c3c2…  注文注…"), "rows can still be told apart: {narrow}");
    }
}
