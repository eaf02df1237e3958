//! The state of the system, for operators: servers, channels, and quarantined workflows.

use super::candidates::id_at;
use super::pool::within;
use super::{Error, Storage};
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

/// The number of recent notices of a channel that its figures cover.
pub const LATEST_NOTICES: i64 = 2_000;
/// The most entries in each list.
const LISTED: i64 = 50;

/// A server that holds or held a lease on the database.
#[derive(Debug)]
pub struct ServerRow {
    pub server_id: Uuid,
    pub address: String,
    pub host: String,
    pub version: String,
    pub started_at: DateTime<Utc>,
    pub lease_until: DateTime<Utc>,
    /// Whether its lease is valid.
    pub acts: bool,
    pub ended_at: Option<DateTime<Utc>>,
}

/// The state of a channel.
#[derive(Debug)]
pub struct ChannelRow {
    pub channel: String,
    /// Notices that are due and not delivered; the count stops at 10,000.
    pub waiting: i64,
    /// When the oldest of them was due.
    pub oldest: Option<DateTime<Utc>>,
    /// Delivered notices among the latest [`LATEST_NOTICES`].
    pub delivered: i64,
    pub dead: i64,
    pub last_delivered_at: Option<DateTime<Utc>>,
    /// The error of the latest notice that could not be delivered at once.
    pub last_error: Option<String>,
}

/// A quarantined workflow.
#[derive(Debug)]
pub struct QuarantineRow {
    pub workflow_id: Uuid,
    pub reason: String,
    pub failures: i32,
    pub since: DateTime<Utc>,
}

impl Storage {
    /// The servers: the active one first, then earlier ones, latest first.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn servers(&self) -> Result<Vec<ServerRow>, Error> {
        let mut db = self.lease_list().await?;
        let query = sqlx::query_as!(
            ServerRow,
            r#"select server_id, address, host, version, started_at, lease_until, acts and lease_until > clock_timestamp() as "acts!", ended_at
               from server order by acts desc, started_at desc limit 10"#
        );
        let rows = within(query.fetch_all(&mut *db)).await?;
        db.release();
        Ok(rows)
    }

    /// The states of these channels, in order.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn channels(&self, channels: &[String]) -> Result<Vec<ChannelRow>, Error> {
        let mut db = self.lease_list().await?;
        let query = sqlx::query_as!(
            ChannelRow,
            r#"select c.channel as "channel!", due.waiting as "waiting!", due.oldest, latest.delivered as "delivered!", latest.dead as "dead!",
                      latest.last_delivered_at, latest.last_error
               from unnest($1::text[]) with ordinality as c (channel, place)
               cross join lateral (
                   select count(*) as waiting, min(n.first_due_at) as oldest from (
                       select first_due_at from notice
                       where status = 'pending' and channel = c.channel and first_due_at <= statement_timestamp()
                       order by first_due_at limit 10000) n
               ) due
               cross join lateral (
                   select count(*) filter (where n.status = 'delivered') as delivered, count(*) filter (where n.status = 'dead') as dead,
                          max(n.delivered_at) as last_delivered_at,
                          (array_agg(n.error order by n.notice_id desc) filter (where n.error is not null and n.status <> 'cancelled'))[1] as last_error
                   from (select notice_id, status, delivered_at, error from notice
                         where channel >= c.channel and (channel, notice_id) <= (c.channel, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
                         order by channel desc, notice_id desc limit $2) n
               ) latest
               order by c.place"#,
            channels,
            LATEST_NOTICES
        );
        let rows = within(query.fetch_all(&mut *db)).await?;
        db.release();
        Ok(rows)
    }

    /// How many notices of this period were given up; the count stops at 1,000.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn dead_notices(&self, within_time: TimeDelta) -> Result<i64, Error> {
        let mut db = self.lease_list().await?;
        let now = within(sqlx::query_scalar!(r#"select clock_timestamp() as "now!""#).fetch_one(&mut *db)).await?;
        let query = sqlx::query_scalar!(
            r#"select count(*) as "count!" from (
                   select from notice where status = 'dead' and notice_id >= $1 order by notice_id desc limit 1000) dead"#,
            id_at(now - within_time)
        );
        let count = within(query.fetch_one(&mut *db)).await?;
        db.release();
        Ok(count)
    }

    /// The quarantined workflows, latest first, and their total number.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn quarantined(&self) -> Result<(Vec<QuarantineRow>, i64), Error> {
        let mut db = self.lease_list().await?;
        let query = sqlx::query_as!(
            QuarantineRow,
            "select workflow_id, reason, failures, since from quarantine order by since desc, workflow_id limit $1",
            LISTED
        );
        let rows = within(query.fetch_all(&mut *db)).await?;
        let count = within(sqlx::query_scalar!(r#"select count(*) as "count!" from quarantine"#).fetch_one(&mut *db)).await?;
        db.release();
        Ok((rows, count))
    }
}
