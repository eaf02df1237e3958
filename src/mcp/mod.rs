//! The Model Context Protocol over HTTP: agents submit, read, wait and cancel through tools. No
//! tool decides.
//!
//! `rmcp` implements the protocol: the revisions 2026-07-28, 2025-11-25 and 2025-06-18, all without
//! sessions, so that any server can answer any call and a restart loses nothing. A call is a use
//! case, under the caller's name and with the way in `mcp`. If a client closes its connection, its
//! call ends; whatever it submitted stays.

mod admitted;
mod answers;
mod arguments;
mod calls;
mod metadata;
mod server;
mod tools;

use crate::domain::via::Via;
use crate::http::body::{self, Raw};
use crate::http::json;
use crate::http::openapi;
use crate::http::problem::{self, Code, Problem};
use crate::identity::Caller;
use crate::mcp::admitted::Admitted;
use crate::mcp::calls::Backend;
use crate::mcp::metadata::Base;
use crate::mcp::server::McpServer;
use crate::service::{Service, ServiceError};
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, State};
use axum::http::{HeaderValue, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use http_body_util::{BodyExt as _, Full};
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::IntoResponses;
use utoipa::openapi::{Content, Object, RefOr};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The JSON-RPC code for a message that is not valid JSON.
const PARSE_ERROR: i32 = -32700;

/// The origins of pages on this machine.
const LOCAL_ORIGINS: [&str; 6] =
    ["http://localhost:*", "http://127.0.0.1:*", "http://[::1]:*", "https://localhost:*", "https://127.0.0.1:*", "https://[::1]:*"];

/// What the handlers need.
#[derive(Clone)]
pub struct Mcp {
    service: Service,
    base: Base,
    transport: StreamableHttpService<McpServer, NeverSessionManager>,
}

/// The routes; `public_url` is the address at which people reach the server.
pub fn routes(service: Service, public_url: Option<String>) -> Router {
    let base = public_url.clone();
    let server = McpServer::new(Backend { service: service.clone(), inbox: public_url.clone() });
    // `http/head.rs` has already checked the host name. Among browsers, only pages of this machine
    // and of the server itself may call, such as the inspector; every call needs a token, which
    // browsers never send on their own.
    let origins = LOCAL_ORIGINS.into_iter().map(str::to_owned).chain(public_url);
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .disable_allowed_hosts()
        .with_allowed_origins(origins)
        .enforce_origin_validation();
    let transport = StreamableHttpService::new(move || Ok(server.clone()), Arc::new(NeverSessionManager::default()), config);
    Router::from(calls()).with_state(Mcp { service, base: Base(base), transport })
}

/// The calls, with their documentation.
pub fn calls() -> OpenApiRouter<Mcp> {
    OpenApiRouter::default().routes(routes!(message)).routes(routes!(metadata::resource)).routes(routes!(metadata::resource_of_mcp))
}

/// The refusals of a message: a problem document as for every call, or a JSON-RPC error if the
/// message does not fit the protocol.
enum MessageProblems {}

impl IntoResponses for MessageProblems {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let codes = [Code::Unauthenticated, Code::PayloadTooLarge, Code::RateLimited, Code::Busy, Code::Unavailable];
        let mut responses = openapi::responses(&[&codes], &[400, 403, 404, 406, 415]);
        for status in ["400", "404"] {
            if let Some(RefOr::T(response)) = responses.get_mut(status) {
                let mut error = Content::new(Some(Object::new()));
                error.example =
                    Some(json!({"jsonrpc": "2.0", "id": 1, "error": {"code": -32602, "message": "there is no tool of this name"}}));
                response.content.insert("application/json".to_owned(), error.into());
            }
        }
        responses
    }
}

/// Model Context Protocol
///
/// Receives one JSON-RPC message over the Streamable HTTP transport: revisions 2026-07-28,
/// 2025-11-25 and 2025-06-18, without sessions. The tools are `submit_task`, `get_workflow`,
/// `wait_for_decision`, `cancel_workflow`, `explain_risk` and `list_my_workflows`; none decides.
#[utoipa::path(
    post,
    path = "/mcp",
    operation_id = "mcp",
    tag = openapi::SUBMITTING,
    request_body(content = Object, description = "A JSON-RPC 2.0 message.", example = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})),
    responses(
        (status = 200, description = "The answer to a request.", body = Object, example = json!({
            "jsonrpc": "2.0", "id": 1, "result": {"content": [{"type": "text", "text": "{\"workflows\":[],\"next_cursor\":null}"}], "isError": false}
        })),
        (status = 202, description = "The notification was accepted."),
        MessageProblems,
    ),
)]
async fn message(State(Mcp { transport, .. }): State<Mcp>, Incoming(request): Incoming) -> Response {
    let response = transport.handle(request).await.map(Body::new);
    let is_message = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    if response.status().is_success() || is_message { response } else { in_words(response).await }
}

/// Turns a refusal of the transport, which has only a few words, into a problem as of every way in.
async fn in_words(response: Response) -> Response {
    let status = response.status();
    let words = response.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let words = String::from_utf8_lossy(&words);
    problem::plain(status, if words.trim().is_empty() { "the message is not accepted" } else { words.trim() })
}

/// A message from an authenticated caller, with the permit in its extensions.
struct Incoming(Request<Full<Bytes>>);

impl FromRequest<Mcp> for Incoming {
    type Rejection = Response;

    async fn from_request(request: Request<Body>, Mcp { service, base, .. }: &Mcp) -> Result<Self, Response> {
        let (head, body) = request.into_parts();
        let metadata = base.metadata_address(&head.headers);
        let refused = |error: ServiceError| {
            let mut response = Problem::from(error).into_response();
            if let Some(challenge) = response.headers_mut().get_mut(header::WWW_AUTHENTICATE)
                && let Ok(value) = HeaderValue::try_from(format!("Bearer resource_metadata=\"{metadata}\""))
            {
                *challenge = value;
            }
            response
        };
        let by = service.identity.caller(&head.method, &head.headers).await.map_err(|error| refused(error.into()))?;
        let by = Caller::new(by.principal(), Via::Mcp);
        let received = body::receive::<Raw>(&service.admissions.changes, &by.name, Request::from_parts(head, body)).await;
        let (Raw { mut head, bytes }, permit) = received.map_err(|problem| match problem.code() {
            Code::MalformedJson => malformed(problem.said().1),
            _ => problem.into_response(),
        })?;
        if json::is_json(&head.headers)
            && let Err(problem) = json::read(&head.headers, &bytes)
        {
            return Err(malformed(problem.said().1));
        }
        head.extensions.insert(Admitted::new(by, permit));
        Ok(Self(Request::from_parts(head, Full::new(bytes))))
    }
}

/// The JSON-RPC error for a message that is not JSON, or that two readers could read differently.
fn malformed(why: &str) -> Response {
    let error: Value = json!({"jsonrpc": "2.0", "id": null, "error": {"code": PARSE_ERROR, "message": why}});
    (StatusCode::BAD_REQUEST, Json(error)).into_response()
}
