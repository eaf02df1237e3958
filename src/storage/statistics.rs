//! How requests for approval went: how long they waited, who decided, what waits now.
//!
//! Each query looks at the newest requests only, at so many that it takes well under a second. An index holds those that are settled, in the
//! order in which people were asked; what waits is found by its place. A request that was submitted before the first moment and asked again since
//! is counted once it is settled.

use super::candidates::{UNDER_WAY, id_at};
use super::connections::Lease;
use super::pool::within;
use super::{Error, Storage};
use chrono::{DateTime, NaiveDate, Utc};

/// How many requests are looked at.
pub const MOST_REQUESTS: i64 = 50_000;
/// How many that wait are counted at each level.
pub const MOST_WAITING: i64 = 100_000;
/// The ends of the stretches of time into which decisions are sorted, in seconds.
const BOUNDS: [f64; 6] = [60.0, 300.0, 900.0, 3_600.0, 14_400.0, 86_400.0];
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
    pub durations: [i64; BOUNDS.len() + 1],
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
    /// How many were approved or rejected, and after how many seconds half of them and nine of ten were.
    pub decided: i64,
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

impl Storage {
    /// How the requests since a moment went, as they stand now.
    ///
    /// # Errors
    /// No database.
    pub async fn statistics(&self, since: DateTime<Utc>) -> Result<Statistics, Error> {
        let mut db = self.lease_list().await?;
        let until = within(sqlx::query_scalar!(r#"select clock_timestamp() as "now!""#).fetch_one(&mut *db)).await?;
        let levels = level_figures(&mut db, since).await?;
        let roles = role_figures(&mut db, since).await?;
        let durations = duration_figures(&mut db, since).await?;
        let days = day_figures(&mut db, since).await?;
        let waiting = waiting_figures(&mut db).await?;
        db.release();
        Ok(Statistics { since, until, levels, roles, durations, days, waiting })
    }
}

async fn level_figures(db: &mut Lease, since: DateTime<Utc>) -> Result<Vec<LevelFigures>, Error> {
    let query = sqlx::query_as!(
        LevelFigures,
        r#"with request as materialized (
                 select risk_level, escalation_level, approval_status in ('approved', 'rejected') as is_decided,
                        extract(epoch from resolved_at - requested_at)::float8 as seconds
                 from (
                     (select w.workflow_id, w.risk_level, w.escalation_level, w.approval_status, w.requested_at, w.resolved_at from workflow w
                      where w.approval_status <> 'pending' and w.requested_at >= $1
                      order by w.requested_at desc, w.workflow_id desc limit $2)
                     union all
                     select newest.* from pending_place p cross join lateral (
                         select w.workflow_id, w.risk_level, w.escalation_level, w.approval_status, w.requested_at, w.resolved_at
                         from workflow w
                         where (place_of(w.status, w.risk_level, w.approvers), w.workflow_id) < (p.place, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
                           and (place_of(w.status, w.risk_level, w.approvers), w.workflow_id) >= (p.place, $3)
                         order by place_of(w.status, w.risk_level, w.approvers) desc, w.workflow_id desc limit $2
                     ) newest
                     where newest.requested_at >= $1
                 ) asked
                 order by requested_at desc, workflow_id desc limit $2
               )
               select risk_level as "level!", count(*) as "requests!", count(*) filter (where escalation_level > 0) as "escalated!",
                      count(*) filter (where is_decided) as "decided!",
                      percentile_cont(0.5) within group (order by seconds) filter (where is_decided) as "median?",
                      percentile_cont(0.9) within group (order by seconds) filter (where is_decided) as "p90?"
               from request group by risk_level
               order by array_position(array['low', 'medium', 'high', 'critical'], risk_level)"#,
        since,
        MOST_REQUESTS,
        id_at(since - UNDER_WAY)
    );
    within(query.fetch_all(&mut **db)).await
}

async fn role_figures(db: &mut Lease, since: DateTime<Utc>) -> Result<Vec<RoleFigures>, Error> {
    let query = sqlx::query_as!(
        RoleFigures,
        r#"with request as materialized (
                 select workflow_id, approval_status as status, resolved_at, extract(epoch from resolved_at - requested_at)::float8 as seconds
                 from workflow
                 where approval_status <> 'pending' and requested_at >= $1
                 order by requested_at desc, workflow_id desc limit $2
               )
               select e.data::jsonb -> 'roles' ->> 0 as "role!", count(*) as "decided!",
                      percentile_cont(0.5) within group (order by seconds) as "median!",
                      percentile_cont(0.9) within group (order by seconds) as "p90!"
               from request r cross join lateral (
                   select data from workflow_event e where e.workflow_id = r.workflow_id and e.kind = r.status and e.at = r.resolved_at offset 0
               ) e
               where r.status in ('approved', 'rejected') and e.data::jsonb -> 'roles' ->> 0 is not null
               group by 1 order by 2 desc, 1 limit 20"#,
        since,
        MOST_REQUESTS
    );
    within(query.fetch_all(&mut **db)).await
}

async fn duration_figures(db: &mut Lease, since: DateTime<Utc>) -> Result<[i64; BOUNDS.len() + 1], Error> {
    let query = sqlx::query!(
        r#"with request as materialized (
                 select approval_status as status, extract(epoch from resolved_at - requested_at)::float8 as seconds
                 from workflow
                 where approval_status <> 'pending' and requested_at >= $1
                 order by requested_at desc, workflow_id desc limit $2
               )
               select width_bucket(seconds, $3::float8[]) as "place!", count(*) as "count!"
               from request where status in ('approved', 'rejected') group by 1"#,
        since,
        MOST_REQUESTS,
        &BOUNDS[..]
    );
    let rows = within(query.fetch_all(&mut **db)).await?;
    let mut durations = [0; BOUNDS.len() + 1];
    for row in rows {
        if let Some(count) = usize::try_from(row.place).ok().and_then(|place| durations.get_mut(place)) {
            *count = row.count;
        }
    }
    Ok(durations)
}

async fn day_figures(db: &mut Lease, since: DateTime<Utc>) -> Result<Vec<DayFigures>, Error> {
    let query = sqlx::query_as!(
        DayFigures,
        r#"with request as materialized (
                 select approval_status as status, (resolved_at at time zone 'UTC')::date as day
                 from workflow
                 where approval_status <> 'pending' and requested_at >= $1
                 order by requested_at desc, workflow_id desc limit $2
               )
               select day as "day!", count(*) filter (where status = 'approved') as "approved!",
                      count(*) filter (where status = 'rejected') as "rejected!", count(*) filter (where status = 'expired') as "expired!",
                      count(*) filter (where status = 'cancelled') as "cancelled!"
               from request where day is not null group by day order by day"#,
        since,
        MOST_REQUESTS
    );
    within(query.fetch_all(&mut **db)).await
}

async fn waiting_figures(db: &mut Lease) -> Result<Vec<WaitingFigures>, Error> {
    let query = sqlx::query_as!(
        WaitingFigures,
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
