//! Finds secrets in what runbooks print, including the forms into which tools convert them.
//!
//! A runbook may come across any secret of the server: another runbook's, a channel's, the
//! database's password. So all of them are masked in every run, whichever the run was given. A
//! secret is found as it is, in JSON, in a URL, in hexadecimal and in base64, even in the middle of
//! encoded data. White space within it is ignored, because tools fold long lines.

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

/// Values shorter than this, not counting white space, are masked only in the output of the run
/// that is given them, and only as they are: masking `prod` or `1` everywhere would make output
/// unreadable.
const SHORTEST: usize = 6;
/// The fewest characters at the end of a line that are held back as a possible beginning of a
/// secret.
const SHORTEST_OF_A_LINE: usize = 4;
/// Values longer than this are searched for only as they are.
const LONGEST_ENCODED: usize = 16 * 1024;

/// The characters that percent-encoding does not change: in Rust and Python, in paths, in
/// JavaScript's two functions, and in forms.
const UNRESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const PATH: AsciiSet = UNRESERVED.remove(b'/');
const COMPONENT: AsciiSet = UNRESERVED.remove(b'!').remove(b'\'').remove(b'(').remove(b')').remove(b'*');
const WHOLE: AsciiSet = COMPONENT
    .remove(b';')
    .remove(b',')
    .remove(b'/')
    .remove(b'?')
    .remove(b':')
    .remove(b'@')
    .remove(b'&')
    .remove(b'=')
    .remove(b'+')
    .remove(b'$')
    .remove(b'#');
const FORM: AsciiSet = UNRESERVED.add(b'~').remove(b'*').remove(b' ');

/// Values that no output may show. It has no `Debug`, so that it cannot end up in a log; a copy is
/// cheap.
#[derive(Clone, Default)]
pub struct Redactions(Option<Arc<Masks>>);

struct Masks {
    values: BTreeSet<Vec<u8>>,
    spellings: Vec<(Vec<u8>, Margin)>,
    finder: AhoCorasick,
}

/// Characters next to a spelling that also reveal a part of the secret: in base64, those at its
/// ends encode neighboring bytes, too.
#[derive(Clone, Copy, Default)]
struct Margin {
    before: usize,
    after: usize,
    /// Whether the padding after it is masked as well.
    padding: bool,
}

impl Redactions {
    /// All spellings of these values, without those that are too short.
    pub fn new(values: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let values: BTreeSet<Vec<u8>> =
            values.into_iter().map(|value| value.trim_ascii().to_vec()).filter(|value| is_long_enough(value)).collect();
        if values.is_empty() {
            return Self::default();
        }
        let spellings: BTreeMap<Vec<u8>, Margin> = values.iter().flat_map(|value| spellings(value)).collect();
        let spellings: Vec<_> = spellings.into_iter().filter(|(spelling, _)| spelling.len() >= SHORTEST).collect();
        // Stays small even if values are long, such as the keys of certificates.
        let finder =
            AhoCorasick::builder().kind(Some(AhoCorasickKind::ContiguousNFA)).build(spellings.iter().map(|(spelling, _)| spelling));
        let finder = finder.expect("an environment is not as large as that");
        Self(Some(Arc::new(Masks { values, spellings, finder })))
    }

    /// Whether this value is masked.
    pub fn knows(&self, value: &[u8]) -> bool {
        self.0.as_ref().is_some_and(|masks| masks.values.contains(value.trim_ascii()))
    }

    /// How many bytes before a cut may belong to a secret: twice its length, because of white space
    /// within it.
    pub fn reach(&self) -> usize {
        self.0.as_ref().and_then(|masks| masks.spellings.iter().map(|(spelling, _)| 2 * spelling.len()).max()).unwrap_or(0)
    }

    /// How many bytes at the end may be the beginning of a secret, for readers who see the text
    /// before it is complete. After a whole line, a few matching characters do not count: a secret
    /// is seldom folded so early, and a single letter would hold back the line.
    pub fn begun(&self, bytes: &[u8]) -> usize {
        let Some(masks) = &self.0 else { return 0 };
        let (positions, solid): (Vec<usize>, Vec<u8>) = bytes.iter().enumerate().filter(|(_, byte)| !byte.is_ascii_whitespace()).unzip();
        let is_line = bytes.last() == Some(&b'\n');
        let least = if is_line { SHORTEST_OF_A_LINE } else { 1 };
        let begun = masks.spellings.iter().filter_map(|(spelling, margin)| {
            let most = spelling.len().min(solid.len() + 1).saturating_sub(1);
            let length = (least..=most).rev().find(|length| solid.ends_with(&spelling[..*length]));
            // The characters before it may belong to it, too.
            length.or((!is_line).then_some(0)).map(|length| solid.len() - length.saturating_add(margin.before).min(solid.len()))
        });
        begun.min().and_then(|first| positions.get(first)).map_or(0, |first| bytes.len() - first)
    }

