//! What waits for people, and what falls due.

use super::pool::within;
use super::workflows::Visible;
use super::{Cursor, Error, Storage, targets};
use crate::domain::level::Level;
use crate::domain::target::Target;
use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

/// One request that waits.
#[derive(Debug)]
pub struct PendingRow {
    pub workflow_id: Uuid,
    pub task_id: Option<String>,
    pub risk_level: String,
    /// The requester's words.
    pub description: String,
    pub target: Target,
    pub requested_by: String,
    pub requested_at: DateTime<Utc>,
    pub approvers: Vec<String>,
    pub required: i32,
    pub approvals: i32,
    pub escalation_level: i32,
    pub timetable: Value,
    pub expires_at: Option<DateTime<Utc>>,
    pub digest: String,
}

/// Which requests to list.
#[derive(Debug, Default)]
pub struct PendingFilter {
    pub risk_level: Option<Level>,
    /// Only those that this role may decide.
    pub role: Option<String>,
    /// Only those that this person may decide.
    pub decidable_by: Option<Decider>,
    pub visible_to: Option<Visible>,
    pub after: Option<Cursor>,
    pub limit: i64,
}

/// A person and their roles.
#[derive(Debug)]
pub struct Decider {
    pub name: String,
    pub roles: Vec<String>,
}

/// Something that is due, by the database's clock.
#[derive(Debug)]
pub struct Due {
    /// The workflows to wake, the longest overdue first.
    pub workflows: Vec<Uuid>,
    /// The database's time when it was asked.
    pub now: DateTime<Utc>,
    /// When the next one falls due, of those that are not due yet.
    pub next: Option<DateTime<Utc>>,
}

impl Storage {
    /// Requests that wait, newest first: of each level and set of roles the newest, from its part of the index, and of these
    /// the newest.
    ///
    /// # Errors
    /// No database.
    pub async fn pending(&self, filter: &PendingFilter) -> Result<Vec<PendingRow>, Error> {
        let mut db = self.lease().await?;
        let query = sqlx::query!(
            r#"select r.workflow_id, r.task_id, r.risk_level, r.requested_by, r.requested_at as "requested_at!", r.approvers as "approvers!",
                    r.required as "required!", r.approvals as "approvals!", r.escalation_level as "escalation_level!",
                    r.timetable as "timetable!", r.expires_at, r.digest, e.document as "document!", target_of(r.target, e.document) as target
             from pending_place place
             cross join lateral (
                 select * from workflow w
                 where w.approval_status = 'pending' and w.risk_level = place.risk_level and w.approvers = place.approvers
                   and ($3::text is null or (w.open_roles && $4 and not w.approved_by @> array[$3]
                                             and (not w.separation_of_duties
                                                  or (w.requested_by <> $3 and w.on_behalf_of is distinct from $3))))
                   and ($5::text is null or w.requested_by = $5 or w.on_behalf_of = $6)
                   and ($7::timestamptz is null or (w.requested_at, w.workflow_id) < ($7, $8))
                 order by w.requested_at desc, w.workflow_id desc
                 limit $9
             ) r
             join workflow_event e on e.workflow_id = r.workflow_id and e.version = 1
             where ($1::text is null or place.risk_level = $1)
               and ($2::text is null or place.approvers @> array[$2])
               and ($3::text is null or place.approvers && $4)
             order by r.requested_at desc, r.workflow_id desc
             limit $9"#,
            filter.risk_level.map(Level::as_str),
            filter.role.as_deref(),
            filter.decidable_by.as_ref().map(|decider| decider.name.as_str()),
            filter.decidable_by.as_ref().map(|decider| decider.roles.as_slice()),
            filter.visible_to.as_ref().map(|visible| visible.agent.as_str()),
            filter.visible_to.as_ref().and_then(|visible| visible.on_behalf_of.as_deref()),
            filter.after.map(|cursor| cursor.at),
            filter.after.map(|cursor| cursor.workflow_id),
            filter.limit
        );
        let rows = within(query.fetch_all(&mut *db)).await?;
        db.release();
        let rows = rows.into_iter().map(|row| {
            let document: Value = serde_json::from_slice(&row.document).unwrap_or_default();
            PendingRow {
                workflow_id: row.workflow_id,
                task_id: row.task_id,
                risk_level: row.risk_level,
                description: document["description"].as_str().unwrap_or_default().to_owned(),
                target: targets::read(row.target.as_deref()),
                requested_by: row.requested_by,
                requested_at: row.requested_at,
                approvers: row.approvers,
                required: row.required,
                approvals: row.approvals,
                escalation_level: row.escalation_level,
                timetable: serde_json::from_str(&row.timetable).unwrap_or_default(),
                expires_at: row.expires_at,
                digest: row.digest,
            }
        });
        Ok(rows.collect())
    }

    /// What is due, and when the next one will be. The application's clock is not asked.
    ///
    /// # Errors
    /// No database.
    pub async fn due(&self, limit: i64) -> Result<Due, Error> {
        let mut db = self.lease().await?;
        let now = within(sqlx::query_scalar!(r#"select clock_timestamp() as "now!""#).fetch_one(&mut *db)).await?;
        let due = sqlx::query_scalar!(
            "select w.workflow_id from workflow w
             where w.approval_status = 'pending' and w.timeout_at <= $1
               and not exists (select from quarantine q where q.workflow_id = w.workflow_id)
             order by w.timeout_at limit $2",
            now,
            limit
        );
        let workflows = within(due.fetch_all(&mut *db)).await?;
        let next = sqlx::query_scalar!("select min(timeout_at) from workflow where approval_status = 'pending' and timeout_at > $1", now);
        let next = within(next.fetch_one(&mut *db)).await?;
        db.release();
        Ok(Due { workflows, now, next })
    }

    /// The requests that wait, newest first: what a restart takes into memory.
    ///
    /// # Errors
    /// No database.
    pub async fn newest_pending(&self, limit: i64) -> Result<Vec<Uuid>, Error> {
        let mut db = self.lease().await?;
        let query = sqlx::query_scalar!(
            "select r.workflow_id
             from pending_place place
             cross join lateral (
                 select w.workflow_id, w.requested_at from workflow w
                 where w.approval_status = 'pending' and w.risk_level = place.risk_level and w.approvers = place.approvers
                 order by w.requested_at desc, w.workflow_id desc
                 limit $1
             ) r
             order by r.requested_at desc, r.workflow_id desc
             limit $1",
            limit
        );
        let ids = within(query.fetch_all(&mut *db)).await?;
        db.release();
        Ok(ids)
    }
}
