//! The outcome of an approved deployment: GitHub's event `deployment_status`.

use crate::domain::task::plan::Document;
use crate::domain::text::shown;
use crate::domain::workflow::{Outcome, Status, Workflow};
use crate::github::event::{key, key_of_its_own};
use crate::identity::Caller;
use crate::service::admission::Permit;
use crate::service::{Service, ServiceError};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use utoipa::ToSchema;

/// The fields of the event that are needed.
#[derive(Deserialize, ToSchema)]
pub struct Told {
    deployment_status: State,
    deployment: Numbered,
    repository: Numbered,
    /// None for a deployment that no run has made.
    #[serde(default)]
    workflow_run: Option<Numbered>,
}

#[derive(Deserialize, ToSchema)]
struct State {
    state: String,
    environment: String,
    #[serde(default)]
    target_url: Option<String>,
}

#[derive(Deserialize, ToSchema)]
struct Numbered {
    id: u64,
}

impl Told {
    /// The outcome; `None` while the deployment goes on.
    fn outcome(&self) -> Option<Outcome> {
        let state = self.deployment_status.state.as_str();
        let output = Some(json!({"state": state, "url": self.deployment_status.target_url}));
        match state {
            "success" => Some(Outcome::Succeeded { output }),
            "failure" | "error" => Some(Outcome::Failed { error: format!("GitHub says of the deployment: {}", shown(state)), output }),
            _ => None,
        }
    }

    /// Reports the outcome, if the deployment was approved and has no outcome yet. Returns its
    /// workflow.
    ///
    /// # Errors
    /// The database is unavailable, or there are too many requests at once.
    pub async fn report(self, service: &Service, by: &Caller, permit: Arc<Permit>) -> Result<Option<Arc<Workflow>>, ServiceError> {
        let (Some(outcome), Some(run)) = (self.outcome(), &self.workflow_run) else { return Ok(None) };
        let of_run = key(self.repository.id, run.id, &self.deployment_status.environment);
        for key in [key_of_its_own(&of_run, self.deployment.id), of_run] {
            let Some(id) = service.first_used_for(by, &key).await? else { continue };
            let shown = service.show(by, id).await?;
            let is_going_on = matches!(shown.workflow.status(), Status::Executing | Status::OutcomeUnknown);
            if is_going_on && is_about(&shown.document, self.deployment.id) {
                return Ok(Some(service.report(by, id, None, outcome, permit).await?));
            }
        }
        Ok(None)
    }
}

/// Whether a stored task is about this deployment.
pub fn is_about(document: &[u8], deployment_id: u64) -> bool {
    match Document::read(document) {
        Ok(Document::Task(task)) => task.metadata.get("github").is_some_and(|github| github["deployment_id"] == deployment_id),
        _ => false,
    }
}
