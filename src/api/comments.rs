//! What people and agents say about a workflow, apart from decisions.

use crate::api::examples;
use crate::api::sent::Sent;
use crate::api::views::Commented;
use crate::http::openapi::{self, BODY, CALLER, CHANGE, refused_with};
use crate::http::path::WorkflowId;
use crate::http::problem::Problem;
use crate::identity::Caller;
use crate::service::Service;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use utoipa::ToSchema;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CommentBody {
    /// At most 4,096 bytes. It has to contain more than blanks and invisible characters.
    #[schema(min_length = 1, max_length = 4096)]
    text: String,
    /// Whether it is a question to the requester.
    #[serde(default)]
    ask: bool,
}

refused_with!(CommentProblems = CALLER, BODY, CHANGE);

/// Comment, or ask the requester
///
/// For everybody who may see the workflow, whatever its status. A comment decides nothing:
/// approvals that were given still count, and so does one that is being sent. With `ask`, it is a
/// question to the requester: reminders pause until the requester's side comments, for an hour at
/// most; deadlines do not. If the same caller repeats the same comment right away, it is stored
/// once.
#[utoipa::path(
    post,
    path = "/workflows/{id}/comments",
    operation_id = "comment",
    tag = openapi::DECIDING,
    params(("id" = Uuid, Path, description = "The workflow's id.")),
    request_body(content = CommentBody, example = json!({"text": "Why not after the backup?", "ask": true})),
    responses((status = 200, description = "It is said.", body = Commented, example = json!(examples::commented())), CommentProblems),
)]
pub async fn comment(
    State(service): State<Service>,
    by: Caller,
    WorkflowId(id): WorkflowId,
    Sent { body, permit }: Sent<CommentBody>,
) -> Result<Response, Problem> {
    let version = service.comment(&by, id, &body.text, body.ask, permit).await?;
    Ok(Json(Commented::at(id, version)).into_response())
}
