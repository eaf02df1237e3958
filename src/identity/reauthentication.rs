//! Proof again and again, for a request that is answered for a long time.

use crate::identity::{Error, Identity};
use crate::storage;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use std::time::{Duration, Instant};

/// How long a stream goes on whose caller could not be proved anew, because the database is away.
const UNPROVED: Duration = Duration::from_secs(60);

/// What a request brought to prove its caller, and when it last did.
pub struct Reauthentication {
    method: Method,
    headers: HeaderMap,
    proved: Instant,
}

impl Reauthentication {
    /// Proof by the head of a request whose caller has just been proved.
    pub fn of(parts: &Parts) -> Self {
        Self { method: parts.method.clone(), headers: parts.headers.clone(), proved: Instant::now() }
    }

    /// Whether the caller may still be answered. Where nobody can say, because the database is
    /// away, that holds for a while.
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
