//! The live standing grants, as of a moment ago.
//!
//! A submit that would park uses these, so the database is not queried each time. That is enough:
//! the commit, which counts the use, decides whether a grant releases a request, and a grant that
//! is not known here yet only means that people are asked.

use crate::domain::grant::Grant;
use crate::storage::{Error, Storage};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// From this age on, the next caller reads the grants again.
const AGING: Duration = Duration::from_millis(500);

pub struct GrantBook {
    storage: Storage,
    known: Mutex<Option<(Instant, Arc<Vec<Grant>>)>>,
}

impl GrantBook {
    pub fn new(storage: Storage) -> Self {
        Self { storage, known: Mutex::default() }
    }

    /// The live grants, oldest first, as of a moment ago.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn live(&self) -> Result<Arc<Vec<Grant>>, Error> {
        let mut known = self.known.lock().await;
        if let Some((_, grants)) = known.as_ref().filter(|(asked, _)| asked.elapsed() < AGING) {
            return Ok(Arc::clone(grants));
        }
        let asked = Instant::now();
        let grants = Arc::new(self.storage.live_grants().await?);
        *known = Some((asked, Arc::clone(&grants)));
        Ok(grants)
    }

    /// Makes the next caller read the grants again.
    pub async fn look_again(&self) {
        *self.known.lock().await = None;
    }
}
