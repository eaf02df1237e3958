//! One workflow: as it is, and as soon as it has changed.

use crate::actors::engine::WorkflowHistory;
use crate::domain::hold::Held;
use crate::domain::task::difference::{self, Difference};
use crate::domain::workflow::live_output::{LiveOutput, ReadTo};
use crate::domain::workflow::{Recorded, Workflow};
use crate::identity::Caller;
use crate::service::{Service, ServiceError, about};
use chrono::{DateTime, Utc};
use serde_json::Value;
use std::time::Duration;
use uuid::Uuid;

/// A workflow with all that is stored of it.
#[derive(Debug)]
pub struct Shown {
    pub workflow: Workflow,
    pub log: Vec<Recorded>,
    /// The canonical bytes that its digest is taken of.
    pub document: Vec<u8>,
    /// The request whose place it has taken, if it has.
    pub earlier: Option<Earlier>,
    /// Why it is left alone, if it is.
    pub quarantine: Option<Quarantine>,
    /// What keeps it from starting, if it is released and something does.
    pub held: Option<Held>,
}

/// Why and since when a workflow is left alone.
#[derive(Debug)]
pub struct Quarantine {
    pub reason: String,
    pub failures: i32,
    pub since: DateTime<Utc>,
}

/// An earlier request of the same requester, whose place another one has taken.
#[derive(Debug)]
pub struct Earlier {
    pub workflow_id: Uuid,
    /// The canonical bytes of its task; none where it has been pruned.
    pub document: Option<Vec<u8>>,
}

impl Earlier {
    /// What a later document says otherwise, field by field; `None` where the earlier one is gone.
    pub fn differences(&self, later: &[u8]) -> Option<Vec<Difference>> {
        let read = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap_or_default();
        Some(difference::between(&read(self.document.as_deref()?), &read(later)))
    }
}

impl Service {
    /// A workflow that the caller may see.
    ///
    /// # Errors
    /// There is none with this id that the caller may see, or the database is unavailable.
    pub async fn show(&self, by: &Caller, id: Uuid) -> Result<Shown, ServiceError> {
        let history = self.history(by, id).await?;
        self.shown(history).await
    }

    /// The same, once its version is beyond `since`, or the time is up.
    ///
    /// # Errors
    /// As [`Self::show`]; or too many callers are waiting.
    pub async fn wait(&self, by: &Caller, id: Uuid, since: u32, timeout: Duration) -> Result<Shown, ServiceError> {
        // Asked before waiting, so that nobody learns from the waiting that there is something.
        let history = self.history(by, id).await?;
        if history.workflow.version > since {
            return self.shown(history).await;
        }
        let _permit = self.admissions.waits.admit(&by.name, 0)?;
        let newer = move |workflow: &Workflow| workflow.version > since;
        let history = match self.until_closing(self.engine.wait(id, timeout, newer)).await {
            Some(history) => self.visible(by, history.map_err(about(id))?)?,
            None => history,
        };
        self.shown(history).await
    }

    /// What an attempt at a workflow that the caller may see has written on this server, beyond
    /// what was read. `None` if nothing of it runs here.
    ///
    /// # Errors
    /// As [`Self::show`].
    pub async fn output(&self, by: &Caller, id: Uuid, read_to: Option<ReadTo>) -> Result<Option<LiveOutput>, ServiceError> {
        self.history(by, id).await?;
        Ok(self.engine.output(id, read_to))
    }

    /// A workflow with its log, if the caller may see it.
    pub(super) async fn history(&self, by: &Caller, id: Uuid) -> Result<WorkflowHistory, ServiceError> {
        self.visible(by, self.engine.history(id).await.map_err(about(id))?)
    }

    /// What the caller may not see does not exist for it.
    fn visible(&self, by: &Caller, history: Option<WorkflowHistory>) -> Result<WorkflowHistory, ServiceError> {
        let may_see = |history: &WorkflowHistory| {
            let submission = &history.workflow.submission;
            by.may_see(&submission.requested_by, submission.on_behalf_of.as_deref())
        };
        history.filter(may_see).ok_or(ServiceError::WorkflowNotFound)
    }

    async fn shown(&self, history: WorkflowHistory) -> Result<Shown, ServiceError> {
        let WorkflowHistory { workflow, log } = history;
        let stored = self.engine.storage.document_and_quarantine(workflow.id, workflow.document_number()).await;
        let (document, left_alone) = stored.map_err(about(workflow.id))?;
        let document = document.unwrap_or_default();
        let quarantine = left_alone.map(|row| Quarantine { reason: row.reason, failures: row.failures, since: row.since });
        let earlier = match workflow.submission.supersedes {
            Some(workflow_id) => Some(Earlier { workflow_id, document: self.engine.storage.last_document(workflow_id).await? }),
            None => None,
        };
        let held = self.held(&workflow);
        Ok(Shown { workflow, log, document, earlier, quarantine, held })
    }
}
