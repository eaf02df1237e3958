//! One workflow, whole.

use super::Success;
use super::approval::Approval;
use super::assessment::{Assessment, Target};
use super::history::Entry;
use super::task::Document;
use crate::domain::policy::Role;
use crate::domain::risk::level::Level;
use crate::domain::risk::target;
use crate::domain::task::Task;
use crate::domain::task::digest::Digest;
use crate::domain::workflow::approval;
use crate::domain::workflow::attempt_history::{self, AttemptOutcome, AttemptRecord};
use crate::domain::workflow::{self, ApprovalStatus, Recorded, Status, Verdict};
use crate::http::decision::Decision;
use crate::http::time::Time;
use crate::service;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use utoipa::ToSchema;
use uuid::Uuid;

/// One workflow.
#[derive(Debug, Serialize, ToSchema)]
pub struct WorkflowAnswer<'a> {
    success: Success,
    workflow: Workflow<'a>,
}

/// One workflow, whole: what was asked, how dangerous it is, who decided, what ran and what happened.
#[derive(Debug, Serialize, ToSchema)]
struct Workflow<'a> {
    workflow_id: Uuid,
    /// The requester's own name for it.
    #[schema(required)]
    task_id: Option<&'a str>,
    status: Status,
    approval_status: ApprovalStatus,
    /// The same as `assessment.level`.
    risk_level: Level,
    /// Whether people were asked.
    requires_approval: bool,
    /// The requester's words: a claim. Null where the stored document cannot be read.
    #[schema(required)]
    description: Option<String>,
    /// The principal that submitted.
    requested_by: &'a str,
    /// The person that it acted for when it submitted.
    #[schema(required)]
    on_behalf_of: Option<&'a str>,
    /// The number of the last event; the parameter `since` of `/wait`.
    version: u32,
    /// As it is stored, to the byte. Null where what is stored is no task.
    #[schema(required, value_type = Option<Document>)]
    task: Option<&'a RawValue>,
    target: Target<'a>,
    /// Of the canonical bytes of `task`.
    digest: &'a Digest,
    assessment: Assessment<'a>,
    /// Null where nobody was asked.
    #[schema(required)]
    approval: Option<Approval<'a>>,
    /// Every yes and no, the oldest first.
    decisions: Vec<Decision<'a>>,
    /// Null until an attempt is begun or refused.
    #[schema(required)]
    execution: Option<Execution<'a>>,
    /// Every event, the oldest first.
    history: Vec<Entry<'a>>,
    /// Null unless parkbrake leaves the workflow alone after repeated failures.
    #[schema(required)]
    quarantine: Option<Quarantine<'a>>,
    /// When the first event happened.
    created_at: Time,
    /// When the last event happened.
    updated_at: Time,
}

impl<'a> WorkflowAnswer<'a> {
    /// A workflow with its log and its document; `quarantine` says why it is left alone, if it is. `target` is what it is about.
    pub fn of(
        workflow: &'a workflow::Workflow,
        log: &'a [Recorded],
        document: &'a [u8],
        target: &'a target::Target,
        quarantine: Option<&'a service::Quarantine>,
    ) -> Self {
        let submission = &workflow.submission;
        let attempts = attempt_history::of(log);
        let task = serde_json::from_slice::<Task>(document).ok();
        let workflow = Workflow {
            workflow_id: workflow.id,
            task_id: submission.task_id.as_deref(),
            status: workflow.status(),
            approval_status: workflow.approval_status(),
            risk_level: submission.assessment.level,
            requires_approval: workflow.round().is_some(),
            task: task.as_ref().and_then(|_| serde_json::from_slice(document).ok()),
            description: task.map(|task| task.description),
            requested_by: &submission.requested_by,
            on_behalf_of: submission.on_behalf_of.as_deref(),
            version: workflow.version,
            target: target.into(),
            digest: &submission.digest,
            assessment: (&submission.assessment).into(),
            approval: workflow.round().map(Approval::of),
            decisions: decisions(workflow),
            execution: (!attempts.is_empty()).then(|| Execution { attempts: attempts.into_iter().map(Attempt::from).collect() }),
            history: log.iter().map(Entry::from).collect(),
            quarantine: quarantine.map(Quarantine::from),
            created_at: Time(workflow.created_at),
            updated_at: Time(workflow.updated_at),
        };
        Self { success: Success, workflow }
    }
}

/// What a workflow is about; of one that was submitted before this was recorded, its claim.
pub fn target_of<'a>(workflow: &'a workflow::Workflow, document: &[u8]) -> Cow<'a, target::Target> {
    let claimed = || serde_json::from_slice::<Task>(document).map(|task| target::Target::claimed(&task)).unwrap_or_default();
    workflow.submission.target.as_ref().map_or_else(|| Cow::Owned(claimed()), Cow::Borrowed)
}

/// The decisions, each with the role that it counts for: approvals share the roles out among themselves.
fn decisions(workflow: &workflow::Workflow) -> Vec<Decision<'_>> {
    let given: Vec<&[Role]> =
        workflow.round().into_iter().flat_map(|round| &round.approvals).map(|approval| approval.roles.as_slice()).collect();
    let mut assigned = approval::assign_roles(&given).into_iter();
    let mut role = |one: &workflow::Decision| if one.verdict == Verdict::Approved { assigned.next().flatten() } else { None };
    workflow.decisions.iter().map(|one| Decision::of(one, role(one).or_else(|| one.roles.first()))).collect()
}

/// What was done once it was allowed.
#[derive(Debug, Serialize, ToSchema)]
struct Execution<'a> {
    /// More than one only of runbooks that are idempotent, and where an unknown outcome was resolved as `retry`.
    attempts: Vec<Attempt<'a>>,
}

/// One attempt at the action.
#[derive(Debug, Serialize, ToSchema)]
struct Attempt<'a> {
    /// Counted from 1.
    n: u32,
    /// Null where it was refused.
    #[schema(required)]
    started_at: Option<Time>,
    /// Null while it runs; of an interrupted one, when the next began.
    #[schema(required)]
    finished_at: Option<Time>,
    /// Null while it runs.
    #[schema(required)]
    outcome: Option<AttemptOutcome>,
    /// Of an external action what was reported; of a runbook its exit status and the ends of its streams.
    #[schema(required)]
    output: Option<&'a Value>,
    #[schema(required)]
    error: Option<&'a str>,
}

impl<'a> From<AttemptRecord<'a>> for Attempt<'a> {
    fn from(attempt: AttemptRecord<'a>) -> Self {
        let ended = attempt.ended.as_ref();
        Self {
            n: attempt.number,
            started_at: attempt.started_at.map(Time),
            finished_at: ended.map(|ended| Time(ended.at)),
            outcome: ended.map(|ended| ended.outcome),
            output: ended.and_then(|ended| ended.output),
            error: ended.and_then(|ended| ended.error),
        }
    }
}

/// Why parkbrake leaves a workflow alone.
#[derive(Debug, Serialize, ToSchema)]
struct Quarantine<'a> {
    reason: &'a str,
    /// How often it failed.
    failures: i32,
    since: Time,
}

impl<'a> From<&'a service::Quarantine> for Quarantine<'a> {
    fn from(left: &'a service::Quarantine) -> Self {
        Self { reason: &left.reason, failures: left.failures, since: Time(left.since) }
    }
}
