//! Reading workflows: what waits, all of them, one of them, and waiting for one.

use crate::actors::engine::Story;
use crate::api::examples;
use crate::api::views::{self, PendingPage, WorkflowAnswer, WorkflowPage};
use crate::domain::duration;
use crate::domain::level::Level;
use crate::domain::workflow::{Status, Workflow};
use crate::http::openapi::{self, CALLER, WAIT, refused_with};
use crate::http::path::WorkflowId;
use crate::http::problem::{Code, Problem};
use crate::http::query::{self, LONGEST_WAIT, Parameters, invalid, level, status};
use crate::identity::Caller;
use crate::service::Service;
use crate::service::visibility::{decider, may_see, visible};
use crate::storage::{ListFilter, PendingFilter};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use std::time::Duration;
use utoipa::IntoParams;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct PendingQuery {
    /// Only of this level.
    #[param(value_type = Option<Level>)]
    risk_level: Option<String>,
    /// Only those that this role may decide now.
    role: Option<String>,
    /// `true`: only those that the caller may decide now. Nothing, for an agent.
    #[serde(default)]
    mine: bool,
    /// Entries of the page; 50 if left out.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<i64>,
    /// The `next_cursor` of the page before.
    #[param(pattern = "^[0-9a-f.-]+$")]
    cursor: Option<String>,
}

refused_with!(ListProblems = CALLER);

/// List what waits for people
///
/// The newest request first. A page never shows an entry twice, and an entry that is decided while you page is simply gone.
#[utoipa::path(
    get,
    path = "/workflows/pending",
    operation_id = "list_pending",
    tag = openapi::READING,
    params(PendingQuery),
    responses((status = 200, description = "A page of requests.", body = PendingPage, example = json!(examples::pending())), ListProblems),
)]
pub async fn pending(State(service): State<Service>, by: Caller, Parameters(query): Parameters<PendingQuery>) -> Result<Response, Problem> {
    let limit = query::page_size(query.limit)?;
    let filter = PendingFilter {
        risk_level: level(query.risk_level.as_deref())?,
        role: query.role,
        decidable_by: query.mine.then(|| decider(&by)),
        visible_to: visible(&by),
        after: query::cursor(query.cursor.as_deref())?,
        limit,
    };
    let (rows, next) = service.engine.storage.pending(&filter).await?;
    Ok(Json(PendingPage::of(&rows, next)).into_response())
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Only with this status.
    #[param(value_type = Option<Status>)]
    status: Option<String>,
    /// Only of this level.
    #[param(value_type = Option<Level>)]
    risk_level: Option<String>,
    /// Only of this requester.
    requested_by: Option<String>,
    /// Entries of the page; 50 if left out.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<i64>,
    /// The `next_cursor` of the page before.
    #[param(pattern = "^[0-9a-f.-]+$")]
    cursor: Option<String>,
}

/// List workflows
///
/// All that the caller may see, the newest first.
#[utoipa::path(
    get,
    path = "/workflows",
    operation_id = "list_workflows",
    tag = openapi::READING,
    params(ListQuery),
    responses((status = 200, description = "A page of workflows.", body = WorkflowPage, example = json!(examples::workflows())), ListProblems),
)]
pub async fn list(State(service): State<Service>, by: Caller, Parameters(query): Parameters<ListQuery>) -> Result<Response, Problem> {
    let limit = query::page_size(query.limit)?;
    let filter = ListFilter {
        status: query.status.as_deref().map(status).transpose()?,
        risk_level: level(query.risk_level.as_deref())?,
        requested_by: query.requested_by,
        visible_to: visible(&by),
        after: query::cursor(query.cursor.as_deref())?,
        limit,
    };
    let (rows, next) = service.engine.storage.list(&filter).await?;
    Ok(Json(WorkflowPage::of(&rows, next)).into_response())
}

refused_with!(ReadProblems = CALLER, [Code::WorkflowNotFound]);

