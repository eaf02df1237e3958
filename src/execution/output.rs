//! The part of a run's output that is kept: the end of each stream, without secrets.
//!
//! A deploy script may print a gigabyte, and what matters is nearly always how it ended. So the last 64 KiB are kept, and memory use
//! stays the same however much is printed. The text goes into PostgreSQL and into the history that everyone with access can read, so
//! secrets, NUL characters and bytes that are not UTF-8 do not leave this module.
//!
//! Redaction protects against accidents (`set -x`, a tool that echoes its request) and not against malice: a runbook that prints a secret
//! in a form that `redactions` does not know, reversed or cut into pieces, is not caught.

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
    /// The secrets that the run was given in addition.
    own: Redactions,
    /// The secrets that the run was given and that are too short to be searched for in other spellings.
    short: Vec<Vec<u8>>,
}

impl Secrets {
    /// All secrets of the server, and those that the run is given. White space around a secret is not part of it, because `echo` drops or
    /// adds it.
    pub fn new(all: Redactions, own: Vec<Vec<u8>>) -> Self {
        let own = own.iter().map(|value| value.trim_ascii().to_vec()).filter(|value| !value.is_empty() && !all.knows(value));
        let (long, short): (Vec<_>, Vec<_>) = own.partition(|value| is_long_enough(value));
        Self { all, own: Redactions::new(long), short }
    }

    /// How many bytes before a cut may belong to a secret that continues after it.
    fn reach(&self) -> usize {
        let short = self.short.iter().map(|secret| secret.len() - 1).max().unwrap_or(0);
        short.max(self.all.reach()).max(self.own.reach())
    }

    /// For each byte, whether it belongs to a secret. Secrets may overlap one another and themselves.
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
/// In addition to the part that is kept, it holds as many of the bytes before it as the longest secret may have, so that a secret at the
/// border is seen whole and removed.
pub struct Tail<'a> {
    secrets: &'a Secrets,
    bytes: VecDeque<u8>,
}

/// The end of a stream, fit to be shown.
#[derive(Debug, PartialEq, Eq)]
pub struct Kept {
    pub text: String,
    /// Whether there was more before it.
    pub truncated: bool,
}

impl<'a> Tail<'a> {
    pub fn new(secrets: &'a Secrets) -> Self {
        Self { secrets, bytes: VecDeque::new() }
    }

    /// Reads to the end of the stream. The future may be dropped at any time; what was read until then is kept.
    pub async fn fill(&mut self, mut stream: impl AsyncRead + Unpin) {
        let mut chunk = [0; 16 * 1024];
        // A stream that cannot be read counts as ended.
        while let Ok(read @ 1..) = stream.read(&mut chunk).await {
            self.push(&chunk[..read]);
        }
    }

    /// Takes the next bytes.
    pub fn push(&mut self, chunk: &[u8]) {
        self.bytes.extend(chunk);
        // One more byte than is ever shown, so that a length above `KEPT` means that something was cut.
        let excess = self.bytes.len().saturating_sub(KEPT + self.secrets.reach().max(1));
        self.bytes.drain(..excess);
    }

    /// The part of the stream that is shown. `cut_off` means that more would have come.
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
        // The replacement may be longer than the secret.
        let end = last(&text, KEPT);
        Kept { truncated: start > 0 || end.len() < text.len(), text: end.to_owned() }
    }
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
