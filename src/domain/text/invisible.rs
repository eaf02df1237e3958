//! Characters that a reader does not see.
//!
//! The table is derived from the Unicode Character Database, version 16.0:
//! `Default_Ignorable_Code_Point`, the general categories `Cf` (format), `Zs`, `Zl` and `Zp`
//! (blanks other than U+0020), `Co` (private use, whose look depends on the font), the
//! noncharacters, and the few that have no glyph although no property says so (listed in the test).
//! The test compares it with the tables of the `regex` crate. `lib.jq` and `show.ps1` have the same
//! list.

/// The ranges, in order, with inclusive ends.
const INVISIBLE: &[(u32, u32)] = &[
    (0x00A0, 0x00A0),
    (0x00AD, 0x00AD),
    (0x034F, 0x034F),
    (0x0600, 0x0605),
    (0x061C, 0x061C),
    (0x06DD, 0x06DD),
    (0x070F, 0x070F),
    (0x0890, 0x0891),
    (0x08E2, 0x08E2),
    (0x115F, 0x1160),
    (0x1680, 0x1680),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x2000, 0x200F),
    (0x2028, 0x202F),
    (0x205F, 0x206F),
    (0x2800, 0x2800),
    (0x2D7F, 0x2D7F),
    (0x3000, 0x3000),
    (0x3164, 0x3164),
    (0xE000, 0xF8FF),
    (0xFDD0, 0xFDEF),
    (0xFE00, 0xFE0F),
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFFC),
    (0xFFFE, 0xFFFF),
    (0x1107F, 0x1107F),
    (0x110BD, 0x110BD),
    (0x110CD, 0x110CD),
    (0x13430, 0x13455),
    (0x16FE4, 0x16FE4),
    (0x1BC9D, 0x1BC9D),
    (0x1BCA0, 0x1BCA3),
    (0x1D159, 0x1D159),
    (0x1D173, 0x1D17A),
    (0x1FFFE, 0x1FFFF),
    (0x2FFFE, 0x2FFFF),
    (0x3FFFE, 0x3FFFF),
    (0x4FFFE, 0x4FFFF),
    (0x5FFFE, 0x5FFFF),
    (0x6FFFE, 0x6FFFF),
    (0x7FFFE, 0x7FFFF),
    (0x8FFFE, 0x8FFFF),
    (0x9FFFE, 0x9FFFF),
    (0xAFFFE, 0xAFFFF),
    (0xBFFFE, 0xBFFFF),
    (0xCFFFE, 0xCFFFF),
    (0xDFFFE, 0xE0FFF),
    (0xEFFFE, 0x10FFFF),
];

/// Whether a character is invisible but changes what a reader sees, or is a blank other than the
/// plain space.
pub fn is_invisible(character: char) -> bool {
    let code = u32::from(character);
    let index = INVISIBLE.partition_point(|(_, last)| *last < code);
    !character.is_ascii() && INVISIBLE.get(index).is_some_and(|(first, _)| *first <= code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex::Regex;

    /// Characters without a glyph that no property identifies: the blank of braille, the joiners of
    /// Tifinagh and Brahmi, the object replacement character, the controls, blanks and modifiers of
    /// hieroglyphs, the filler of Khitan, the selector of Duployan, an empty note head.
    const EMPTY: &str = r"\u{2800}\u{2D7F}\u{FFFC}\u{1107F}\u{13430}-\u{13455}\u{16FE4}\u{1BC9D}\u{1D159}";

    #[test]
    fn the_table_matches_unicode() {
        let noncharacter = |code: u32| code & 0xFFFE == 0xFFFE || (0xFDD0..=0xFDEF).contains(&code);
        let properties = r"\p{Default_Ignorable_Code_Point}\p{Cf}\p{Co}\p{Zs}\p{Zl}\p{Zp}\p{White_Space}";
        let hidden = Regex::new(&format!("^[{properties}{EMPTY}]$")).unwrap();
        let mut buffer = [0; 4];
        let mut expected: Vec<(u32, u32)> = Vec::new();
        for character in ('\u{80}'..=char::MAX).filter(|character| !character.is_control()) {
            let code = u32::from(character);
            if hidden.is_match(character.encode_utf8(&mut buffer)) || noncharacter(code) {
                match expected.last_mut() {
                    Some((_, last)) if *last + 1 == code => *last = code,
                    _ => expected.push((code, code)),
                }
            }
        }
        assert_eq!(INVISIBLE, expected, "a newer Unicode says otherwise: write down what it says here, in lib.jq and in show.ps1");
    }

    #[test]
    fn characters_with_a_glyph_are_visible() {
        for character in "aZ09 ~éäжあ漢🚀\u{301}\u{FFFD}—…“”".chars() {
            assert!(!is_invisible(character), "{character:?}");
        }
        for character in "\u{a0}\u{ad}\u{3000}\u{200b}\u{1bca0}\u{13430}\u{13443}\u{1d159}\u{fffc}\u{e0041}\u{10fffd}".chars() {
            assert!(is_invisible(character), "{character:?}");
        }
    }
}
