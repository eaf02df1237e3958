//! The suspended principals, as read from the database a moment ago.
//!
//! Every request needs this, so it is cached: an answer is at most a second old. That is enough for
//! reading. Decisions and starts do not rely on it: their commit checks the database itself, and
//! this answer only explains a refusal.

use crate::domain::policy::Suspended;
use crate::storage::{Error, Storage};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// From this age on, the next caller refreshes the answer, while others still use it.
const AGING: Duration = Duration::from_millis(400);
/// No answer is older than this.
const OLDEST: Duration = Duration::from_secs(1);

pub struct Suspensions {
    storage: Storage,
    known: RwLock<Option<(Instant, Arc<Suspended>)>>,
    asking: tokio::sync::Mutex<()>,
}

impl Suspensions {
    pub fn new(storage: Storage) -> Self {
        Self { storage, known: RwLock::default(), asking: tokio::sync::Mutex::default() }
    }

    /// The suspended principals, as of at most a second ago.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn current(&self) -> Result<Arc<Suspended>, Error> {
        if let Some(fresh) = self.known_for(AGING) {
            return Ok(fresh);
        }
        let asking = match (self.asking.try_lock(), self.known_for(OLDEST)) {
            (Ok(asking), _) => asking,
            // Another caller is already asking.
            (Err(_), Some(known)) => return Ok(known),
            (Err(_), None) => self.asking.lock().await,
        };
        let current = match self.known_for(AGING) {
            Some(fresh) => fresh,
            None => self.refresh().await?,
        };
        drop(asking);
        Ok(current)
    }

    /// Asks the database now.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn refresh(&self) -> Result<Arc<Suspended>, Error> {
        // The age counts from before the query: a suspension during the query may be missing from
        // its answer.
        let asked = Instant::now();
        let current = Arc::new(self.storage.suspended().await?);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.as_ref().is_none_or(|(before, _)| *before < asked) {
            *known = Some((asked, Arc::clone(&current)));
        }
        Ok(current)
    }

    /// The last known answer, however old: for deciding who sees what, never for decisions about
    /// requests.
    pub fn last_known(&self) -> Arc<Suspended> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(|(_, known)| Arc::clone(known)).unwrap_or_default()
    }

    fn known_for(&self, age: Duration) -> Option<Arc<Suspended>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().filter(|(asked, _)| asked.elapsed() < age).map(|(_, known)| Arc::clone(known))
    }
}
