//! The export of every workflow that was submitted in a period, for audits: oldest first, read page
//! by page as the client reads the response.

use crate::domain::risk::target::Target;
use crate::domain::task::digest::Digest;
use crate::domain::task::plan::Document;
use crate::domain::workflow::{Recorded, Workflow, transition};
use crate::identity::{Caller, Reauthentication};
use crate::service::admission::Permit;
use crate::service::lists::only_people;
use crate::service::{Service, ServiceError};
use crate::storage::{self, ExportPosition, ExportRow};
use chrono::{DateTime, Utc};
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Workflows per page. A page is held in memory whole.
const PAGE: i64 = 20;
/// How often the export checks that the caller still has the right to it.
const PROOF: Duration = Duration::from_secs(15);
/// How often a page is read again after a database error, and the pause before each retry.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);

/// One workflow of an export.
#[derive(Debug)]
pub struct Exported {
    pub workflow_id: Uuid,
    pub status: String,
    pub risk_level: String,
    pub requested_by: String,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// The stored workflow, or why it cannot be read.
    pub contents: Result<Contents, String>,
}

/// A stored workflow whose log and documents have been read and verified.
#[derive(Debug)]
pub struct Contents {
    pub workflow: Workflow,
    pub log: Vec<Recorded>,
    pub target: Target,
    /// The document in force.
    pub document: Document,
    pub digest: Digest,
}

/// An export in progress. Dropping it before its end stops the work.
pub struct Export {
    service: Service,
    reauthentication: Reauthentication,
    proved: Instant,
    /// Where the next page begins; `None` at the end.
    position: Option<ExportPosition>,
    /// The page to return next.
    next: Option<Vec<Exported>>,
    _permit: Arc<Permit>,
}

/// Why an export ends before it is complete. The reader has to be able to tell.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    #[error("the server is stopping")]
    Stopping,
    #[error("the caller no longer has the right to this export")]
    Unproved,
    #[error(transparent)]
    Storage(#[from] storage::Error),
}

impl Service {
    /// Begins to export the workflows that were submitted from `from` until before `until`, or
    /// until now. The first page is read before this returns.
    ///
    /// # Errors
    /// The caller is an agent, too many exports are in progress, or the database is unavailable.
    pub async fn export(
        &self,
        by: &Caller,
        reauthentication: Reauthentication,
        from: Option<DateTime<Utc>>,
        until: Option<DateTime<Utc>>,
    ) -> Result<Export, ServiceError> {
        only_people(by, "only people can export, because exports contain everybody's workflows")?;
        let permit = self.admissions.exports.admit(&by.name, 0)?;
        // Workflows submitted from now on are left out, so that the export has an end.
        let now = self.engine.storage.now().await?;
        let position = ExportPosition::beginning(from, until.map_or(now, |until| until.min(now)));
        let (rows, position) = self.engine.storage.export_page(position, PAGE).await?;
        let next = Some(rows.into_iter().map(Exported::from).collect());
        Ok(Export { service: self.clone(), reauthentication, proved: Instant::now(), position, next, _permit: permit })
    }
}

impl Export {
    /// The next workflows; `None` at the end. A page may be empty.
    ///
    /// # Errors
    /// The export cannot be completed.
    pub async fn next(&mut self) -> Result<Option<Vec<Exported>>, Broken> {
        if let Some(page) = self.next.take() {
            return Ok(Some(page));
        }
        let Some(position) = self.position.take() else { return Ok(None) };
        if self.proved.elapsed() >= PROOF {
            if !self.reauthentication.holds(&self.service.identity).await {
                return Err(Broken::Unproved);
            }
            self.proved = Instant::now();
        }
        let (rows, position) = self.service.until_closing(page(&self.service, position)).await.ok_or(Broken::Stopping)??;
        self.position = position;
        Ok(Some(rows.into_iter().map(Exported::from).collect()))
    }
}

/// Reads a page. A short outage of the database does not end an export that has run for minutes.
async fn page(service: &Service, position: ExportPosition) -> Result<(Vec<ExportRow>, Option<ExportPosition>), storage::Error> {
    let mut tries = 1;
    loop {
        match service.engine.storage.export_page(position.clone(), PAGE).await {
            Err(storage::Error::Unavailable(reason)) if tries < TRIES => {
                tracing::debug!(reason, "an export waits for the database");
                tries += 1;
                tokio::time::sleep(PAUSE).await;
            }
            other => return other,
        }
    }
}

impl From<ExportRow> for Exported {
    fn from(row: ExportRow) -> Self {
        let ExportRow { workflow_id, status, risk_level, requested_by, created_at, updated_at, log, documents } = row;
        let contents = log.and_then(|log| Contents::of(workflow_id, log, &documents));
        Self { workflow_id, status, risk_level, requested_by, created_at, updated_at, contents }
    }
}

impl Contents {
    fn of(workflow_id: Uuid, log: Vec<Recorded>, documents: &[Vec<u8>]) -> Result<Self, String> {
        let workflow = transition::replay(workflow_id, &log).map_err(|error| format!("its log cannot be read: {error}"))?;
        let workflow = workflow.ok_or("it was removed while the export was written")?;
        let number = usize::try_from(workflow.document_number()).unwrap_or(usize::MAX);
        let (first, holding) = documents.first().zip(documents.get(number - 1)).ok_or("its document is missing")?;
        if Digest::of(first) != workflow.submission.digest {
            return Err("its document is not the one that was submitted: the digests differ".to_owned());
        }
        if Digest::of(holding) != *workflow.document() {
            return Err("its document is not the one that its log names: the digests differ".to_owned());
        }
        let document = Document::read(holding).map_err(|error| format!("its document cannot be read: {error}"))?;
        let claimed = || document.single().map(Target::claimed).unwrap_or_default();
        let target = workflow.submission.target.clone().unwrap_or_else(claimed);
        Ok(Self { target, digest: Digest::of(holding), document, workflow, log })
    }
}
