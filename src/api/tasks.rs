//! Submitting a task, and asking how one would be assessed.

use crate::actors::exchange::{Intake, Submitted as Stored};
use crate::api::views::{Approval, Assessed, Submitted, Success};
use crate::api::{body, examples};
use crate::domain::digest::{Digest, canonical};
use crate::domain::policy::PrincipalKind;
use crate::domain::readings::Facts;
use crate::domain::request::{Fault, TaskRequest};
use crate::domain::task::Task;
use crate::domain::transition;
use crate::domain::workflow::{Status, Workflow};
use crate::http::openapi::{self, BODY, CALLER, refused_with};
use crate::http::problem::{Code, Problem};
use crate::http::query::LONGEST_WAIT;
use crate::identity::Caller;
use crate::service::Service;
use crate::service::quotas::Reservation;
use crate::storage::IdempotencyKey;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// Characters of an idempotency key.
const LONGEST_KEY: usize = 255;

refused_with!(SubmitProblems = CALLER, BODY, [Code::IdempotencyKeyInUse, Code::IdempotencyKeyReused]);

/// Submit a task
///
/// Parkbrake assesses it and either releases it at once or parks it until people decide. The 202 means: committed.
///
/// With `Idempotency-Key`, the same principal, key and body get the first answer again and nothing is stored. Without it every call is a new
/// task. With `Prefer: wait=N` the answer is held, for at most N seconds, while the status is `queued` or `executing`.
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
    request_body(content = TaskRequest, examples(
        ("external" = (summary = "The requester itself deploys, once it may", value = json!({
            "task_id": "TASK-42", "description": "Deploy api 1.4.2", "operation": "deploy", "environment": "production",
            "resource": "api-gateway", "resource_type": "code", "estimated_cost": 250.0,
            "security_findings": [{"severity": "high", "id": "CVE-2026-1", "title": "Path traversal"}], "metadata": {"ticket": "OPS-7"}
        }))),
        ("runbook" = (summary = "Parkbrake runs a configured command, once it may", value = json!({
            "description": "How full are the disks?", "operation": "read", "environment": "development", "resource_type": "infrastructure",
            "action": {"type": "runbook", "name": "disk-usage"}
        }))),
    )),
    responses(
        (status = 202, description = "The task was taken: it is parked, or released.", headers(
            ("Location" = String, description = "Where the workflow is read: `/workflows/{id}`."),
            ("Preference-Applied" = Option<String>, description = "`wait=N`, if the answer was held."),
        ), body = Submitted, example = json!(examples::submitted())),
        SubmitProblems,
    ),
)]
// What is rarely awaited is boxed here: a request's future is moved several times before it rests, and it is as large as the largest of
// what it may wait for.
pub async fn orchestrate(State(service): State<Service>, by: Caller, request: Request<Body>) -> Result<Response, Problem> {
    let key = idempotency_key(request.headers())?;
    let wait = preferred_wait(request.headers());
    let (value, permit) = body::read_value(&service.admissions.changes, &by.name, request).await?;
    let key = key.map(|key| IdempotencyKey { key, fingerprint: Digest::of(&canonical(&value)) });
    // Asked first, so that the first answer is given again even where the configuration has changed since.
    if let Some(key) = &key
        && let Some(workflow) = Box::pin(first_answer(&service, &by, key)).await?
    {
        drop(permit);
        return Box::pin(accepted(&service, &by, workflow, wait)).await;
    }
    let (task, facts) = Box::pin(admit(&service, &by, value)).await?;
    let reservation = match by.kind {
        PrincipalKind::Agent => {
            let would_wait = || {
                let assessment = service.engine.configuration.rules.assess(&task, facts.as_ref(), &by.name, service.engine.clock.now());
                !service.engine.configuration.policy.level(assessment.level).auto_approve
            };
            service.quotas.admit(&service.engine, &by.name, would_wait).await?
        }
        PrincipalKind::Person => Reservation::uncounted(),
    };
    let id = service.engine.clock.new_id();
    let intake = Intake { by: by.principal(), task, facts, key: key.clone() };
    let after = move |answer: &_| {
        reservation.settle(answer);
        drop(permit);
    };
    let workflow = match service.engine.submit_for(id, intake, after).await? {
        Stored::Accepted(workflow) => workflow,
        Stored::KeyUsed => {
            let key = key.ok_or_else(Problem::internal)?;
            let in_use = || Problem::new(Code::IdempotencyKeyInUse, "the first request with this key is still being stored");
            Box::pin(first_answer(&service, &by, &key)).await?.ok_or_else(in_use)?
        }
    };
    match wait {
        None => Ok(answer(&workflow)),
        Some(_) => Box::pin(accepted(&service, &by, workflow, wait)).await,
    }
}

refused_with!(AssessProblems = CALLER, BODY);

