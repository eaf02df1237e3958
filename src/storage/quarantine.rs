//! Workflows that are left alone because their actor kept failing.

use super::pool::within;
use super::{Error, Storage};
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Why and since when a workflow is left alone.
#[derive(Debug, Clone)]
pub struct Quarantine {
    pub reason: String,
    pub failures: i32,
    pub since: DateTime<Utc>,
}

impl Storage {
    /// Leaves a workflow alone.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn quarantine(&self, workflow_id: Uuid, reason: &str, failures: i32) -> Result<(), Error> {
        let mut db = self.lease_background().await?;
        let query = sqlx::query!(
            "insert into quarantine (workflow_id, reason, failures) values ($1, $2, $3)
             on conflict (workflow_id) do update set reason = excluded.reason, failures = excluded.failures",
            workflow_id,
            reason,
            failures
        );
        within(query.execute(&mut *db)).await?;
        db.release();
        Ok(())
    }

    /// Why a workflow is left alone, if it is.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn quarantined(&self, workflow_id: Uuid) -> Result<Option<Quarantine>, Error> {
        let mut db = self.lease().await?;
        let query = sqlx::query_as!(Quarantine, "select reason, failures, since from quarantine where workflow_id = $1", workflow_id);
        let row = within(query.fetch_optional(&mut *db)).await?;
        db.release();
        Ok(row)
    }

    /// Lets every workflow out, to be tried again; gives how many there were.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn clear_quarantine(&self) -> Result<u64, Error> {
        let mut db = self.lease().await?;
        let done = within(sqlx::query!("delete from quarantine").execute(&mut *db)).await?;
        db.release();
        Ok(done.rows_affected())
    }
}
