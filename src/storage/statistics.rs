//! Statistics of approval requests: the settled ones, and those that wait now.
//!
//! Each query examines only as many of the newest requests as it can in well under a second. An
//! index has the settled ones in the order in which people were asked; waiting ones are found by
//! their bucket. A request that was submitted before the period and asked again since is counted
//! once it is settled.

use super::candidates::{UNDER_WAY, id_at};
use super::connections::Lease;
use super::pool::within;
use super::{Error, Storage};
use chrono::{DateTime, Utc};

/// The most requests that are examined.
pub const MOST_REQUESTS: i64 = 50_000;
/// The highest count of waiting requests at each level.
pub const MOST_WAITING: i64 = 100_000;

/// The requests of a period.
#[derive(Debug)]
pub struct Asked {
    /// Newest first, at most [`MOST_REQUESTS`].
    pub settled: Vec<SettledRow>,
    pub open: Vec<OpenFigures>,
    /// The requests that wait now, whenever people were asked.
    pub waiting: Vec<WaitingRow>,
}

/// A settled request.
#[derive(Debug, Clone)]
pub struct SettledRow {
    pub risk_level: String,
    /// `approved`, `rejected`, `expired` or `cancelled`.
    pub outcome: String,
    pub requested_by: String,
    pub requested_at: DateTime<Utc>,
    pub resolved_at: DateTime<Utc>,
    pub escalated: bool,
    /// Who decided last; `None` if no person decided it.
    pub decided_by: Option<String>,
    /// The first role that entitled this person.
    pub role: Option<String>,
}

/// The requests of one level and period that still wait.
#[derive(Debug)]
pub struct OpenFigures {
    pub risk_level: String,
    pub count: i64,
    pub escalated: i64,
}

/// The requests that wait now at one level; the count stops at [`MOST_WAITING`].
#[derive(Debug)]
pub struct WaitingRow {
    pub level: String,
    pub count: i64,
    pub oldest: Option<DateTime<Utc>>,
}

impl Storage {
    /// The requests that people were asked about from one time until before another. Of the waiting
    /// ones, only those asked from `open_from` on.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn asked(&self, from: DateTime<Utc>, open_from: DateTime<Utc>, until: DateTime<Utc>) -> Result<Asked, Error> {
        let mut db = self.lease_list().await?;
        let settled = settled(&mut db, from, until).await?;
        let open = open(&mut db, open_from, until).await?;
        let waiting = waiting(&mut db).await?;
        db.release();
        Ok(Asked { settled, open, waiting })
    }
}

async fn settled(db: &mut Lease, from: DateTime<Utc>, until: DateTime<Utc>) -> Result<Vec<SettledRow>, Error> {
    let query = sqlx::query_as!(
        SettledRow,
        r#"with request as materialized (
                 select workflow_id, risk_level, approval_status, requested_by, requested_at, resolved_at, escalation_level
                 from workflow
                 where approval_status <> 'pending' and requested_at >= $1 and requested_at < $2
                 order by requested_at desc, workflow_id desc limit $3
               )
               select r.risk_level, r.approval_status as "outcome!", r.requested_by, r.requested_at as "requested_at!", r.resolved_at as "resolved_at!",
                      r.escalation_level > 0 as "escalated!", e.actor as "decided_by?", e.data::jsonb -> 'roles' ->> 0 as "role?"
               from request r left join lateral (
                   select actor, data from workflow_event e
                   where e.workflow_id = r.workflow_id and e.at = r.resolved_at and e.kind in ('approved', 'rejected', 'glass_broken')
                   order by e.workflow_id desc, e.version desc limit 1     -- by the primary key, whatever the plan was made for
               ) e on r.approval_status in ('approved', 'rejected')"#,
        from,
        until,
        MOST_REQUESTS
    );
    within(query.fetch_all(&mut **db)).await
}

async fn open(db: &mut Lease, from: DateTime<Utc>, until: DateTime<Utc>) -> Result<Vec<OpenFigures>, Error> {
    let query = sqlx::query_as!(
        OpenFigures,
        r#"select newest.risk_level as "risk_level!", count(*) as "count!", count(*) filter (where newest.escalation_level > 0) as "escalated!"
           from pending_place p cross join lateral (
               select w.risk_level, w.escalation_level, w.requested_at
               from workflow w
               where (place_of(w.status, w.risk_level, w.approvers), w.workflow_id) < (p.place, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
                 and (place_of(w.status, w.risk_level, w.approvers), w.workflow_id) >= (p.place, $3)
               order by place_of(w.status, w.risk_level, w.approvers) desc, w.workflow_id desc limit $4
           ) newest
           where newest.requested_at >= $1 and newest.requested_at < $2
           group by 1"#,
        from,
        until,
        id_at(from - UNDER_WAY),
        MOST_REQUESTS
    );
    within(query.fetch_all(&mut **db)).await
}

async fn waiting(db: &mut Lease) -> Result<Vec<WaitingRow>, Error> {
    let query = sqlx::query_as!(
        WaitingRow,
        r#"select level as "level!", waiting.count as "count!", waiting.oldest
               from unnest(array['low', 'medium', 'high', 'critical']) with ordinality as levels (level, place)
               cross join lateral (
                   select count(*) as count, min(one.requested_at) as oldest
                   from (select w.requested_at
                         from pending_place p
                         join workflow w on place_of(w.status, w.risk_level, w.approvers) = p.place
                         where p.risk_level = level limit $1) as one
               ) waiting
               where waiting.count > 0
               order by place"#,
        MOST_WAITING
    );
    within(query.fetch_all(&mut **db)).await
}
