//! Idempotency keys: the same request, sent again, is answered as it was the first time.

use crate::domain::task::digest::Digest;

/// A key as a request brings it.
#[derive(Debug, Clone)]
pub struct IdempotencyKey {
    pub key: String,
    /// The digest of the request's body.
    pub fingerprint: Digest,
}
