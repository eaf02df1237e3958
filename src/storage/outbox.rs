//! The outbox, for the notifier: the due notices of a channel, and their results.
//!
//! A due notice stays where it is until its delivery has succeeded or is hopeless; nothing is
//! claimed beforehand. If a server dies in between, the row is unchanged, and the next server
//! delivers it again.

use super::pool::within;
use super::{Error, Storage};
use crate::domain::notice::Kind;
use crate::domain::risk::level::Level;
use chrono::{DateTime, Utc};
use std::time::Duration;
use uuid::Uuid;

/// The highest count of waiting notices of a channel.
pub const MOST_COUNTED: i64 = 10_000;
/// The most notices that one statement gives up.
const GIVEN_UP_AT_ONCE: i64 = 5_000;

/// A due notice.
#[derive(Debug, Clone)]
pub struct DueNotice {
    pub id: Uuid,
    pub workflow_id: Uuid,
    pub version: u32,
    pub kind: Kind,
    pub number: u32,
    pub level: Level,
    pub recipient: Option<String>,
    pub attempts: u32,
    pub first_due_at: DateTime<Utc>,
    /// Whether an admin has sent it again.
    pub resent: bool,
    /// Whether it has waited for the end of its recipient's quiet hours.
    pub waited: bool,
}

/// The reminder that follows a finished one.
#[derive(Debug, Clone, Copy)]
pub struct Next {
    pub id: Uuid,
    pub after: Duration,
}

/// The result of a notice.
#[derive(Debug, Clone, Copy)]
pub enum Done<'a> {
    Delivered,
    /// Given up, after an attempt or without one.
    Dead {
        error: &'a str,
        attempted: bool,
    },
}

