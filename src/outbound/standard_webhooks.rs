//! Standard Webhooks 1.0: how a message that parkbrake sends is signed with a shared secret.
//!
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>

use crate::domain::notice::SecretName;
use crate::outbound::secret::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use uuid::Uuid;

/// The headers that a receiver checks.
pub const ID: &str = "webhook-id";
pub const TIMESTAMP: &str = "webhook-timestamp";
pub const SIGNATURE: &str = "webhook-signature";

const PREFIX: &str = "whsec_";
/// How long a secret is, in bytes.
const SECRET: std::ops::RangeInclusive<usize> = 24..=64;

/// A shared secret. It has no `Debug`, so that it cannot end up in a log.
#[derive(Clone)]
pub struct Key(Vec<u8>);

impl Key {
    /// The key in a secret such as `whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw`, which was read from
    /// the variable `name`.
    ///
    /// # Errors
    /// The text is not such a secret. The error does not show it.
    pub fn read(name: &SecretName, secret: &Secret) -> Result<Self, String> {
        let encoded = secret.expose().trim().strip_prefix(PREFIX);
        let bytes = encoded.and_then(|encoded| STANDARD.decode(encoded).ok()).filter(|bytes| SECRET.contains(&bytes.len()));
        bytes.map(Self).ok_or_else(|| {
            format!(
                "{} has to be {PREFIX} and {} to {} bytes in base64: echo {PREFIX}$(openssl rand -base64 32)",
                name.0,
                SECRET.start(),
                SECRET.end()
            )
        })
    }

    /// The signature of one message: `v1,` and the HMAC-SHA256 of its id, its time (in seconds
    /// since 1970) and its body.
    pub fn sign(&self, id: &str, timestamp: &str, body: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

/// The id of a message. It stays the same when the message is sent again, so that a receiver
/// recognizes a repetition.
pub fn message_id(id: Uuid) -> String {
    format!("msg_{}", id.simple())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET_TEXT: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn name() -> SecretName {
        SecretName("HOOK_SECRET".to_owned())
    }

    #[test]
    fn the_signature_is_that_of_the_standard() {
        // The example of the specification's libraries.
        let key = Key::read(&name(), &Secret::new(SECRET_TEXT)).unwrap();
        let found = key.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", r#"{"test": 2432232314}"#);
        assert_eq!(found, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn an_invalid_secret_is_refused_without_being_shown() {
        let encoded = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![7; bytes]));
        for valid in [encoded(24), encoded(64), format!(" {}\n", encoded(32))] {
            assert!(Key::read(&name(), &Secret::new(valid)).is_ok());
        }
        for invalid in ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_", "whsec_???", &encoded(23), &encoded(65)] {
            let told = Key::read(&name(), &Secret::new(invalid)).err().unwrap();
            assert!(told.contains("HOOK_SECRET") && !told.contains("MfKQ"), "{told}");
        }
    }
}