/// Read a workflow
///
/// One workflow, whole: what was asked, how dangerous it is, who decided, what ran and what happened.
#[utoipa::path(
    get,
    path = "/workflows/{id}",
    operation_id = "get_workflow",
    tag = openapi::READING,
    params(("id" = Uuid, Path, description = "The workflow's id.")),
    responses((status = 200, description = "The workflow.", body = WorkflowAnswer, example = json!(examples::workflow())), ReadProblems),
)]
pub async fn one(State(service): State<Service>, by: Caller, WorkflowId(id): WorkflowId) -> Result<Response, Problem> {
    let story = service.engine.story(id).await?;
    show(&service, &by, story).await
}

/// Read a workflow's status
///
/// The same as `GET /workflows/{id}`.
#[utoipa::path(
    get,
    path = "/workflows/{id}/status",
    operation_id = "get_workflow_status",
    tag = openapi::READING,
    params(("id" = Uuid, Path, description = "The workflow's id.")),
    responses((status = 200, description = "The workflow.", body = WorkflowAnswer, example = json!(examples::workflow())), ReadProblems),
)]
pub async fn status_of(service: State<Service>, by: Caller, id: WorkflowId) -> Result<Response, Problem> {
    one(service, by, id).await
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct WaitQuery {
    /// The highest version that you have seen; 0 if left out, and then the answer comes at once.
    #[serde(default)]
    since: u32,
    /// `30s`, `1m`; at most `55s`, which it is if left out. `0s` does not wait.
    #[param(pattern = "^[0-9]+[smhd]$", example = "30s")]
    timeout: Option<String>,
}

refused_with!(WaitProblems = CALLER, [Code::WorkflowNotFound], WAIT);

/// Wait for a workflow
///
/// Answers as `GET /workflows/{id}` does, as soon as the version is above `since` or the time is up; compare `version` to know which. When the
/// server stops, those who wait are answered at once.
#[utoipa::path(
    get,
    path = "/workflows/{id}/wait",
    operation_id = "wait_for_workflow",
    tag = openapi::READING,
    params(("id" = Uuid, Path, description = "The workflow's id."), WaitQuery),
    responses((status = 200, description = "The workflow.", body = WorkflowAnswer, example = json!(examples::workflow())), WaitProblems),
)]
pub async fn wait(
    State(service): State<Service>,
    by: Caller,
    WorkflowId(id): WorkflowId,
    Parameters(query): Parameters<WaitQuery>,
) -> Result<Response, Problem> {
    let patience = match query.timeout.as_deref() {
        None => LONGEST_WAIT,
        Some("0s") => Duration::ZERO,
        Some(text) => duration::parse(text).map_err(|error| invalid("timeout", error.to_string()))?.min(LONGEST_WAIT),
    };
    // Asked before waiting, so that nobody learns from the waiting that there is something.
    let story = service.engine.story(id).await?;
    if story.as_ref().is_none_or(|story| !may_see(&by, &story.workflow) || story.workflow.version > query.since) {
        return show(&service, &by, story).await;
    }
    let _permit = service.admissions.waits.admit(&by.name, 0)?;
    let newer = move |workflow: &Workflow| workflow.version > query.since;
    let story = match service.until_closing(service.engine.wait(id, patience, newer)).await {
        Some(story) => story?,
        None => story,
    };
    show(&service, &by, story).await
}

async fn show(service: &Service, by: &Caller, story: Option<Story>) -> Result<Response, Problem> {
    let story = story.filter(|story| may_see(by, &story.workflow)).ok_or_else(Problem::not_found)?;
    let id = story.workflow.id;
    let document = service.engine.storage.document(id).await?.unwrap_or_default();
    let quarantine = service.engine.storage.quarantined(id).await?;
    let target = views::target_of(&story.workflow, &document);
    Ok(Json(WorkflowAnswer::of(&story.workflow, &story.log, &document, &target, quarantine.as_ref())).into_response())
}
