//! What JSON may be like that comes from outside, whichever way it is read: what two readers could
//! read differently is refused, and so is what is only there to make somebody work.

/// Levels of lists and objects.
pub const DEEPEST: u32 = 32;
/// The largest whole number that every JSON reader reads the same, 2^53 - 1 (RFC 8259, section 6).
pub const LARGEST_INTEGER: u64 = (1 << 53) - 1;
/// The next number after it; from there on doubles skip whole numbers.
pub const FIRST_INEXACT: f64 = 9_007_199_254_740_992.0;

/// A NUL character as JSON writes it.
const ESCAPED_NUL: &[u8] = b"\\u0000";

/// Whether some JSON may hold a NUL character: JSON can only say it in this one way, and few bodies
/// do.
pub fn may_hold_nul(json: &[u8]) -> bool {
    let escaped = json.iter().position(|byte| *byte == b'\\').map_or(&[][..], |first| &json[first..]);
    escaped.windows(ESCAPED_NUL.len()).any(|window| window == ESCAPED_NUL)
}