    /// The ranges of secrets. If the output was cut off, its end may be the beginning of a secret.
    pub fn find(&self, bytes: &[u8], cut_off: bool) -> Vec<Range<usize>> {
        let Some(masks) = &self.0 else { return Vec::new() };
        let (positions, solid): (Vec<usize>, Vec<u8>) = bytes.iter().enumerate().filter(|(_, byte)| !byte.is_ascii_whitespace()).unzip();
        let whole = masks.finder.find_overlapping_iter(&solid).map(|found| {
            let margin = masks.spellings[found.pattern().as_usize()].1;
            margin.around(found.range(), &solid)
        });
        let begun = cut_off.then(|| masks.begun(&solid)).flatten();
        whole.chain(begun).map(|range| positions[range.start]..positions[range.end - 1] + 1).collect()
    }
}

/// Whether a value is long enough to be searched for everywhere.
pub fn is_long_enough(value: &[u8]) -> bool {
    value.iter().filter(|byte| !byte.is_ascii_whitespace()).count() >= SHORTEST
}

impl Masks {
    /// The longest end of a text that is the beginning of a secret.
    fn begun(&self, text: &[u8]) -> Option<Range<usize>> {
        let longest = self.spellings.iter().filter_map(|(spelling, _)| {
            let most = spelling.len().min(text.len() + 1).saturating_sub(1);
            (SHORTEST..=most).rev().find(|length| text.ends_with(&spelling[..*length]))
        });
        longest.max().map(|length| text.len() - length..text.len())
    }
}

impl Margin {
    fn around(self, found: Range<usize>, text: &[u8]) -> Range<usize> {
        let encoded = |index: usize| text.get(index).is_some_and(|byte| byte.is_ascii_alphanumeric() || b"+/-_".contains(byte));
        let (mut start, mut end) = (found.start, found.end);
        while start > 0 && found.start - start < self.before && encoded(start - 1) {
            start -= 1;
        }
        while end - found.end < self.after && encoded(end) {
            end += 1;
        }
        while self.padding && end - found.end < self.after + 2 && text.get(end) == Some(&b'=') {
            end += 1;
        }
        start..end
    }
}

/// Each spelling of a value, without white space.
fn spellings(value: &[u8]) -> Vec<(Vec<u8>, Margin)> {
    let mut plain = vec![value.to_vec()];
    if value.len() > LONGEST_ENCODED {
        return plain.iter().map(|text| (solid(text), Margin::default())).collect();
    }
    if let Ok(text) = str::from_utf8(value) {
        let json = serde_json::Value::from(text).to_string();
        plain.push(json[1..json.len() - 1].into());
    }
    let hexadecimal = value.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    plain.extend([hexadecimal.to_ascii_uppercase().into_bytes(), hexadecimal.into_bytes()]);
    for (set, space) in [(&UNRESERVED, ' '), (&PATH, ' '), (&COMPONENT, ' '), (&WHOLE, ' '), (&FORM, '+')] {
        let encoded = percent_encode(value, set).to_string().replace(' ', &space.to_string());
        plain.extend([lower_escapes(&encoded).into_bytes(), encoded.into_bytes()]);
    }
    let plain = plain.iter().map(|text| (solid(text), Margin::default()));
    plain.chain((0..3).flat_map(|offset| in_base64(value, offset))).collect()
}

fn solid(text: &[u8]) -> Vec<u8> {
    text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect()
}

/// `%2F` as `%2f`.
fn lower_escapes(encoded: &str) -> String {
    let mut pieces = encoded.split('%');
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (digits, rest) = piece.split_at(2);
        text.extend(["%", &digits.to_ascii_lowercase(), rest]);
    }
    text
}

