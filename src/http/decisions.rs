//! Approve, reject, cancel, the report of a result, and what somebody found out about one that is unknown. Whether the caller may is for the core to say.

use crate::domain::policy::Principal;
use crate::domain::request::Fault;
use crate::domain::workflow::{Command, Decision, Outcome, Resolution, Workflow};
use crate::http::admission::Permit;
use crate::http::api::{Api, WorkflowId};
use crate::http::auth::Caller;
use crate::http::body;
use crate::http::problem::{Code, Problem};
use crate::http::views;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::Request;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use uuid::Uuid;

/// Bytes of a justification or a reason.
pub const LONGEST_NOTE: usize = 4 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ApproveBody {
    #[serde(default)]
    justification: Option<String>,
    #[serde(default)]
    digest: Option<String>,
    #[serde(default)]
    approved_by: Option<String>,
}

/// `POST /workflows/{id}/approve`
pub async fn approve(
    State(api): State<Api>,
    Caller(by): Caller,
    WorkflowId(id): WorkflowId,
    request: Request<Body>,
) -> Result<Json<Value>, Problem> {
    let (body, permit) = body::read(&api.admissions.changes, &by.name, request).await?;
    let body: ApproveBody = body::decode(body)?;
    same_caller(&by, body.approved_by.as_deref(), "approved_by")?;
    let (workflow, decision) = give_approval(&api, &by, id, body.justification, body.digest, permit).await?;
    Ok(Json(views::approved(&workflow, &decision)))
}

/// One person's yes, however it came here: every approval goes this way. The permit is held until it has been answered.
///
/// # Errors
/// The refusal, or that nobody can say what became of it.
pub async fn give_approval(
    api: &Api,
    by: &Principal,
    id: Uuid,
    justification: Option<String>,
    digest: Option<String>,
    permit: Arc<Permit>,
) -> Result<(Arc<Workflow>, Decision), Problem> {
    let justification = short("/justification", justification)?;
    let command = Command::Approve { by: by.clone(), justification, digest, owner: api.engine.owner };
    let answered = api.engine.command_for(id, command, permit).await?;
    let decision = answered.decision.ok_or_else(Problem::internal)?;
    Ok((answered.workflow, decision))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RejectBody {
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    digest: Option<String>,
    #[serde(default)]
    rejected_by: Option<String>,
}

/// `POST /workflows/{id}/reject`
pub async fn reject(
    State(api): State<Api>,
    Caller(by): Caller,
    WorkflowId(id): WorkflowId,
    request: Request<Body>,
) -> Result<Json<Value>, Problem> {
    let (body, permit) = body::read(&api.admissions.changes, &by.name, request).await?;
    let body: RejectBody = body::decode(body)?;
    same_caller(&by, body.rejected_by.as_deref(), "rejected_by")?;
    let decision = give_rejection(&api, &by, id, body.reason, body.digest, permit).await?;
    Ok(Json(json!({"success": true, "workflow_id": id, "status": "rejected", "rejected_by": decision.approver})))
}

/// One person's no, however it came here.
///
/// # Errors
/// The refusal, or that nobody can say what became of it.
pub async fn give_rejection(
    api: &Api,
    by: &Principal,
    id: Uuid,
    reason: Option<String>,
    digest: Option<String>,
    permit: Arc<Permit>,
) -> Result<Decision, Problem> {
    let reason = short("/reason", reason)?;
    let answered = api.engine.command_for(id, Command::Reject { by: by.clone(), reason, digest }, permit).await?;
    answered.decision.ok_or_else(Problem::internal)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CancelBody {
    #[serde(default)]
    reason: Option<String>,
}

/// `POST /workflows/{id}/cancel`
pub async fn cancel(
    State(api): State<Api>,
    Caller(by): Caller,
    WorkflowId(id): WorkflowId,
    request: Request<Body>,
) -> Result<Json<Value>, Problem> {
    let (body, permit) = body::read(&api.admissions.changes, &by.name, request).await?;
    let body: CancelBody = body::decode(body)?;
    let reason = short("/reason", body.reason)?;
    let answered = api.engine.command_for(id, Command::Cancel { by, reason }, permit).await?;
    Ok(Json(json!({"success": true, "workflow_id": id, "status": answered.workflow.status()})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResultBody {
    outcome: Reported,
    #[serde(default)]
    output: Option<Value>,
    #[serde(default)]
    error: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Reported {
    Succeeded,
    Failed,
}

/// `POST /workflows/{id}/result`
pub async fn result(
    State(api): State<Api>,
    Caller(by): Caller,
    WorkflowId(id): WorkflowId,
    request: Request<Body>,
) -> Result<Json<Value>, Problem> {
    let (body, permit) = body::read(&api.admissions.changes, &by.name, request).await?;
    let body: ResultBody = body::decode(body)?;
    let outcome = match body.outcome {
        Reported::Succeeded => Outcome::Succeeded { output: body.output },
        Reported::Failed => {
            Outcome::Failed { error: body.error.unwrap_or_else(|| "no error was reported".to_owned()), output: body.output }
        }
    };
    let answered = api.engine.command_for(id, Command::Report { by, outcome }, permit).await?;
    Ok(Json(json!({"success": true, "workflow_id": id, "status": answered.workflow.status()})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResolveBody {
    outcome: Resolution,
    #[serde(default)]
    justification: Option<String>,
}

/// `POST /workflows/{id}/resolve`
pub async fn resolve(
    State(api): State<Api>,
    Caller(by): Caller,
    WorkflowId(id): WorkflowId,
    request: Request<Body>,
) -> Result<Json<Value>, Problem> {
    let (body, permit) = body::read(&api.admissions.changes, &by.name, request).await?;
    let body: ResolveBody = body::decode(body)?;
    let workflow = give_resolution(&api, &by, id, body.outcome, body.justification, permit).await?;
    Ok(Json(json!({"success": true, "workflow_id": id, "status": workflow.status()})))
}

/// What somebody found out about an unknown outcome, however it came here.
///
/// # Errors
/// The refusal, or that nobody can say what became of it.
pub async fn give_resolution(
    api: &Api,
    by: &Principal,
    id: Uuid,
    outcome: Resolution,
    justification: Option<String>,
    permit: Arc<Permit>,
) -> Result<Arc<Workflow>, Problem> {
    let justification = short("/justification", justification)?;
    let deciders = api.engine.configuration.policy.deciders();
    let command = Command::Resolve { by: by.clone(), outcome, justification, owner: api.engine.owner, deciders };
    Ok(api.engine.command_for(id, command, permit).await?.workflow)
}

/// A name in the body may stand, and must then be the caller's.
fn same_caller(by: &Principal, written: Option<&str>, field: &str) -> Result<(), Problem> {
    match written {
        Some(written) if written != by.name => {
            Err(Problem::new(Code::IdentityMismatch, format!("`{field}` names somebody else; the token is {}'s", by.name)))
        }
        _ => Ok(()),
    }
}

fn short(pointer: &str, text: Option<String>) -> Result<Option<String>, Problem> {
    match text {
        Some(text) if text.len() > LONGEST_NOTE => {
            Err(Problem::invalid(&[Fault::new(pointer, format!("is longer than {LONGEST_NOTE} bytes"))]))
        }
        text => Ok(text),
    }
}
