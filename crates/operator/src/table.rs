//! Tables for people: columns as wide as their widest cell, as a terminal shows it; Japanese
//! characters take two places.

use unicode_width::UnicodeWidthStr as _;

/// Renders rows under a heading. The last column is not padded.
pub(crate) fn render<const N: usize>(heading: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = heading.map(str::len);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.width());
        }
    }
    let mut table = String::new();
    let heading = heading.map(str::to_owned);
    for row in std::iter::once(&heading).chain(rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            line.push_str(cell);
            line.push_str(&" ".repeat(width - cell.width() + 2));
        }
        table.push_str(line.trim_end());
        table.push('\n');
    }
    table
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
