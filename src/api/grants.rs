//! Standing grants: create, list and revoke.

use crate::api::examples;
use crate::api::sent::Sent;
use crate::api::views::{GrantAnswer, GrantPage, ProposalPage};
use crate::domain::task::ActionKind;
use crate::http::openapi::{self, BODY, CALLER, refused_with};
use crate::http::problem::{Code, Problem};
use crate::identity::Caller;
use crate::service::grants::{WantedAction, WantedGrant};
use crate::service::{Service, ServiceError};
use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;
use uuid::Uuid;

/// Without `like`, the pattern consists of the fields given here; with it, fields that are left out
/// are as in that request.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantBody {
    /// An id that you choose: sending the same grant with it again changes nothing.
    #[serde(default)]
    grant_id: Option<Uuid>,
    /// A request of the kind that it should release, taken literally.
    #[serde(default)]
    like: Option<Uuid>,
    /// Whose requests it releases.
    #[serde(default)]
    requester: Option<String>,
    #[serde(default)]
    operation: Option<String>,
    #[serde(default)]
    environment: Option<String>,
    /// A star stands for visible ASCII without `/`; it needs at least one letter or digit beside
    /// it.
    #[serde(default)]
    #[schema(max_length = 1024)]
    resource: Option<String>,
    #[serde(default)]
    resource_type: Option<String>,
    #[serde(default)]
    action: Option<ActionBody>,
    /// The highest level that it releases; never `critical`.
    #[serde(default)]
    level: Option<String>,
    /// For how long, such as `2h`; the policy sets the maximum.
    #[serde(default)]
    expires_in: Option<String>,
    /// How many requests it releases; if left out, as many as the policy allows.
    #[serde(default)]
    #[schema(minimum = 1)]
    uses: Option<u32>,
    /// The most that these may cost together, in US dollars. If it is set, a request that does not
    /// state its cost is not released.
    #[serde(default)]
    #[schema(minimum = 0)]
    cost: Option<f64>,
    /// Why, at most 4,096 bytes. Required; it has to contain more than blanks.
    #[serde(default)]
    #[schema(max_length = 4096)]
    justification: Option<String>,
}

/// What performs the action.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = GrantActionBody)]
pub struct ActionBody {
    #[serde(rename = "type", default)]
    kind: Option<ActionKind>,
    #[serde(default)]
    name: Option<String>,
    /// Each argument: a value, `{"is": value}`, `{"like": "api-*"}` or `{"any": true}`.
    #[serde(default)]
    args: BTreeMap<String, Value>,
}

refused_with!(GiveProblems = CALLER, BODY, [Code::NotPermitted, Code::NotAnApprover, Code::SelfApproval, Code::JustificationRequired]);

/// Give a grant
///
/// Approves requests of a narrow kind in advance, for a limited time: they are released without
/// asking anybody, each in the commit that counts it. For people who could approve each of them
/// alone; never for critical risk, nor if more than one person or the digest is needed. Parkbrake
/// checks the grant again before each start: the person who gave it must still be entitled, and it
/// must not have been revoked.
#[utoipa::path(
    post,
    path = "/grants",
    operation_id = "give_grant",
    tag = openapi::DECIDING,
    request_body(content = GrantBody, example = json!({
        "requester": "deploy-bot", "operation": "deploy", "environment": "staging", "resource": "api-*",
        "action": {"type": "runbook", "name": "deploy-service", "args": {"service": {"like": "api-*"}, "version": {"any": true}}},
        "level": "medium", "expires_in": "2h", "uses": 10, "justification": "The release of OPS-12"
    })),
    responses((status = 201, description = "It is given.", body = GrantAnswer, example = json!(examples::grant())), GiveProblems),
)]
pub async fn give(State(service): State<Service>, by: Caller, Sent { body, permit }: Sent<GrantBody>) -> Result<Response, Problem> {
    let GrantBody {
        grant_id: id,
        like,
        requester,
        operation,
        environment,
        resource,
        resource_type,
        action,
        level,
        expires_in,
        uses,
        cost,
        justification,
    } = body;
    let action = action.map(|ActionBody { kind, name, args }| WantedAction { kind, name, args });
    let wanted = WantedGrant {
        id,
        like,
        requester,
        operation,
        environment,
        resource,
        resource_type,
        action,
        level,
        expires_in,
        uses,
        cost,
        justification,
    };
    let grant = service.give_grant(&by, wanted, permit).await?;
    Ok((StatusCode::CREATED, Json(GrantAnswer::of(&grant, service.now()))).into_response())
}

