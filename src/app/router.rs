//! The routes of all ways in, and what applies to every request and every response.

use crate::agents;
use crate::api;
use crate::domain::hosts::Hosts;
use crate::github::{self, GithubApp};
use crate::http::openapi::Document;
use crate::http::problem;
use crate::http::{compression, head, routing};
use crate::mcp;
use crate::service::Service;
use crate::slack::{self, Slack};
use crate::web::{self, Web};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Request, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::{Extension, Router};
use std::sync::Arc;
use tower_http::catch_panic::CatchPanicLayer;

/// The routes. `slack` is `None` if no channel has buttons, `github` has the Apps with protection
/// rules, and `public_url` is the address at which people reach the server.
pub fn router(service: &Service, slack: Option<Slack>, github: Vec<GithubApp>, hosts: Hosts, public_url: Option<String>) -> Router {
    let document = description();
    let web = Web::new(service.clone(), document.value());
    Router::new()
        .merge(Router::from(api::calls()).with_state(service.clone()))
        .merge(Router::from(agents::calls()).with_state(service.clone()))
        .merge(slack::routes(service.clone(), slack))
        .merge(github::routes(service.clone(), github))
        .merge(mcp::routes(service.clone(), public_url))
        .layer(Extension(document))
        .merge(web::routes(&web))
        .fallback(routing::not_found)
        .method_not_allowed_fallback(routing::method_not_allowed)
        .layer(CatchPanicLayer::custom(routing::panicked))
        .layer(middleware::from_fn_with_state(Front { web, hosts: Arc::new(hosts) }, finish))
        .layer(compression::layer())
        .layer(middleware::from_fn(compression::only_if_asked_here))
}

/// The OpenAPI document of everything that programs can call.
pub fn description() -> Document {
    let mut handlers = api::calls().into_openapi();
    handlers.merge(agents::calls().into_openapi());
    handlers.merge(slack::calls().into_openapi());
    handlers.merge(github::calls().into_openapi());
    handlers.merge(mcp::calls().into_openapi());
    Document::of(handlers)
}

/// What checks requests and completes responses.
#[derive(Clone)]
struct Front {
    web: Web,
    /// The host names of the server.
    hosts: Arc<Hosts>,
}

/// Whether a request comes from a person at a browser, which names HTML first in `Accept`; a
/// program that names nothing, or JSON, gets the problem document.
fn reads_pages(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    accept.split([',', ';']).next().is_some_and(|first| first.trim().eq_ignore_ascii_case("text/html"))
}

/// Checks every request, and completes every response: a problem gets its `instance`, or a page for
/// a person at a browser, and all get headers that keep them out of caches and frames. Headers that
/// a page has set itself are kept.
async fn finish(State(Front { web, hosts }): State<Front>, request: Request<Body>, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let (head, body) = request.into_parts();
    let reads_pages = reads_pages(&head.headers);
    let mut response = match head::check(&head).and_then(|()| head::is_for_us(&head, &hosts)) {
        Ok(()) => next.run(Request::from_parts(head, body)).await,
        Err(refused) => *refused,
    };
    if reads_pages {
        response = web::explained(&web, response, &path);
    }
    let mut response = problem::add_instance(&path, response);
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
