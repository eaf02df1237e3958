//! The way in for the hooks of coding agents: a hook asks about a tool call before it runs, and
//! reports its result afterwards.
//!
//! `parkbrake hook` sends what the client passed to its hook; any other client may send the same.
//! The answer to a call is always one of three words. After a problem document nothing may run.

mod body;
mod calls;
mod view;

use crate::service::Service;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The calls, each with its description.
pub fn calls() -> OpenApiRouter<Service> {
    OpenApiRouter::default().routes(routes!(calls::tool_call)).routes(routes!(calls::tool_result))
}
