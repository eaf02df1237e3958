//! The answers to changes. Each says what holds after the commit, the first time and every time that the call is repeated.

use super::Success;
use crate::domain::workflow::transition;
use crate::domain::workflow::{Decision, Status, Workflow};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// An approval that was given.
#[derive(Debug, Serialize, ToSchema)]
pub struct Approved<'a> {
    success: Success,
    workflow_id: Uuid,
    /// `approved` if this approval was the last that was needed, or else `pending`.
    status: Quorum,
    /// The caller.
    approved_by: &'a str,
    /// How many more approvals are needed after this one.
    approvals_remaining: u32,
    /// Where the workflow stood right after this approval.
    workflow_status: Status,
}

/// Whether as many as are needed have approved.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = QuorumStatus)]
#[serde(rename_all = "lowercase")]
enum Quorum {
    Approved,
    Pending,
}

impl<'a> Approved<'a> {
    /// The answer to an approval.
    pub fn of(workflow: &Workflow, decision: &'a Decision) -> Self {
        Self {
            success: Success,
            workflow_id: workflow.id,
            status: if decision.remaining == 0 { Quorum::Approved } else { Quorum::Pending },
            approved_by: &decision.approver,
            approvals_remaining: decision.remaining,
            workflow_status: transition::status_after(decision, workflow.submission.action),
        }
    }
}

/// A rejection that was given.
#[derive(Debug, Serialize, ToSchema)]
pub struct Rejected {
    success: Success,
    workflow_id: Uuid,
    /// Always `rejected`: one no is enough.
    status: Status,
    /// The caller.
    rejected_by: String,
}

impl Rejected {
    /// The answer to a rejection of this person.
    pub fn by(workflow_id: Uuid, rejected_by: String) -> Self {
        Self { success: Success, workflow_id, status: Status::Rejected, rejected_by }
    }
}

/// A change that was made, and where the workflow stands after it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Settled {
    success: Success,
    workflow_id: Uuid,
    status: Status,
}

impl Settled {
    /// The answer to a change of a workflow.
    pub fn of(workflow: &Workflow) -> Self {
        Self { success: Success, workflow_id: workflow.id, status: workflow.status() }
    }
}
