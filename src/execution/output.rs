//! The part of a run's output that is kept: the end of each stream, without secrets.
//!
//! A deploy script may print a gigabyte, and what matters is nearly always how it ended. So the
//! last 64 KiB are kept, and memory use stays the same however much is printed. The text goes into
//! PostgreSQL and into the history that everyone with access can read, so secrets, NUL characters
//! and bytes that are not UTF-8 do not leave this module.
//!
//! Redaction protects against accidents (`set -x`, a tool that echoes its request) and not against
//! malice: a runbook that prints a secret in a form that `redactions` does not know, reversed or
//! cut into pieces, is not caught.

use crate::domain::workflow::live_output::Piece;
use crate::execution::redactions::{Redactions, is_long_enough};
use std::collections::VecDeque;
use std::sync::Arc;

/// How much of each stream is kept, in bytes.
pub const KEPT: usize = 64 * 1024;

const REDACTED: &[u8] = b"[redacted]";

/// The values that a run must not show. It has no `Debug`, so that it cannot end up in a log.
#[derive(Default)]
pub struct Secrets {
    /// Every secret of the server.
    all: Redactions,
    /// The secrets that the run was given in addition.
    own: Redactions,
    /// The secrets that the run was given and that are too short to be searched for in other
    /// spellings.
    short: Vec<Vec<u8>>,
}

impl Secrets {
    /// All secrets of the server, and those that the run is given. White space around a secret is
    /// not part of it, because `echo` drops or adds it.
    pub fn new(all: Redactions, own: Vec<Vec<u8>>) -> Self {
        let own = own.iter().map(|value| value.trim_ascii().to_vec()).filter(|value| !value.is_empty() && !all.knows(value));
        let (long, short): (Vec<_>, Vec<_>) = own.partition(|value| is_long_enough(value));
        Self { all, own: Redactions::new(long), short }
    }

    /// Whether these bytes contain one of the secrets.
    pub fn are_in(&self, bytes: &[u8]) -> bool {
        self.found_in(bytes, false).contains(&true)
    }

    /// How many bytes before a cut may belong to a secret that continues after it.
    fn reach(&self) -> usize {
        let short = self.short.iter().map(|secret| secret.len() - 1).max().unwrap_or(0);
        short.max(self.all.reach()).max(self.own.reach())
    }

    /// How many bytes at the end may be the beginning of a secret.
    fn begun(&self, bytes: &[u8]) -> usize {
        let short = self.short.iter().filter_map(|secret| {
            let most = secret.len().min(bytes.len() + 1).saturating_sub(1);
            (1..=most).rev().find(|length| bytes.ends_with(&secret[..*length]))
        });
        short.max().unwrap_or(0).max(self.all.begun(bytes)).max(self.own.begun(bytes))
    }

    /// For each byte, whether it belongs to a secret. Secrets may overlap one another and
    /// themselves.
    fn found_in(&self, bytes: &[u8], cut_off: bool) -> Vec<bool> {
        let short = self.short.iter().flat_map(|secret| {
            let matches = bytes.windows(secret.len()).enumerate().filter(move |(_, window)| window == secret);
            matches.map(|(start, _)| start..start + secret.len())
        });
        let (mut begins, mut ends) = (vec![0_usize; bytes.len()], vec![0_usize; bytes.len() + 1]);
        for range in self.all.find(bytes, cut_off).into_iter().chain(self.own.find(bytes, cut_off)).chain(short) {
            begins[range.start] += 1;
            ends[range.end] += 1;
        }
        let mut open = 0;
        let within = begins.iter().zip(ends).map(|(begin, end)| {
            open = open + begin - end;
            open > 0
        });
        within.collect()
    }
}

/// The end of a stream while it is being read.
///
/// In addition to the part that is kept, it holds as many of the bytes before it as the longest
/// secret may have, so that a secret at the border is seen whole and removed.
#[derive(Clone)]
pub struct Tail {
    secrets: Arc<Secrets>,
    bytes: VecDeque<u8>,
    /// How long the stream is so far.
    total: u64,
}

