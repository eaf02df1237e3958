//! One person's decisions, from the log.

use super::pool::within;
use super::{Cursor, Error, Storage};
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
    pub operation: Option<String>,
    pub environment: Option<String>,
    pub resource: Option<String>,
}

impl Storage {
    /// A person's decisions, newest first.
    ///
    /// # Errors
    /// No database.
    pub async fn decisions_of(&self, name: &str, after: Option<Cursor>, limit: i64) -> Result<Vec<DecisionRow>, Error> {
        let mut db = self.lease().await?;
        let query = sqlx::query_as!(
            DecisionRow,
            r#"select e.workflow_id, e.kind as verdict, e.at,
                      coalesce(e.data::jsonb ->> 'justification', e.data::jsonb ->> 'reason') as note,
                      w.status, w.risk_level, w.requested_by, t.task ->> 'operation' as operation,
                      t.task ->> 'environment' as environment, t.task ->> 'resource' as resource
               from workflow_event e join workflow w using (workflow_id) join payload p using (workflow_id),
                    lateral (select convert_from(p.document, 'UTF8')::jsonb as task) t
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
        Ok(rows)
    }
}
