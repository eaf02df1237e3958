//! Submitting a task, and assessing one without submitting it.

use crate::api::examples;
use crate::api::sent::Sent;
use crate::api::task_body::TaskBody;
use crate::api::views::{Approval, Assessed, AssessedStep, SubmitRequest, Submitted, Success};
use crate::domain::request::Fault;
use crate::domain::request::Request;
use crate::domain::workflow::Workflow;
use crate::http::body::FromBody;
use crate::http::openapi::{self, BODY, CALLER, refused_with};
use crate::http::problem::{Code, Problem};
use crate::http::query::preferred_wait;
use crate::identity::Caller;
use crate::service::Service;
use crate::service::submit::{LONGEST_KEY, NewTask, is_key};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

refused_with!(
    SubmitProblems = CALLER,
    BODY,
    [
        Code::NotPermitted,
        Code::WorkflowNotFound,
        Code::AlreadyDecided,
        Code::AlreadyRejected,
        Code::WrongState,
        Code::IdempotencyKeyInUse,
        Code::Expired,
        Code::IdempotencyKeyReused
    ]
);

/// Submit a task
///
/// Parkbrake assesses the task and either releases it at once or parks it until people decide. A
/// 202 means that this is committed.
///
/// With `steps` in place of one task's fields, it is a plan: parkbrake assesses each step, the most
/// dangerous one determines who decides, and one approval covers all of them. The steps then run
/// one after the other; a step that fails ends the plan. With `playbook` and `args`, parkbrake
/// makes the steps itself, as the configuration says.
///
/// With `Idempotency-Key`, the same principal, key and body get the first answer again and nothing
/// is stored. Without it, every call is a new task. With `Prefer: wait=N`, the answer is held for
/// at most N seconds while the status is `queued` or `executing`.
#[utoipa::path(
    post,
    path = "/orchestrate",
    operation_id = "submit_task",
    tag = openapi::SUBMITTING,
    params(
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 257, pattern = r#"^("[!-~]{1,255}"|[!-~]{1,255})$"#,
            description = "1 to 255 visible ASCII characters, quoted or bare.", example = "\"deploy-api-1.4.2\""),
        ("Prefer" = Option<String>, Header,
            description = "`wait=N`: hold the answer for at most N seconds; more than 55 counts as 55. A preference that cannot be read is ignored."),
    ),
    request_body(content = SubmitRequest, examples(
        ("external" = (summary = "The requester itself deploys, once it may", value = json!({
            "task_id": "TASK-42", "description": "Deploy api 1.4.2", "operation": "deploy", "environment": "production",
            "resource": "api-gateway", "resource_type": "code", "estimated_cost": 250.0,
            "security_findings": [{"severity": "high", "id": "CVE-2026-1", "title": "Path traversal"}], "metadata": {"ticket": "OPS-7"}
        }))),
        ("runbook" = (summary = "Parkbrake runs a configured command, once it may", value = json!({
            "description": "How full are the disks?", "operation": "read", "environment": "development", "resource_type": "infrastructure",
            "action": {"type": "runbook", "name": "disk-usage"}
        }))),
        ("plan" = (summary = "Several steps, approved as one and done in their order", value = json!({
            "description": "Release api 1.4.2", "task_id": "TASK-43", "steps": [
                {"name": "look", "operation": "read", "environment": "development", "resource_type": "infrastructure",
                    "action": {"type": "runbook", "name": "disk-usage"}},
                {"name": "deploy", "operation": "deploy", "environment": "production", "resource": "api-gateway", "resource_type": "code"}
            ]
        }))),
        ("playbook" = (summary = "An intent, from which parkbrake makes the steps", value = json!({
            "description": "Release api 1.4.2", "playbook": "release-service", "args": {"service": "api", "version": "1.4.2"}
        }))),
    )),
    responses(
        (status = 202, description = "The task was accepted: it is parked, or released.", headers(
            ("Location" = String, description = "Where the workflow can be read: `/workflows/{id}`."),
            ("Preference-Applied" = Option<String>, description = "`wait=N`, if the answer was held."),
        ), body = Submitted, example = json!(examples::submitted())),
        SubmitProblems,
    ),
)]
pub async fn orchestrate(
    State(service): State<Service>,
    by: Caller,
    Sent { body: task, permit }: Sent<NewTask>,
) -> Result<Response, Problem> {
    let submitted = service.submit(&by, task, permit).await?;
    let mut response = answer(&submitted.workflow);
    if let Some(wait) = submitted.waited {
        let applied = format!("wait={}", wait.as_secs());
        response.headers_mut().insert("preference-applied", applied.parse().map_err(|_| Problem::internal())?);
    }
    Ok(response)
}

refused_with!(AssessProblems = CALLER, BODY);

/// Assess a task
///
/// Shows how a task would be assessed and who would decide. Nothing is stored. A later submit can
/// be assessed differently: conditions may depend on the time, and the configuration may have
/// changed.
#[utoipa::path(
    post,
    path = "/risk/assess",
    operation_id = "assess_task",
    tag = openapi::SUBMITTING,
    request_body(content = SubmitRequest, example = json!({
        "description": "Drop the old table", "operation": "drop", "resource": "db-prod-1", "environment": "staging"
    })),
    responses((status = 200, description = "The assessment.", body = Assessed, example = json!(examples::assessed())), AssessProblems),
)]
pub async fn assess(
    State(service): State<Service>,
    by: Caller,
    Sent { body: Asked(task), permit }: Sent<Asked>,
) -> Result<Response, Problem> {
    let assessed = service.assess(&by, task, permit).await?;
    Ok(Json(Assessed {
        success: Success,
        digest: &assessed.digest,
        target: (&assessed.target).into(),
        assessment: (&assessed.assessment).into(),
        approval: assessed.terms.as_ref().map(|terms| Approval::at(terms, assessed.now)),
        steps: AssessedStep::all(&assessed.steps),
    })
    .into_response())
}

/// A submit request: the task in the body, and in the headers how it is submitted.
impl FromBody for NewTask {
    async fn from_body(head: Parts, bytes: Bytes) -> Result<Self, Problem> {
        let key = idempotency_key(&head.headers)?;
        let wait = preferred_wait(&head.headers);
        let TaskBody { request, key } = TaskBody::read(&head.headers, &bytes, key)?;
        Ok(Self { request, key, wait })
    }
}

/// The task in the request.
pub struct Asked(Request);

impl FromBody for Asked {
    async fn from_body(head: Parts, bytes: Bytes) -> Result<Self, Problem> {
        Ok(Self(TaskBody::read(&head.headers, &bytes, None)?.request?))
    }
}

/// The answer with status 202.
fn answer(workflow: &Workflow) -> Response {
    let location = format!("/workflows/{}", workflow.id);
    (StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(Submitted::of(workflow))).into_response()
}

/// Reads `Idempotency-Key`, quoted (as in the IETF draft) or bare.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(written) = headers.get("idempotency-key") else { return Ok(None) };
    let wrong = || {
        Problem::invalid(&[Fault::new("", format!("the header `Idempotency-Key` has to be 1 to {LONGEST_KEY} visible ASCII characters"))])
    };
    let written = written.to_str().map_err(|_| wrong())?.trim();
    let key = written.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(written);
    if is_key(key) { Ok(Some(key.to_owned())) } else { Err(wrong()) }
}
