//! The time: the database's, carried forward by a monotonic clock.
//!
//! Nothing in parkbrake asks the machine what time it is. Deadlines are checked by the database in the statement that acts
//! on them; what needs the time for anything else (the conditions of triggers) gets it from here. A machine whose clock is
//! wrong, or jumps, changes nothing.

use chrono::{DateTime, TimeDelta, Utc};
use std::sync::Mutex;
use std::time::Instant;
use uuid::{NoContext, Timestamp, Uuid};

/// The database's time as last heard, and when that was.
#[derive(Debug)]
pub struct Clock(Mutex<(DateTime<Utc>, Instant)>);

impl Clock {
    /// A clock that has just heard the time.
    pub fn new(now: DateTime<Utc>) -> Self {
        Self(Mutex::new((now, Instant::now())))
    }

    /// Hears the time again.
    pub fn hear(&self, now: DateTime<Utc>) {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = (now, Instant::now());
    }

    /// A fresh id that shows the database's time.
    pub fn new_id(&self) -> Uuid {
        let now = self.now();
        let seconds = u64::try_from(now.timestamp()).unwrap_or_default();
        Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, now.timestamp_subsec_nanos()))
    }

    /// The time by the database, to within the drift since it was last heard.
    pub fn now(&self) -> DateTime<Utc> {
        let (heard, at) = *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        heard + TimeDelta::from_std(at.elapsed()).unwrap_or_default()
    }
}
