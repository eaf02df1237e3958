//! Notices as people look at them, and one of them sent once more.

use super::pool::within;
use super::{Error, Storage};
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// One notice.
#[derive(Debug)]
pub struct NoticeRow {
    pub notice_id: Uuid,
    pub workflow_id: Uuid,
    pub version: i32,
    pub kind: String,
    pub number: i32,
    pub risk_level: String,
    pub channel: String,
    pub recipient: Option<String>,
    pub status: String,
    pub attempts: i32,
    pub created_at: DateTime<Utc>,
    pub due_at: DateTime<Utc>,
    pub first_attempt_at: Option<DateTime<Utc>>,
    pub delivered_at: Option<DateTime<Utc>>,
    pub error: Option<String>,
    pub resends: i32,
}

/// Which notices to list.
#[derive(Debug, Default)]
pub struct NoticeFilter {
    pub status: Option<String>,
    pub channel: Option<String>,
    pub workflow_id: Option<Uuid>,
    /// Only those that are older than this one.
    pub before: Option<Uuid>,
    pub limit: i64,
}

/// What became of the wish to have a notice sent once more.
#[derive(Debug)]
pub enum Resent {
    /// It is due again.
    Pending(Box<NoticeRow>),
    /// It is as it was, because it waits already or what it asks has been answered.
    Refused(Box<NoticeRow>),
    NotFound,
}

impl Storage {
    /// Notices, the newest first: their ids show when they were made.
    ///
    /// # Errors
    /// No database.
    pub async fn notices(&self, filter: &NoticeFilter) -> Result<Vec<NoticeRow>, Error> {
        let mut db = self.lease().await?;
        let query = sqlx::query_as!(
            NoticeRow,
            "select notice_id, workflow_id, version, kind, number, risk_level, channel, recipient, status, attempts, created_at, due_at,
                    first_attempt_at, delivered_at, error, resends
             from notice
             where ($1::text is null or status = $1)
               and ($2::text is null or channel = $2)
               and ($3::uuid is null or workflow_id = $3)
               and ($4::uuid is null or notice_id < $4)
             order by notice_id desc
             limit $5",
            filter.status.as_deref(),
            filter.channel.as_deref(),
            filter.workflow_id,
            filter.before,
            filter.limit
        );
        let rows = within(query.fetch_all(&mut *db)).await?;
        db.release();
        Ok(rows)
    }

    /// Makes a notice due again, as if it were new: unless it waits already, or asks about a request that is settled.
    ///
    /// # Errors
    /// No database.
    pub async fn resend_notice(&self, id: Uuid) -> Result<Resent, Error> {
        let mut db = self.lease().await?;
        let update = sqlx::query!(
            "update notice n
             set status = 'pending', attempts = 0, error = null, first_attempt_at = null, first_due_at = clock_timestamp(),
                 due_at = clock_timestamp(), resends = resends + 1
             where n.notice_id = $1 and n.status <> 'pending'
               and (n.kind not in ('approval.requested', 'approval.reminded', 'approval.escalated')
                    or exists (select from approval_requests r where r.workflow_id = n.workflow_id and r.status = 'pending'))",
            id
        );
        let changed = within(update.execute(&mut *db)).await?.rows_affected() == 1;
        let look = sqlx::query_as!(
            NoticeRow,
            "select notice_id, workflow_id, version, kind, number, risk_level, channel, recipient, status, attempts, created_at, due_at,
                    first_attempt_at, delivered_at, error, resends
             from notice where notice_id = $1",
            id
        );
        let row = within(look.fetch_optional(&mut *db)).await?;
        db.release();
        Ok(match row {
            None => Resent::NotFound,
            Some(row) if changed => Resent::Pending(Box::new(row)),
            Some(row) => Resent::Refused(Box::new(row)),
        })
    }
}
