//! One person's decisions, from the log.

use super::pool::within;
use super::targets::Outline;
use super::{Error, Storage, page_of};
use crate::domain::page::{Cursor, Page};
use crate::domain::risk::target::Target;
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// One decision, and its target.
#[derive(Debug)]
pub struct DecisionRow {
    pub workflow_id: Uuid,
    /// `approved`, `rejected`, `withdrawn`, or `glass_broken`.
    pub verdict: String,
    pub at: DateTime<Utc>,
    /// The justification or reason, in the person's words.
    pub note: Option<String>,
    /// The status of the workflow today.
    pub status: String,
    pub risk_level: String,
    pub requested_by: String,
    pub target: Target,
    /// The way in that was used.
    pub via: Option<String>,
}

impl Storage {
    /// A person's decisions, newest first.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn decisions_of(&self, name: &str, after: Option<Cursor>, limit: i64) -> Result<Page<DecisionRow>, Error> {
        let mut db = self.lease_list().await?;
        let after = after.unwrap_or(Cursor::FIRST);
        let query = sqlx::query!(
            r#"select e.workflow_id, e.kind as verdict, e.at, e.via,
                      coalesce(e.data::jsonb ->> 'justification', e.data::jsonb ->> 'reason') as note,
                      w.status, w.risk_level, w.requested_by, w.target, d.document
               from workflow_event e
               cross join lateral (select * from workflow w where w.workflow_id = e.workflow_id offset 0) w
               cross join lateral (select content as document from document d where d.workflow_id = e.workflow_id and d.round = 1 offset 0) d
               where e.kind in ('approved', 'rejected', 'withdrawn', 'glass_broken') and e.actor = $1
                 and (e.at, e.workflow_id) < ($2, $3)
               order by e.at desc, e.workflow_id desc
               limit $4"#,
            name,
            after.at,
            after.workflow_id,
            limit + 1
        );
        let rows = within(query.fetch_all(&mut *db)).await?;
        db.release();
        let decisions = rows.into_iter().map(|row| DecisionRow {
            workflow_id: row.workflow_id,
            verdict: row.verdict,
            at: row.at,
            via: row.via,
            note: row.note,
            status: row.status,
            risk_level: row.risk_level,
            requested_by: row.requested_by,
            target: Outline::of(&row.document).target(row.target.as_deref()),
        });
        Ok(page_of(decisions.collect(), limit, None, |row| Cursor { at: row.at, workflow_id: row.workflow_id }))
    }
}
