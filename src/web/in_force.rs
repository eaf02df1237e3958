//! A halt in force, as every page shows it at the top.

use crate::domain::hold::Halt;
use crate::web::relative_time::RelativeTime;
use chrono::{DateTime, Utc};
use serde::Serialize;

/// A halt in force.
#[derive(Debug, Serialize)]
pub struct InForce {
    scope: String,
    by: String,
    reason: String,
    since: RelativeTime,
    is_drill: bool,
}

impl InForce {
    /// A halt as pages show it.
    pub fn of(halt: Halt, now: DateTime<Utc>) -> Self {
        Self {
            scope: halt.scope().to_owned(),
            since: RelativeTime::of(halt.since, now),
            by: halt.by,
            reason: halt.reason,
            is_drill: halt.is_drill,
        }
    }
}
