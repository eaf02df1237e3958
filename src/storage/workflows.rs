//! Reading workflows: what runs, what is queued, and the list of them.

use super::candidates::{self, Choice, Visible};
use super::connections::Lease;
use super::pool::within;
use super::{Error, Storage, page_of, targets};
use crate::domain::page::{Cursor, Page};
use crate::domain::risk::level::Level;
use crate::domain::risk::target::Target;
use crate::domain::workflow::Status;
use chrono::{DateTime, Utc};
use std::collections::BTreeSet;
use uuid::Uuid;

/// One line of the list of all workflows.
#[derive(Debug)]
pub struct ListedRow {
    pub workflow_id: Uuid,
    pub status: String,
    pub risk_level: String,
    pub task_id: Option<String>,
    pub requested_by: String,
    pub on_behalf_of: Option<String>,
    pub digest: String,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// Why it is left alone, if it is.
    pub quarantine: Option<String>,
    pub target: Target,
    pub document: Vec<u8>,
}

/// Which workflows to list.
#[derive(Debug, Default)]
pub struct ListFilter {
    pub status: Option<Status>,
    pub risk_level: Option<Level>,
    pub requested_by: Option<String>,
    /// Only what this agent may see: its own, and what agents of the same person submitted.
    pub visible_to: Option<Visible>,
    pub after: Option<Cursor>,
    pub limit: i64,
}

/// A workflow that waits for its turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedRow {
    pub workflow_id: Uuid,
    pub requested_by: String,
    /// Whether people have approved it; otherwise nobody had to.
    pub approved: bool,
    /// What it is about, as JSON, where that was asked for.
    pub target: Option<String>,
    /// Whether an exception from a freeze was approved.
    pub excepted: bool,
}

impl Storage {
    /// Workflows whose action parkbrake itself has begun and not ended, in the order of their ids, from after this one
    /// on; without those in quarantine.
    ///
    /// # Errors
    /// No database.
    pub async fn running(&self, after: Option<Uuid>, limit: i64) -> Result<Vec<Uuid>, Error> {
        let mut db = self.lease_background().await?;
        let query = sqlx::query_scalar!(
            "select w.workflow_id from workflow w
             where w.running and w.report_due_at is null and ($1::uuid is null or w.workflow_id > $1)
               and not exists (select from quarantine q where q.workflow_id = w.workflow_id)
             order by w.workflow_id limit $2",
            after,
            limit
        );
        let ids = within(query.fetch_all(&mut *db)).await?;
        db.release();
        Ok(ids)
    }

    /// Workflows of whose action nobody knows how it ended, the newest ones.
    ///
    /// # Errors
    /// No database.
    pub async fn of_unknown_outcome(&self) -> Result<Vec<Uuid>, Error> {
        let mut db = self.lease_background().await?;
        let query = sqlx::query_scalar!(
            "select w.workflow_id from workflow w where w.status = 'outcome_unknown' order by w.workflow_id desc limit 10000"
        );
        let ids = within(query.fetch_all(&mut *db)).await?;
        db.release();
        Ok(ids)
    }

    /// Which of these workflows, whose actions run, somebody has cancelled.
    ///
    /// # Errors
    /// No database.
    pub async fn cancelled_while_running(&self, ids: &[Uuid]) -> Result<BTreeSet<Uuid>, Error> {
        if ids.is_empty() {
            return Ok(BTreeSet::new());
        }
        let mut db = self.lease_background().await?;
        let query = sqlx::query_scalar!(
            "select distinct e.workflow_id from workflow_event e where e.workflow_id = any ($1) and e.kind = 'cancel_requested'",
            ids
        );
        let found = within(query.fetch_all(&mut *db)).await?;
        db.release();
        Ok(found.into_iter().collect())
    }

