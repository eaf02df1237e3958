//! What the routers of all ways in share: answers to what is not served, and to a handler that
//! panicked.

use crate::http::problem::{self, Problem};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use std::any::Any;

/// What is not served.
pub async fn not_found() -> Response {
    problem::plain(StatusCode::NOT_FOUND, "nothing is served at this path")
}

/// What is not served in this way.
pub async fn method_not_allowed() -> Response {
    problem::plain(StatusCode::METHOD_NOT_ALLOWED, "this path does not take this method")
}

/// A handler that panics costs its own request, nobody else's.
pub fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    tracing::error!("a request handler panicked");
    Problem::internal().into_response()
}
