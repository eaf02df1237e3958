//! Workflows in quarantine because their actor kept failing.

use super::pool::within;
use super::{Error, Storage};
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Why and since when a workflow is quarantined.
#[derive(Debug, Clone)]
pub struct Quarantine {
    pub reason: String,
    pub failures: i32,
    pub since: DateTime<Utc>,
}

impl Storage {
    /// Puts a workflow in quarantine.
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

    /// A document of a workflow, by its
    /// [number](crate::domain::workflow::Workflow::document_number), and its quarantine, if any:
    /// what showing it needs besides its log, in one round trip.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn document_and_quarantine(&self, workflow_id: Uuid, document: u32) -> Result<(Option<Vec<u8>>, Option<Quarantine>), Error> {
        let mut db = self.lease().await?;
        let number = i32::try_from(document).unwrap_or(i32::MAX);
        let query = sqlx::query!(
            r#"select d.content as "content?", q.reason as "reason?", q.failures as "failures?", q.since as "since?"
               from (select $1::uuid as workflow_id) asked
               left join document d on d.workflow_id = asked.workflow_id and d.round = $2
               left join quarantine q on q.workflow_id = asked.workflow_id"#,
            workflow_id,
            number
        );
        let row = within(query.fetch_one(&mut *db)).await?;
        db.release();
        let quarantine = row.reason.zip(row.failures).zip(row.since);
        let quarantine = quarantine.map(|((reason, failures), since)| Quarantine { reason, failures, since });
        Ok((row.content, quarantine))
    }

    /// Releases every workflow from quarantine, to be tried again. Returns how many there were.
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
