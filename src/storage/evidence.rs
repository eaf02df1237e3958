//! The seals of evidence: a digest of a document with secrets in it, under the server's key, so
//! that no secret can be guessed from it.

use super::{Error, Storage};
use crate::domain::task::digest::{Digest, hex};
use crate::secret_key::Purpose;

/// The prefix of a sealed fingerprint.
const PREFIX: &str = "hmac-sha256:";

impl Storage {
    /// The sealed fingerprint of a document with this digest, which is stored and shown.
    ///
    /// # Errors
    /// There is no key.
    pub fn seal_evidence(&self, contents: &Digest) -> Result<String, Error> {
        Ok(format!("{PREFIX}{}", hex(&self.keys()?.seal(Purpose::Evidence, &[contents.as_str().as_bytes()]))))
    }

    /// Whether one of the server's keys made this fingerprint of a document with this digest.
    ///
    /// # Errors
    /// There is no key.
    pub fn is_evidence(&self, contents: &Digest, fingerprint: &str) -> Result<bool, Error> {
        let seals = self.keys()?.seals(Purpose::Evidence, &[contents.as_str().as_bytes()]);
        Ok(seals.iter().any(|seal| fingerprint.strip_prefix(PREFIX) == Some(hex(seal).as_str())))
    }
}