/// The end of a stream, ready to be shown.
#[derive(Debug, PartialEq, Eq)]
pub struct Kept {
    pub text: String,
    /// Whether there was more before it.
    pub truncated: bool,
}

impl Tail {
    pub fn new(secrets: Arc<Secrets>) -> Self {
        Self { secrets, bytes: VecDeque::new(), total: 0 }
    }

    /// The number of bytes in the stream so far.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Appends the next bytes.
    pub fn push(&mut self, chunk: &[u8]) {
        self.bytes.extend(chunk);
        self.total += chunk.len() as u64;
        // One byte more than is ever shown, so that a length above `KEPT` shows that something was
        // cut.
        let excess = self.bytes.len().saturating_sub(KEPT + self.secrets.reach().max(1));
        self.bytes.drain(..excess);
    }

    /// What came after this many bytes, as far as it is kept, and the new number of bytes. It shows
    /// nothing that [`finish`](Self::finish) would mask: if the stream goes on, its end is held
    /// back as long as it may be the beginning of a secret.
    pub fn since(mut self, after: u64, goes_on: bool) -> (Piece, u64) {
        let bytes = &*self.bytes.make_contiguous();
        let dropped = self.total - bytes.len() as u64;
        let held_back = if goes_on { self.secrets.begun(bytes) } else { 0 };
        let end = whole_characters(&bytes[..bytes.len() - held_back]);
        let kept = end.saturating_sub(KEPT);
        let wanted = usize::try_from(after.saturating_sub(dropped)).unwrap_or(usize::MAX);
        let is_cut = after < dropped + kept as u64;
        let start = wanted.max(kept);
        if start >= end {
            return (Piece::default(), after);
        }
        let secret = self.secrets.found_in(bytes, !goes_on);
        let was_said = !is_cut && start > 0 && secret[start - 1];
        let shown = without(bytes, &secret, start, end, was_said);
        let text = String::from_utf8_lossy(skip_cut_character(&shown, is_cut)).replace('\0', "\u{fffd}");
        (Piece { text, is_cut }, dropped + end as u64)
    }

    /// The part of the stream that is shown. `cut_off` means that more would have come.
    pub fn finish(mut self, cut_off: bool) -> Kept {
        let bytes = &*self.bytes.make_contiguous();
        let secret = self.secrets.found_in(bytes, cut_off);
        let start = bytes.len().saturating_sub(KEPT);
        let shown = without(bytes, &secret, start, bytes.len(), false);
        let text = String::from_utf8_lossy(skip_cut_character(&shown, start > 0)).replace('\0', "\u{fffd}");
        // The replacement may be longer than the secret.
        let end = last(&text, KEPT);
        Kept { truncated: start > 0 || end.len() < text.len(), text: end.to_owned() }
    }
}

/// The bytes of a range without the secrets. `was_said` tells, for a secret that began before the
/// range, whether it has been marked already.
fn without(bytes: &[u8], secret: &[bool], start: usize, end: usize, was_said: bool) -> Vec<u8> {
    let mut shown = Vec::with_capacity(end.saturating_sub(start));
    for index in start..end {
        let begins = if index == start { !was_said } else { !secret[index - 1] };
        if !secret[index] {
            shown.push(bytes[index]);
        } else if begins {
            shown.extend(REDACTED);
        }
    }
    shown
}

/// The length of the beginning of a text that ends with a whole character.
fn whole_characters(bytes: &[u8]) -> usize {
    let last = bytes.iter().rev().take(3).position(|byte| byte & 0b1100_0000 != 0b1000_0000);
    let Some(back) = last.map(|back| back + 1) else { return bytes.len() };
    let first = bytes[bytes.len() - back];
    let length = if first < 0xc0 { 1 } else { first.leading_ones() as usize };
    if length > back { bytes.len() - back } else { bytes.len() }
}

