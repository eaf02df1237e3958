//! Lists of notices for people, and sending a notice again.

use super::candidates::WINDOW;
use super::pool::within;
use super::{Error, Storage, page_of};
use crate::domain::page::Page;
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
    /// Only notices older than this one.
    pub before: Option<Uuid>,
    pub limit: i64,
}

/// The result of sending a notice again.
#[derive(Debug)]
pub enum Resent {
    /// It is due again.
    Pending(Box<NoticeRow>),
    /// It is unchanged, because it is waiting already or its request has been decided.
    Refused(Box<NoticeRow>),
    NotFound,
}

impl Storage {
    /// A page of notices, newest first by id, and where the next page starts. It may hold fewer
    /// than requested, if few match.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn notices(&self, filter: &NoticeFilter) -> Result<Page<NoticeRow, Uuid>, Error> {
        let mut db = self.lease_list().await?;
        // One filter chooses by an index, and the others are applied to a window of what it chose.
        let status = filter.status.as_deref();
        let is_exact = match (filter.workflow_id, status, filter.channel.as_deref()) {
            (Some(_), ..) | (None, None, _) => true,
            (None, Some("pending" | "dead"), channel) => channel.is_none(),
            (None, Some(_), _) => false,
        };
        let window = if is_exact { filter.limit + 1 } else { WINDOW.max(filter.limit + 1) };
        let query = sqlx::query_scalar!(
            r#"with candidate as (
                   (select n.notice_id from (select notice_id from notice where workflow_id = $1 offset 0) n where n.notice_id < $4)
                   union all
                   (select notice_id from notice where $1::uuid is null and $2 = 'pending' and status = 'pending' and notice_id < $4
                    order by notice_id desc limit $5)
                   union all
                   (select notice_id from notice where $1::uuid is null and $2 = 'dead' and status = 'dead' and notice_id < $4
                    order by notice_id desc limit $5)
                   union all
                   (select notice_id from notice
                    where $1::uuid is null and ($2::text is null or $2 not in ('pending', 'dead'))
                      and channel >= $3 and (channel, notice_id) < ($3, $4)
                    order by channel desc, notice_id desc limit $5)
                   union all
                   (select notice_id from notice
                    where $1::uuid is null and ($2::text is null or $2 not in ('pending', 'dead')) and $3::text is null and notice_id < $4
                    order by notice_id desc limit $5)
               )
               select notice_id as "notice_id!" from candidate order by 1 desc limit case when $1::uuid is null then $5 end"#,
            filter.workflow_id,
            status,
            filter.channel.as_deref(),
            filter.before.unwrap_or(Uuid::max()),
            window
        );
        let ids = within(query.fetch_all(&mut *db)).await?;
        let query = sqlx::query_as!(
            NoticeRow,
            "select n.notice_id, n.workflow_id, n.version, n.kind, n.number, n.risk_level, n.channel, n.recipient, n.status, n.attempts, n.created_at,
                    n.due_at, n.first_attempt_at, n.delivered_at, n.error, n.resends
             from unnest($1::uuid[]) with ordinality as c (notice_id, place)
             cross join lateral (select * from notice n where n.notice_id = c.notice_id offset 0) n
             where ($2::text is null or n.status = $2) and ($3::text is null or n.channel = $3)
             order by c.place limit $4",
            &ids,
            status,
            filter.channel.as_deref(),
            filter.limit + 1
        );
        let rows = within(query.fetch_all(&mut *db)).await?;
        db.release();
        let is_cut = !is_exact && i64::try_from(ids.len()).is_ok_and(|count| count >= window);
        let end = ids.last().copied().filter(|_| is_cut);
        Ok(page_of(rows, filter.limit, end, |row| row.notice_id))
    }

    /// Makes a notice due again, as if it were new, unless it is waiting already, or asks about a
    /// settled request.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn resend_notice(&self, id: Uuid) -> Result<Resent, Error> {
        let mut db = self.lease().await?;
        let update = sqlx::query!(
            "update notice n
             set status = 'pending', attempts = 0, error = null, first_attempt_at = null, first_due_at = clock_timestamp(),
                 due_at = clock_timestamp(), resends = resends + 1
             where n.notice_id = $1 and n.status <> 'pending'
               and (n.kind not in ('approval.requested', 'approval.reminded', 'approval.escalated', 'approval.goal_nears',
                          'approval.expiring')
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
