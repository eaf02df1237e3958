//! The data that each event records.

mod planned;
mod probed;
mod renewed;

use crate::api::views::ByGroup;
use crate::api::views::assessment::{Assessment, Target};
use crate::domain::duration;
use crate::domain::policy::{ApprovalTerms, Role};
use crate::domain::task::ActionKind;
use crate::domain::task::digest::Digest;
use crate::domain::workflow::{self, FreezeException, Resolution};
use crate::http::cover::Cover;
use crate::http::time::Time;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

pub use planned::{PlannedDetail, RetryDetail};
pub use probed::ProbedDetail;
pub use renewed::DocumentRenewedDetail;

/// The request, the requester, and the assessment.
#[derive(Debug, Serialize, ToSchema)]
pub struct SubmittedDetail<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub task_id: Option<&'a str>,
    pub requested_by: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub on_behalf_of: Option<&'a str>,
    pub digest: &'a Digest,
    pub assessment: Assessment<'a>,
    pub action: ActionKind,
    /// Whether the action may run again, with the same key, after a crash.
    pub idempotent: bool,
    /// How long the requester of an external action has to report its result; a day if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub report_within: Option<String>,
    /// How often a failing attempt is repeated; left out if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub retry: Option<RetryDetail>,
    /// Whether its runbook has a probe; left out if it has none.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    pub probe: bool,
    /// What it acts on; left out for workflows from before this was recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub target: Option<Target<'a>>,
    /// The workflow that it superseded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub supersedes: Option<Uuid>,
    /// The steps of a plan, in their order; left out for single tasks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub steps: Vec<PlannedDetail<'a>>,
    /// Which part of a plan people approve at once; left out if that is the whole plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub gate: Option<&'static str>,
}

/// People were asked.
#[derive(Debug, Serialize, ToSchema)]
pub struct ApprovalRequestedDetail<'a> {
    /// The round of approval, counted from 1.
    pub round: u32,
    pub terms: Terms<'a>,
    /// Why people are asked again; only in rounds after the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub reason: Option<&'a str>,
    /// The step that they were asked about; left out if that is the whole plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub step: Option<u32>,
}

/// The terms under which a request is decided.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApprovalTerms)]
pub struct Terms<'a> {
    /// The roles that may decide from the start.
    pub approvers: &'a [Role],
    /// How many people have to approve.
    pub required: u32,
    /// Whether each approval has to count for a different role.
    pub distinct_roles: bool,
    /// Whether an approval needs a justification.
    pub require_justification: bool,
    /// Whether an approval has to include the digest of what it approves.
    pub require_digest: bool,
    /// Whether the requester, and the person that an agent acts for, may not approve.
    pub separation_of_duties: bool,
    /// Who is asked next, in chronological order.
    pub escalation: Vec<TermsStep<'a>>,
    /// When the request expires, counted from the request; null means never.
    #[schema(required)]
    pub expire_after: Option<String>,
}

/// A step of an escalation.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EscalationStep)]
pub struct TermsStep<'a> {
    /// Counted from the request, such as `30m`.
    pub after: String,
    pub to: &'a [Role],
}

impl<'a> From<&'a ApprovalTerms> for Terms<'a> {
    fn from(terms: &'a ApprovalTerms) -> Self {
        let steps = terms.escalation.iter();
        Self {
            approvers: &terms.approvers,
            required: terms.required,
            distinct_roles: terms.distinct_roles,
            require_justification: terms.require_justification,
            require_digest: terms.require_digest,
            separation_of_duties: terms.separation_of_duties,
            escalation: steps.map(|step| TermsStep { after: duration::show(step.after).to_string(), to: &step.to }).collect(),
            expire_after: terms.expire_after.map(|delay| duration::show(delay).to_string()),
        }
    }
}

/// One person's approval.
#[derive(Debug, Serialize, ToSchema)]
pub struct ApprovedDetail<'a> {
    pub round: u32,
    pub approver: &'a str,
    /// The roles that entitled this person at that time.
    pub roles: &'a [Role],
    pub digest: &'a Digest,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub justification: Option<&'a str>,
    /// How many more approvals were needed after it.
    pub remaining: u32,
    /// Those roles that groups of the sign-in provider gave; left out if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub by_groups: Vec<ByGroup<'a>>,
    /// The people for whom this person covered; left out if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub cover: Vec<Cover<'a>>,
}

/// One person's rejection.
#[derive(Debug, Serialize, ToSchema)]
pub struct RejectedDetail<'a> {
    pub round: u32,
    pub digest: &'a Digest,
    /// The roles that entitled this person at that time.
    pub roles: &'a [Role],
    pub reason: &'a str,
    /// The people for whom this person covered; left out if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub cover: Vec<Cover<'a>>,
}

/// Nobody had decided in time, and more roles were asked.
#[derive(Debug, Serialize, ToSchema)]
pub struct EscalatedDetail<'a> {
    pub round: u32,
    /// Which step of the timetable, counted from 1.
    pub level: u32,
    /// The roles that were asked in addition.
    pub to: &'a [Role],
}

/// Nobody had decided in time, and nobody can decide any more.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExpiredDetail {
    pub round: u32,
}

/// A person withdrew their own approval.
#[derive(Debug, Serialize, ToSchema)]
pub struct WithdrawnDetail<'a> {
    pub round: u32,
    /// The roles that had entitled them to the approval.
    pub roles: &'a [Role],
    pub reason: &'a str,
    /// How many approvals are needed after it.
    pub remaining: u32,
}

/// Another task of the same requester superseded it, in the same commit.
#[derive(Debug, Serialize, ToSchema)]
pub struct SupersededDetail {
    pub round: u32,
    /// The workflow of that task.
    pub by: Uuid,
}

