//! The reviews that follow when somebody breaks the glass.

use crate::api::examples;
use crate::api::sent::Sent;
use crate::api::views::{ReviewPage, Reviewed};
use crate::http::openapi::{self, BODY, CALLER, CHANGE, refused_with};
use crate::http::path::WorkflowId;
use crate::http::problem::{Code, Problem};
use crate::identity::Caller;
use crate::service::Service;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use utoipa::ToSchema;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReviewBody {
    /// What you found, at most 4,096 bytes. Required; it has to contain more than blanks.
    #[serde(default)]
    #[schema(max_length = 4096)]
    finding: Option<String>,
}

refused_with!(ReviewProblems = CALLER, BODY, CHANGE, [Code::NotAnApprover, Code::SelfApproval, Code::JustificationRequired]);

/// Close a review
///
/// Records what you found about somebody else's breaking the glass; from then on that person may
/// break it again. For people with a role that decides at the level, for admins and auditors; not
/// for the person who broke it, nor for the requester's side. The status of the workflow does not
/// matter.
#[utoipa::path(
    post,
    path = "/workflows/{id}/review",
    operation_id = "close_review",
    tag = openapi::DECIDING,
    params(("id" = Uuid, Path, description = "The workflow's id.")),
    request_body(content = Option<ReviewBody>, example = json!({"finding": "Right: the outage of INC-7 left no time for a second person"})),
    responses((status = 200, description = "The review is closed.", body = Reviewed, example = json!(examples::reviewed())), ReviewProblems),
)]
pub async fn close(
    State(service): State<Service>,
    by: Caller,
    WorkflowId(id): WorkflowId,
    Sent { body: ReviewBody { finding }, permit }: Sent<ReviewBody>,
) -> Result<Response, Problem> {
    let workflow = service.close_review(&by, id, finding, permit).await?;
    Ok(Json(Reviewed::of(&workflow)).into_response())
}

refused_with!(ListProblems = CALLER, [Code::NotPermitted]);

/// List the open reviews
///
/// The cases in which somebody broke the glass and nobody else has recorded a finding yet, the
/// oldest first. For people.
#[utoipa::path(
    get,
    path = "/reviews",
    operation_id = "list_reviews",
    tag = openapi::DECIDING,
    responses((status = 200, description = "The open reviews.", body = ReviewPage, example = json!(examples::reviews())), ListProblems),
)]
pub async fn list(State(service): State<Service>, by: Caller) -> Result<Response, Problem> {
    Ok(Json(ReviewPage::of(&service.open_reviews(&by).await?)).into_response())
}
