//! The last approved request of the same kind, to show what is different this time.

use super::pool::within;
use super::{Error, Storage};
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// The most earlier workflows that are examined to find one of the same kind.
pub const LOOKED_THROUGH: i64 = 2_000;

/// The kind of a request: requester, operation and action; or the resource, if the action has no
/// name that would tell it from others.
#[derive(Debug)]
pub struct Kind<'a> {
    pub requested_by: &'a str,
    pub operation: &'a str,
    /// The action's type, and its name if it has one.
    pub action: &'a str,
    pub action_name: Option<&'a str>,
    pub resource: Option<&'a str>,
}

/// An earlier request that was approved.
#[derive(Debug)]
pub struct Precedent {
    pub workflow_id: Uuid,
    pub approved_at: Option<DateTime<Utc>>,
    pub document: Vec<u8>,
}

impl Storage {
    /// The newest approved request of a kind among those that were submitted shortly before
    /// another.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn precedent(&self, kind: &Kind<'_>, workflow_id: Uuid) -> Result<Option<Precedent>, Error> {
        let mut db = self.lease_list().await?;
        // Documents are opened one by one, newest first, and only those of this requester's
        // approved requests.
        let query = sqlx::query_as!(
            Precedent,
            r#"with recent as materialized (
                 select w.workflow_id, w.requested_by, w.action, w.approval_status, w.resolved_at
                 from workflow w
                 where w.workflow_id < $1
                 order by w.workflow_id desc
                 limit $2
             )
             select r.workflow_id, r.resolved_at as approved_at, d.document as "document!"
             from recent r
                  cross join lateral (select content as document from document d where d.workflow_id = r.workflow_id and d.round = 1 offset 0) d,
                  lateral (select convert_from(d.document, 'UTF8')::jsonb as task) t
             where r.approval_status = 'approved' and r.requested_by = $3 and r.action = $4
               and t.task ->> 'operation' = $5 and t.task #>> '{action,name}' is not distinct from $6
               and ($6 is not null or t.task ->> 'resource' is not distinct from $7)
             order by r.workflow_id desc
             limit 1"#,
            workflow_id,
            LOOKED_THROUGH,
            kind.requested_by,
            kind.action,
            kind.operation,
            kind.action_name,
            kind.resource
        );
        let precedent = within(query.fetch_optional(&mut *db)).await?;
        db.release();
        Ok(precedent)
    }
}