/// The part of a value's base64 form that does not depend on its neighbors, after this many bytes
/// (modulo 3), in both alphabets.
fn in_base64(value: &[u8], offset: usize) -> [(Vec<u8>, Margin); 2] {
    let encoded = STANDARD_NO_PAD.encode([&[0; 2][..offset], value].concat());
    let bits = 8 * (offset + value.len());
    let sure = &encoded[(8 * offset).div_ceil(6)..bits / 6];
    let margin = Margin { before: usize::from(offset > 0), after: usize::from(!bits.is_multiple_of(6)), padding: true };
    let url_safe = sure.replace('+', "-").replace('/', "_");
    [(sure.as_bytes().to_vec(), margin), (url_safe.into_bytes(), margin)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};

    /// The text without the secret.
    fn masked(secret: &str, text: &str, cut_off: bool) -> String {
        let redactions = Redactions::new([secret.as_bytes().to_vec()]);
        let found = redactions.find(text.as_bytes(), cut_off);
        let left = text.bytes().enumerate().filter(|(index, _)| !found.iter().any(|range| range.contains(index)));
        String::from_utf8(left.map(|(_, byte)| byte).collect()).unwrap()
    }

    /// With every kind of character: some that need escapes, some that base64 writes with `+` and
    /// `/`, and more than a line of base64.
    const SECRET: &str = "p\"ss/w~rd?>>?? ü&=+'(*)#é-_.";

    #[test]
    fn a_secret_is_found_in_each_usual_spelling() {
        let hexadecimal: String = SECRET.bytes().map(|byte| format!("{byte:02x}")).collect();
        for spelling in [
            SECRET.to_owned(),
            hexadecimal.to_uppercase(),
            hexadecimal,
            serde_json::Value::from(SECRET).to_string().trim_matches('"').to_owned(),
            STANDARD.encode(SECRET),
            URL_SAFE.encode(SECRET),
            STANDARD_NO_PAD.encode(SECRET),
            "p%22ss%2Fw~rd%3F%3E%3E%3F%3F%20%C3%BC%26%3D%2B%27%28%2A%29%23%C3%A9-_.".to_owned(),
            "p%22ss%2fw~rd%3f%3e%3e%3f%3f%20%c3%bc%26%3d%2b%27%28%2a%29%23%c3%a9-_.".to_owned(),
            "p%22ss/w~rd%3F%3E%3E%3F%3F%20%C3%BC%26%3D%2B%27%28%2A%29%23%C3%A9-_.".to_owned(),
            "p%22ss%2Fw~rd%3F%3E%3E%3F%3F%20%C3%BC%26%3D%2B'(*)%23%C3%A9-_.".to_owned(),
            "p%22ss/w~rd?%3E%3E??%20%C3%BC&=+'(*)#%C3%A9-_.".to_owned(),
            "p%22ss%2Fw%7Erd%3F%3E%3E%3F%3F+%C3%BC%26%3D%2B%27%28*%29%23%C3%A9-_.".to_owned(),
        ] {
            assert_eq!(masked(SECRET, &format!("<{spelling}>"), false), "<>", "{spelling}");
            let folded: Vec<String> = spelling.chars().collect::<Vec<_>>().chunks(7).map(|line| line.iter().collect()).collect();
            assert_eq!(masked(SECRET, &format!("<{}>", folded.join("\r\n")), false), "<>", "{spelling}, folded");
        }
    }

    #[test]
    fn a_secret_is_found_in_the_middle_of_base64() {
        for length in 0..6 {
            for after in ["", "\n", "@host", ":x"] {
                let text = format!("{}{SECRET}{after}", "u".repeat(length));
                let left = masked(SECRET, &STANDARD.encode(&text), false);
                let beside = if after.is_empty() { 0 } else { after.len() * 8 / 6 + "==".len() + 1 };
                assert!(left.len() <= length * 8 / 6 + beside, "{text}: {left}");
                // The text before it stays as far as it reveals nothing of the secret.
                assert!(left.starts_with(&STANDARD.encode("u".repeat(length))[..length * 8 / 6]), "{text}: {left}");
            }
        }
    }

    #[test]
    fn text_that_only_resembles_a_secret_stays() {
        for text in ["p\"ss", "production", "cA", ""] {
            assert_eq!(masked(SECRET, text, false), text);
        }
        assert_eq!(masked("short", "short", false), "short");
        assert_eq!(masked("a b c d e", "abcde", false), "abcde", "white space does not make a value long");
    }

    #[test]
    fn a_secret_that_was_cut_off_leaves_no_beginning_of_it() {
        for length in SHORTEST..SECRET.find('ü').unwrap() - 1 {
            assert_eq!(masked(SECRET, &format!("so {}", &SECRET[..length]), true), "so ");
        }
        assert_eq!(masked(SECRET, "so p\"ss", true), "so p\"ss", "so little may be anything");
        assert_eq!(masked(SECRET, "so p\"ss/w~", false), "so p\"ss/w~");
    }

    #[test]
    fn long_values_are_masked_too() {
        let line = |number: usize| format!("{number:064x}");
        for lines in [200, 2_000] {
            let secret: String = (0..lines).map(|number| line(number * 7_919) + "\n").collect();
            assert_eq!(masked(&secret, &format!("<{secret}>").replace('\n', "\r\n"), false), "<\r\n>", "{lines} lines");
        }
    }

    #[test]
    fn redactions_recognize_a_secret_by_its_value() {
        let redactions = Redactions::new([b" hunter2\n".to_vec(), b"tiny".to_vec()]);
        assert!(redactions.knows(b"hunter2") && !redactions.knows(b"tiny") && !redactions.knows(b"hunter22"));
        assert_eq!((Redactions::default().reach(), Redactions::new([b"tiny".to_vec()]).reach()), (0, 0));
    }
}