    /// Workflows that wait for their turn to start, in the order of their ids, from after this one on; without those in
    /// quarantine, and without tool calls, which wait to be claimed, and what rests after a failure. What they are about is only told where it is asked for, because it has to be read from their documents.
    ///
    /// # Errors
    /// No database.
    pub async fn queued(&self, after: Option<Uuid>, limit: i64, with_targets: bool) -> Result<Vec<QueuedRow>, Error> {
        let mut db = self.lease_background().await?;
        let query = sqlx::query_as!(
            QueuedRow,
            r#"select w.workflow_id, w.requested_by, w.approval_status is not null as "approved!",
                    case when $3::bool then target_of(w.target, (select d.content from document d
                                                                 where d.workflow_id = w.workflow_id and d.round = 1)) end as target,
                    exists (select from workflow_event e where e.workflow_id = w.workflow_id and e.kind = 'freeze_excepted') as "excepted!"
             from workflow w
             where w.queued and w.report_due_at is null and ($1::uuid is null or w.workflow_id > $1)
               and not (w.action = 'external'
                        and exists (select from idempotency_key k where k.workflow_id = w.workflow_id and starts_with(k.key, ' call ')))
               and not exists (select from quarantine q where q.workflow_id = w.workflow_id)
             order by w.workflow_id limit $2"#,
            after,
            limit,
            with_targets
        );
        let rows = within(query.fetch_all(&mut *db)).await?;
        db.release();
        Ok(rows)
    }

    /// A page of all workflows, newest first, and where the next page starts. It may hold less than was asked for, where few of
    /// many fit.
    ///
    /// # Errors
    /// No database.
    pub async fn list(&self, filter: &ListFilter) -> Result<Page<ListedRow>, Error> {
        let mut db = self.lease_list().await?;
        let choice = Choice {
            status: filter.status,
            risk_level: filter.risk_level,
            requested_by: filter.requested_by.as_deref(),
            visible_to: filter.visible_to.as_ref(),
            before: filter.after.map(|cursor| cursor.workflow_id),
            ..Choice::default()
        };
        let candidates = candidates::choose(&mut db, &choice, filter.limit).await?;
        let rows = listed(&mut db, filter, &candidates.ids).await?;
        db.release();
        Ok(page_of(rows, filter.limit, candidates.end(), |row| Cursor { at: row.created_at, workflow_id: row.workflow_id }))
    }
}

/// The first of these workflows that fit, one more than a page holds. Each is found by its id: joined in any other way, all workflows might be read.
async fn listed(db: &mut Lease, filter: &ListFilter, ids: &[Uuid]) -> Result<Vec<ListedRow>, Error> {
    let query = sqlx::query!(
        r#"select w.workflow_id, w.status, w.risk_level, w.task_id, w.requested_by, w.on_behalf_of, w.digest, w.created_at,
                w.updated_at, (select q.reason from quarantine q where q.workflow_id = w.workflow_id) as quarantine,
                d.document as "document!", target_of(w.target, d.document) as target
         from (
             select w.* from unnest($1::uuid[]) with ordinality as c (workflow_id, place)
             cross join lateral (select * from workflow w where w.workflow_id = c.workflow_id offset 0) w
             where ($2::text is null or w.status = $2)
               and ($3::text is null or w.risk_level = $3)
               and ($4::text is null or w.requested_by = $4)
             order by c.place limit $5
         ) w
         cross join lateral (select content as document from document d where d.workflow_id = w.workflow_id and d.round = 1 offset 0) d
         order by w.workflow_id desc"#,
        ids,
        filter.status.map(Status::as_str),
        filter.risk_level.map(Level::as_str),
        filter.requested_by.as_deref(),
        filter.limit + 1
    );
    let rows = within(query.fetch_all(&mut **db)).await?;
    let listed = rows.into_iter().map(|row| ListedRow {
        workflow_id: row.workflow_id,
        status: row.status,
        risk_level: row.risk_level,
        task_id: row.task_id,
        requested_by: row.requested_by,
        on_behalf_of: row.on_behalf_of,
        digest: row.digest,
        created_at: row.created_at,
        updated_at: row.updated_at,
        quarantine: row.quarantine,
        target: targets::read(row.target.as_deref()),
        document: row.document,
    });
    Ok(listed.collect())
}