impl Storage {
    /// The due notices of a channel, longest due first. Of the notices about one workflow to one
    /// recipient, only the first is included: the others come after it. With `all`, notices that
    /// wait for another attempt are due as well.
    ///
    /// An unreadable notice, written by another version, does not block the others: it is given up.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn due_notices(&self, channel: &str, all: bool, limit: i64) -> Result<Vec<DueNotice>, Error> {
        let mut db = self.lease_background().await?;
        let query = sqlx::query!(
            "select n.notice_id, n.workflow_id, n.version, n.kind, n.number, n.risk_level, n.recipient, n.attempts, n.first_due_at, n.resends, n.waited
             from notice n
             where n.status = 'pending' and n.channel >= $1
               and (n.channel, n.due_at) <= ($1, case when $2 then 'infinity' else statement_timestamp() end)
               and n.first_due_at <= statement_timestamp()
               and not exists (
                   select from notice b
                   where b.workflow_id = n.workflow_id and b.channel = n.channel and coalesce(b.recipient, '') = coalesce(n.recipient, '')
                     and b.status = 'pending'
                     and (b.first_due_at, b.version, b.notice_id) < (n.first_due_at, n.version, n.notice_id)
                   offset 0)
             order by n.channel, n.due_at, n.version, n.notice_id
             limit $3",
            channel,
            all,
            limit
        );
        let rows = within(query.fetch_all(&mut *db)).await?;
        db.release();
        let (mut due, mut unreadable) = (Vec::new(), Vec::new());
        for row in rows {
            match (Kind::parse(&row.kind), Level::parse(&row.risk_level), u32::try_from(row.version)) {
                (Some(kind), Some(level), Ok(version)) => due.push(DueNotice {
                    id: row.notice_id,
                    workflow_id: row.workflow_id,
                    version,
                    kind,
                    number: u32::try_from(row.number).unwrap_or(0),
                    level,
                    recipient: row.recipient,
                    attempts: u32::try_from(row.attempts).unwrap_or(0),
                    first_due_at: row.first_due_at,
                    resent: row.resends > 0,
                    waited: row.waited,
                }),
                _ => unreadable.push(row.notice_id),
            }
        }
        for id in unreadable {
            tracing::error!(channel, notice.id = %id, "a notice is given up: its kind or its level is not known to this version");
            let error = "its kind or its level is not known to this version; send it again once the server is updated";
            self.notice_done(id, Done::Dead { error, attempted: false }, None).await?;
        }
        Ok(due)
    }

    /// Those of these notices that still have to be delivered; a decision may have overtaken the
    /// others.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn still_pending(&self, ids: &[Uuid]) -> Result<Vec<Uuid>, Error> {
        let mut db = self.lease_background().await?;
        let query = sqlx::query_scalar!("select notice_id from notice where notice_id = any ($1) and status = 'pending'", ids);
        let pending = within(query.fetch_all(&mut *db)).await?;
        db.release();
        Ok(pending)
    }

    /// Whether a recipient was ever asked about a workflow on a channel.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn was_asked(&self, workflow_id: Uuid, channel: &str, recipient: Option<&str>) -> Result<bool, Error> {
        let mut db = self.lease_background().await?;
        let query = sqlx::query_scalar!(
            r#"select exists (
                   select from notice
                   where workflow_id = $1 and channel = $2 and recipient is not distinct from $3 and delivered_at is not null
                     and kind in ('approval.requested', 'approval.reminded', 'approval.escalated', 'approval.goal_nears',
                          'approval.expiring')) as "asked!""#,
            workflow_id,
            channel,
            recipient
        );
        let asked = within(query.fetch_one(&mut *db)).await?;
        db.release();
        Ok(asked)
    }

    /// Records that a notice was delivered or given up. If it was a reminder, the same statement
    /// adds the next one, unless the request was settled meanwhile or another reminder is waiting
    /// already.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn notice_done(&self, id: Uuid, done: Done<'_>, next: Option<Next>) -> Result<(), Error> {
        let (status, attempts, error) = match done {
            Done::Delivered => ("delivered", 1, None),
            Done::Dead { error, attempted } => ("dead", i32::from(attempted), Some(error)),
        };
        let mut db = self.lease_background().await?;
        let query = sqlx::query!(
            "with done as (
                 update notice
                 set status = $2, attempts = attempts + $3, error = $4,
                     delivered_at = case when $2 = 'delivered' then clock_timestamp() else delivered_at end,
                     first_attempt_at = case when $3 = 0 then first_attempt_at else coalesce(first_attempt_at, clock_timestamp()) end
                 where notice_id = $1 and status = 'pending'
                 returning workflow_id, version, kind, number, risk_level, channel, recipient
             )
             insert into notice (notice_id, workflow_id, version, kind, number, risk_level, channel, recipient, created_at, first_due_at, due_at)
             select $5, d.workflow_id, d.version, d.kind, d.number + 1, d.risk_level, d.channel, d.recipient, statement_timestamp(),
                    statement_timestamp() + make_interval(secs => $6), statement_timestamp() + make_interval(secs => $6)
             from done d
             where $5::uuid is not null and d.kind = 'approval.reminded'
               and exists (select from approval_requests r where r.workflow_id = d.workflow_id and r.status = 'pending')
               and not exists (
                   select from notice n
                   where n.workflow_id = d.workflow_id and n.channel = d.channel and n.recipient is not distinct from d.recipient
                     and n.kind = d.kind and n.status = 'pending' and n.notice_id <> $1)",
            id,
            status,
            attempts,
            error,
            next.map(|next| next.id),
            next.map_or(0.0, |next| next.after.as_secs_f64())
        );
        within(query.execute(&mut *db)).await?;
        db.release();
        Ok(())
    }

    /// Records that a notice that asks was delivered although a decision overtook it: its recipient
    /// has to be told the result.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn notice_overtaken(&self, id: Uuid) -> Result<(), Error> {
        let mut db = self.lease_background().await?;
        let query = sqlx::query!(
            "update notice
             set status = 'delivered', attempts = attempts + 1, error = null, delivered_at = clock_timestamp(),
                 first_attempt_at = coalesce(first_attempt_at, clock_timestamp())
             where notice_id = $1 and status = 'cancelled'",
            id
        );
        within(query.execute(&mut *db)).await?;
        db.release();
        Ok(())
    }

    /// Records a failed attempt; the next one follows after a pause.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn notice_failed(&self, id: Uuid, error: &str, pause: Duration) -> Result<(), Error> {
        let mut db = self.lease_background().await?;
        let query = sqlx::query!(
            "update notice
             set attempts = attempts + 1, error = $2, due_at = clock_timestamp() + make_interval(secs => $3),
                 first_attempt_at = coalesce(first_attempt_at, clock_timestamp())
             where notice_id = $1 and status = 'pending'",
            id,
            error,
            pause.as_secs_f64()
        );
        within(query.execute(&mut *db)).await?;
        db.release();
        Ok(())
    }

    /// Postpones a notice: it is due after a pause, as if it had been written then.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn notice_rests(&self, id: Uuid, pause: Duration) -> Result<(), Error> {
        let mut db = self.lease_background().await?;
        let query = sqlx::query!(
            "update notice
             set first_due_at = clock_timestamp() + make_interval(secs => $2), due_at = clock_timestamp() + make_interval(secs => $2)
             where notice_id = $1 and status = 'pending'",
            id,
            pause.as_secs_f64()
        );
        within(query.execute(&mut *db)).await?;
        db.release();
        Ok(())
    }

    /// A notice waits for the end of its recipient's quiet hours. All that wait for it are due at
    /// the same moment, so that they can be one message.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn notice_waits(&self, id: Uuid, until: DateTime<Utc>) -> Result<(), Error> {
        let mut db = self.lease_background().await?;
        let query = sqlx::query!(
            "update notice set waited = true, first_due_at = $2, due_at = $2 where notice_id = $1 and status = 'pending'",
            id,
            until
        );
        within(query.execute(&mut *db)).await?;
        db.release();
        Ok(())
    }

    /// Whether another notice that asks the same recipient about the same request waits for the end
    /// of quiet hours.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn another_waits(&self, row: &DueNotice, channel: &str) -> Result<bool, Error> {
        let mut db = self.lease_background().await?;
        let query = sqlx::query_scalar!(
            r#"select exists (
                   select from notice
                   where workflow_id = $1 and channel = $2 and recipient is not distinct from $3 and notice_id <> $4
                     and status = 'pending' and waited
                     and kind in ('approval.requested', 'approval.reminded', 'approval.escalated', 'approval.goal_nears',
                          'approval.expiring')) as "waits!""#,
            row.workflow_id,
            channel,
            row.recipient.as_deref(),
            row.id
        );
        let waits = within(query.fetch_one(&mut *db)).await?;
        db.release();
        Ok(waits)
    }

    /// Records that a notice is outdated or unwanted, and is not sent.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn notice_cancelled(&self, id: Uuid, reason: &str) -> Result<(), Error> {
        let mut db = self.lease_background().await?;
        let query =
            sqlx::query!("update notice set status = 'cancelled', error = $2 where notice_id = $1 and status = 'pending'", id, reason);
        within(query.execute(&mut *db)).await?;
        db.release();
        Ok(())
    }

    /// Gives up the notices that wait for other channels, which no configuration names any more.
    /// Returns how many there were.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn give_up_notices_beyond(&self, channels: &[String], reason: &str) -> Result<u64, Error> {
        let mut given_up = 0;
        loop {
            let mut db = self.lease_background().await?;
            // A few at a time, so that each statement is short.
            let query = sqlx::query!(
                "update notice set status = 'dead', error = $2
                 where notice_id in (
                     select n.notice_id from pending_channel c
                     cross join lateral (select notice_id from notice where status = 'pending' and channel = c.channel limit $3) n
                     where c.channel <> all ($1)
                     limit $3)
                   and status = 'pending'",
                channels,
                reason,
                GIVEN_UP_AT_ONCE
            );
            let some = within(query.execute(&mut *db)).await?.rows_affected();
            db.release();
            given_up += some;
            if some == 0 {
                return Ok(given_up);
            }
        }
    }

    /// How many due notices of each channel wait to be delivered; the count of each stops at
    /// [`MOST_COUNTED`].
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn waiting_notices(&self) -> Result<Vec<(String, i64)>, Error> {
        let mut db = self.lease_background().await?;
        let query = sqlx::query!(
            r#"select c.channel as "channel!", n.count as "count!"
               from pending_channel c
               cross join lateral (
                   select count(*) as count from (
                       select from notice
                       where status = 'pending' and channel = c.channel and first_due_at <= statement_timestamp()
                       order by first_due_at limit $1) due
               ) n"#,
            MOST_COUNTED
        );
        let rows = within(query.fetch_all(&mut *db)).await?;
        db.release();
        Ok(rows.into_iter().map(|row| (row.channel, row.count)).collect())
    }
}