/// Removes the rest of a character whose beginning was cut off.
fn skip_cut_character(bytes: &[u8], cut: bool) -> &[u8] {
    let rest = bytes.iter().take(3).take_while(|byte| cut && **byte & 0b1100_0000 == 0b1000_0000).count();
    &bytes[rest..]
}

/// The end of a text: as many whole characters as fit into this many bytes.
fn last(text: &str, most: usize) -> &str {
    &text[text.ceil_char_boundary(text.len().saturating_sub(most))..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(secrets: &[&str], chunks: &[&[u8]]) -> Kept {
        let values = || secrets.iter().map(|secret| secret.as_bytes().to_vec());
        let told = |secrets: Secrets| {
            let mut tail = Tail::new(Arc::new(secrets));
            chunks.iter().for_each(|chunk| tail.push(chunk));
            tail.finish(false)
        };
        let own = told(Secrets::new(Redactions::default(), values().collect()));
        // It does not matter whether the server already knew a secret.
        assert_eq!(own, told(Secrets::new(Redactions::new(values()), values().collect())));
        own
    }

    #[test]
    fn short_output_is_kept_whole() {
        assert_eq!(kept(&[], &[b"one\n", b"two\n"]), Kept { text: "one\ntwo\n".to_owned(), truncated: false });
        assert_eq!(kept(&[], &[]), Kept { text: String::new(), truncated: false });
        assert_eq!(kept(&[], &[&[b'x'; KEPT]]), Kept { text: "x".repeat(KEPT), truncated: false });
    }

    #[test]
    fn of_long_output_the_end_is_kept() {
        let kept = kept(&["secret"], &[&[b'a'; KEPT], &[b'b'; KEPT - 1]]);
        assert_eq!(kept, Kept { text: format!("a{}", "b".repeat(KEPT - 1)), truncated: true });
        let mut tail = Tail::new(Arc::default());
        (0..1_000).for_each(|_| tail.push(&[b'x'; 8 * 1024]));
        assert!(tail.bytes.len() <= KEPT + 1);
    }

    #[test]
    fn secrets_are_replaced_everywhere() {
        assert_eq!(kept(&["hunter2"], &[b"a hunt", b"er2 b hunter2"]).text, "a [redacted] b [redacted]");
        assert_eq!(kept(&["hunter2\n", " "], &[b"hunter2 x"]).text, "[redacted] x");
        assert_eq!(kept(&["abc", "bcd"], &[b"-abcd-"]).text, "-[redacted]-");
        assert_eq!(kept(&["aa"], &[b"-aaaaa-"]).text, "-[redacted]-");
        assert_eq!(kept(&["p\u{fffd}"], &["p\u{fffd}".as_bytes()]).text, "[redacted]");
    }

    #[test]
    fn a_secret_on_the_border_leaves_no_part_of_it() {
        let secret = "0123456789".repeat(20);
        for after in (KEPT - 2 * secret.len()..KEPT + secret.len()).step_by(17) {
            let printed = [secret.repeat(2).as_bytes(), &vec![b'.'; after]].concat();
            let kept = kept(&[&secret], &[&[b'-'; 1000], &printed]);
            assert!(!kept.text.bytes().any(|byte| byte.is_ascii_digit()), "{after}: {}", &kept.text[..300]);
        }
    }

    #[test]
    fn a_secret_in_base64_on_the_border_leaves_no_part_of_it() {
        use base64::Engine as _;
        let secret = "0123456789".repeat(20);
        let secrets = Arc::new(Secrets::new(Redactions::new([secret.clone().into_bytes()]), Vec::new()));
        let encoded = base64::engine::general_purpose::STANDARD.encode(&secret);
        let lines: Vec<&str> = encoded.as_bytes().chunks(76).map(|line| str::from_utf8(line).unwrap()).collect();
        let folded = lines.join("\n");
        for after in (KEPT - folded.len() - 2..KEPT + 2).step_by(11) {
            let mut tail = Tail::new(Arc::clone(&secrets));
            // In chunks that cut it at any position.
            [&[b'-'; 1000][..], folded.as_bytes(), &vec![b'.'; after]].concat().chunks(16_381).for_each(|chunk| tail.push(chunk));
            let kept = tail.finish(false);
            assert!(!kept.text.bytes().any(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase()), "{after}: {}", &kept.text[..300]);
        }
    }

    #[test]
    fn characters_that_postgresql_cannot_store_are_replaced() {
        assert_eq!(kept(&[], &[b"a\0b\xffc"]).text, "a\u{fffd}b\u{fffd}c");
    }

    #[test]
    fn no_character_is_cut() {
        let kept_ = kept(&[], &["ü".repeat(KEPT).as_bytes(), b"x"]);
        assert_eq!(kept_, Kept { text: format!("{}x", "ü".repeat(KEPT / 2 - 1)), truncated: true });
        let grown = kept(&[], &[&[0xff; KEPT]]);
        assert_eq!(grown, Kept { text: "\u{fffd}".repeat(KEPT / 3), truncated: true });
    }

    /// What a reader has seen who reads after each chunk, and once more at the end.
    fn read_along(secrets: &Arc<Secrets>, chunks: &[&[u8]]) -> String {
        let (mut tail, mut read, mut read_to) = (Tail::new(Arc::clone(secrets)), String::new(), 0);
        let looks = chunks.iter().map(|chunk| (*chunk, true)).chain([(&b""[..], false)]);
        for (chunk, goes_on) in looks {
            tail.push(chunk);
            let (piece, end) = tail.clone().since(read_to, goes_on);
            read.push_str(&piece.text);
            read_to = end;
        }
        read
    }

    #[test]
    fn live_output_equals_the_stored_output() {
        use base64::Engine as _;
        let secret = "hunter2-and-more";
        let encoded = base64::engine::general_purpose::STANDARD.encode(format!("user:{secret}"));
        let hexadecimal: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        let secrets = Arc::new(Secrets::new(Redactions::new([secret.as_bytes().to_vec()]), vec![b"prod".to_vec()]));
        for text in [
            format!("token={secret}; done"),
            format!("Authorization: Basic {encoded} sent"),
            format!("{hexadecimal}{hexadecimal}"),
            "in prod, pro".to_owned(),
            "no secret: grüße \u{1f600}!".to_owned(),
            format!("{secret}{secret}"),
        ] {
            let bytes = text.as_bytes();
            let mut tail = Tail::new(Arc::clone(&secrets));
            tail.push(bytes);
            let whole = tail.finish(false).text;
            for cut in 0..=bytes.len() {
                assert_eq!(read_along(&secrets, &[&bytes[..cut], &bytes[cut..]]), whole, "{text:?} at {cut}");
            }
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(read_along(&secrets, &single), whole, "{text:?} byte by byte");
        }
    }

    #[test]
    fn a_line_is_seen_as_soon_as_it_is_written() {
        let secrets = Arc::new(Secrets::new(Redactions::new([b"10-green-bottles".to_vec()]), Vec::new()));
        let mut tail = Tail::new(secrets);
        tail.push(b"step 1 of 10\n");
        assert_eq!(tail.clone().since(0, true).0.text, "step 1 of 10\n");
    }

    #[test]
    fn a_slow_live_reader_gets_a_note_of_the_gap() {
        let mut tail = Tail::new(Arc::default());
        tail.push(b"first");
        let (_, read_to) = tail.clone().since(0, true);
        tail.push(&[b'x'; 2 * KEPT]);
        let (piece, end) = tail.clone().since(read_to, true);
        assert_eq!((piece.text.len(), piece.is_cut, end), (KEPT, true, 5 + 2 * KEPT as u64));
        tail.push(b"last");
        assert_eq!(tail.since(end, true).0, Piece { text: "last".to_owned(), is_cut: false });
    }
}
