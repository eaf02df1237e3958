//! Reading workflows: what waits, all of them, one of them, and waiting for one.

use crate::actors::engine::Story;
use crate::api::views::{self, PendingPage, WorkflowAnswer, WorkflowPage};
use crate::domain::duration;
use crate::domain::workflow::Workflow;
use crate::http::path::WorkflowId;
use crate::http::problem::Problem;
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PendingQuery {
    risk_level: Option<String>,
    role: Option<String>,
    #[serde(default)]
    mine: bool,
    limit: Option<i64>,
    cursor: Option<String>,
}

/// `GET /workflows/pending`
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    status: Option<String>,
    risk_level: Option<String>,
    requested_by: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

/// `GET /workflows`
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

/// `GET /workflows/{id}` and `GET /workflows/{id}/status`
pub async fn status_of(State(service): State<Service>, by: Caller, WorkflowId(id): WorkflowId) -> Result<Response, Problem> {
    let story = service.engine.story(id).await?;
    show(&service, &by, story).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WaitQuery {
    #[serde(default)]
    since: u32,
    timeout: Option<String>,
}

/// `GET /workflows/{id}/wait`
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
