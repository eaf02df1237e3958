//! Deployments in GitHub Actions: an environment's protection rule calls parkbrake, and waits until
//! people have decided.
//!
//! GitHub signs its deliveries. Their content is treated as the claim of an agent that the
//! configuration names, and everything else is as for a task submitted through the API. The answer
//! to GitHub is a notice (`notify/github.rs`). No delivery decides anything.

mod event;
mod outcome;

use crate::domain::request::idempotency::IdempotencyKey;
use crate::domain::task::digest::Digest;
use crate::domain::via::Via;
use crate::domain::workflow::Status;
use crate::http::body::{self, Raw};
use crate::http::openapi::{self, refused_with};
use crate::http::peer::Peer;
use crate::http::problem::{self, Code, Problem};
use crate::http::{json, signature, submitted};
use crate::identity::Caller;
use crate::service::admission::Permit;
use crate::service::submit::{NewTask, Submitted};
use crate::service::{Service, ServiceError};
use axum::Json;
use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts as _, State};
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use event::{Requested, Waiting};
use outcome::{Told, is_about};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

/// The event by which GitHub requests a decision.
const ASKS: &str = "deployment_protection_rule";
/// The event by which GitHub reports the outcome of a deployment.
const TELLS: &str = "deployment_status";

/// A GitHub App whose protection rule calls parkbrake.
#[derive(Clone)]
pub struct GithubApp {
    pub webhook_secret: String,
    /// The agent that requests its deployments.
    pub agent: String,
    /// The address of the API that gets the answers, without a slash at the end.
    pub api_url: String,
}

/// What the handler needs: the use cases, and the Apps, if any.
#[derive(Clone)]
pub struct Rule {
    service: Service,
    apps: Arc<[GithubApp]>,
}

/// The route that GitHub calls.
pub fn routes(service: Service, apps: Vec<GithubApp>) -> Router {
    Router::from(calls()).with_state(Rule { service, apps: apps.into() })
}

/// The call, with its documentation.
pub fn calls() -> OpenApiRouter<Rule> {
    OpenApiRouter::default().routes(routes!(deployment_protection_rule))
}

/// The result of a delivery.
#[derive(Serialize, ToSchema)]
#[schema(as = GithubDeliveryAnswer)]
struct Taken {
    /// The workflow of the deployment; null if the delivery requests nothing.
    workflow_id: Option<Uuid>,
    /// The status of the workflow at that moment.
    #[schema(value_type = Option<String>)]
    status: Option<Status>,
}

refused_with!(
    RuleProblems = [
        Code::MalformedJson,
        Code::PayloadTooLarge,
        Code::UnsupportedMediaType,
        Code::InvalidTask,
        Code::IdempotencyKeyInUse,
        Code::AlreadyRejected,
        Code::NotPermitted,
        Code::WrongState,
        Code::Halted,
        Code::RateLimited,
        Code::Busy,
        Code::Unavailable
    ];
    plain 401, 404
);

/// A deployment protection rule of GitHub
///
/// GitHub calls this when a job waits for an environment; it is of no use to anybody else. It takes
/// no token: `X-Hub-Signature-256` has to be GitHub's signature over the body. The deployment
/// becomes a task of the agent that the channel names. If a delivery is repeated, or another job of
/// the same run waits for the same environment in the meantime, both share the workflow. Once it is
/// decided, parkbrake notifies GitHub through its API. The event `deployment_status` reports the
/// outcome of an approved deployment.
#[utoipa::path(
    post,
    path = "/github/deployment-protection-rule",
    operation_id = "github_deployment_protection_rule",
    tag = openapi::SUBMITTING,
    security(()),
    params(
        ("X-GitHub-Event" = Option<String>, Header, description = "`deployment_protection_rule` or `deployment_status`; any other event is accepted, and changes nothing."),
        ("X-Hub-Signature-256" = Option<String>, Header, description = "`sha256=` and the HMAC-SHA256 of the body."),
    ),
    request_body(content = Requested, content_type = "application/json"),
    responses(
        (status = 200, description = "There is nothing to do, or the outcome was recorded.", body = Taken, example = json!({"workflow_id": null, "status": null})),
        (status = 202, description = "The deployment is requested.", body = Taken, example = json!({
            "workflow_id": "01a219ab-c616-7118-93f0-ddb20c283aee", "status": "pending_approval"
        })),
        RuleProblems,
    ),
)]
async fn deployment_protection_rule(State(Rule { service, .. }): State<Rule>, signed: Signed) -> Result<Response, Problem> {
    let Signed { app, headers, bytes, permit } = signed;
    let taken = |status, workflow: Option<(Uuid, Status)>| {
        let taken = Taken { workflow_id: workflow.map(|(id, _)| id), status: workflow.map(|(_, status)| status) };
        Ok((status, Json(taken)).into_response())
    };
    match headers.get("x-github-event").and_then(|value| value.to_str().ok()) {
        Some(ASKS) => {
            let requested: Requested = json::decode(json::read(&headers, &bytes)?)?;
            let waiting = requested.waiting(&app.api_url).map_err(|detail| ServiceError::invalid("", detail))?;
            let by = agent(&service, &app.agent).await?;
            let (id, status) = submit(&service, &by, &waiting, permit).await?;
            tracing::info!(workflow.id = %id, github.repository = waiting.repository, github.run = waiting.run_id, "GitHub asks");
            taken(StatusCode::ACCEPTED, Some((id, status)))
        }
        Some(TELLS) => {
            let told: Told = json::decode(json::read(&headers, &bytes)?)?;
            let by = agent(&service, &app.agent).await?;
            let reported = told.report(&service, &by, permit).await?;
            taken(StatusCode::OK, reported.map(|workflow| (workflow.id, workflow.status())))
        }
        _ => taken(StatusCode::OK, None),
    }
}

