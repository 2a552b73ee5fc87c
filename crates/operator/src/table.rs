//! Tables for people: columns as wide as their widest cell, as a terminal shows it; Japanese
//! characters take two places.

use unicode_width::UnicodeWidthStr as _;

/// Columns, and how wide each has to be for the rows that it was told of.
pub(crate) struct Columns<const N: usize> {
    heading: [&'static str; N],
    widths: [usize; N],
}

impl<const N: usize> Columns<N> {
    pub(crate) fn new(heading: [&'static str; N]) -> Self {
        Self { heading, widths: heading.map(str::len) }
    }

    /// Makes them wide enough for `row`.
    pub(crate) fn widen(&mut self, row: &[String; N]) {
        for (width, cell) in self.widths.iter_mut().zip(row) {
            *width = (*width).max(cell.width());
        }
    }

    /// The line above the rows.
    pub(crate) fn heading(&self) -> String {
        self.line(&self.heading.map(str::to_owned))
    }

    /// A row as a line. The last column is not padded.
    pub(crate) fn line(&self, row: &[String; N]) -> String {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(self.widths) {
            line.push_str(cell);
            line.push_str(&" ".repeat(width.saturating_sub(cell.width()) + 2));
        }
        format!("{}\n", line.trim_end())
    }
}

/// Renders rows under a heading.
pub(crate) fn render<const N: usize>(heading: [&'static str; N], rows: &[[String; N]]) -> String {
    let mut columns = Columns::new(heading);
    for row in rows {
        columns.widen(row);
    }
    let lines = rows.iter().map(|row| columns.line(row));
    std::iter::once(columns.heading()).chain(lines).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_the_script() {
        let rows = [["1", "注文-7"], ["22", "order-8"]].map(|row| row.map(str::to_owned));
        assert_eq!(render(["id", "group"], &rows), "id  group\n1   注文-7\n22  order-8\n");
        let rows = [["注文", "x"], ["ab", "y"]].map(|row| row.map(str::to_owned));
        assert_eq!(render(["id", "g"], &rows), "id    g\n注文  x\nab    y\n");
    }
}
