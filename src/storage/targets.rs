//! What requests are about: enough for a line of a list, without sending whole documents.

use super::pool::within;
use super::{Error, Storage};
use crate::domain::risk::target::Target;
use uuid::Uuid;

/// What one request is about.
#[derive(Debug, Clone)]
pub struct AboutRow {
    pub workflow_id: Uuid,
    pub target: Target,
    pub action: Option<String>,
    pub action_name: Option<String>,
}

/// A target from its column; one that cannot be read names nothing.
pub(super) fn read(stored: Option<&str>) -> Target {
    stored.and_then(Target::read).unwrap_or_else(|| Target { operation: "unknown".to_owned(), ..Target::default() })
}

impl Storage {
    /// What these workflows are about, in no order.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn targets(&self, workflow_ids: &[Uuid]) -> Result<Vec<AboutRow>, Error> {
        let mut db = self.lease_list().await?;
        let query = sqlx::query!(
            "select d.workflow_id, target_of(w.target, d.content) as target, t.task #>> '{action,type}' as action,
                    t.task #>> '{action,name}' as action_name
             from document d join workflow w using (workflow_id),
                  lateral (select convert_from(d.content, 'UTF8')::jsonb as task) t
             where d.workflow_id = any ($1) and d.round = 1",
            workflow_ids
        );
        let rows = within(query.fetch_all(&mut *db)).await?;
        db.release();
        let about = rows.into_iter().map(|row| AboutRow {
            workflow_id: row.workflow_id,
            target: read(row.target.as_deref()),
            action: row.action,
            action_name: row.action_name,
        });
        Ok(about.collect())
    }
}
