//! Signatures of services that call the server: HMAC-SHA256 over the raw bytes, written in
//! hexadecimal, compared in constant time.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Whether the digits are the signature over the concatenation of these parts.
pub fn fits(secret: &str, parts: &[&[u8]], digits: &str) -> bool {
    let (Some(signature), Ok(mut mac)) = (unhex(digits), Hmac::<Sha256>::new_from_slice(secret.as_bytes())) else { return false };
    for part in parts {
        mac.update(part);
    }
    mac.verify_slice(&signature).is_ok()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().chunks_exact(2);
    pairs.remainder().is_empty().then(|| pairs.map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_signature_over_the_very_bytes_fits() {
        // The example from GitHub's documentation.
        let (secret, body) = ("It's a Secret to Everybody", b"Hello, World!".as_slice());
        let digits = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert!(fits(secret, &[body], digits));
        assert!(fits(secret, &[b"Hello", b", World!"], digits));
        for (secret, body, digits) in [
            ("another", body, digits),
            (secret, b"Hello, World?".as_slice(), digits),
            (secret, body, &digits[..62]),
            (secret, body, &digits[..63]),
            (secret, body, ""),
            (secret, body, "zz7107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"),
        ] {
            assert!(!fits(secret, &[body], digits), "{digits}");
        }
    }
}