/// Assess a task
///
/// Says how a task would be assessed and who would decide. Nothing is stored. A later submit can be assessed otherwise: conditions may look
/// at the time, and the configuration may have changed.
#[utoipa::path(
    post,
    path = "/risk/assess",
    operation_id = "assess_task",
    tag = openapi::SUBMITTING,
    request_body(content = TaskRequest, example = json!({
        "description": "Drop the old table", "operation": "drop", "resource": "db-prod-1", "environment": "staging"
    })),
    responses((status = 200, description = "How it would be assessed.", body = Assessed, example = json!(examples::assessed())), AssessProblems),
)]
pub async fn assess(State(service): State<Service>, by: Caller, request: Request<Body>) -> Result<Response, Problem> {
    let (value, _permit) = body::read_value(&service.admissions.changes, &by.name, request).await?;
    let (task, facts) = admit(&service, &by, value).await?;
    let configuration = &service.engine.configuration;
    let now = service.engine.clock.now();
    let assessment = configuration.rules.assess(&task, facts.as_ref(), &by.name, now);
    let target = configuration.rules.target(&task, facts.as_ref());
    let policy = configuration.policy.level(assessment.level);
    let approval = (!policy.auto_approve).then(|| Approval::at(&policy.terms, now));
    let (digest, assessment, target) = (&task.digest(), (&assessment).into(), (&target).into());
    Ok(Json(Assessed { success: Success, digest, target, assessment, approval }).into_response())
}

async fn admit(service: &Service, by: &Caller, mut value: Value) -> Result<(Task, Option<Facts>), Problem> {
    // Its metadata may be anything, so that it is not read field by field.
    let metadata = value.get_mut("metadata").and_then(Value::as_object_mut).map(std::mem::take);
    let request: TaskRequest = body::decode(value)?;
    let request = match metadata {
        Some(metadata) => request.with_metadata(metadata),
        None => request,
    };
    let (mut task, facts) = request.admit(&service.engine.configuration.runbooks, by.kind).map_err(|faults| Problem::invalid(&faults))?;
    let unfit = |reason| Problem::invalid(&[Fault::new("/action/name", format!("the runbook cannot run on the server: {reason}"))]);
    service.engine.identify(&mut task).await.map_err(unfit)?;
    Ok((task, facts))
}

/// What the first request with this key was answered with: the workflow as its first commit left it.
async fn first_answer(service: &Service, by: &Caller, key: &IdempotencyKey) -> Result<Option<Arc<Workflow>>, Problem> {
    let Some(first) = service.engine.storage.first_use(&by.name, &key.key).await? else { return Ok(None) };
    if first.fingerprint != key.fingerprint.as_str() {
        return Err(Problem::new(Code::IdempotencyKeyReused, "this key came with another body before; use a new key for a new task"));
    }
    let log = service.engine.storage.log(first.workflow_id).await?;
    let at = log.first().map(|submitted| submitted.at);
    let opening = log.iter().take_while(|recorded| recorded.version <= transition::OPENING_EVENTS && Some(recorded.at) == at);
    let workflow = transition::replay(first.workflow_id, opening).map_err(|error| {
        tracing::error!(workflow.id = %first.workflow_id, %error, "a log cannot be read");
        Problem::internal()
    })?;
    Ok(workflow.map(Arc::new))
}

/// The 202.
fn answer(workflow: &Workflow) -> Response {
    let location = format!("/workflows/{}", workflow.id);
    (StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(Submitted::of(workflow))).into_response()
}

/// The 202, held back as long as the caller prefers and there is nothing to say yet. What is committed needs no permit for a change
/// any more; the wait has one of its own, and who has too many waits is answered at once: a preference is no order (RFC 7240).
async fn accepted(service: &Service, by: &Caller, workflow: Arc<Workflow>, wait: Option<Duration>) -> Result<Response, Problem> {
    let done = |workflow: &Workflow| !matches!(workflow.status(), Status::Queued | Status::Executing);
    let permit = wait.and_then(|_| service.admissions.waits.admit(&by.name, 0).ok());
    let wait = wait.filter(|_| permit.is_some());
    let workflow = match wait {
        Some(wait) if !done(&workflow) => match service.until_closing(service.engine.wait(workflow.id, wait, done)).await {
            Some(story) => story?.map_or(workflow, |story| Arc::new(story.workflow)),
            None => workflow,
        },
        _ => workflow,
    };
    let mut response = answer(&workflow);
    if let Some(wait) = wait {
        let applied = format!("wait={}", wait.as_secs());
        response.headers_mut().insert("preference-applied", applied.parse().map_err(|_| Problem::internal())?);
    }
    Ok(response)
}

/// `Idempotency-Key`, quoted (as the draft of the IETF has it) or bare.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(written) = headers.get("idempotency-key") else { return Ok(None) };
    let wrong = || {
        Problem::invalid(&[Fault::new("", format!("the header `Idempotency-Key` has to be 1 to {LONGEST_KEY} visible ASCII characters"))])
    };
    let written = written.to_str().map_err(|_| wrong())?.trim();
    let key = written.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(written);
    if key.is_empty() || key.len() > LONGEST_KEY || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(wrong());
    }
    Ok(Some(key.to_owned()))
}

/// `Prefer: wait=N` (RFC 7240). A preference that cannot be read is no error.
fn preferred_wait(headers: &HeaderMap) -> Option<Duration> {
    let preferences = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split([',', ';']));
    let seconds = preferences.filter_map(|preference| preference.trim().strip_prefix("wait=")?.trim().parse().ok()).next()?;
    Some(Duration::from_secs(seconds).min(LONGEST_WAIT))
}
