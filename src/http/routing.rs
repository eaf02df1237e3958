//! What the routers of all ways in share: answers for unknown paths and methods, and for a handler
//! that panicked.

use crate::http::problem::{self, Problem};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use std::any::Any;

/// The answer for an unknown path.
pub async fn not_found() -> Response {
    problem::plain(StatusCode::NOT_FOUND, "nothing is served at this path")
}

/// The answer for a method that the path does not support.
pub async fn method_not_allowed() -> Response {
    problem::plain(StatusCode::METHOD_NOT_ALLOWED, "this path does not support this method")
}

/// A handler that panics affects only its own request.
pub fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    tracing::error!("a request handler panicked");
    Problem::internal().into_response()
}
