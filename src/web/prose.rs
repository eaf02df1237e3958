//! Text with code in it, as in descriptions: an empty line separates paragraphs, and backticks
//! enclose code.

use serde::Serialize;

/// One paragraph, piece by piece.
pub type Paragraph = Vec<Piece>;

/// Words or code.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Piece {
    text: String,
    is_code: bool,
}

/// The paragraphs of a text.
pub fn paragraphs(text: &str) -> Vec<Paragraph> {
    text.split("\n\n").map(str::trim).filter(|paragraph| !paragraph.is_empty()).map(pieces).collect()
}

fn pieces(paragraph: &str) -> Paragraph {
    let pieces = paragraph.split('`').enumerate().map(|(index, text)| Piece { text: text.to_owned(), is_code: index % 2 == 1 });
    pieces.filter(|piece| !piece.text.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backticks_enclose_code_and_a_blank_line_separates_paragraphs() {
        let read = paragraphs("Send `a` and `b`.\n\n\n`c`");
        let read: Vec<Vec<_>> = read.iter().map(|one| one.iter().map(|piece| (piece.text.as_str(), piece.is_code)).collect()).collect();
        assert_eq!(read, [vec![("Send ", false), ("a", true), (" and ", false), ("b", true), (".", false)], vec![("c", true)]]);
    }
}
