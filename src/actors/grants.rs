//! The standing grants that are live, as the database said a moment ago.
//!
//! A submit that would park asks this, so the database is not asked each time. That is enough:
//! whether a grant lets something pass is settled by the commit, which counts the use; and what is
//! not known here yet only parks.

use crate::domain::grant::Grant;
use crate::storage::{Error, Storage};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// From this age on, an answer is replaced by the next one who asks.
const AGING: Duration = Duration::from_millis(500);

pub struct GrantBook {
    storage: Storage,
    known: Mutex<Option<(Instant, Arc<Vec<Grant>>)>>,
}

impl GrantBook {
    pub fn new(storage: Storage) -> Self {
        Self { storage, known: Mutex::default() }
    }

    /// The live grants, the oldest first, as of a moment ago.
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

    /// Has the next one who asks hear what holds from now on.
    pub async fn look_again(&self) {
        *self.known.lock().await = None;
    }
}
