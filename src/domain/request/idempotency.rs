//! Idempotency keys: a request that is sent again gets the same answer as the first time.

use crate::domain::task::digest::Digest;

/// The key of a request.
#[derive(Debug, Clone)]
pub struct IdempotencyKey {
    pub key: String,
    /// The digest of the request's body.
    pub fingerprint: Digest,
}
