//! The metadata about tokens for `/mcp` (RFC 9728). There is no authorization server: an operator
//! makes tokens.

use crate::http::openapi;
use crate::mcp::Mcp;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use serde::Serialize;
use utoipa::ToSchema;

/// The address of the server, if the configuration sets it.
#[derive(Debug, Clone)]
pub struct Base(pub Option<String>);

impl Base {
    fn address(&self, headers: &HeaderMap) -> String {
        self.0.clone().unwrap_or_else(|| {
            let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
            format!("http://{}", host.unwrap_or("localhost"))
        })
    }

    /// The address of the metadata of `/mcp`.
    pub fn metadata_address(&self, headers: &HeaderMap) -> String {
        format!("{}/.well-known/oauth-protected-resource/mcp", self.address(headers))
    }
}

/// The protected resource, and how to send a token.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProtectedResource {
    /// The address of the MCP endpoint.
    resource: String,
    /// Tokens are sent in the `Authorization` header.
    bearer_methods_supported: [&'static str; 1],
    resource_name: &'static str,
    /// The address of the documentation.
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

/// Read the metadata of the protected resource
///
/// The metadata of RFC 9728 for the Model Context Protocol. It names no authorization server,
/// because there is none: an operator makes a token with `parkbrake token create`.
#[utoipa::path(
    get,
    path = "/.well-known/oauth-protected-resource",
    operation_id = "protected_resource",
    tag = openapi::OPERATIONS,
    security(()),
    responses((status = 200, description = "The protected resource, and how to send a token.", body = ProtectedResource, example = json!({
        "resource": "https://parkbrake.example.com/mcp", "bearer_methods_supported": ["header"], "resource_name": "parkbrake",
        "resource_documentation": "https://parkbrake.example.com/docs"
    }))),
)]
pub async fn resource(State(Mcp { base, .. }): State<Mcp>, headers: HeaderMap) -> Json<ProtectedResource> {
    ProtectedResource::at(&base.address(&headers))
}

/// Read the metadata of the protected resource, at its own path
///
/// The same as `/.well-known/oauth-protected-resource`, at the path where clients look according to
/// RFC 9728.
#[utoipa::path(
    get,
    path = "/.well-known/oauth-protected-resource/mcp",
    operation_id = "protected_resource_of_mcp",
    tag = openapi::OPERATIONS,
    security(()),
    responses((status = 200, description = "The protected resource, and how to send a token.", body = ProtectedResource, example = json!({
        "resource": "https://parkbrake.example.com/mcp", "bearer_methods_supported": ["header"], "resource_name": "parkbrake",
        "resource_documentation": "https://parkbrake.example.com/docs"
    }))),
)]
pub async fn resource_of_mcp(state: State<Mcp>, headers: HeaderMap) -> Json<ProtectedResource> {
    resource(state, headers).await
}
