//! The state of the system, for those who run it.

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

/// What state is the system in?
///
/// Which server acts and until when, how each channel does, which notices were given up, which
/// workflows are left alone, of which actions nobody knows the outcome, what runs, what is halted,
/// and which reviews are open; `troubles` says in sentences what somebody should look after. Each
/// list has at most 50 entries, the latest first. For people.
#[utoipa::path(
    get,
    path = "/system",
    operation_id = "system",
    tag = openapi::OPERATIONS,
    responses((status = 200, description = "The state, as it is now.", body = SystemAnswer, example = json!(examples::system())), SystemProblems),
)]
pub async fn system(State(service): State<Service>, by: Caller) -> Result<Response, Problem> {
    let system = service.system(&by).await?;
    Ok(Json(SystemAnswer::from(&system)).into_response())
}
