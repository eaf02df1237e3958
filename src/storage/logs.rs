//! Reading the logs of workflows, and their documents.

use super::connections::Lease;
use super::pool::within;
use super::seal::{self, EventRow, Head};
use super::terms::Terms;
use super::{Error, Storage, record};
use crate::domain::workflow::Recorded;
use crate::secret_key::SecretKeys;
use chrono::{DateTime, Utc};
use std::collections::HashMap;
use uuid::Uuid;

/// The logs by workflow. A log that cannot be trusted or read has its own error.
pub type Logs = HashMap<Uuid, Result<Vec<Recorded>, Error>>;

/// A row of a log.
struct LogRow {
    version: i32,
    actor: String,
    via: Option<String>,
    at: DateTime<Utc>,
    data: String,
}

/// A row of a log, with the version and the seal of its workflow's row.
struct ProvenRow {
    workflow_id: Uuid,
    version: i32,
    kind: String,
    actor: String,
    via: Option<String>,
    at: DateTime<Utc>,
    data: String,
    seal: Option<Vec<u8>>,
    row_version: Option<i32>,
    row_seal: Option<Vec<u8>>,
}

impl Storage {
    /// The log of a workflow, oldest first; empty if there is none.
    ///
    /// # Errors
    /// The database is unavailable, or a row cannot be read.
    pub async fn log(&self, workflow_id: Uuid) -> Result<Vec<Recorded>, Error> {
        let mut db = self.lease().await?;
        let query = sqlx::query_as!(
            LogRow,
            "select version, actor, via, at, data from workflow_event where workflow_id = $1 order by version",
            workflow_id
        );
        let rows = within(query.fetch_all(&mut *db)).await?;
        db.release();
        self.read_terms(rows.iter().map(|row| row.data.as_str())).await?;
        let read = |row: LogRow| record::read(workflow_id, row.version, row.at, (row.actor, row.via.as_deref()), &row.data, &self.terms);
        rows.into_iter().map(read).collect()
    }

    /// The logs of several workflows, to act on: only what a server with this secret key wrote.
    /// Each is verified separately; a workflow that does not exist is missing from the answer.
    ///
    /// # Errors
    /// The database is unavailable, or there is no secret key. Nothing is then known about any of
    /// them.
    pub async fn proven_logs(&self, workflow_ids: &[Uuid]) -> Result<Logs, Error> {
        self.proven_logs_by(self.lease().await?, workflow_ids).await
    }

    /// The same with this connection.
    pub(super) async fn proven_logs_by(&self, mut db: Lease, workflow_ids: &[Uuid]) -> Result<Logs, Error> {
        let keys = self.keys()?;
        // Each is looked up by its id: with any other join, all workflows might be read.
        let query = sqlx::query_as!(
            ProvenRow,
            r#"select e.workflow_id, e.version, e.kind, e.actor, e.via, e.at, e.data, e.seal, w.version as "row_version?", w.seal as row_seal
             from unnest($1::uuid[]) asked (workflow_id)
             cross join lateral (
                 select e.workflow_id, e.version, e.kind, e.actor, e.via, e.at, e.data, e.seal from workflow_event e
                 where e.workflow_id = asked.workflow_id offset 0
             ) e
             left join lateral (select w.version, w.seal from workflow w where w.workflow_id = asked.workflow_id offset 0) w on true
             order by e.workflow_id, e.version"#,
            workflow_ids
        );
        let rows = within(query.fetch_all(&mut *db)).await?;
        db.release();
        self.read_terms(rows.iter().map(|row| row.data.as_str())).await?;
        let logs = rows.chunk_by(|one, next| one.workflow_id == next.workflow_id);
        Ok(logs.map(|log| (log[0].workflow_id, proven(keys, log, &self.terms))).collect())
    }

    /// The canonical bytes of a document of a workflow, by its
    /// [number](crate::domain::workflow::Workflow::document_number).
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn document(&self, workflow_id: Uuid, document: u32) -> Result<Option<Vec<u8>>, Error> {
        let mut db = self.lease().await?;
        let number = i32::try_from(document).unwrap_or(i32::MAX);
        let query = sqlx::query_scalar!("select content from document where workflow_id = $1 and round = $2", workflow_id, number);
        let document = within(query.fetch_optional(&mut *db)).await?;
        db.release();
        Ok(document)
    }

    /// The canonical bytes of a workflow's document in force.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn last_document(&self, workflow_id: Uuid) -> Result<Option<Vec<u8>>, Error> {
        let mut db = self.lease().await?;
        let query = sqlx::query_scalar!(
            "select content from document where workflow_id = $1 order by workflow_id, round desc limit 1",
            workflow_id
        );
        let document = within(query.fetch_optional(&mut *db)).await?;
        db.release();
        Ok(document)
    }

    /// The current version of a workflow.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn version(&self, workflow_id: Uuid) -> Result<Option<u32>, Error> {
        let mut db = self.lease().await?;
        let query = sqlx::query_scalar!("select version from workflow where workflow_id = $1", workflow_id);
        let version = within(query.fetch_optional(&mut *db)).await?;
        db.release();
        Ok(version.and_then(|version| u32::try_from(version).ok()))
    }
}

/// One log, if a server with this secret key wrote all of it.
fn proven(keys: &SecretKeys, rows: &[ProvenRow], terms: &Terms) -> Result<Vec<Recorded>, Error> {
    let workflow_id = rows[0].workflow_id;
    let log = rows.iter().map(|row| {
        let (kind, actor, via) = (row.kind.as_str(), row.actor.as_str(), row.via.as_deref());
        (EventRow { workflow_id, version: row.version, kind, actor, via, data: &row.data }, row.seal.as_deref())
    });
    let head = rows.first().and_then(|row| Some(Head { version: row.row_version?, seal: row.row_seal.as_deref() }));
    seal::verify(keys, workflow_id, log, head.as_ref()).map_err(|detail| Error::Tampered { workflow_id, detail })?;
    let read = |row: &ProvenRow| record::read(workflow_id, row.version, row.at, (row.actor.clone(), row.via.as_deref()), &row.data, terms);
    rows.iter().map(read).collect()
}
