//! The way in for the hooks of coding agents: a tool call is asked about before it runs, and its
//! result is told afterwards.
//!
//! What is sent comes from `parkbrake hook`, which has read what the client gave its hook; any
//! other client may send the same. The answer to a call is always one of three words. A problem
//! document means that nobody can say, and whoever gets one lets nothing run.

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