refused_with!(ListProblems = CALLER, [Code::NotPermitted]);

/// List the grants
///
/// The latest, whether they are still valid or not. For people.
#[utoipa::path(
    get,
    path = "/grants",
    operation_id = "list_grants",
    tag = openapi::DECIDING,
    responses((status = 200, description = "The grants.", body = GrantPage, example = json!(examples::grants())), ListProblems),
)]
pub async fn list(State(service): State<Service>, by: Caller) -> Result<Response, Problem> {
    let grants = service.grants(&by).await?;
    Ok(Json(GrantPage::of(&grants, service.now())).into_response())
}

refused_with!(ProposeProblems = CALLER, [Code::NotPermitted]);

/// List the grants that are proposed
///
/// If people have approved the same kind of request often enough, and never rejected it, parkbrake
/// proposes the narrowest grant that releases it. A proposal grants nothing: whoever may give it
/// does so with `POST /grants` and `like`. Only grants that could be given now are proposed. For
/// people.
#[utoipa::path(
    get,
    path = "/grants/proposals",
    operation_id = "list_grant_proposals",
    tag = openapi::DECIDING,
    responses((status = 200, description = "The proposals.", body = ProposalPage, example = json!(examples::grant_proposals())), ProposeProblems),
)]
pub async fn proposals(State(service): State<Service>, by: Caller) -> Result<Response, Problem> {
    let proposals = service.grant_proposals(&by).await?;
    Ok(Json(ProposalPage::of(&proposals)).into_response())
}

refused_with!(OneProblems = CALLER, [Code::NotPermitted, Code::GrantNotFound]);

/// One grant
///
/// Its state now. For people.
#[utoipa::path(
    get,
    path = "/grants/{id}",
    operation_id = "get_grant",
    tag = openapi::DECIDING,
    params(("id" = Uuid, Path, description = "The grant's id.")),
    responses((status = 200, description = "The grant.", body = GrantAnswer, example = json!(examples::grant())), OneProblems),
)]
pub async fn one(State(service): State<Service>, by: Caller, GrantId(id): GrantId) -> Result<Response, Problem> {
    let grant = service.grant(&by, id).await?;
    Ok(Json(GrantAnswer::of(&grant, service.now())).into_response())
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeBody {
    /// Why, at most 4,096 bytes.
    #[serde(default)]
    #[schema(max_length = 4096)]
    reason: Option<String>,
}

refused_with!(RevokeProblems = CALLER, BODY, [Code::NotPermitted, Code::GrantNotFound]);

/// Revoke a grant
///
/// Once this call is answered, this grant releases no request on any server. Requests that it
/// released and that have not started need an approval when their turn comes. What is running
/// continues. Revoking a revoked grant changes nothing. For the person who gave it, for people with
/// a role that decides at some level, and for admins.
#[utoipa::path(
    post,
    path = "/grants/{id}/revoke",
    operation_id = "revoke_grant",
    tag = openapi::DECIDING,
    params(("id" = Uuid, Path, description = "The grant's id.")),
    request_body(content = Option<RevokeBody>, example = json!({"reason": "The release is over"})),
    responses((status = 200, description = "It is revoked.", body = GrantAnswer, example = json!(examples::grant())), RevokeProblems),
)]
pub async fn revoke(
    State(service): State<Service>,
    by: Caller,
    GrantId(id): GrantId,
    Sent { body: RevokeBody { reason }, permit }: Sent<RevokeBody>,
) -> Result<Response, Problem> {
    let grant = service.revoke_grant(&by, id, reason, permit).await?;
    Ok(Json(GrantAnswer::of(&grant, service.now())).into_response())
}

fn unknown() -> Problem {
    ServiceError::GrantNotFound.into()
}

/// The id in a path. A text that is not an id names no grant.
pub struct GrantId(pub Uuid);

impl FromRequestParts<Service> for GrantId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, service: &Service) -> Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, service).await.map_err(|_| unknown())?;
        Uuid::try_parse(&text).map(Self).map_err(|_| unknown())
    }
}
