//! Encrypts a message for one browser (RFC 8291): the push service that carries it cannot read it.

use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral};
use ring::error::Unspecified;
use ring::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use ring::rand::{SecureRandom as _, SystemRandom};

/// Bytes of a salt, of a tag, and of the secret that a browser shares with us.
const SALT: usize = 16;
const TAG: usize = 16;
pub const AUTH: usize = 16;
/// Bytes of a public key: a point of P-256, uncompressed.
pub const PUBLIC_KEY: usize = 65;
/// The size of the only record (RFC 8188), which is also the most that a push service has to carry.
const RECORD: u32 = 4096;
/// The most bytes of a message: the header, the delimiter and the tag take the rest of 4,096 bytes.
pub const LARGEST: usize = 3_993;

/// The keys of one browser.
#[derive(Debug, Clone, Copy)]
pub struct BrowserKeys<'a> {
    pub p256dh: &'a [u8],
    pub auth: &'a [u8],
}

impl BrowserKeys<'_> {
    /// The message as only this browser can read it, with the content coding `aes128gcm`.
    ///
    /// # Errors
    /// The keys are not those of a browser, or the message is longer than [`LARGEST`].
    pub fn encrypt(&self, message: &[u8]) -> Result<Vec<u8>, Unspecified> {
        if self.auth.len() != AUTH || message.len() > LARGEST {
            return Err(Unspecified);
        }
        let random = SystemRandom::new();
        let own = EphemeralPrivateKey::generate(&ECDH_P256, &random)?;
        let own_public = own.compute_public_key()?;
        let mut salt = [0; SALT];
        random.fill(&mut salt)?;
        let peer = UnparsedPublicKey::new(&ECDH_P256, self.p256dh);
        agree_ephemeral(own, &peer, |secret| self.encrypt_with(message, secret, own_public.as_ref(), &salt))?
    }

    /// The same with everything that is random or secret given.
    fn encrypt_with(&self, message: &[u8], secret: &[u8], own_public: &[u8], salt: &[u8; SALT]) -> Result<Vec<u8>, Unspecified> {
        let mut shared = [0; 32];
        derive(&Salt::new(HKDF_SHA256, self.auth).extract(secret), &[b"WebPush: info\0", self.p256dh, own_public], &mut shared)?;
        let derived = Salt::new(HKDF_SHA256, salt).extract(&shared);
        let (mut key, mut nonce) = ([0; 16], [0; 12]);
        derive(&derived, &[b"Content-Encoding: aes128gcm\0"], &mut key)?;
        derive(&derived, &[b"Content-Encoding: nonce\0"], &mut nonce)?;
        // The byte 2 ends the last record.
        let mut record = [message, &[2]].concat();
        record.reserve(TAG);
        LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key)?).seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::empty(),
            &mut record,
        )?;
        let length = u8::try_from(own_public.len()).map_err(|_| Unspecified)?;
        Ok([&salt[..], &RECORD.to_be_bytes(), &[length], own_public, &record].concat())
    }
}

/// The length of what is derived.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

fn derive(from: &Prk, info: &[&[u8]], into: &mut [u8]) -> Result<(), Unspecified> {
    from.expand(info, Length(into.len()))?.fill(into)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    fn decode(text: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(text).unwrap()
    }

    /// The browser's keys of RFC 8291, appendix A.
    fn keys() -> (Vec<u8>, Vec<u8>) {
        let p256dh = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
        (decode(p256dh), decode("BTBZMqHH6r4Tts7J_aSIgg"))
    }

    #[test]
    fn the_example_of_rfc_8291_is_encrypted_to_the_byte() {
        let (p256dh, auth) = keys();
        let own_public = decode("BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8");
        let secret = decode("kyrL1jIIOHEzg3sM2ZWRHDRB62YACZhhSlknJ672kSs");
        let salt = decode("DGv6ra1nlYgDCS1FRnbzlw").try_into().unwrap();
        let message = b"When I grow up, I want to be a watermelon";
        let encrypted = BrowserKeys { p256dh: &p256dh, auth: &auth }.encrypt_with(message, &secret, &own_public, &salt).unwrap();
        let expected = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN";
        assert_eq!(URL_SAFE_NO_PAD.encode(encrypted), expected);
    }

    #[test]
    fn the_longest_message_fits_and_no_two_are_alike() {
        let (p256dh, auth) = keys();
        let keys = BrowserKeys { p256dh: &p256dh, auth: &auth };
        let longest = keys.encrypt(&[b'x'; LARGEST]).unwrap();
        assert_eq!(longest.len(), RECORD as usize);
        assert_ne!(longest, keys.encrypt(&[b'x'; LARGEST]).unwrap());
        assert!(keys.encrypt(&[b'x'; LARGEST + 1]).is_err());
    }

    #[test]
    fn keys_that_no_browser_has_are_refused() {
        let (p256dh, auth) = keys();
        let mut off_the_curve = p256dh.clone();
        off_the_curve[40] ^= 1;
        for (p256dh, auth) in
            [(&off_the_curve, &auth), (&p256dh[..64].to_vec(), &auth), (&Vec::new(), &auth), (&p256dh, &auth[..15].to_vec())]
        {
            assert!(BrowserKeys { p256dh, auth }.encrypt(b"x").is_err());
        }
    }
}
