//! Exports a period page by page. Each page is read with short queries and no transaction, so an
//! export of millions of workflows blocks nobody.

use super::candidates::{UNDER_WAY, id_at};
use super::pool::{to_its_end, within};
use super::{Error, Storage};
use crate::domain::workflow::Recorded;
use chrono::{DateTime, Utc};
use std::collections::HashMap;
use uuid::Uuid;

/// The rest of a period that is still to be read.
#[derive(Debug, Clone)]
pub struct ExportPosition {
    after: Uuid,
    before: Uuid,
    from: Option<DateTime<Utc>>,
    until: DateTime<Utc>,
}

impl ExportPosition {
    /// The position before the first workflow that was submitted from `from` until before `until`.
    pub fn beginning(from: Option<DateTime<Utc>>, until: DateTime<Utc>) -> Self {
        let after = from.map_or(Uuid::nil(), |from| id_at(from - UNDER_WAY));
        Self { after, before: id_at(until + UNDER_WAY), from, until }
    }

    fn holds(&self, created_at: DateTime<Utc>) -> bool {
        self.from.is_none_or(|from| created_at >= from) && created_at < self.until
    }
}

/// One complete workflow.
#[derive(Debug)]
pub struct ExportRow {
    pub workflow_id: Uuid,
    pub status: String,
    pub risk_level: String,
    pub requested_by: String,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// The log, or the reason why it cannot be trusted or read.
    pub log: Result<Vec<Recorded>, String>,
    /// The canonical bytes of each document, oldest first.
    pub documents: Vec<Vec<u8>>,
}

impl Storage {
    /// The next workflows, oldest first, and where to continue; `None` at the end. The query
    /// completes whether or not the caller stays.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn export_page(&self, position: ExportPosition, size: i64) -> Result<(Vec<ExportRow>, Option<ExportPosition>), Error> {
        let storage = self.clone();
        to_its_end(async move { storage.read_export_page(position, size).await }).await
    }

    async fn read_export_page(&self, mut position: ExportPosition, size: i64) -> Result<(Vec<ExportRow>, Option<ExportPosition>), Error> {
        let mut db = self.lease_list().await?;
        let query = sqlx::query!(
            "select workflow_id, status, risk_level, requested_by, created_at, updated_at from workflow
             where workflow_id > $1 and workflow_id < $2 order by workflow_id limit $3",
            position.after,
            position.before,
            size
        );
        let found = within(query.fetch_all(&mut *db)).await?;
        let is_full = i64::try_from(found.len()).is_ok_and(|count| count >= size);
        let last = found.last().map(|row| row.workflow_id);
        let found: Vec<_> = found.into_iter().filter(|row| position.holds(row.created_at)).collect();
        let ids: Vec<Uuid> = found.iter().map(|row| row.workflow_id).collect();
        // The logs are read first, so that every document that a log names exists when the
        // documents are read.
        let mut logs = self.proven_logs_by(db, &ids).await?;
        let mut db = self.lease_list().await?;
        let query = sqlx::query!(
            "select d.workflow_id, d.content from unnest($1::uuid[]) asked (workflow_id)
             cross join lateral (select d.workflow_id, d.round, d.content from document d where d.workflow_id = asked.workflow_id offset 0) d
             order by d.workflow_id, d.round",
            &ids
        );
        let mut documents: HashMap<Uuid, Vec<Vec<u8>>> = HashMap::with_capacity(ids.len());
        for row in within(query.fetch_all(&mut *db)).await? {
            documents.entry(row.workflow_id).or_default().push(row.content);
        }
        db.release();
        let rows = found.into_iter().map(|row| ExportRow {
            log: logs.remove(&row.workflow_id).unwrap_or_else(|| Ok(Vec::new())).map_err(|error| error.to_string()),
            documents: documents.remove(&row.workflow_id).unwrap_or_default(),
            workflow_id: row.workflow_id,
            status: row.status,
            risk_level: row.risk_level,
            requested_by: row.requested_by,
            created_at: row.created_at,
            updated_at: row.updated_at,
        });
        let rows = rows.collect();
        position.after = last.unwrap_or(position.before);
        Ok((rows, is_full.then_some(position)))
    }
}
