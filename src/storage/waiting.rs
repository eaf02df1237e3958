//! The waiting requests, in the orders in which people read them, and their counts. For each level
//! and set of roles, only as many are read as a page shows, from their part of an index.

use super::connections::Lease;
use super::pool::within;
use super::{Error, PendingFilter, Storage};
use crate::domain::risk::level::Level;
use crate::domain::risk::order::Order;
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use uuid::Uuid;

/// The highest count for a level and a set of roles.
pub const MOST_COUNTED_OF_BUCKET: i64 = 1_000;

impl Storage {
    /// The ids of waiting requests, in the order of the filter: as many as it says, from after its
    /// position.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn pending_ids(&self, filter: &PendingFilter) -> Result<Vec<Uuid>, Error> {
        let mut db = self.lease_list().await?;
        let ids = of_all(&mut db, filter, filter.limit).await?;
        db.release();
        Ok(ids)
    }

    /// How many requests wait, by level; at most [`MOST_COUNTED_OF_BUCKET`] are counted for each
    /// level and set of roles.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn pending_counts(&self, filter: &PendingFilter) -> Result<BTreeMap<String, i64>, Error> {
        let mut db = self.lease_list().await?;
        let query = sqlx::query!(
            r#"select p.risk_level as "risk_level!", sum(counted.requests)::bigint as "requests!"
               from pending_place p
               cross join lateral (
                   select count(*) as requests
                   from (select from workflow w
                         where (place_of(w.status, w.risk_level, w.approvers), w.workflow_id) < (p.place, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
                           and place_of(w.status, w.risk_level, w.approvers) >= p.place
                           and ($3::text is null or is_open_to(w, $3, $4))
                         order by place_of(w.status, w.risk_level, w.approvers) desc, w.workflow_id desc
                         limit $5) few
               ) counted
               where ($1::text is null or p.risk_level = $1)
                 and ($2::text is null or p.approvers @> array[$2])
                 and ($3::text is null or p.approvers && $4)
               group by p.risk_level"#,
            filter.risk_level.map(Level::as_str),
            filter.role.as_deref(),
            filter.decidable_by.as_ref().map(|decider| decider.name.as_str()),
            filter.decidable_by.as_ref().map(|decider| decider.roles.as_slice()),
            MOST_COUNTED_OF_BUCKET
        );
        let rows = within(query.fetch_all(&mut *db)).await?;
        db.release();
        Ok(rows.into_iter().map(|row| (row.risk_level, row.requests)).collect())
    }
}

/// The first waiting requests in the order of the filter, from after its position.
pub(super) async fn of_all(db: &mut Lease, filter: &PendingFilter, limit: i64) -> Result<Vec<Uuid>, Error> {
    match filter.order {
        Order::Newest => newest(db, filter, limit).await,
        Order::Oldest => oldest(db, filter, limit).await,
        Order::Level | Order::Due => by_due(db, filter, limit).await,
    }
}

async fn newest(db: &mut Lease, filter: &PendingFilter, limit: i64) -> Result<Vec<Uuid>, Error> {
    let query = sqlx::query_scalar!(
        "select r.workflow_id
         from pending_place p
         cross join lateral (
             select w.workflow_id from workflow w
             where (place_of(w.status, w.risk_level, w.approvers), w.workflow_id) < (p.place, $5)
               and place_of(w.status, w.risk_level, w.approvers) >= p.place
               and ($3::text is null or is_open_to(w, $3, $4))
             order by place_of(w.status, w.risk_level, w.approvers) desc, w.workflow_id desc
             limit $6
         ) r
         where ($1::text is null or p.risk_level = $1)
           and ($2::text is null or p.approvers @> array[$2])
           and ($3::text is null or p.approvers && $4)
         order by r.workflow_id desc
         limit $6",
        filter.risk_level.map(Level::as_str),
        filter.role.as_deref(),
        filter.decidable_by.as_ref().map(|decider| decider.name.as_str()),
        filter.decidable_by.as_ref().map(|decider| decider.roles.as_slice()),
        filter.after.map_or(Uuid::max(), |position| position.workflow_id),
        limit
    );
    within(query.fetch_all(&mut **db)).await
}

