//! Where tokens for `/mcp` come from, in the words of RFC 9728. There is no authorization server:
//! an operator makes tokens.

use crate::http::openapi;
use crate::mcp::Mcp;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use serde::Serialize;
use utoipa::ToSchema;

/// Where the server is reached, if the configuration says so.
#[derive(Debug, Clone)]
pub struct Base(pub Option<String>);

impl Base {
    fn address(&self, headers: &HeaderMap) -> String {
        self.0.clone().unwrap_or_else(|| {
            let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
            format!("http://{}", host.unwrap_or("localhost"))
        })
    }

    /// Where the metadata of `/mcp` is read.
    pub fn metadata_address(&self, headers: &HeaderMap) -> String {
        format!("{}/.well-known/oauth-protected-resource/mcp", self.address(headers))
    }
}

/// What is protected, and how a token is sent.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProtectedResource {
    /// The address of the Model Context Protocol.
    resource: String,
    /// A token goes into the header `Authorization`.
    bearer_methods_supported: [&'static str; 1],
    resource_name: &'static str,
    /// Where it is described.
    resource_documentation: String,
}

impl ProtectedResource {
    fn at(base: &str) -> Json<Self> {
        Json(Self {
            resource: format!("{base}/mcp"),
            bearer_methods_supported: ["header"],
            resource_name: "parkbrake",
            resource_documentation: format!("{base}/docs"),
        })
    }
}

/// What protects the Model Context Protocol
///
/// The metadata of RFC 9728. It names no authorization server, because there is none: an operator
/// makes a token with `parkbrake token create`.
#[utoipa::path(
    get,
    path = "/.well-known/oauth-protected-resource",
    operation_id = "protected_resource",
    tag = openapi::OPERATIONS,
    security(()),
    responses((status = 200, description = "What is protected, and how a token is sent.", body = ProtectedResource, example = json!({
        "resource": "https://parkbrake.example.com/mcp", "bearer_methods_supported": ["header"], "resource_name": "parkbrake",
        "resource_documentation": "https://parkbrake.example.com/docs"
    }))),
)]
pub async fn resource(State(Mcp { base, .. }): State<Mcp>, headers: HeaderMap) -> Json<ProtectedResource> {
    ProtectedResource::at(&base.address(&headers))
}

/// What protects the Model Context Protocol, by its own path
///
/// The same as `/.well-known/oauth-protected-resource`, at the place where RFC 9728 has a client
/// look for it.
#[utoipa::path(
    get,
    path = "/.well-known/oauth-protected-resource/mcp",
    operation_id = "protected_resource_of_mcp",
    tag = openapi::OPERATIONS,
    security(()),
    responses((status = 200, description = "What is protected, and how a token is sent.", body = ProtectedResource, example = json!({
        "resource": "https://parkbrake.example.com/mcp", "bearer_methods_supported": ["header"], "resource_name": "parkbrake",
        "resource_documentation": "https://parkbrake.example.com/docs"
    }))),
)]
pub async fn resource_of_mcp(state: State<Mcp>, headers: HeaderMap) -> Json<ProtectedResource> {
    resource(state, headers).await
}
