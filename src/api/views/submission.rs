//! The answers to a task: submitted, or only assessed.

use super::assessment::Target;
use super::steps::{AssessedStep, Step, steps_of};
use super::{Approval, Assessment, Success};
use crate::domain::risk::level::Level;
use crate::domain::task::digest::Digest;
use crate::domain::workflow::{Status, Workflow};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// A task that was accepted: its workflow, in its current state.
#[derive(Debug, Serialize, ToSchema)]
pub struct Submitted<'a> {
    success: Success,
    /// A UUIDv7.
    workflow_id: Uuid,
    /// The requester's own name for it.
    #[schema(required)]
    task_id: Option<&'a str>,
    /// `pending_approval` (parked), `queued` (released; parkbrake runs it when its turn comes) or
    /// `executing` (released; the requester acts); with `Prefer: wait` possibly a later status.
    status: Status,
    risk_level: Level,
    /// Whether people are asked.
    requires_approval: bool,
    /// The digest of the document that people approve and that would run.
    digest: &'a Digest,
    /// Null for a workflow from before this was recorded.
    #[schema(required)]
    target: Option<Target<'a>>,
    assessment: Assessment<'a>,
    /// Null if nobody is asked.
    #[schema(required)]
    approval: Option<Approval<'a>>,
    /// For a plan: its steps, in their order.
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<Vec<Step<'a>>>,
}

impl<'a> Submitted<'a> {
    /// The answer to a submit.
    pub fn of(workflow: &'a Workflow) -> Self {
        let submission = &workflow.submission;
        Self {
            success: Success,
            workflow_id: workflow.id,
            task_id: submission.task_id.as_deref(),
            status: workflow.status(),
            risk_level: submission.assessment.level,
            requires_approval: workflow.round().is_some(),
            digest: workflow.document(),
            target: submission.target.as_ref().map(Target::from),
            assessment: Assessment::from(&submission.assessment),
            approval: Approval::of(workflow),
            steps: steps_of(workflow),
        }
    }
}

/// How a task would be assessed, and who would decide. Nothing was stored.
#[derive(Debug, Serialize, ToSchema)]
pub struct Assessed<'a> {
    pub success: Success,
    /// The digest of the document that people would approve and that would run.
    pub digest: &'a Digest,
    pub target: Target<'a>,
    pub assessment: Assessment<'a>,
    /// With times as if it were submitted now; null if nobody would be asked.
    #[schema(required)]
    pub approval: Option<Approval<'a>>,
    /// For a plan: its steps, in their order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<Vec<AssessedStep<'a>>>,
}
