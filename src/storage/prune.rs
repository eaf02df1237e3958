//! Retention: workflows that ended long ago are removed, a few at a time.
//!
//! Each step is one transaction of `migrations/0012_prune.sql`, which removes whole workflows and
//! records that. Nothing is held between two steps, so a run can be stopped at any moment.

use super::pool::within;
use super::{Error, Storage};
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// The result of one step.
#[derive(Debug)]
pub struct PruneStep {
    /// The last workflow that was examined; the next step begins after it.
    pub visited: Uuid,
    pub workflows: i32,
    pub events: i32,
    pub notices: i32,
    pub keys: i32,
    /// The latest change among the removed workflows.
    pub until: Option<DateTime<Utc>>,
}

/// The workflows of one status that a step would remove.
#[derive(Debug)]
pub struct PrunePreview {
    pub visited: Uuid,
    /// `None` if the row has only `visited`.
    pub status: Option<String>,
    pub workflows: i64,
    pub oldest: Option<DateTime<Utc>>,
    pub newest: Option<DateTime<Utc>>,
    pub events: i64,
    pub bytes: i64,
}

impl Storage {
    /// Examines up to `limit` workflows after an id, and removes those that are final and whose
    /// last change was before the cut-off. `None` if there are no more.
    ///
    /// # Errors
    /// The database is unavailable, or it refuses.
    pub async fn prune_step(&self, cut_off: DateTime<Utc>, after: Uuid, limit: i32) -> Result<Option<PruneStep>, Error> {
        let mut db = self.lease_list().await?;
        let query = sqlx::query_as!(
            PruneStep,
            r#"select visited as "visited!", workflows as "workflows!", events as "events!", notices as "notices!", keys as "keys!", until
             from prune_step($1, $2, $3)"#,
            cut_off,
            after,
            limit
        );
        let step = within(query.fetch_optional(&mut *db)).await?;
        db.release();
        Ok(step)
    }

    /// How many workflows have not changed since the cut-off, and are kept because nobody has
    /// resolved their unknown outcome.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn unresolved(&self, cut_off: DateTime<Utc>) -> Result<i64, Error> {
        let mut db = self.lease().await?;
        let query = sqlx::query_scalar!(
            r#"select count(*) as "count!"
               from place p cross join lateral (
                   select from workflow w where place_of(w.status, w.risk_level, w.approvers) = p.place and w.updated_at < $1 offset 0
               ) w
               where p.status = 'outcome_unknown'"#,
            cut_off
        );
        let count = within(query.fetch_one(&mut *db)).await?;
        db.release();
        Ok(count)
    }

    /// What [`Self::prune_step`] would remove, without changing anything. Empty if there are no
    /// workflows after this id.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn prune_preview(&self, cut_off: DateTime<Utc>, after: Uuid, limit: i32) -> Result<Vec<PrunePreview>, Error> {
        let mut db = self.lease_list().await?;
        let query = sqlx::query_as!(
            PrunePreview,
            r#"select visited as "visited!", status, workflows as "workflows!", oldest, newest, events as "events!", bytes as "bytes!"
             from prune_preview($1, $2, $3)"#,
            cut_off,
            after,
            limit
        );
        let rows = within(query.fetch_all(&mut *db)).await?;
        db.release();
        Ok(rows)
    }
}
