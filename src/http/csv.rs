//! Tables as comma-separated values (RFC 4180), written so that a spreadsheet shows text and never
//! evaluates it.
//!
//! Agents wrote much of what is in a table. A cell that starts like a formula gets a leading
//! apostrophe, which spreadsheets take for "this is text". Characters that control a terminal, or
//! that hide or reorder others, are written as their numbers.

use crate::domain::text;

/// The characters that can start a formula, in the widths that spreadsheets accept.
const BEGINNINGS: [char; 9] = ['=', '+', '-', '@', '\n', '＝', '＋', '－', '＠'];

/// Appends one row.
pub fn row<'a>(text: &mut String, cells: impl IntoIterator<Item = &'a str>) {
    for (index, cell) in cells.into_iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        add(text, cell);
    }
    text.push_str("\r\n");
}

fn add(text: &mut String, cell: &str) {
    let cell = text::lines(cell);
    let is_formula = |cell: &str| cell.trim_start_matches(' ').starts_with(BEGINNINGS);
    let guard = if is_formula(&cell) { "'" } else { "" };
    if cell.contains([',', '"', '\r', '\n']) || cell.starts_with(' ') || cell.ends_with(' ') {
        text.push('"');
        text.push_str(guard);
        text.push_str(&cell.replace('"', "\"\""));
        text.push('"');
    } else {
        text.push_str(guard);
        text.push_str(&cell);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(cells: &[&str]) -> String {
        let mut text = String::new();
        row(&mut text, cells.iter().copied());
        text
    }

    #[test]
    fn cells_are_quoted_where_they_have_to_be() {
        assert_eq!(one(&["a", "", "b c", "1.5"]), "a,,b c,1.5\r\n");
        assert_eq!(one(&["a,b", "say \"no\"", "two\r\nlines", " led"]), "\"a,b\",\"say \"\"no\"\"\",\"two\nlines\",\" led\"\r\n");
        assert_eq!(one(&["[\"deploy.sh\",\"api\"]"]), "\"[\"\"deploy.sh\"\",\"\"api\"\"]\"\r\n");
    }

    #[test]
    fn nothing_in_a_cell_hides_or_steers() {
        assert_eq!(
            one(&["a\u{1b}[2Jb", "\u{202e}c", "\u{feff}=1", "\t=1", "\r=1"]),
            "a<U+001B>[2Jb,<U+202E>c,<U+FEFF>=1,<U+0009>=1,<U+000D>=1\r\n"
        );
    }

    #[test]
    fn no_cell_begins_as_a_formula_does() {
        for formula in ["=1+1", "+1", "-2", "@SUM(A1)", "\n=1", "\r\n=1", "＝1", " =1", "=HYPERLINK(\"x\",\"y\")"] {
            let written = one(&[formula]);
            assert!(written.trim_start_matches('"').starts_with('\''), "{formula:?} became {written:?}");
        }
        assert_eq!(one(&["=1+1", "a=1"]), "'=1+1,a=1\r\n");
        assert_eq!(one(&["=A1,\"x\""]), "\"'=A1,\"\"x\"\"\"\r\n");
    }
}
