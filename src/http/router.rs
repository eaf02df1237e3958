//! Every route on one screen, and what all responses get.

use crate::http::api::Api;
use crate::http::inbox::page;
use crate::http::problem::{self, Problem};
use crate::http::{decisions, events, head, inbox, notices, operations, slack, tasks, workflows};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Request, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use std::any::Any;
use tower_http::catch_panic::CatchPanicLayer;

/// The routes.
pub fn router(api: Api) -> Router {
    Router::new()
        .route("/orchestrate", post(tasks::orchestrate))
        .route("/risk/assess", post(tasks::assess))
        .route("/workflows", get(workflows::list))
        .route("/workflows/pending", get(workflows::pending))
        .route("/workflows/{id}", get(workflows::status_of))
        .route("/workflows/{id}/status", get(workflows::status_of))
        .route("/workflows/{id}/wait", get(workflows::wait))
        .route("/workflows/{id}/events", get(events::of_workflow))
        .route("/events", get(events::of_all))
        .route("/workflows/{id}/approve", post(decisions::approve))
        .route("/workflows/{id}/reject", post(decisions::reject))
        .route("/workflows/{id}/cancel", post(decisions::cancel))
        .route("/workflows/{id}/result", post(decisions::result))
        .route("/workflows/{id}/resolve", post(decisions::resolve))
        .route("/slack/interactions", post(slack::interactions))
        .route("/notices", get(notices::list))
        .route("/notices/{id}/resend", post(notices::resend))
        .route("/metrics", get(operations::metrics))
        .route("/healthz", get(operations::healthz))
        .route("/readyz", get(operations::readyz))
        .merge(inbox::routes(&api))
        .fallback(operations::not_found)
        .method_not_allowed_fallback(operations::method_not_allowed)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(api.clone(), finish))
        .with_state(api)
}

/// Whether a request comes from a person at a browser, which names HTML first; a program that names nothing, or JSON, gets the document.
fn reads_pages(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    accept.split([',', ';']).next().is_some_and(|first| first.trim().eq_ignore_ascii_case("text/html"))
}

/// A handler that panics costs its own request, nobody else's.
pub fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    tracing::error!("a request handler panicked");
    Problem::internal().into_response()
}

/// What every request is asked first, and what every response gets: a problem its place, or a page for somebody with a browser, and headers
/// that keep it out of caches and frames. What a page says of itself holds.
async fn finish(State(api): State<Api>, request: Request<Body>, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let (head, body) = request.into_parts();
    let reads_pages = reads_pages(&head.headers);
    let mut response = match head::check(&head).and_then(|()| head::is_for_us(&head, &api.hosts)) {
        Ok(()) => next.run(Request::from_parts(head, body)).await,
        Err(refused) => *refused,
    };
    if reads_pages {
        response = page::explained(&api, response, &path);
    }
    let mut response = problem::place(&path, response);
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}
