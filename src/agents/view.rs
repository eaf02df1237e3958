//! The answers to hooks.

use crate::domain::workflow::Status;
use crate::service::tool_calls::{ToolAnswer, Verdict};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// Whether a tool call may run.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ToolDecision)]
#[serde(rename_all = "snake_case")]
enum Decision {
    /// It may run now, once.
    Allow,
    /// It may not run.
    Deny,
    /// It may not run now. People are asked; after their approval the same call may run.
    Parked,
}

/// The answer to a tool call.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ToolCallAnswer)]
pub struct Answer {
    decision: Decision,
    /// The workflow of the call; none if nothing was stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    workflow_id: Option<Uuid>,
    /// Why, and what to do, for the model that made the call.
    reason: String,
    /// After how many seconds it is worth making the same call again.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_s: Option<u64>,
}

impl From<ToolAnswer> for Answer {
    fn from(answer: ToolAnswer) -> Self {
        Self {
            decision: match answer.verdict {
                Verdict::Allow => Decision::Allow,
                Verdict::Deny => Decision::Deny,
                Verdict::Parked => Decision::Parked,
            },
            workflow_id: answer.workflow_id,
            reason: answer.reason,
            retry_after_s: answer.retry_after.map(|pause| pause.as_secs()),
        }
    }
}

/// The answer to a result.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ToolResultAnswer)]
pub struct Settled {
    pub workflow_id: Uuid,
    /// The current status of the workflow.
    pub status: Status,
}
