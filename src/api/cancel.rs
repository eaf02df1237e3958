//! Cancels a task: at once if nothing runs, and otherwise by stopping what runs.

use crate::api::examples;
use crate::api::sent::Sent;
use crate::api::views::TakenBack;
use crate::http::body::FromBody;
use crate::http::openapi::{self, BODY, CALLER, CHANGE, refused_with};
use crate::http::path::WorkflowId;
use crate::http::problem::Problem;
use crate::http::query::preferred_wait;
use crate::identity::Caller;
use crate::service::Service;
use crate::service::decide::Cancellation;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use utoipa::ToSchema;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelBody {
    /// At most 4,096 bytes. Recorded as `No reason provided` if it is empty.
    #[serde(default)]
    #[schema(max_length = 4096)]
    reason: Option<String>,
}

/// A cancel request: the reason in the body, and in the headers how long the caller prefers to
/// wait.
impl FromBody for Cancellation {
    async fn from_body(head: Parts, bytes: Bytes) -> Result<Self, Problem> {
        let wait = preferred_wait(&head.headers);
        let CancelBody { reason } = CancelBody::from_body(head, bytes).await?;
        Ok(Self { reason, wait })
    }
}

refused_with!(CancelProblems = CALLER, BODY, CHANGE);

/// Cancel
///
/// Cancels a task. While it waits for people, or for its turn to run, it becomes `cancelled` at
/// once. While a runbook runs or a webhook is being called, the answer is 202 with
/// `cancel_requested`: parkbrake asks the runbook's processes to stop, and kills them a few seconds
/// later; then the workflow is `cancelled`, or `completed` if it had succeeded first. A webhook
/// call that was sent cannot be undone: if no answer comes, the outcome is unknown. Later steps of
/// a plan never start. Only the requester can stop an external action. With `Prefer: wait=N` the
/// answer is held for at most N seconds, until what runs has stopped. For the requester, the person
/// that it acts for, and admins.
#[utoipa::path(
    post,
    path = "/workflows/{id}/cancel",
    operation_id = "cancel",
    tag = openapi::DECIDING,
    params(
        ("id" = Uuid, Path, description = "The workflow's id."),
        ("Prefer" = Option<String>, Header,
            description = "`wait=N`: hold the answer for at most N seconds; more than 55 counts as 55. A preference that cannot be read is ignored."),
    ),
    request_body(content = Option<CancelBody>, example = json!({"reason": "Superseded"})),
    responses(
        (status = 200, description = "Nothing runs any more: the workflow is cancelled, or the attempt that the call waited for has ended.", headers(
            ("Preference-Applied" = Option<String>, description = "`wait=N`, if the answer was held."),
        ), body = TakenBack, example = json!(examples::cancelled("cancelled"))),
        (status = 202, description = "Parkbrake is stopping what runs.", headers(
            ("Preference-Applied" = Option<String>, description = "`wait=N`, if the answer was held."),
        ), body = TakenBack, example = json!(examples::cancelled("executing"))),
        CancelProblems,
    ),
)]
pub async fn cancel(
    State(service): State<Service>,
    by: Caller,
    WorkflowId(id): WorkflowId,
    Sent { body, permit }: Sent<Cancellation>,
) -> Result<Response, Problem> {
    let (workflow, waited) = service.cancel(&by, id, body, permit).await?;
    let status = if workflow.is_being_cancelled() { StatusCode::ACCEPTED } else { StatusCode::OK };
    let mut response = (status, Json(TakenBack::of(&workflow))).into_response();
    if let Some(wait) = waited {
        let applied = format!("wait={}", wait.as_secs());
        response.headers_mut().insert("preference-applied", applied.parse().map_err(|_| Problem::internal())?);
    }
    Ok(response)
}
