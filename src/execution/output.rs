//! What is kept of a run's output: the end of each stream, without the secrets.
//!
//! A deploy script may print a gigabyte, and what matters is nearly always how it ended. So the last 64 KiB are kept
//! and memory stays the same whatever is printed. The text goes into the history that every person with access reads,
//! and into PostgreSQL, so secrets, NUL characters and bytes that are not UTF-8 do not leave this module.
//!
//! Redaction is a net for accidents (`set -x`, a tool that echoes its request), not a fence: a runbook that prints a
//! secret in a spelling that `redactions` does not know, reversed or cut up, is not caught, and is trusted not to.

use crate::execution::redactions::{Redactions, is_long_enough};
use std::collections::VecDeque;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// How much of each stream is kept, in bytes.
pub const KEPT: usize = 64 * 1024;

const REDACTED: &[u8] = b"[redacted]";

/// The values that a run must not show. It has no `Debug`, so that it cannot end up in a log.
#[derive(Default)]
pub struct Secrets {
    /// Every secret of the server.
    all: Redactions,
    /// What the run was given besides.
    own: Redactions,
    /// What it was given and is too short to be looked for in other spellings.
    short: Vec<Vec<u8>>,
}

impl Secrets {
    /// All secrets of the server, and those that the run is given, as they are passed on. White space around one is not part of
    /// the secret: `echo` drops or adds it.
    pub fn new(all: Redactions, own: Vec<Vec<u8>>) -> Self {
        let own = own.iter().map(|value| value.trim_ascii().to_vec()).filter(|value| !value.is_empty() && !all.knows(value));
        let (long, short): (Vec<_>, Vec<_>) = own.partition(|value| is_long_enough(value));
        Self { all, own: Redactions::new(long), short }
    }

    /// The most bytes that a secret can reach back over a cut without being seen whole.
    fn reach(&self) -> usize {
        let short = self.short.iter().map(|secret| secret.len() - 1).max().unwrap_or(0);
        short.max(self.all.reach()).max(self.own.reach())
    }

    /// For each byte whether it belongs to a secret. Secrets may overlap, each other and themselves.
    fn found_in(&self, bytes: &[u8], cut_off: bool) -> Vec<bool> {
        let short = self.short.iter().flat_map(|secret| {
            let places = bytes.windows(secret.len()).enumerate().filter(move |(_, window)| window == secret);
            places.map(|(start, _)| start..start + secret.len())
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
/// Beside what is kept it holds on to as many bytes before as the longest secret may need, so that a secret that is cut
/// at the border is still seen whole, and taken out.
pub struct Tail<'a> {
    secrets: &'a Secrets,
    bytes: VecDeque<u8>,
}

/// The end of a stream as it can be shown.
#[derive(Debug, PartialEq, Eq)]
pub struct Kept {
    pub text: String,
    /// Whether something came before it.
    pub truncated: bool,
}

impl<'a> Tail<'a> {
    pub fn new(secrets: &'a Secrets) -> Self {
        Self { secrets, bytes: VecDeque::new() }
    }

    /// Reads to the end of the stream. It can be dropped at any time; what was read until then is kept.
    pub async fn fill(&mut self, mut stream: impl AsyncRead + Unpin) {
        let mut chunk = [0; 16 * 1024];
        // A stream that cannot be read is one that has ended.
        while let Ok(read @ 1..) = stream.read(&mut chunk).await {
            self.push(&chunk[..read]);
        }
    }

    /// Takes the next bytes.
    pub fn push(&mut self, chunk: &[u8]) {
        self.bytes.extend(chunk);
        // One more than is ever shown, so that being longer than `KEPT` is what says that something was cut.
        let excess = self.bytes.len().saturating_sub(KEPT + self.secrets.reach().max(1));
        self.bytes.drain(..excess);
    }

    /// What is shown of the stream; `cut_off` says that more would have come.
    pub fn finish(mut self, cut_off: bool) -> Kept {
        let bytes = &*self.bytes.make_contiguous();
        let secret = self.secrets.found_in(bytes, cut_off);
        let start = bytes.len().saturating_sub(KEPT);
        let mut shown = Vec::with_capacity(bytes.len() - start);
        for index in start..bytes.len() {
            if !secret[index] {
                shown.push(bytes[index]);
            } else if index == start || !secret[index - 1] {
                shown.extend(REDACTED);
            }
        }
        let text = String::from_utf8_lossy(skip_cut_character(&shown, start > 0)).replace('\0', "\u{fffd}");
        // What was replaced may be longer than what it stood for.
        let end = last(&text, KEPT);
        Kept { truncated: start > 0 || end.len() < text.len(), text: end.to_owned() }
    }
}

/// Without the rest of a character whose beginning was cut off.
fn skip_cut_character(bytes: &[u8], cut: bool) -> &[u8] {
    let rest = bytes.iter().take(3).take_while(|byte| cut && **byte & 0b1100_0000 == 0b1000_0000).count();
    &bytes[rest..]
}

/// The end of a text, at most so many bytes of whole characters.
fn last(text: &str, most: usize) -> &str {
    &text[text.ceil_char_boundary(text.len().saturating_sub(most))..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(secrets: &[&str], chunks: &[&[u8]]) -> Kept {
        let values = || secrets.iter().map(|secret| secret.as_bytes().to_vec());
        let told = |secrets: &Secrets| {
            let mut tail = Tail::new(secrets);
            chunks.iter().for_each(|chunk| tail.push(chunk));
            tail.finish(false)
        };
        let own = told(&Secrets::new(Redactions::default(), values().collect()));
        // It does not matter whether the server knew of a secret before.
        assert_eq!(own, told(&Secrets::new(Redactions::new(values()), values().collect())));
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
        let secrets = Secrets::default();
        let mut tail = Tail::new(&secrets);
        (0..1_000).for_each(|_| tail.push(&[b'x'; 8 * 1024]));
        assert!(tail.bytes.len() <= KEPT + 1);
    }

    #[test]
    fn secrets_are_replaced_wherever_they_stand() {
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
        let secrets = Secrets::new(Redactions::new([secret.clone().into_bytes()]), Vec::new());
        let encoded = base64::engine::general_purpose::STANDARD.encode(&secret);
        let lines: Vec<&str> = encoded.as_bytes().chunks(76).map(|line| str::from_utf8(line).unwrap()).collect();
        let folded = lines.join("\n");
        for after in (KEPT - folded.len() - 2..KEPT + 2).step_by(11) {
            let mut tail = Tail::new(&secrets);
            // In chunks that cut it anywhere.
            [&[b'-'; 1000][..], folded.as_bytes(), &vec![b'.'; after]].concat().chunks(16_381).for_each(|chunk| tail.push(chunk));
            let kept = tail.finish(false);
            assert!(!kept.text.bytes().any(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase()), "{after}: {}", &kept.text[..300]);
        }
    }

    #[test]
    fn what_postgresql_cannot_store_is_replaced() {
        assert_eq!(kept(&[], &[b"a\0b\xffc"]).text, "a\u{fffd}b\u{fffd}c");
    }

    #[test]
    fn no_character_is_cut() {
        let kept_ = kept(&[], &["ü".repeat(KEPT).as_bytes(), b"x"]);
        assert_eq!(kept_, Kept { text: format!("{}x", "ü".repeat(KEPT / 2 - 1)), truncated: true });
        let grown = kept(&[], &[&[0xff; KEPT]]);
        assert_eq!(grown, Kept { text: "\u{fffd}".repeat(KEPT / 3), truncated: true });
    }
}
