//! Digests, and the canonical form that they cover.
//!
//! The document that is shown to an approver, hashed, stored and executed has one spelling: the
//! JSON Canonicalization Scheme (RFC 8785). Anybody who has the document can verify the digest with
//! any JCS library and `sha256sum`.

use crate::domain::task::canonical::{self, Object};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::sync::Arc;

/// The reason why canonicalization cannot fail.
const DOCUMENT: &str = "a document of strings, booleans, numbers, lists and objects";

/// A SHA-256, written as `sha256:` and 64 lower-case hexadecimal digits. Copies share their text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(Arc<str>);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(format!("sha256:{}", hex(&Sha256::digest(bytes))).into())
    }

    /// Reads the text form.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("sha256:")?;
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (digits.len() == 64 && digits.bytes().all(is_digit)).then(|| Self(text.into()))
    }

    /// The text form.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The bytes that the text spells, in less than half of its memory; `None` if it does not have
    /// the text form of a digest.
    pub fn bytes(&self) -> Option<Bytes> {
        let digits = self.0.strip_prefix("sha256:").filter(|digits| digits.len() == 64)?.as_bytes();
        let value = |digit: u8| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = (value(pair[0])? << 4) | value(pair[1])?;
        }
        Some(Bytes(bytes))
    }
}

/// The bytes of a digest, without its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes([u8; 32]);

impl From<Bytes> for Digest {
    fn from(Bytes(bytes): Bytes) -> Self {
        Self(format!("sha256:{}", hex(&bytes)).into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Computes a digest piece by piece.
#[derive(Default)]
pub struct Digester(Sha256);

impl Digester {
    /// Adds the next piece.
    pub fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all pieces together.
    pub fn finish(self) -> Digest {
        Digest(format!("sha256:{}", hex(&self.0.finalize())).into())
    }
}

/// Lower-case hexadecimal digits of some bytes.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| DIGITS[usize::from(nibble & 15)];
    let text: Vec<u8> = bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect();
    String::from_utf8(text).expect("digits are text")
}

/// The canonical bytes of a value (RFC 8785).
///
/// # Panics
/// Never for the types of this crate: only maps with keys that are not strings cannot be JSON.
pub fn canonical<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    canonical::write(value).expect(DOCUMENT)
}

/// The canonical bytes of an object whose members are added one by one.
///
/// # Panics
/// As [`canonical()`].
pub fn canonical_object(add: impl FnOnce(&mut Object<'_>) -> serde_json::Result<()>) -> Vec<u8> {
    canonical::object(add).expect(DOCUMENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_bytes_sort_keys_and_drop_white_space() {
        let value: serde_json::Value = serde_json::from_str(r#"{ "b": 1.0, "a": [true, "ü"], "c": 250.50 }"#).unwrap();
        assert_eq!(String::from_utf8(canonical(&value)).unwrap(), r#"{"a":[true,"ü"],"b":1,"c":250.5}"#);
    }

    #[test]
    fn a_digest_is_what_sha256sum_prints() {
        assert_eq!(Digest::of(b"").as_str(), "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        let mut digester = Digester::default();
        digester.add(b"ab");
        digester.add(b"c");
        assert_eq!(digester.finish(), Digest::of(b"abc"));
    }
}
