//! Text that came from outside, as it can be shown.

/// Text of the requester inside a sentence of ours: short, and with nothing that could hide or reorder it.
pub fn shown(text: &str) -> String {
    const LONGEST: usize = 80;
    let mut shown = text.chars().take(LONGEST).fold(String::new(), visible);
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

/// Text of several lines inside a sentence of ours: as [`shown`], on one line.
pub fn in_a_line(text: &str) -> String {
    shown(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Text of any length that came from outside, with nothing that could hide, reorder or forge what stands around it.
pub fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), visible)
}

/// Text of several lines that came from outside: the lines stay, and nothing else in it can hide, reorder or forge.
pub fn lines(text: &str) -> String {
    let lines: Vec<String> = text.replace("\r\n", "\n").split('\n').map(escaped).collect();
    lines.join("\n")
}

/// Adds a character as it can be shown: control, bidirectional and invisible ones by their number.
fn visible(mut shown: String, character: char) -> String {
    if character.is_control() || is_invisible(character) {
        shown.push_str(&format!("<U+{:04X}>", character as u32));
    } else {
        shown.push(character);
    }
    shown
}

/// Whether a character changes what a reader sees without being seen: bidirectional controls, zero-width characters,
/// tags, variation selectors, fillers, the blank of braille (Unicode Standard Annex 9 and Technical Report 36).
pub fn is_invisible(character: char) -> bool {
    matches!(character as u32,
        0x00AD | 0x034F | 0x061C | 0x115F..=0x1160 | 0x17B4..=0x17B5 | 0x180B..=0x180F | 0x200B..=0x200F | 0x2028..=0x202E
        | 0x2060..=0x206F | 0x2800 | 0x3164 | 0xFE00..=0xFE0F | 0xFEFF | 0xFFA0 | 0xFFF0..=0xFFFB
        | 0x1D173..=0x1D17A | 0xE0000..=0xE0FFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_shown_by_its_number() {
        assert_eq!(shown("ok\u{202e}dorp\u{200b}\n"), "ok<U+202E>dorp<U+200B><U+000A>");
        assert_eq!(in_a_line("one\r\n  two\n"), "one two");
        assert_eq!(lines("one\r\ntwo\u{202e}\t\n"), "one\ntwo<U+202E><U+0009>\n");
        assert_eq!(shown(&"x".repeat(100)), format!("{}…", "x".repeat(80)));
    }
}
