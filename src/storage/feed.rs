//! The events of all workflows, in the order in which they became known, for those who follow them.
//!
//! `migrations/0018_reading.sql` defines the order, and `migrations/0023_edges.sql` what happens to
//! it in a restored database.

use super::connections::Lease;
use super::pool::within;
use super::{Error, Storage};
use crate::domain::workflow::FeedEntry;
use chrono::{DateTime, TimeDelta, Utc};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// A position in the order of all events. The events of one workflow are in the order of their
/// versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FeedPosition {
    pub order: i64,
    pub workflow_id: Uuid,
    pub version: u32,
}

impl FeedPosition {
    /// The position before all events of this order.
    pub fn before(order: i64) -> Self {
        Self { order, workflow_id: Uuid::nil(), version: 0 }
    }
}

/// The form that clients get; it is opaque to them.
impl fmt::Display for FeedPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}.{}.{:x}", self.order, self.workflow_id.simple(), self.version)
    }
}

impl FromStr for FeedPosition {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split('.');
        let (Some(order), Some(id), Some(version), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else { return Err(()) };
        let order = i64::from_str_radix(order, 16).ok().filter(|order| *order >= 0).ok_or(())?;
        let workflow_id = Uuid::try_parse(id).map_err(|_| ())?;
        let version = u32::from_str_radix(version, 16).ok().filter(|version| i32::try_from(*version).is_ok()).ok_or(())?;
        Ok(Self { order, workflow_id, version })
    }
}

/// What is certain about the order of events at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedMark {
    /// Everything that is written from now on has this order or a later one, except what
    /// [`Self::writers`] write.
    pub next: i64,
    /// Open transactions that have written events, or may have: everything that they write has this
    /// order or a later one.
    pub writers: Vec<i64>,
}

/// A page of the log.
#[derive(Debug, Default)]
pub struct FeedPage {
    pub entries: Vec<(FeedPosition, FeedEntry)>,
    /// The last position that was examined, if there may be more after it.
    pub more_after: Option<FeedPosition>,
}

impl Storage {
    /// Ensures that positions ascend and none is sent twice. It has to be called before the log is
    /// written and before it is followed.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn feed_restart(&self) -> Result<(), Error> {
        let mut db = self.lease_background().await?;
        within(sqlx::query!("select feed_restart()").execute(&mut *db)).await?;
        db.release();
        Ok(())
    }

    /// What is certain now. Later reads see everything that has ended by then.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn feed_mark(&self) -> Result<FeedMark, Error> {
        let mut db = self.lease_background().await?;
        // Locks are read after the snapshot that determines the next number. In between, another
        // transaction may have begun to write, with a later number. Locks contain only the low half
        // of a number.
        let query = sqlx::query!(
            r#"with locks as materialized (
                   select locktype, database, relation, virtualtransaction, transactionid, mode from pg_locks where granted
               ),
               here as (
                   select base, pg_snapshot_xmax(pg_current_snapshot())::text::bigint as next from feed_base
               )
               select base + next as "next!",
                      array(select base + next - (((next - t.transactionid::text::bigint + 2147483648) & 4294967295) - 2147483648)
                            from locks t
                            where t.locktype = 'transactionid' and t.mode = 'ExclusiveLock'
                              and exists (select from locks l
                                          where l.virtualtransaction = t.virtualtransaction and l.locktype = 'relation'
                                            and l.mode = 'RowExclusiveLock' and l.relation = 'workflow_event'::regclass
                                            and l.database = (select oid from pg_database where datname = current_database()))) as "writers!"
               from here"#
        );
        let row = within(query.fetch_one(&mut *db)).await?;
        db.release();
        Ok(FeedMark { next: row.next, writers: row.writers })
    }

    /// The events after a position and before an order, in order. `limit` counts the examined
    /// events, whoever may see them, so that each page costs the same however few of them its
    /// reader may see.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn feed(&self, after: FeedPosition, until: i64, limit: i64) -> Result<FeedPage, Error> {
        let mut db = self.lease_list().await?;
        let page = page(&mut db, after, until, limit).await?;
        db.release();
        Ok(page)
    }

    /// The events from an order on, like [`Self::feed`], for the feed itself, which does not queue
    /// behind its readers.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn feed_news(&self, from: i64, limit: i64) -> Result<FeedPage, Error> {
        let mut db = self.lease_background().await?;
        let page = page(&mut db, FeedPosition::before(from), i64::MAX, limit).await?;
        db.release();
        Ok(page)
    }

    /// Whether the first event after a position is older than this; false if there is none.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn feed_is_older(&self, position: FeedPosition, age: TimeDelta) -> Result<bool, Error> {
        let mut db = self.lease_list().await?;
        let query = sqlx::query_scalar!(
            r#"select at < clock_timestamp() - make_interval(secs => $4) as "is_older!" from workflow_event
               where feed_order >= $1 and (feed_order, workflow_id, version) > ($1, $2, $3)
               order by feed_order, workflow_id, version
               limit 1"#,
            position.order,
            position.workflow_id,
            i32::try_from(position.version).unwrap_or(i32::MAX),
            age.as_seconds_f64()
        );
        let is_older = within(query.fetch_optional(&mut *db)).await?;
        db.release();
        Ok(is_older.unwrap_or(false))
    }

    /// Whether a position was sent before the database was restored, for an event that the
    /// backup did not have.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn feed_was_lost(&self, position: FeedPosition) -> Result<bool, Error> {
        let mut db = self.lease_list().await?;
        let query = sqlx::query_scalar!(r#"select $1 > lost_after and $1 < goes_on_at as "was_lost!" from feed_base"#, position.order);
        let was_lost = within(query.fetch_one(&mut *db)).await?;
        db.release();
        Ok(was_lost)
    }

    /// The position of a time in the order: all later events come after it. `None` if it is not
    /// known, because the time is in the future, is longer ago than `age`, or has events from
    /// before there was an order.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn feed_position_at(&self, at: DateTime<Utc>, age: TimeDelta) -> Result<Option<FeedPosition>, Error> {
        let mark = self.feed_mark().await?;
        let mut db = self.lease_list().await?;
        let query = sqlx::query!(
            r#"select $1 between clock_timestamp() - make_interval(secs => $2) and clock_timestamp() as "is_near!",
                      bool_and(e.feed_order is not null) as "has_order", min(e.feed_order) as "first"
               from (select feed_order from workflow_event
                     where at >= $1 and $1 > clock_timestamp() - make_interval(secs => $2) offset 0) e"#,
            at,
            age.as_seconds_f64()
        );
        let row = within(query.fetch_one(&mut *db)).await?;
        db.release();
        let first = mark.writers.iter().copied().chain(row.first).chain([mark.next]).min();
        Ok(first.filter(|_| row.is_near && row.has_order != Some(false)).map(FeedPosition::before))
    }
}