/// The agent that a channel names, if the agent has rights today.
async fn agent(service: &Service, name: &str) -> Result<Caller, ServiceError> {
    let found = service.identity.for_service(name, Via::Github).await?;
    found.map_err(|barred| {
        ServiceError::NotPermitted(format!("deployments are requested in the name of {name}, who is {}", barred.as_str()))
    })
}

/// The workflow of a deployment. While it is undecided, all waiting deployments of the same run and
/// environment share it, because GitHub's answer covers all of them. A deployment that is requested
/// later gets its own workflow.
async fn submit(service: &Service, by: &Caller, waiting: &Waiting, permit: Arc<Permit>) -> Result<(Uuid, Status), ServiceError> {
    let under = |key: String| {
        let key = Some(IdempotencyKey { fingerprint: Digest::of(key.as_bytes()), key });
        NewTask { request: submitted::Submitted::new(waiting.task()).request(), key, wait: None }
    };
    let Submitted { workflow, .. } = service.submit(by, under(waiting.key()), Arc::clone(&permit)).await?;
    // A repeated submission returns the first answer; what counts is the status now.
    let mut shown = service.show(by, workflow.id).await?;
    let is_undecided = matches!(shown.workflow.status(), Status::PendingApproval | Status::Queued);
    if !is_undecided && !is_about(&shown.document, waiting.deployment_id) {
        let Submitted { workflow, .. } = service.submit(by, under(waiting.key_of_its_own()), permit).await?;
        shown = service.show(by, workflow.id).await?;
    }
    Ok((shown.workflow.id, shown.workflow.status()))
}

/// A delivery with GitHub's valid signature. A handler that takes this type cannot be reached
/// without it, and nothing of the body is read before the check.
struct Signed {
    app: GithubApp,
    headers: HeaderMap,
    bytes: axum::body::Bytes,
    /// Held until the delivery is answered.
    permit: Arc<Permit>,
}

impl FromRequest<Rule> for Signed {
    type Rejection = Response;

    async fn from_request(request: Request<Body>, Rule { service, apps }: &Rule) -> Result<Self, Response> {
        if apps.is_empty() {
            return Err(problem::plain(StatusCode::NOT_FOUND, "no channel is a GitHub App"));
        }
        let (mut head, body) = request.into_parts();
        let peer = Peer::from_request_parts(&mut head, service).await.map_err(IntoResponse::into_response)?;
        let request = Request::from_parts(head, body);
        let received = body::receive::<Raw>(&service.admissions.strangers, &peer.to_string(), request).await;
        let (Raw { head, bytes }, permit) = received.map_err(Problem::into_response)?;
        let written = head.headers.get("x-hub-signature-256").and_then(|value| value.to_str().ok());
        let digits = written.and_then(|written| written.strip_prefix("sha256=")).unwrap_or_default();
        let Some(app) = apps.iter().find(|app| signature::fits(&app.webhook_secret, &[&bytes], digits)) else {
            tracing::warn!("a call to /github/deployment-protection-rule was not signed by GitHub, and is refused");
            return Err(problem::plain(StatusCode::UNAUTHORIZED, "the signature does not match"));
        };
        Ok(Self { app: app.clone(), headers: head.headers, bytes, permit })
    }
}
