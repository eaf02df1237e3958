//! Commenting on a request, and asking its requester a question.

use crate::http::path::WorkflowId;
use crate::http::problem::Problem;
use crate::web::Web;
use crate::web::csrf::Posted;
use crate::web::{decide, session, walk};
use axum::extract::State;
use axum::response::Response;

/// `POST /inbox/workflows/{id}/comments`
pub async fn comment(
    State(web): State<Web>,
    WorkflowId(id): WorkflowId,
    Posted { session, fields, permit }: Posted,
) -> Result<Response, Problem> {
    let ask = fields.one("ask")?.is_some();
    let text = fields.one("text")?.unwrap_or_default();
    match web.service.comment(&session.person, id, text, ask, permit).await {
        Ok(_) => Ok(session::go_to(&walk::after(&session, &fields, id, "commented"))),
        Err(error) => decide::refused(&web, &session, id, &fields, error.into()).await,
    }
}
