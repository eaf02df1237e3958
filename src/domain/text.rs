//! Making text from outside safe to show.

mod invisible;

pub use invisible::is_invisible;

use regex::Regex;
use std::sync::LazyLock;

/// The requester's text for use inside one of our sentences: shortened, and with nothing that could
/// hide or reorder text.
pub fn shown(text: &str) -> String {
    const LONGEST: usize = 80;
    let mut shown = text.chars().take(LONGEST).fold(String::new(), visible);
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

/// Text of several lines for use inside one of our sentences: as [`shown`], on one line. Only plain
/// white space is collapsed; characters that look like it are shown by their number.
pub fn in_a_line(text: &str) -> String {
    shown(&text.split_ascii_whitespace().collect::<Vec<_>>().join(" "))
}

/// Text of any length from outside, with nothing that could hide, reorder or forge the text around
/// it.
pub fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), visible)
}

/// Text of several lines from outside. The lines stay; nothing else in it can hide, reorder or
/// forge.
pub fn lines(text: &str) -> String {
    let lines: Vec<String> = text.replace("\r\n", "\n").split('\n').map(escaped).collect();
    lines.join("\n")
}

/// Adds a character in visible form. Control, bidirectional and invisible characters, and unusual
/// blanks, are shown by their number.
fn visible(mut shown: String, character: char) -> String {
    if character.is_control() || is_invisible(character) {
        shown.push_str(&format!("<U+{:04X}>", character as u32));
    } else {
        shown.push(character);
    }
    shown
}

/// Whether a text has anything visible that is more than a combining mark on nothing.
pub fn says(text: &str) -> bool {
    text.chars().any(|character| {
        character.is_ascii_graphic()
            || !(character.is_ascii()
                || character.is_control()
                || character.is_whitespace()
                || is_invisible(character)
                || is_mark(character))
    })
}

/// Whether a character is a combining mark (general category `M`) or unassigned (`Cn`).
fn is_mark(character: char) -> bool {
    static MARK: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^[\p{M}\p{Cn}]$").expect("a valid pattern"));
    MARK.is_match(character.encode_utf8(&mut [0; 4]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invisible_characters_are_shown_by_their_number() {
        assert_eq!(shown("ok\u{202e}dorp\u{200b}\n"), "ok<U+202E>dorp<U+200B><U+000A>");
        assert_eq!(in_a_line("one\r\n  two\n"), "one two");
        assert_eq!(in_a_line("one\u{2003}two \u{a0}three"), "one<U+2003>two <U+00A0>three");
        assert_eq!(lines("one\r\ntwo\u{202e}\t\n"), "one\ntwo<U+202E><U+0009>\n");
        assert_eq!(shown(&"x".repeat(100)), format!("{}…", "x".repeat(80)));
    }

    #[test]
    fn text_of_invisible_characters_counts_as_empty() {
        for nothing in [
            "",
            " \t\n",
            "\u{1bca0}",
            "\u{2800}\u{3164}",
            "\u{a0}\u{2003}",
            "\u{fffc}",
            "\u{1d159} \u{13443}",
            "\u{301}",
            "\u{378}",
            "\u{1}",
        ] {
            assert!(!says(nothing), "{nothing:?}");
        }
        for something in ["x", ".", "é", "漢", "👍", "\u{200b}ok"] {
            assert!(says(something), "{something:?}");
        }
    }
}