/// Somebody commented.
#[derive(Debug, Serialize, ToSchema)]
pub struct CommentedDetail<'a> {
    pub text: &'a str,
    /// Whether it is a question to the requester; left out if it is not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    pub ask: bool,
}

/// Somebody cancelled it.
#[derive(Debug, Serialize, ToSchema)]
pub struct CancelledDetail<'a> {
    /// Left out if nobody was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub round: Option<u32>,
    pub reason: &'a str,
}

/// Somebody cancelled it while it was running. A later event records how it ended.
#[derive(Debug, Serialize, ToSchema)]
pub struct CancelRequestedDetail<'a> {
    /// The step of the plan, counted from 1.
    pub step: u32,
    /// Counted from 1.
    pub attempt: u32,
    pub reason: &'a str,
}

/// Parkbrake stopped the action before it was done, because somebody had cancelled it.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExecutionCancelledDetail<'a> {
    pub step: u32,
    pub attempt: u32,
    /// Its exit status or signal, and the ends of its streams; null if nothing ran.
    #[schema(required)]
    pub output: Option<&'a Value>,
    pub error: &'a str,
}

/// The action may start, and waits for its turn.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReleasedDetail {
    /// The step of the plan, counted from 1.
    pub step: u32,
    /// Counted from 1.
    pub attempt: u32,
}

/// The attempt before this one failed, and this one follows after a pause.
#[derive(Debug, Serialize, ToSchema)]
pub struct RetryScheduledDetail {
    pub step: u32,
    pub attempt: u32,
    /// The length of the pause, such as `30s`.
    pub after: String,
}

/// The action was not started and never will be; no part of it ran.
#[derive(Debug, Serialize, ToSchema)]
pub struct StartRefusedDetail<'a> {
    pub step: u32,
    pub attempt: u32,
    pub reason: &'a str,
}

/// The action may have had effects from here on.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExecutionStartedDetail {
    pub step: u32,
    pub attempt: u32,
    /// The process that runs it; every start of a server has a new id.
    pub owner: Uuid,
    /// Made for this one start; left out for external actions.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub token: Option<Uuid>,
}

/// The action happened.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExecutionSucceededDetail<'a> {
    pub step: u32,
    pub attempt: u32,
    /// For an external action, what was reported; for a runbook, its exit status and the ends of
    /// its streams.
    #[schema(required)]
    pub output: Option<&'a Value>,
}

/// The action failed.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExecutionFailedDetail<'a> {
    pub step: u32,
    pub attempt: u32,
    /// For an external action, what was reported; for a runbook, its exit status and the ends of
    /// its streams.
    #[schema(required)]
    pub output: Option<&'a Value>,
    pub error: &'a str,
}

/// The requester of an external action has not reported in time, and is asked to report.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReportRequestedDetail {
    pub step: u32,
    pub attempt: u32,
}

/// Nobody knows whether the action happened.
#[derive(Debug, Serialize, ToSchema)]
pub struct OutcomeUnknownDetail<'a> {
    pub step: u32,
    pub attempt: u32,
    pub reason: &'a str,
}

/// Somebody stated the outcome of an attempt whose outcome was unknown.
#[derive(Debug, Serialize, ToSchema)]
pub struct ResolvedDetail<'a> {
    pub step: u32,
    pub attempt: u32,
    pub outcome: Resolution,
    /// The roles that entitled this person at that time.
    pub roles: &'a [Role],
    pub justification: &'a str,
}

impl<'a> From<&'a workflow::Submission> for SubmittedDetail<'a> {
    fn from(submission: &'a workflow::Submission) -> Self {
        Self {
            task_id: submission.task_id.as_deref(),
            requested_by: &submission.requested_by,
            on_behalf_of: submission.on_behalf_of.as_deref(),
            digest: &submission.digest,
            assessment: (&submission.assessment).into(),
            action: submission.action,
            idempotent: submission.idempotent,
            report_within: submission.report_within.map(|delay| duration::show(delay).to_string()),
            retry: submission.retry.map(RetryDetail::from),
            probe: submission.probe,
            target: submission.target.as_ref().map(Target::from),
            supersedes: submission.supersedes,
            steps: submission.steps.iter().map(PlannedDetail::from).collect(),
            gate: (!submission.gate.is_plan()).then_some(submission.gate.as_str()),
        }
    }
}

impl<'a> From<&'a workflow::Approval> for ApprovedDetail<'a> {
    fn from(approval: &'a workflow::Approval) -> Self {
        Self {
            round: approval.round,
            approver: &approval.approver,
            roles: &approval.roles,
            digest: &approval.digest,
            justification: approval.justification.as_deref(),
            remaining: approval.remaining,
            by_groups: ByGroup::all(&approval.by_groups),
            cover: Cover::all(&approval.cover),
        }
    }
}

/// One person's exception from a freeze.
#[derive(Debug, Serialize, ToSchema)]
pub struct FreezeExceptedDetail<'a> {
    /// The name of the freeze.
    pub freeze: &'a str,
    /// When this period of the freeze ends, and the exception with it.
    pub until: Time,
    pub approver: &'a str,
    /// The roles that entitled this person at that time.
    pub roles: &'a [Role],
    pub digest: &'a Digest,
    pub justification: &'a str,
}

impl<'a> From<&'a FreezeException> for FreezeExceptedDetail<'a> {
    fn from(given: &'a FreezeException) -> Self {
        let FreezeException { freeze, until, approver, roles, digest, justification } = given;
        Self { freeze, until: Time(*until), approver, roles, digest, justification }
    }
}
