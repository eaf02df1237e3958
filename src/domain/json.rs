//! Rules for JSON from outside, whichever parser reads it. Documents that two parsers could read
//! differently are refused, and so are documents that are expensive to process.

/// The deepest nesting of lists and objects.
pub const DEEPEST: u32 = 32;
/// The largest whole number that every JSON reader reads the same, 2^53 - 1 (RFC 8259, section 6).
pub const LARGEST_INTEGER: u64 = (1 << 53) - 1;
/// The next whole number. From there on, doubles skip whole numbers.
pub const FIRST_INEXACT: f64 = 9_007_199_254_740_992.0;

/// A NUL character as JSON writes it.
const ESCAPED_NUL: &[u8] = b"\\u0000";

/// Whether some JSON may hold a NUL character. JSON has only this spelling for it, and few bodies
/// contain it.
pub fn may_hold_nul(json: &[u8]) -> bool {
    let escaped = json.iter().position(|byte| *byte == b'\\').map_or(&[][..], |first| &json[first..]);
    escaped.windows(ESCAPED_NUL.len()).any(|window| window == ESCAPED_NUL)
}
