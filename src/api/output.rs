//! What a runbook writes while it runs.

use crate::api::examples;
use crate::api::views::OutputAnswer;
use crate::domain::workflow::live_output::ReadTo;
use crate::http::openapi::{self, CALLER, refused_with};
use crate::http::path::WorkflowId;
use crate::http::problem::{Code, Problem};
use crate::http::query::{Parameters, invalid};
use crate::identity::Caller;
use crate::service::Service;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use utoipa::IntoParams;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct OutputQuery {
    /// `after` from the previous answer. Left out: from the beginning, as far as the output is
    /// kept.
    #[param(pattern = r"^\d+\.\d+\.\d+\.\d+$", example = "1.1.2048.0")]
    after: Option<String>,
}

refused_with!(OutputProblems = CALLER, [Code::WorkflowNotFound]);

/// Read what a runbook writes
///
/// What the current attempt has written since `after`: ask again, once a second, with the `after`
/// of the answer. Secrets are masked as in the recorded output, and text that may be the beginning
/// of a secret is held back. The output is in the memory of the server that runs the attempt, which
/// keeps the last 64 KiB of each stream. Other servers have none, and it is gone after a restart
/// and some time after the end. Once an attempt has ended, its output is in `GET /workflows/{id}`.
#[utoipa::path(
    get,
    path = "/workflows/{id}/output",
    operation_id = "read_output",
    tag = openapi::READING,
    params(("id" = Uuid, Path, description = "The workflow's id."), OutputQuery),
    responses((status = 200, description = "What is new.", body = OutputAnswer, example = json!(examples::output())), OutputProblems),
)]
pub async fn output(
    State(service): State<Service>,
    by: Caller,
    WorkflowId(id): WorkflowId,
    Parameters(query): Parameters<OutputQuery>,
) -> Result<Response, Problem> {
    let read =
        |text: &str| ReadTo::parse(text).ok_or_else(|| invalid("after", "send the `after` of an earlier answer to this call".to_owned()));
    let read_to = query.after.as_deref().map(read).transpose()?;
    let output = service.output(&by, id, read_to).await?;
    Ok(Json(OutputAnswer::of(id, output.as_ref())).into_response())
}
