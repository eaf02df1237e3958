//! Who the caller is, according to the current configuration.

use crate::api::examples;
use crate::api::views::WhoAmI;
use crate::http::openapi::{self, CALLER, refused_with};
use crate::http::problem::Problem;
use crate::identity::Caller;
use axum::Json;
use axum::response::{IntoResponse as _, Response};

refused_with!(WhoAmIProblems = CALLER);

/// Read who you are
///
/// Whose token this is, and the current configuration of that name.
#[utoipa::path(
    get,
    path = "/whoami",
    operation_id = "whoami",
    tag = openapi::READING,
    responses((status = 200, description = "The caller.", body = WhoAmI, example = json!(examples::whoami())), WhoAmIProblems),
)]
pub async fn whoami(by: Caller) -> Result<Response, Problem> {
    Ok(Json(WhoAmI::from(&*by)).into_response())
}
