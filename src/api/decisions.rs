//! Approve, reject, cancel, the report of a result, and what somebody found out about one that is unknown. Whether the caller may is for the core to say.

use crate::api::body;
use crate::api::views::{Approved, Rejected, Settled};
use crate::domain::workflow::{Outcome, Resolution};
use crate::http::path::WorkflowId;
use crate::http::problem::Problem;
use crate::identity::Caller;
use crate::service::Service;
use crate::service::decide::Saying;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::Request;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::Value;

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
    State(service): State<Service>,
    by: Caller,
    WorkflowId(id): WorkflowId,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let (body, permit) = body::read(&service.admissions.changes, &by.name, request).await?;
    let body: ApproveBody = body::decode(body)?;
    let saying = Saying { note: body.justification, digest: body.digest, named: body.approved_by };
    let (workflow, decision) = service.approve(&by, id, saying, permit).await?;
    Ok(Json(Approved::of(&workflow, &decision)).into_response())
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
    State(service): State<Service>,
    by: Caller,
    WorkflowId(id): WorkflowId,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let (body, permit) = body::read(&service.admissions.changes, &by.name, request).await?;
    let body: RejectBody = body::decode(body)?;
    let saying = Saying { note: body.reason, digest: body.digest, named: body.rejected_by };
    let decision = service.reject(&by, id, saying, permit).await?;
    Ok(Json(Rejected::by(id, decision.approver)).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CancelBody {
    #[serde(default)]
    reason: Option<String>,
}

/// `POST /workflows/{id}/cancel`
pub async fn cancel(
    State(service): State<Service>,
    by: Caller,
    WorkflowId(id): WorkflowId,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let (body, permit) = body::read(&service.admissions.changes, &by.name, request).await?;
    let body: CancelBody = body::decode(body)?;
    let workflow = service.cancel(&by, id, body.reason, permit).await?;
    Ok(Json(Settled::of(&workflow)).into_response())
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
    State(service): State<Service>,
    by: Caller,
    WorkflowId(id): WorkflowId,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let (body, permit) = body::read(&service.admissions.changes, &by.name, request).await?;
    let body: ResultBody = body::decode(body)?;
    let outcome = match body.outcome {
        Reported::Succeeded => Outcome::Succeeded { output: body.output },
        Reported::Failed => {
            Outcome::Failed { error: body.error.unwrap_or_else(|| "no error was reported".to_owned()), output: body.output }
        }
    };
    let workflow = service.report(&by, id, outcome, permit).await?;
    Ok(Json(Settled::of(&workflow)).into_response())
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
    State(service): State<Service>,
    by: Caller,
    WorkflowId(id): WorkflowId,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let (body, permit) = body::read(&service.admissions.changes, &by.name, request).await?;
    let body: ResolveBody = body::decode(body)?;
    let workflow = service.resolve(&by, id, body.outcome, body.justification, permit).await?;
    Ok(Json(Settled::of(&workflow)).into_response())
}
