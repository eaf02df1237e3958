//! Approve, reject, withdraw, report a result, and resolve an unknown outcome. The core decides
//! whether the caller may.

use crate::api::examples;
use crate::api::sent::Sent;
use crate::api::views::{Approved, Rejected, StatusChange, Withdrawn};
use crate::domain::workflow::{Outcome, Resolution, StepName};
use crate::http::openapi::{self, BODY, CALLER, CHANGE, refused_with};
use crate::http::path::WorkflowId;
use crate::http::problem::{Code, Problem};
use crate::identity::Caller;
use crate::service::Service;
use crate::service::decide::Saying;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApproveBody {
    /// Why the action may run, at most 4,096 bytes. Required if `approval.require_justification` is
    /// true; it then has to contain more than blanks and invisible characters.
    #[serde(default)]
    #[schema(max_length = 4096)]
    justification: Option<String>,
    /// The digest of the document that was read. If it is given, it has to match; required if
    /// `approval.require_digest` is true.
    #[serde(default)]
    digest: Option<String>,
    /// Optional; if given, it has to be the caller's name.
    #[serde(default)]
    approved_by: Option<String>,
    /// The name of the freeze that holds the released action, from `held.freeze`. The approval is
    /// then an exception from that freeze, which needs a justification and one of the roles in
    /// `held.exception`.
    #[serde(default)]
    exception: Option<String>,
    /// For emergencies, if the policy permits it: releases the action without the other approvers.
    /// Needs `digest` and a justification. Every channel and every approver who was skipped is
    /// notified, and somebody else has to review it.
    #[serde(default)]
    break_glass: bool,
}

refused_with!(
    ApproveProblems = CALLER,
    BODY,
    CHANGE,
    [
        Code::NotAnApprover,
        Code::SelfApproval,
        Code::IdentityMismatch,
        Code::AlreadyDecided,
        Code::Expired,
        Code::DigestMismatch,
        Code::JustificationRequired,
        Code::ReviewOpen
    ]
);