async fn oldest(db: &mut Lease, filter: &PendingFilter, limit: i64) -> Result<Vec<Uuid>, Error> {
    let query = sqlx::query_scalar!(
        "select r.workflow_id
         from pending_place p
         cross join lateral (
             select w.workflow_id from workflow w
             where (place_of(w.status, w.risk_level, w.approvers), w.workflow_id) > (p.place, $5)
               and place_of(w.status, w.risk_level, w.approvers) <= p.place
               and ($3::text is null or is_open_to(w, $3, $4))
             order by place_of(w.status, w.risk_level, w.approvers), w.workflow_id
             limit $6
         ) r
         where ($1::text is null or p.risk_level = $1)
           and ($2::text is null or p.approvers @> array[$2])
           and ($3::text is null or p.approvers && $4)
         order by r.workflow_id
         limit $6",
        filter.risk_level.map(Level::as_str),
        filter.role.as_deref(),
        filter.decidable_by.as_ref().map(|decider| decider.name.as_str()),
        filter.decidable_by.as_ref().map(|decider| decider.roles.as_slice()),
        filter.after.map_or(Uuid::nil(), |position| position.workflow_id),
        limit
    );
    within(query.fetch_all(&mut **db)).await
}

/// Orders by deadline, over all or within each level. A page that begins within a level ($7 is its
/// rank) begins at its position there, and with the first of each lower level.
async fn by_due(db: &mut Lease, filter: &PendingFilter, limit: i64) -> Result<Vec<Uuid>, Error> {
    let query = sqlx::query_scalar!(
        "select r.workflow_id
         from (
             select p.*, case when $7::integer is null then 0 else array_position(array['low', 'medium', 'high', 'critical'], p.risk_level) end as rank
             from pending_place p
         ) p
         cross join lateral (
             select w.workflow_id, coalesce(w.timeout_at, 'infinity') as due from workflow w
             where w.status = 'pending_approval'
               and (waiting_place(w.risk_level, w.approvers), coalesce(w.timeout_at, 'infinity'), w.workflow_id)
                   > (p.place, case when p.rank < $7 then '-infinity' else coalesce($8, 'infinity'::timestamptz) end, $5)
               and waiting_place(w.risk_level, w.approvers) <= p.place
               and ($3::text is null or is_open_to(w, $3, $4))
             order by waiting_place(w.risk_level, w.approvers), coalesce(w.timeout_at, 'infinity'), w.workflow_id
             limit $6
         ) r
         where ($1::text is null or p.risk_level = $1)
           and ($2::text is null or p.approvers @> array[$2])
           and ($3::text is null or p.approvers && $4)
           and ($7 is null or p.rank <= $7)
         order by p.rank desc, r.due, r.workflow_id
         limit $6",
        filter.risk_level.map(Level::as_str),
        filter.role.as_deref(),
        filter.decidable_by.as_ref().map(|decider| decider.name.as_str()),
        filter.decidable_by.as_ref().map(|decider| decider.roles.as_slice()),
        filter.after.map_or(Uuid::nil(), |position| position.workflow_id),
        limit,
        (filter.order == Order::Level).then(|| filter.after.map_or(rank(Level::Critical) + 1, |position| rank(position.level))),
        filter.after.map_or(Some(BEGINNING), |position| position.due)
    );
    within(query.fetch_all(&mut **db)).await
}

/// Nothing was due before this time.
const BEGINNING: DateTime<Utc> = DateTime::UNIX_EPOCH;

/// The rank of a level, as the query counts.
fn rank(level: Level) -> i32 {
    match level {
        Level::Low => 1,
        Level::Medium => 2,
        Level::High => 3,
        Level::Critical => 4,
    }
}
