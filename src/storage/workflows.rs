//! Reading workflows: running ones, queued ones, and those with an unknown outcome.

use super::pool::within;
use super::{Error, Storage};
use std::collections::BTreeSet;
use uuid::Uuid;

/// A workflow that waits for its turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedRow {
    pub workflow_id: Uuid,
    pub requested_by: String,
    /// Whether people approved it; otherwise it needed no approval.
    pub approved: bool,
    /// The target as JSON, if requested.
    pub target: Option<String>,
    /// Whether an exception from a freeze was approved.
    pub excepted: bool,
}

impl Storage {
    /// Workflows whose action parkbrake itself has started and that has not ended, in the order of
    /// their ids, after this one; without those in quarantine.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
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

    /// The newest workflows with an unknown outcome.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn of_unknown_outcome(&self) -> Result<Vec<Uuid>, Error> {
        let mut db = self.lease_background().await?;
        let query = sqlx::query_scalar!(
            "select w.workflow_id from workflow w where w.status = 'outcome_unknown' order by w.workflow_id desc limit 10000"
        );
        let ids = within(query.fetch_all(&mut *db)).await?;
        db.release();
        Ok(ids)
    }

    /// Which of these running workflows somebody has cancelled.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
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

    /// Workflows that wait for their turn to start, in the order of their ids, after this one;
    /// without those in quarantine, tool calls, which wait to be claimed, and those that rest after
    /// a failure. Targets are returned only on request, because they have to be read from the
    /// documents.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
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
}
