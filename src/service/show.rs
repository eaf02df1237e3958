//! One workflow: its present state, and its next change.

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

/// A workflow with everything that is stored about it.
#[derive(Debug)]
pub struct Shown {
    pub workflow: Workflow,
    pub log: Vec<Recorded>,
    /// The canonical bytes that its digest covers.
    pub document: Vec<u8>,
    /// The request that it superseded, if any.
    pub earlier: Option<Earlier>,
    /// Why it is quarantined, if it is.
    pub quarantine: Option<Quarantine>,
    /// The hold that keeps it from starting, if it is released and held.
    pub held: Option<Held>,
}

/// Why and since when a workflow is quarantined.
#[derive(Debug)]
pub struct Quarantine {
    pub reason: String,
    pub failures: i32,
    pub since: DateTime<Utc>,
}

/// An earlier request of the same requester that another one superseded.
#[derive(Debug)]
pub struct Earlier {
    pub workflow_id: Uuid,
    /// The canonical bytes of its task; `None` if it has been pruned.
    pub document: Option<Vec<u8>>,
}

impl Earlier {
    /// The fields in which a later document differs; `None` if the earlier one has been pruned.
    pub fn differences(&self, later: &[u8]) -> Option<Vec<Difference>> {
        let read = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap_or_default();
        Some(difference::between(&read(self.document.as_deref()?), &read(later)))
    }
}

impl Service {
    /// A workflow that the caller may see.
    ///
    /// # Errors
    /// There is no workflow with this id that the caller may see, or the database is unavailable.
    pub async fn show(&self, by: &Caller, id: Uuid) -> Result<Shown, ServiceError> {
        let history = self.history(by, id).await?;
        self.shown(history).await
    }

    /// The same, as soon as its version is beyond `since` or the timeout has passed.
    ///
    /// # Errors
    /// As [`Self::show`]; or too many callers are waiting.
    pub async fn wait(&self, by: &Caller, id: Uuid, since: u32, timeout: Duration) -> Result<Shown, ServiceError> {
        // The check comes before the wait, so that the wait does not reveal whether the workflow
        // exists.
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

    /// The output of a running attempt of a workflow that the caller may see, beyond what was read.
    /// `None` if none of its attempts runs on this server.
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

    /// The workflow, if the caller may see it. Otherwise it is as if it did not exist.
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
        let (document, quarantined) = stored.map_err(about(workflow.id))?;
        let document = document.unwrap_or_default();
        let quarantine = quarantined.map(|row| Quarantine { reason: row.reason, failures: row.failures, since: row.since });
        let earlier = match workflow.submission.supersedes {
            Some(workflow_id) => Some(Earlier { workflow_id, document: self.engine.storage.last_document(workflow_id).await? }),
            None => None,
        };
        let held = self.held(&workflow);
        Ok(Shown { workflow, log, document, earlier, quarantine, held })
    }
}