async fn page(db: &mut Lease, after: FeedPosition, until: i64, limit: i64) -> Result<FeedPage, Error> {
    let query = sqlx::query!(
        r#"with page as materialized (
               select feed_order, workflow_id, version, kind, actor, at from workflow_event
               where feed_order >= $1 and feed_order < $2 and (feed_order, workflow_id, version) > ($1, $3, $4)
               order by feed_order, workflow_id, version
               limit $5
           )
           select p.feed_order as "feed_order!", p.workflow_id, p.version, p.kind, p.actor, p.at, w.status as "status?", w.risk_level as "risk_level?",
                  w.task_id, w.requested_by as "requested_by?", w.on_behalf_of
           from page p
           left join lateral (
               select status, risk_level, task_id, requested_by, on_behalf_of from workflow where workflow_id = p.workflow_id offset 0
           ) w on true
           order by p.feed_order, p.workflow_id, p.version"#,
        after.order,
        until,
        after.workflow_id,
        i32::try_from(after.version).unwrap_or(i32::MAX),
        limit
    );
    let rows = within(query.fetch_all(&mut **db)).await?;
    let is_full = i64::try_from(rows.len()).is_ok_and(|count| count >= limit);
    let position = |order, workflow_id, version| FeedPosition { order, workflow_id, version: u32::try_from(version).unwrap_or_default() };
    let more_after = rows.last().filter(|_| is_full).map(|row| position(row.feed_order, row.workflow_id, row.version));
    let entries = rows.into_iter().filter_map(|row| {
        let position = position(row.feed_order, row.workflow_id, row.version);
        let entry = FeedEntry {
            workflow_id: row.workflow_id,
            version: position.version,
            event: row.kind,
            actor: row.actor,
            at: row.at,
            status: row.status?,
            risk_level: row.risk_level?,
            task_id: row.task_id,
            requested_by: row.requested_by?,
            on_behalf_of: row.on_behalf_of,
        };
        Some((position, entry))
    });
    Ok(FeedPage { entries: entries.collect(), more_after })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_as_it_was_written_and_nothing_else_is_one() {
        let position = FeedPosition { order: 0x1f4, workflow_id: Uuid::from_u128(7), version: 0x12 };
        assert_eq!(position.to_string().parse(), Ok(position));
        for text in
            ["", "1f4", "1f4.7.12", "-1.00000000000000000000000000000007.1", "1.00000000000000000000000000000007.ffffffff", "1.2.3.4"]
        {
            assert_eq!(text.parse::<FeedPosition>(), Err(()), "{text}");
        }
    }
}
