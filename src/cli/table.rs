//! Rows under headings, in columns as wide as their contents.

use crate::cli::terminal::{FAINT, Page, Style};
use unicode_width::UnicodeWidthChar as _;
use unicode_width::UnicodeWidthStr as _;

/// The space between two columns.
const GAP: &str = "  ";
/// The narrowest width to which a column is cut.
const NARROWEST: usize = 12;

/// A cell of a table: its text, which has no terminal control characters, and its style.
pub type Cell = (String, Style);

/// Adds a table to a page. If `width` is given and a row would be wider, the column `flexible` is
/// cut to fit.
pub fn table(page: &mut Page, headings: &[&str], rows: &[Vec<Cell>], flexible: usize, width: Option<usize>) {
    let mut widths: Vec<usize> = headings.iter().map(|heading| heading.width()).collect();
    for row in rows {
        for (widest, (text, _)) in widths.iter_mut().zip(row) {
            *widest = (*widest).max(text.width());
        }
    }
    if let Some(width) = width {
        let whole = widths.iter().sum::<usize>() + GAP.len() * widths.len().saturating_sub(1);
        let over = whole.saturating_sub(width);
        widths[flexible] = widths[flexible].saturating_sub(over).max(NARROWEST.min(widths[flexible]));
    }
    let headings: Vec<Cell> = headings.iter().map(|heading| ((*heading).to_owned(), FAINT)).collect();
    for row in std::iter::once(&headings).chain(rows) {
        let mut line = String::new();
        for (index, ((text, style), width)) in row.iter().zip(&widths).enumerate() {
            let text = cut(text, *width);
            line.push_str(if index == 0 { "" } else { GAP });
            line.push_str(&page.paint(*style, &text));
            if index + 1 < row.len() {
                line.push_str(&" ".repeat(width.saturating_sub(text.width())));
            }
        }
        page.line(line);
    }
}

/// The beginning of a text, with `…` if the rest is left out.
pub fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut left = width.saturating_sub(1);
    let fits = |character: &char| match left.checked_sub(character.width().unwrap_or(0)) {
        Some(rest) => {
            left = rest;
            true
        }
        None => false,
    };
    text.chars().take_while(fits).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::terminal::PLAIN;

    fn shown(rows: &[[&str; 3]], width: Option<usize>) -> String {
        let rows: Vec<Vec<Cell>> = rows.iter().map(|row| row.iter().map(|text| ((*text).to_owned(), PLAIN)).collect()).collect();
        let mut page = Page::with_colors(false);
        table(&mut page, &["A", "WHAT", "ID"], &rows, 1, width);
        page.text().to_owned()
    }

    #[test]
    fn columns_are_as_wide_as_their_contents() {
        let text = shown(&[["1", "short", "x"], ["22", "部署 api", "y"]], None);
        assert_eq!(text, "A   WHAT      ID\n1   short     x\n22  部署 api  y\n");
    }

    #[test]
    fn only_the_flexible_column_is_cut_and_only_where_there_is_no_room() {
        let long = "deploy a service with a very long name";
        assert!(shown(&[["1", long, "x"]], None).contains(long));
        let text = shown(&[["1", long, "12345678"]], Some(40));
        assert!(text.lines().all(|line| line.width() <= 40), "{text}");
        assert!(text.contains("…  12345678"), "{text}");
        assert!(shown(&[["1", long, "12345678"]], Some(5)).contains("deploy a se…"));
    }
}
