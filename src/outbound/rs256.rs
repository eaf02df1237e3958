//! JSON Web Tokens signed with RS256 (RFC 7515, RFC 7518), for services that know the public key.

use crate::outbound::jwt;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivateKeyDer;
use serde_json::Value;

/// A private key. It cannot be shown.
pub struct Rs256(RsaKeyPair);

impl Rs256 {
    /// The key in a PEM file (`RSA PRIVATE KEY` or `PRIVATE KEY`).
    ///
    /// # Errors
    /// The text is not such a key. The reason shows none of it.
    pub fn of_pem(pem: &str) -> Result<Self, String> {
        let key = match jwt::private_key(pem) {
            Some(PrivateKeyDer::Pkcs1(key)) => RsaKeyPair::from_der(key.secret_pkcs1_der()).ok(),
            Some(PrivateKeyDer::Pkcs8(key)) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).ok(),
            _ => None,
        };
        let unfit = "is not an RSA private key in PEM format: give the whole file, with its first and last line";
        key.map(Self).ok_or_else(|| unfit.to_owned())
    }

    /// A token with these claims.
    ///
    /// # Errors
    /// The system provides no random numbers.
    pub fn token(&self, claims: &Value) -> Result<String, String> {
        jwt::token("RS256", claims, |message| {
            let mut signature = vec![0; self.0.public().modulus_len()];
            self.0.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)?;
            Ok(signature)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use ring::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
    use serde_json::json;

    /// A key that was made for the tests.
    const KEY: &str = include_str!("../../tests/fixtures/github/app-key.pem");

    #[test]
    fn a_token_is_three_parts_of_which_the_last_signs_the_others() {
        let claims = json!({"iss": "1234", "iat": 1, "exp": 2});
        for pem in [KEY.to_owned(), KEY.trim().replace('\n', "\\n")] {
            let key = Rs256::of_pem(&pem).unwrap();
            let token = key.token(&claims).unwrap();
            let (message, signature) = token.rsplit_once('.').unwrap();
            let (header, body) = message.split_once('.').unwrap();
            let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
            assert_eq!(serde_json::from_slice::<Value>(&decode(header)).unwrap(), json!({"alg": "RS256", "typ": "JWT"}));
            assert_eq!(serde_json::from_slice::<Value>(&decode(body)).unwrap(), claims);
            let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.0.public_key().as_ref());
            assert!(public.verify(message.as_bytes(), &decode(signature)).is_ok());
            assert!(public.verify(b"another message", &decode(signature)).is_err());
        }
    }

    #[test]
    fn an_invalid_key_is_refused_without_being_shown() {
        let cut = KEY.lines().take(5).collect::<Vec<_>>().join("\n");
        for pem in ["", "hunter2", cut.as_str(), "-----BEGIN CERTIFICATE-----\naHVudGVyMg==\n-----END CERTIFICATE-----"] {
            let error = Rs256::of_pem(pem).err().unwrap();
            assert!(error.contains("PEM format") && !error.contains("hunter2"), "{error}");
        }
    }
}
