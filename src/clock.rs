//! The time: the database's, carried forward by a monotonic clock.
//!
//! Nothing in parkbrake asks the machine what time it is. Deadlines are checked by the database in
//! the statement that acts on them; what needs the time for anything else (the conditions of
//! triggers, ids that sort by time) gets it from here. A machine whose clock is wrong, or jumps,
//! changes nothing.

use chrono::{DateTime, TimeDelta, Utc};
use std::sync::Mutex;
use std::time::Instant;
use uuid::{ContextV7, Timestamp, Uuid};

/// The database's time as last heard, and when that was.
#[derive(Debug)]
pub struct Clock {
    heard: Mutex<(DateTime<Utc>, Instant)>,
    /// Keeps the ids of one millisecond in the order in which they were made.
    ids: Mutex<ContextV7>,
}

impl Clock {
    /// A clock that has just heard the time.
    pub fn new(now: DateTime<Utc>) -> Self {
        Self { heard: Mutex::new((now, Instant::now())), ids: Mutex::new(ContextV7::new()) }
    }

    /// Hears the time again.
    pub fn hear(&self, now: DateTime<Utc>) {
        *self.heard.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = (now, Instant::now());
    }

    /// The time by the database, to within the drift since it was last heard.
    pub fn now(&self) -> DateTime<Utc> {
        let (heard, at) = *self.heard.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        heard + TimeDelta::from_std(at.elapsed()).unwrap_or_default()
    }

    /// A new id (UUIDv7). Ids are made in the order of time, so that a list in the order of ids is
    /// one in the order of time.
    pub fn new_id(&self) -> Uuid {
        let now = self.now();
        let seconds = u64::try_from(now.timestamp()).unwrap_or_default();
        Uuid::new_v7(Timestamp::from_unix(&self.ids, seconds, now.timestamp_subsec_nanos()))
    }
}
