//! Bearer tokens that were good a moment ago, so that the database is not asked about them for each
//! request.

use crate::secret_key::Seal;
use crate::storage::{Error, Presented, Storage, TokenHolder};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a token is believed without asking the database again; a revocation takes effect within
/// this time.
const BELIEVED: Duration = Duration::from_secs(2);
/// So many tokens are remembered at most.
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
    /// What a token turns out to be.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn holder(&self, storage: &Storage, token: &str) -> Result<Presented, Error> {
        let hash = storage.token_hash(token)?;
        if let Some(holder) = self.remembered(hash) {
            return Ok(Presented::Good(holder));
        }
        // Believed from the question on: a revocation that comes before the answer may not be in
        // it.
        let asked = Instant::now();
        // Boxed, because it is rare: a request's future is moved several times, and is as large as
        // the largest of what it may wait for.
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
