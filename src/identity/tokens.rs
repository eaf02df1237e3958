//! A cache of bearer tokens that were valid a moment ago, so that not every request asks the
//! database.

use crate::secret_key::Seal;
use crate::storage::{Error, Presented, Storage, TokenHolder};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a token is accepted without asking the database again. A revocation takes effect within
/// this time.
const BELIEVED: Duration = Duration::from_secs(2);
/// The most tokens that are remembered.
const MOST: usize = 10_000;

/// The tokens, by their hashes.
#[derive(Debug, Default)]
pub struct Tokens(Mutex<HashMap<Seal, Believed>>);

#[derive(Debug)]
struct Believed {
    holder: TokenHolder,
    until: Instant,
}

impl Tokens {
    /// The holder of the token, or why it is not accepted.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn holder(&self, storage: &Storage, token: &str) -> Result<Presented, Error> {
        let hash = storage.token_hash(token)?;
        if let Some(holder) = self.remembered(hash) {
            return Ok(Presented::Good(holder));
        }
        // The time counts from the query: a revocation during the query may be missing from its
        // answer.
        let asked = Instant::now();
        // Boxed, because it is rare: a request's future is as large as the largest future that it
        // may await, and it is moved several times.
        let presented = Box::pin(storage.token_holder(token)).await?;
        if let Presented::Good(holder) = &presented {
            let until = asked + holder.left.unwrap_or(BELIEVED).min(BELIEVED);
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() >= MOST {
                known.clear();
            }
            known.insert(hash, Believed { holder: holder.clone(), until });
        }
        Ok(presented)
    }

    fn remembered(&self, hash: Seal) -> Option<TokenHolder> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&hash).filter(|believed| Instant::now() < believed.until).map(|believed| believed.holder.clone())
    }
}
