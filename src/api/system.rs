//! The state of the system, for operators.

use crate::api::examples;
use crate::api::views::SystemAnswer;
use crate::http::openapi::{self, CALLER, refused_with};
use crate::http::problem::{Code, Problem};
use crate::identity::Caller;
use crate::service::Service;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};

refused_with!(SystemProblems = CALLER, [Code::NotPermitted]);

/// Read the state of the system
///
/// Which server acts and until when, the state of each channel, notices that were given up,
/// quarantined workflows, unknown outcomes, running workflows, halts, and open reviews; `troubles`
/// says in sentences what needs attention. Each list has at most 50 entries, the latest first. For
/// people.
#[utoipa::path(
    get,
    path = "/system",
    operation_id = "system",
    tag = openapi::OPERATIONS,
    responses((status = 200, description = "The current state.", body = SystemAnswer, example = json!(examples::system())), SystemProblems),
)]
pub async fn system(State(service): State<Service>, by: Caller) -> Result<Response, Problem> {
    let system = service.system(&by).await?;
    Ok(Json(SystemAnswer::from(&system)).into_response())
}
