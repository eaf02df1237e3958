//! What requests are about, read out of their documents: enough for a line of a list, without sending whole documents.

use super::pool::within;
use super::{Error, Storage};
use serde::Serialize;
use uuid::Uuid;

/// What one request is about, in the requester's words.
#[derive(Debug, Clone, Serialize)]
pub struct Target {
    pub workflow_id: Uuid,
    pub operation: Option<String>,
    pub environment: Option<String>,
    pub resource: Option<String>,
    pub resource_type: Option<String>,
    pub action: Option<String>,
    pub action_name: Option<String>,
}

impl Storage {
    /// What these workflows are about, in no order.
    ///
    /// # Errors
    /// No database.
    pub async fn targets(&self, workflow_ids: &[Uuid]) -> Result<Vec<Target>, Error> {
        let mut db = self.lease().await?;
        let query = sqlx::query_as!(
            Target,
            "select p.workflow_id, t.task ->> 'operation' as operation, t.task ->> 'environment' as environment,
                    t.task ->> 'resource' as resource, t.task ->> 'resource_type' as resource_type,
                    t.task #>> '{action,type}' as action, t.task #>> '{action,name}' as action_name
             from payload p, lateral (select convert_from(p.document, 'UTF8')::jsonb as task) t
             where p.workflow_id = any ($1)",
            workflow_ids
        );
        let targets = within(query.fetch_all(&mut *db)).await?;
        db.release();
        Ok(targets)
    }
}
