//! Halts everything or one environment, and lifts halts.

use crate::api::examples;
use crate::api::sent::Sent;
use crate::api::views::{HaltPage, Standing};
use crate::http::openapi::{self, BODY, CALLER, refused_with};
use crate::http::problem::{Code, Problem};
use crate::identity::Caller;
use crate::service::Service;
use crate::service::halts::Scope;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use utoipa::ToSchema;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HaltBody {
    /// Why, at most 4,096 bytes. Required; it has to contain more than blanks.
    #[serde(default)]
    #[schema(max_length = 4096)]
    reason: Option<String>,
    /// The one environment to halt, in any spelling that the configuration knows; everything if
    /// left out.
    #[serde(default)]
    environment: Option<String>,
    /// Lift the halt as soon as every server has confirmed it, and report how long that took.
    #[serde(default)]
    drill: bool,
}

refused_with!(HaltProblems = CALLER, BODY, [Code::NotPermitted, Code::Halted]);

/// Halt
///
/// Once this call is answered, nothing starts to run (or nothing in one environment), on any server
/// and whatever crashes. Released workflows stay `queued`, and `held` says why; people can still
/// decide, and what is running continues. Every halt holds a task whose environment is not known.
/// Halting again changes nothing and reports who halted it. For admins.
#[utoipa::path(
    post,
    path = "/halt",
    operation_id = "halt",
    tag = openapi::OPERATIONS,
    request_body(content = Option<HaltBody>, example = json!({"reason": "INC-7: the deploy bot runs wild", "environment": "production"})),
    responses((status = 200, description = "It is halted.", body = Standing, example = json!(examples::standing(true))), HaltProblems),
)]
pub async fn halt(State(service): State<Service>, by: Caller, Sent { body, permit }: Sent<HaltBody>) -> Result<Response, Problem> {
    let HaltBody { reason, environment, drill } = body;
    let scope = Scope { environment, reason };
    let standing = if drill { service.drill(&by, scope, permit).await? } else { service.halt(&by, scope, permit).await? };
    Ok(Json(Standing::of(&standing)).into_response())
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResumeBody {
    /// Why, at most 4,096 bytes.
    #[serde(default)]
    #[schema(max_length = 4096)]
    reason: Option<String>,
    /// The environment whose halt is lifted; the halt of everything if left out. Other halts stay.
    #[serde(default)]
    environment: Option<String>,
}

refused_with!(ResumeProblems = CALLER, BODY, [Code::NotPermitted]);

/// Lift a halt
///
/// What it held starts in the order in which requesters take turns. Lifting a halt that does not
/// exist changes nothing. `halted` says whether another halt still applies. For admins.
#[utoipa::path(
    post,
    path = "/resume",
    operation_id = "resume",
    tag = openapi::OPERATIONS,
    request_body(content = Option<ResumeBody>, example = json!({"reason": "INC-7 is over", "environment": "production"})),
    responses((status = 200, description = "It is lifted.", body = Standing, example = json!(examples::standing(false))), ResumeProblems),
)]
pub async fn resume(State(service): State<Service>, by: Caller, Sent { body, permit }: Sent<ResumeBody>) -> Result<Response, Problem> {
    let ResumeBody { reason, environment } = body;
    let standing = service.resume(&by, Scope { environment, reason }, permit).await?;
    Ok(Json(Standing::of(&standing)).into_response())
}

refused_with!(ListProblems = CALLER, [Code::NotPermitted]);

/// List the halts
///
/// The halts in force, and the latest entries of the log of halts, resumes and drills. For people.
#[utoipa::path(
    get,
    path = "/halts",
    operation_id = "list_halts",
    tag = openapi::OPERATIONS,
    responses((status = 200, description = "The halts.", body = HaltPage, example = json!(examples::halts())), ListProblems),
)]
pub async fn list(State(service): State<Service>, by: Caller) -> Result<Response, Problem> {
    Ok(Json(HaltPage::of(&service.halt_page(&by).await?)).into_response())
}
