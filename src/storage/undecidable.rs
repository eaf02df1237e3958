//! What waits, by level and by the roles that are asked: to find what nobody could decide.

use super::pool::within;
use super::{Error, Storage};

/// Requests that wait at one level for the same roles.
#[derive(Debug)]
pub struct PendingGroup {
    pub risk_level: String,
    /// The roles that may decide now.
    pub approvers: Vec<String>,
    /// How many have to approve, of the newest of them.
    pub required: i32,
    /// JSON: who is asked at which time, of the newest of them.
    pub timetable: Option<String>,
    /// Counted up to a limit.
    pub requests: i64,
}

/// Beyond this many a group's requests are not counted.
pub const MOST_COUNTED: i64 = 10_000;

impl Storage {
    /// The groups of what waits. One look into an index for each, however much waits there.
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