/// Approve
///
/// For people with a role that is asked now, who are not on the requester's side. The approval that
/// completes the quorum releases the action in the same commit.
#[utoipa::path(
    post,
    path = "/workflows/{id}/approve",
    operation_id = "approve",
    tag = openapi::DECIDING,
    params(("id" = Uuid, Path, description = "The workflow's id.")),
    request_body(content = Option<ApproveBody>, example = json!({
        "justification": "Checked in OPS-7", "digest": "sha256:d3e3528b56ce32761e89b19215ec111ec2529d83bb9aa614784bb5b2c64416fa"
    })),
    responses((status = 200, description = "The approval counts.", body = Approved, example = json!(examples::approved())), ApproveProblems),
)]
pub async fn approve(
    State(service): State<Service>,
    by: Caller,
    WorkflowId(id): WorkflowId,
    Sent { body, permit }: Sent<ApproveBody>,
) -> Result<Response, Problem> {
    let saying = Saying {
        note: body.justification,
        digest: body.digest,
        named: body.approved_by,
        exception: body.exception,
        break_glass: body.break_glass,
    };
    let (workflow, decision) = service.approve(&by, id, saying, permit).await?;
    Ok(Json(Approved::of(&workflow, &decision)).into_response())
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RejectBody {
    /// At most 4,096 bytes. Recorded as `No reason provided` if it is empty.
    #[serde(default)]
    #[schema(max_length = 4096)]
    reason: Option<String>,
    /// The digest of the document that was read. If it is given, it has to match.
    #[serde(default)]
    digest: Option<String>,
    /// Optional; if given, it has to be the caller's name.
    #[serde(default)]
    rejected_by: Option<String>,
}

refused_with!(
    RejectProblems = CALLER,
    BODY,
    CHANGE,
    [Code::NotAnApprover, Code::IdentityMismatch, Code::AlreadyDecided, Code::Expired, Code::DigestMismatch]
);

/// Reject
///
/// The action will not run, and nobody can approve it any more. One rejection is enough, whatever
/// the quorum. For people with a role that is asked now, even for their own request.
#[utoipa::path(
    post,
    path = "/workflows/{id}/reject",
    operation_id = "reject",
    tag = openapi::DECIDING,
    params(("id" = Uuid, Path, description = "The workflow's id.")),
    request_body(content = Option<RejectBody>, example = json!({"reason": "Not on a Friday"})),
    responses((status = 200, description = "It is rejected.", body = Rejected, example = json!(examples::rejected())), RejectProblems),
)]
pub async fn reject(
    State(service): State<Service>,
    by: Caller,
    WorkflowId(id): WorkflowId,
    Sent { body, permit }: Sent<RejectBody>,
) -> Result<Response, Problem> {
    let saying = Saying { note: body.reason, digest: body.digest, named: body.rejected_by, ..Saying::default() };
    let decision = service.reject(&by, id, saying, permit).await?;
    Ok(Json(Rejected::by(id, decision.approver)).into_response())
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WithdrawBody {
    /// At most 4,096 bytes. Recorded as `No reason provided` if it is empty.
    #[serde(default)]
    #[schema(max_length = 4096)]
    reason: Option<String>,
}

refused_with!(WithdrawProblems = CALLER, BODY, CHANGE, [Code::NotAnApprover, Code::AlreadyDecided, Code::Expired]);

/// Withdraw an approval
///
/// Approvers can withdraw their own approval while more approvals are needed. It no longer counts,
/// and the same person may approve again. Once enough people have approved, no approval can be
/// withdrawn.
#[utoipa::path(
    post,
    path = "/workflows/{id}/withdraw",
    operation_id = "withdraw",
    tag = openapi::DECIDING,
    params(("id" = Uuid, Path, description = "The workflow's id.")),
    request_body(content = Option<WithdrawBody>, example = json!({"reason": "I had read the wrong plan"})),
    responses(
        (status = 200, description = "The approval no longer counts.", body = Withdrawn, example = json!(examples::withdrawn())),
        WithdrawProblems,
    ),
)]
pub async fn withdraw(
    State(service): State<Service>,
    by: Caller,
    WorkflowId(id): WorkflowId,
    Sent { body, permit }: Sent<WithdrawBody>,
) -> Result<Response, Problem> {
    let decision = service.withdraw(&by, id, body.reason, permit).await?;
    Ok(Json(Withdrawn::of(id, &decision)).into_response())
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResultBody {
    /// For a plan: the external step that the report is about. Required if the plan has several.
    #[serde(default)]
    step: Option<ReportedStep>,
    outcome: Reported,
    /// Any JSON; it is stored with the attempt.
    #[serde(default)]
    output: Option<Value>,
    /// What went wrong, for `failed`.
    #[serde(default)]
    error: Option<String>,
}

/// A step of a plan.
#[derive(Deserialize, ToSchema)]
#[serde(untagged, expecting = "has to be a step's number, counted from 1, or its name")]
enum ReportedStep {
    Number(u32),
    Name(String),
}

impl From<ReportedStep> for StepName {
    fn from(step: ReportedStep) -> Self {
        match step {
            ReportedStep::Number(number) => Self::Number(number),
            ReportedStep::Name(name) => Self::Name(name),
        }
    }
}

/// The reported outcome of an action.
#[derive(Deserialize, ToSchema)]
#[schema(as = ReportedOutcome)]
#[serde(rename_all = "lowercase")]
enum Reported {
    Succeeded,
    Failed,
}

refused_with!(ReportProblems = CALLER, BODY, CHANGE, [Code::Halted]);

/// Report a result
///
/// Reports how an `external` action ended. For the requester and the person that it acts for, while
/// the status is `executing` or `outcome_unknown`. Reporting the same outcome again changes
/// nothing, and the first `output` is kept.
#[utoipa::path(
    post,
    path = "/workflows/{id}/result",
    operation_id = "report_result",
    tag = openapi::DECIDING,
    params(("id" = Uuid, Path, description = "The workflow's id.")),
    request_body(content = ResultBody, examples(
        ("succeeded" = (summary = "It happened", value = json!({"outcome": "succeeded", "output": {"version": "1.4.2"}}))),
        ("failed" = (summary = "It did not", value = json!({"outcome": "failed", "error": "the health check failed"}))),
    )),
    responses(
        (status = 200, description = "The workflow is completed, or failed.", body = StatusChange, example = json!(examples::status_change("completed"))),
        ReportProblems,
    ),
)]
pub async fn result(
    State(service): State<Service>,
    by: Caller,
    WorkflowId(id): WorkflowId,
    Sent { body, permit }: Sent<ResultBody>,
) -> Result<Response, Problem> {
    let outcome = match body.outcome {
        Reported::Succeeded => Outcome::Succeeded { output: body.output },
        Reported::Failed => {
            Outcome::Failed { error: body.error.unwrap_or_else(|| "no error was reported".to_owned()), output: body.output }
        }
    };
    let workflow = service.report(&by, id, body.step.map(StepName::from), outcome, permit).await?;
    Ok(Json(StatusChange::of(&workflow)).into_response())
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResolveBody {
    outcome: Resolution,
    /// How you know, at most 4,096 bytes. Required; it has to contain more than blanks.
    #[serde(default)]
    #[schema(max_length = 4096)]
    justification: Option<String>,
}

refused_with!(ResolveProblems = CALLER, BODY, CHANGE, [Code::NotAnApprover, Code::SelfApproval, Code::JustificationRequired]);

/// Resolve an unknown outcome
///
/// States the outcome of an action that parkbrake does not know. For people who may approve at its
/// level (at any level, if nobody was asked) and for admins; where duties are separated, not for
/// the requester's side.
#[utoipa::path(
    post,
    path = "/workflows/{id}/resolve",
    operation_id = "resolve",
    tag = openapi::DECIDING,
    params(("id" = Uuid, Path, description = "The workflow's id.")),
    request_body(content = ResolveBody, example = json!({"outcome": "failed", "justification": "Nothing of it is in the deploy log"})),
    responses(
        (status = 200, description = "The workflow is completed or failed, or, after `retry`, released once more.", body = StatusChange,
            example = json!(examples::status_change("failed"))),
        ResolveProblems,
    ),
)]
pub async fn resolve(
    State(service): State<Service>,
    by: Caller,
    WorkflowId(id): WorkflowId,
    Sent { body, permit }: Sent<ResolveBody>,
) -> Result<Response, Problem> {
    let workflow = service.resolve(&by, id, body.outcome, body.justification, permit).await?;
    Ok(Json(StatusChange::of(&workflow)).into_response())
}
