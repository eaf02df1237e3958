//! The time: the database's, carried forward by a monotonic clock.
//!
//! Nothing in parkbrake asks the machine for the time. The database checks deadlines in the
//! statement that acts on them; everything else that needs the time (the conditions of triggers,
//! ids that sort by time) gets it from here. A machine whose clock is wrong, or jumps, changes
//! nothing.

use chrono::{DateTime, TimeDelta, Utc};
use std::sync::Mutex;
use std::time::Instant;
use uuid::{ContextV7, Timestamp, Uuid};

/// The database's time as last read, and when that was.
#[derive(Debug)]
pub struct Clock {
    heard: Mutex<(DateTime<Utc>, Instant)>,
    /// Keeps the ids of one millisecond in the order in which they were created.
    ids: Mutex<ContextV7>,
}

impl Clock {
    /// A clock with a time that was just read.
    pub fn new(now: DateTime<Utc>) -> Self {
        Self { heard: Mutex::new((now, Instant::now())), ids: Mutex::new(ContextV7::new()) }
    }

    /// Takes in a newly read time.
    pub fn hear(&self, now: DateTime<Utc>) {
        *self.heard.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = (now, Instant::now());
    }

    /// The time according to the database, up to the drift since it was last read.
    pub fn now(&self) -> DateTime<Utc> {
        let (heard, at) = *self.heard.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        heard + TimeDelta::from_std(at.elapsed()).unwrap_or_default()
    }

    /// A new id (UUIDv7). Ids are created in chronological order, so a list sorted by id is sorted
    /// by time.
    pub fn new_id(&self) -> Uuid {
        let now = self.now();
        let seconds = u64::try_from(now.timestamp()).unwrap_or_default();
        Uuid::new_v7(Timestamp::from_unix(&self.ids, seconds, now.timestamp_subsec_nanos()))
    }
}
