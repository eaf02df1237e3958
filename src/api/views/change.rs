//! The answers to changes. Each says what is true after the commit, also when the call is repeated.

use super::Success;
use crate::domain::workflow::transition;
use crate::domain::workflow::{Decision, Status, Verdict, Workflow};
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
    /// The status of the workflow right after this approval.
    workflow_status: Status,
    /// For a plan with `"gate": "step"`: the number of the one step that was approved.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    step: Option<u32>,
}

/// Whether enough people have approved.
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
            workflow_status: transition::status_after(workflow, decision),
            step: workflow.rounds.iter().find(|round| round.number == decision.round).and_then(|round| round.step),
        }
    }
}

/// A rejection that was given.
#[derive(Debug, Serialize, ToSchema)]
pub struct Rejected {
    success: Success,
    workflow_id: Uuid,
    /// Always `rejected`: one rejection is enough.
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

/// An approval that was withdrawn.
#[derive(Debug, Serialize, ToSchema)]
pub struct Withdrawn<'a> {
    success: Success,
    workflow_id: Uuid,
    /// Always `withdrawn`.
    status: Verdict,
    /// The caller.
    withdrawn_by: &'a str,
    /// How many approvals were needed after this.
    approvals_remaining: u32,
    /// Always `pending_approval`: the request keeps waiting.
    workflow_status: Status,
}

impl<'a> Withdrawn<'a> {
    /// The answer to a withdrawal.
    pub fn of(workflow_id: Uuid, decision: &'a Decision) -> Self {
        Self {
            success: Success,
            workflow_id,
            status: decision.verdict,
            withdrawn_by: &decision.approver,
            approvals_remaining: decision.remaining,
            workflow_status: Status::PendingApproval,
        }
    }
}

/// A comment that was made.
#[derive(Debug, Serialize, ToSchema)]
pub struct Commented {
    success: Success,
    workflow_id: Uuid,
    /// The version of its event.
    version: u32,
}

impl Commented {
    /// The answer to a comment whose event has this version.
    pub fn at(workflow_id: Uuid, version: u32) -> Self {
        Self { success: Success, workflow_id, version }
    }
}

/// A task that was cancelled.
#[derive(Debug, Serialize, ToSchema)]
pub struct TakenBack {
    success: Success,
    workflow_id: Uuid,
    /// `cancelled` if nothing runs; `executing` while parkbrake stops what runs; or the final
    /// status, if the call waited for it.
    status: Status,
    /// True while parkbrake stops what runs; left out otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    cancel_requested: bool,
}

impl TakenBack {
    /// The answer to a cancel.
    pub fn of(workflow: &Workflow) -> Self {
        Self { success: Success, workflow_id: workflow.id, status: workflow.status(), cancel_requested: workflow.is_being_cancelled() }
    }
}

/// A change that was made, and the status of the workflow after it.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatusChange {
    success: Success,
    workflow_id: Uuid,
    status: Status,
}

impl StatusChange {
    /// The answer to a change of a workflow.
    pub fn of(workflow: &Workflow) -> Self {
        Self { success: Success, workflow_id: workflow.id, status: workflow.status() }
    }
}
