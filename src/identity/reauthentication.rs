//! Repeated proof of the caller, for a request that is answered over a long time.

use crate::identity::{Error, Identity};
use crate::storage;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use std::time::{Duration, Instant};

/// How long a stream goes on if its caller cannot be proved again because the database is
/// unavailable.
const UNPROVED: Duration = Duration::from_secs(60);

/// The proof that a request brought, and when it was last checked.
pub struct Reauthentication {
    method: Method,
    headers: HeaderMap,
    proved: Instant,
}

impl Reauthentication {
    /// The proof in the head of a request whose caller has just been proved.
    pub fn of(parts: &Parts) -> Self {
        Self { method: parts.method.clone(), headers: parts.headers.clone(), proved: Instant::now() }
    }

    /// Whether the caller may still be answered. If the database is unavailable, the last answer
    /// holds for a while.
    pub async fn holds(&mut self, identity: &Identity) -> bool {
        match identity.caller(&self.method, &self.headers).await {
            Ok(_) => {
                self.proved = Instant::now();
                true
            }
            Err(Error::Storage(storage::Error::Unavailable(_))) => self.proved.elapsed() < UNPROVED,
            Err(_) => false,
        }
    }
}
