//! JSON Web Tokens signed with ES256 (RFC 7518), with which parkbrake introduces itself to push
//! services (VAPID, RFC 8292).

use crate::outbound::jwt;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use rustls::pki_types::PrivateKeyDer;
use serde_json::Value;

/// A private key. It cannot be shown.
pub struct Es256(EcdsaKeyPair);

impl Es256 {
    /// The key in a PEM file (`PRIVATE KEY`).
    ///
    /// # Errors
    /// The text is not such a key. The reason shows none of it.
    pub fn of_pem(pem: &str) -> Result<Self, String> {
        let key = match jwt::private_key(pem) {
            Some(PrivateKeyDer::Pkcs8(key)) => {
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.secret_pkcs8_der(), &SystemRandom::new()).ok()
            }
            _ => None,
        };
        let unfit = "is not a private key of the curve P-256 in PEM format: make one with `openssl genpkey -algorithm EC -pkeyopt \
                     ec_paramgen_curve:P-256`, and give its whole output, with its first and last line";
        key.map(Self).ok_or_else(|| unfit.to_owned())
    }

    /// The public key: a point of the curve, uncompressed.
    pub fn public_key(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    /// A token with these claims.
    ///
    /// # Errors
    /// The system provides no random numbers.
    pub fn token(&self, claims: &Value) -> Result<String, String> {
        jwt::token("ES256", claims, |message| Ok(self.0.sign(&SystemRandom::new(), message)?.as_ref().to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
    use serde_json::json;

    /// A key that was made for the tests.
    const KEY: &str = include_str!("../../tests/fixtures/web_push/vapid-key.pem");

    #[test]
    fn a_token_is_signed_with_the_key() {
        let claims = json!({"aud": "https://push.example", "exp": 2, "sub": "mailto:ops@example.com"});
        for pem in [KEY.to_owned(), KEY.trim().replace('\n', "\\n")] {
            let key = Es256::of_pem(&pem).unwrap();
            let token = key.token(&claims).unwrap();
            let (message, signature) = token.rsplit_once('.').unwrap();
            let (header, body) = message.split_once('.').unwrap();
            let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
            assert_eq!(serde_json::from_slice::<Value>(&decode(header)).unwrap(), json!({"alg": "ES256", "typ": "JWT"}));
            assert_eq!(serde_json::from_slice::<Value>(&decode(body)).unwrap(), claims);
            let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.public_key());
            assert!(public.verify(message.as_bytes(), &decode(signature)).is_ok());
            assert!(public.verify(b"another message", &decode(signature)).is_err());
        }
    }

    #[test]
    fn an_invalid_key_is_refused_without_being_shown() {
        let cut = KEY.lines().take(2).collect::<Vec<_>>().join("\n");
        let rsa = include_str!("../../tests/fixtures/github/app-key.pem");
        for pem in ["", "hunter2", cut.as_str(), rsa, "-----BEGIN PRIVATE KEY-----\naHVudGVyMg==\n-----END PRIVATE KEY-----"] {
            let error = Es256::of_pem(pem).err().unwrap();
            assert!(error.contains("openssl genpkey") && !error.contains("hunter2") && !error.contains("aHVu"), "{error}");
        }
    }
}
