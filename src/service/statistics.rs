//! How requests for approval went, as figures. For people.

use crate::identity::Caller;
use crate::service::lists::only_people;
use crate::service::{Service, ServiceError};
use crate::storage;
use chrono::{DateTime, NaiveDate, Utc};

/// How many requests are looked at.
pub const MOST_REQUESTS: i64 = storage::MOST_REQUESTS;
/// How many that wait are counted at each level.
pub const MOST_WAITING: i64 = storage::MOST_WAITING;

/// How the requests of the last days went.
#[derive(Debug)]
pub struct Statistics {
    /// The first moment that is looked at.
    pub since: DateTime<Utc>,
    pub until: DateTime<Utc>,
    /// The least dangerous first; a level without requests is left out.
    pub levels: Vec<LevelFigures>,
    pub roles: Vec<RoleFigures>,
    /// How many decisions took up to a minute, 5 and 15 minutes, 1 and 4 hours, a day, and longer.
    pub durations: [i64; 7],
    /// What was settled on each day on which something was.
    pub days: Vec<DayFigures>,
    pub waiting: Vec<WaitingFigures>,
}

/// The requests of one level.
#[derive(Debug)]
pub struct LevelFigures {
    pub level: String,
    pub requests: i64,
    pub escalated: i64,
    /// How many were approved or rejected.
    pub decided: i64,
    /// Seconds to the decision: the median, and the 90th percentile.
    pub median: Option<f64>,
    pub p90: Option<f64>,
}

/// The decisions of one role: the first by which the person was entitled that had the last word.
#[derive(Debug)]
pub struct RoleFigures {
    pub role: String,
    pub decided: i64,
    pub median: f64,
    pub p90: f64,
}

/// What was settled on one day, in UTC.
#[derive(Debug)]
pub struct DayFigures {
    pub day: NaiveDate,
    pub approved: i64,
    pub rejected: i64,
    pub expired: i64,
    pub cancelled: i64,
}

/// What waits now at one level; the count ends at [`MOST_WAITING`].
#[derive(Debug)]
pub struct WaitingFigures {
    pub level: String,
    pub count: i64,
    pub oldest: Option<DateTime<Utc>>,
}

impl Statistics {
    /// Whether there were more requests than were looked at.
    pub fn is_cut(&self) -> bool {
        self.levels.iter().map(|level| level.requests).sum::<i64>() >= MOST_REQUESTS
    }
}

impl Service {
    /// How requests went since then.
    ///
    /// # Errors
    /// An agent asks; no database.
    pub async fn statistics(&self, by: &Caller, since: DateTime<Utc>) -> Result<Statistics, ServiceError> {
        only_people(by, "statistics are for people")?;
        Ok(self.engine.storage.statistics(since).await?.into())
    }
}

impl From<storage::Statistics> for Statistics {
    fn from(found: storage::Statistics) -> Self {
        let storage::Statistics { since, until, levels, roles, durations, days, waiting } = found;
        Self {
            since,
            until,
            levels: levels.into_iter().map(LevelFigures::from).collect(),
            roles: roles.into_iter().map(RoleFigures::from).collect(),
            durations,
            days: days.into_iter().map(DayFigures::from).collect(),
            waiting: waiting.into_iter().map(WaitingFigures::from).collect(),
        }
    }
}

impl From<storage::LevelFigures> for LevelFigures {
    fn from(row: storage::LevelFigures) -> Self {
        let storage::LevelFigures { level, requests, escalated, decided, median, p90 } = row;
        Self { level, requests, escalated, decided, median, p90 }
    }
}

impl From<storage::RoleFigures> for RoleFigures {
    fn from(row: storage::RoleFigures) -> Self {
        let storage::RoleFigures { role, decided, median, p90 } = row;
        Self { role, decided, median, p90 }
    }
}

impl From<storage::DayFigures> for DayFigures {
    fn from(row: storage::DayFigures) -> Self {
        let storage::DayFigures { day, approved, rejected, expired, cancelled } = row;
        Self { day, approved, rejected, expired, cancelled }
    }
}

impl From<storage::WaitingFigures> for WaitingFigures {
    fn from(row: storage::WaitingFigures) -> Self {
        let storage::WaitingFigures { level, count, oldest } = row;
        Self { level, count, oldest }
    }
}
