//! One person's decisions, from the log.

use super::pool::within;
use super::{Cursor, Error, Storage, targets};
use crate::domain::target::Target;
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// One decision, and what it was about.
#[derive(Debug)]
pub struct DecisionRow {
    pub workflow_id: Uuid,
    /// `approved` or `rejected`.
    pub verdict: String,
    pub at: DateTime<Utc>,
    /// The person's words.
    pub note: Option<String>,
    /// How the workflow stands today.
    pub status: String,
    pub risk_level: String,
    pub requested_by: String,
    pub target: Target,
    /// The door by which it came.
    pub via: Option<String>,
}

impl Storage {
    /// A person's decisions, newest first.
    ///
    /// # Errors
    /// No database.
    pub async fn decisions_of(&self, name: &str, after: Option<Cursor>, limit: i64) -> Result<Vec<DecisionRow>, Error> {
        let mut db = self.lease().await?;
        let query = sqlx::query!(
            r#"select e.workflow_id, e.kind as verdict, e.at, e.via,
                      coalesce(e.data::jsonb ->> 'justification', e.data::jsonb ->> 'reason') as note,
                      w.status, w.risk_level, w.requested_by, target_of(w.target, p.document) as target
               from workflow_event e join workflow w using (workflow_id) join workflow_event p on p.workflow_id = e.workflow_id and p.version = 1
               where e.kind in ('approved', 'rejected') and e.actor = $1
                 and ($2::timestamptz is null or (e.at, e.workflow_id) < ($2, $3))
               order by e.at desc, e.workflow_id desc
               limit $4"#,
            name,
            after.map(|cursor| cursor.at),
            after.map(|cursor| cursor.workflow_id),
            limit
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
            target: targets::read(row.target.as_deref()),
        });
        Ok(decisions.collect())
    }
}
