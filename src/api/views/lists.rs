//! Lists of workflows.

use super::Success;
use super::approval::{Step, timetable};
use super::assessment::Target;
use crate::domain::page::{Cursor, Page};
use crate::domain::risk::level::Level;
use crate::domain::risk::order::ListPosition;
use crate::domain::task::ActionKind;
use crate::domain::task::digest::Digest;
use crate::domain::workflow::{ApprovalStatus, Status};
use crate::http::time::Time;
use crate::service::{Listed, Waiting};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// A page of the requests that wait for people, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct PendingPage<'a> {
    success: Success,
    workflows: Vec<Pending<'a>>,
    /// The cursor of the next page; null on the last page. A page may hold fewer than `limit`
    /// entries, even none, and still have a next one.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// One waiting request.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PendingRequest)]
struct Pending<'a> {
    workflow_id: Uuid,
    #[schema(required)]
    task_id: Option<&'a str>,
    #[schema(value_type = Level)]
    risk_level: &'a str,
    /// The requester's description: a claim.
    description: &'a str,
    target: Target<'a>,
    requested_by: &'a str,
    /// When people were asked.
    requested_at: Time,
    /// The roles that may decide now.
    approvers: &'a [String],
    /// How many people have to approve.
    required: i32,
    /// How many have.
    approvals: i32,
    /// How many escalations have happened.
    escalation_level: i32,
    /// Every escalation and the expiry, past ones too.
    timetable: Vec<Step<'a>>,
    /// When the request expires; null means never.
    #[schema(required)]
    expires_at: Option<Time>,
    #[schema(value_type = Digest)]
    digest: &'a str,
    /// Whether too few people have the roles that are asked, now or later, so that it waits forever
    /// unless people or roles change.
    undecidable: bool,
    /// For a plan with `"gate": "step"`: the step that people are asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    step: Option<PendingStep<'a>>,
}

/// The step of a plan that people decide separately.
#[derive(Debug, Serialize, ToSchema)]
struct PendingStep<'a> {
    /// Its place in the plan, counted from 1.
    n: u32,
    /// The risk level of this step alone.
    #[schema(value_type = Level)]
    risk_level: &'a str,
}

impl<'a> From<&'a Page<Waiting, ListPosition>> for PendingPage<'a> {
    fn from(page: &'a Page<Waiting, ListPosition>) -> Self {
        Self {
            success: Success,
            workflows: page.items.iter().map(Pending::from).collect(),
            next_cursor: page.next.map(|next| Cursor::of(next.workflow_id).to_string()),
        }
    }
}

impl<'a> From<&'a Waiting> for Pending<'a> {
    fn from(row: &'a Waiting) -> Self {
        let steps = row.timetable.iter().map(|step| (step.after, step.to.as_slice()));
        Self {
            workflow_id: row.workflow_id,
            task_id: row.task_id.as_deref(),
            risk_level: &row.risk_level,
            description: &row.description,
            target: (&row.target).into(),
            requested_by: &row.requested_by,
            requested_at: Time(row.requested_at),
            approvers: &row.approvers,
            required: row.required,
            approvals: row.approvals,
            escalation_level: row.escalation_level,
            timetable: timetable(row.requested_at, steps, row.expires_at),
            expires_at: row.expires_at.map(Time),
            digest: &row.digest,
            undecidable: row.undecidable,
            step: row.step.as_ref().map(|step| PendingStep { n: step.n, risk_level: &step.risk_level }),
        }
    }
}

/// A page of workflows, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct WorkflowPage<'a> {
    success: Success,
    workflows: Vec<Line<'a>>,
    /// The cursor of the next page; null on the last page. A page may hold fewer than `limit`
    /// entries, even none, and still have a next one.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// One line of the list of workflows.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ListedWorkflow)]
struct Line<'a> {
    workflow_id: Uuid,
    #[schema(required)]
    task_id: Option<&'a str>,
    #[schema(value_type = Status)]
    status: &'a str,
    #[schema(value_type = Level)]
    risk_level: &'a str,
    /// The requester's description: a claim. Null if the stored document cannot be read.
    #[schema(required)]
    description: Option<&'a str>,
    /// From the target.
    operation: &'a str,
    /// From the target.
    #[schema(required)]
    environment: Option<&'a str>,
    /// From the target.
    #[schema(required)]
    resource: Option<&'a str>,
    target: Target<'a>,
    requested_by: &'a str,
    /// The person that the requester acted for when it submitted.
    #[schema(required)]
    on_behalf_of: Option<&'a str>,
    #[schema(value_type = Digest)]
    digest: &'a str,
    /// Why parkbrake has quarantined the workflow after repeated failures; null if it has not.
    #[schema(required)]
    quarantine: Option<&'a str>,
    /// What keeps it from starting, in a sentence, if it is `queued` and a halt or a freeze holds
    /// it. Null otherwise.
    #[schema(required)]
    held: Option<String>,
    action: ListedAction<'a>,
    /// The state of its approval; null if nobody was asked.
    #[schema(required, value_type = Option<ApprovalStatus>)]
    approval_status: Option<&'a str>,
    /// Who decided it: the people who approved, or the one who rejected. Empty if nobody has, or a
    /// standing grant did.
    decided_by: &'a [String],
    /// When its approval was settled, in any way.
    #[schema(required)]
    decided_at: Option<Time>,
    /// From the attempt of a runbook that ended last.
    #[schema(required)]
    exit_status: Option<i64>,
    created_at: Time,
    updated_at: Time,
}

/// The action, in one line.
#[derive(Debug, Serialize, ToSchema)]
struct ListedAction<'a> {
    /// Null for a plan.
    #[schema(required, value_type = Option<ActionKind>)]
    r#type: Option<&'a str>,
    #[schema(required)]
    name: Option<&'a str>,
    /// How many steps a plan has; null for a single task.
    #[schema(required)]
    steps: Option<i32>,
}

impl<'a> From<&'a Page<Listed>> for WorkflowPage<'a> {
    fn from(page: &'a Page<Listed>) -> Self {
        Self {
            success: Success,
            workflows: page.items.iter().map(Line::from).collect(),
            next_cursor: page.next.map(|next| next.to_string()),
        }
    }
}

impl<'a> From<&'a Listed> for Line<'a> {
    fn from(row: &'a Listed) -> Self {
        Self {
            workflow_id: row.workflow_id,
            task_id: row.task_id.as_deref(),
            status: &row.status,
            risk_level: &row.risk_level,
            description: row.description.as_deref(),
            operation: &row.target.operation,
            environment: row.target.environment.as_deref(),
            resource: row.target.resource.as_deref(),
            target: (&row.target).into(),
            requested_by: &row.requested_by,
            on_behalf_of: row.on_behalf_of.as_deref(),
            digest: &row.digest,
            quarantine: row.quarantine.as_deref(),
            held: row.held.as_ref().map(ToString::to_string),
            action: ListedAction { r#type: row.action.as_deref(), name: row.action_name.as_deref(), steps: row.steps },
            approval_status: row.approval_status.as_deref(),
            decided_by: &row.decided_by,
            decided_at: row.decided_at.map(Time),
            exit_status: row.exit_status,
            created_at: Time(row.created_at),
            updated_at: Time(row.updated_at),
        }
    }
}
