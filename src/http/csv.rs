//! Tables as comma-separated values (RFC 4180), written so that a spreadsheet shows text and never
//! evaluates it.
//!
//! Agents wrote much of what is in a table. A cell that starts like a formula gets a leading
//! apostrophe, which spreadsheets take for "this is text".

/// The characters that can start a formula, in the widths that spreadsheets accept.
const BEGINNINGS: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];

/// Appends one row.
pub fn row<'a>(text: &mut String, cells: impl IntoIterator<Item = &'a str>) {
    for (place, cell) in cells.into_iter().enumerate() {
        if place > 0 {
            text.push(',');
        }
        add(text, cell);
    }
    text.push_str("\r\n");
}

fn add(text: &mut String, cell: &str) {
    // Some programs drop white and invisible characters before they check.
    let is_formula = |cell: &str| cell.trim_start_matches([' ', '\u{a0}', '\u{feff}', '\u{200b}']).starts_with(BEGINNINGS);
    let guard = if is_formula(cell) { "'" } else { "" };
    if cell.contains([',', '"', '\r', '\n']) || cell.starts_with(' ') || cell.ends_with(' ') {
        text.push('"');
        text.push_str(guard);
        text.push_str(&cell.replace('"', "\"\""));
        text.push('"');
    } else {
        text.push_str(guard);
        text.push_str(cell);
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
        assert_eq!(one(&["a,b", "say \"no\"", "two\r\nlines", " led"]), "\"a,b\",\"say \"\"no\"\"\",\"two\r\nlines\",\" led\"\r\n");
        assert_eq!(one(&["[\"deploy.sh\",\"api\"]"]), "\"[\"\"deploy.sh\"\",\"\"api\"\"]\"\r\n");
    }

    #[test]
    fn no_cell_begins_as_a_formula_does() {
        for formula in
            ["=1+1", "+1", "-2", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", " =1", "\u{feff}=1", "\u{200b}@x", "=HYPERLINK(\"x\",\"y\")"]
        {
            let written = one(&[formula]);
            assert!(written.trim_start_matches('"').starts_with('\''), "{formula:?} became {written:?}");
        }
        assert_eq!(one(&["=1+1", "a=1"]), "'=1+1,a=1\r\n");
        assert_eq!(one(&["=A1,\"x\""]), "\"'=A1,\"\"x\"\"\"\r\n");
    }
}
