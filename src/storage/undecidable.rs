//! The waiting requests by level and by the roles that are asked, to find those that nobody could
//! decide.

use super::pool::within;
use super::{Error, Storage};

/// Requests that wait at one level for the same roles.
#[derive(Debug)]
pub struct PendingGroup {
    pub risk_level: String,
    /// The roles that may decide now.
    pub approvers: Vec<String>,
    /// How many people have to approve, for the newest of them.
    pub required: i32,
    /// The escalation of the newest of them, as JSON.
    pub timetable: Option<String>,
    /// The number of requests, counted up to a limit.
    pub requests: i64,
}

/// The highest count of a group's requests.
pub const MOST_COUNTED: i64 = 10_000;

impl Storage {
    /// The groups of waiting requests. Each costs one index lookup, however many requests it has.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn pending_groups(&self) -> Result<Vec<PendingGroup>, Error> {
        let mut db = self.lease().await?;
        let query = sqlx::query_as!(
            PendingGroup,
            r#"select p.risk_level as "risk_level!", p.approvers as "approvers!", newest.required as "required!", newest.timetable,
                      counted.requests as "requests!"
               from pending_place p
               cross join lateral (
                   select w.required, w.timetable from workflow w
                   where (place_of(w.status, w.risk_level, w.approvers), w.workflow_id) < (p.place, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
                     and place_of(w.status, w.risk_level, w.approvers) >= p.place
                   order by place_of(w.status, w.risk_level, w.approvers) desc, w.workflow_id desc limit 1
               ) newest
               cross join lateral (
                   select count(*) as requests
                   from (select from workflow w
                         where place_of(w.status, w.risk_level, w.approvers) = p.place
                         limit $1) few
               ) counted
               limit 1000"#,
            MOST_COUNTED
        );
        let rows = within(query.fetch_all(&mut *db)).await?;
        db.release();
        Ok(rows)
    }
}
