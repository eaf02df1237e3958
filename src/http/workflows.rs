//! Reading workflows: what waits, all of them, one of them, and waiting for one.

use crate::actors::engine::Story;
use crate::domain::duration;
use crate::domain::level::Level;
use crate::domain::policy::{Principal, PrincipalKind};
use crate::domain::workflow::{Status, Workflow};
use crate::http::api::{Api, WorkflowId};
use crate::http::auth::Caller;
use crate::http::problem::Problem;
use crate::http::query::{self, LONGEST_WAIT, Parameters, invalid};
use crate::http::views;
use crate::storage::{Cursor, Decider, ListFilter, PendingFilter, Visible};
use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};
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
pub async fn pending(
    State(api): State<Api>,
    Caller(by): Caller,
    Parameters(query): Parameters<PendingQuery>,
) -> Result<Json<Value>, Problem> {
    let limit = query::page_size(query.limit)?;
    let filter = PendingFilter {
        risk_level: level(query.risk_level.as_deref())?,
        role: query.role,
        decidable_by: query.mine.then(|| decider(&by)),
        visible_to: visible(&by),
        after: query::cursor(query.cursor.as_deref())?,
        limit,
    };
    let (rows, next) = api.engine.storage.pending(&filter).await?;
    let next = next.map(Cursor::encode);
    Ok(Json(json!({"success": true, "workflows": rows.iter().map(views::pending).collect::<Vec<_>>(), "next_cursor": next})))
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
pub async fn list(State(api): State<Api>, Caller(by): Caller, Parameters(query): Parameters<ListQuery>) -> Result<Json<Value>, Problem> {
    let limit = query::page_size(query.limit)?;
    let filter = ListFilter {
        status: query.status.as_deref().map(status).transpose()?,
        risk_level: level(query.risk_level.as_deref())?,
        requested_by: query.requested_by,
        visible_to: visible(&by),
        after: query::cursor(query.cursor.as_deref())?,
        limit,
    };
    let (rows, next) = api.engine.storage.list(&filter).await?;
    let next = next.map(Cursor::encode);
    Ok(Json(json!({"success": true, "workflows": rows.iter().map(views::listed).collect::<Vec<_>>(), "next_cursor": next})))
}

/// `GET /workflows/{id}` and `GET /workflows/{id}/status`
pub async fn status_of(State(api): State<Api>, Caller(by): Caller, WorkflowId(id): WorkflowId) -> Result<Json<Value>, Problem> {
    let story = api.engine.story(id).await?;
    show(&api, &by, story).await
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
    State(api): State<Api>,
    Caller(by): Caller,
    WorkflowId(id): WorkflowId,
    Parameters(query): Parameters<WaitQuery>,
) -> Result<Json<Value>, Problem> {
    let patience = match query.timeout.as_deref() {
        None => LONGEST_WAIT,
        Some("0s") => Duration::ZERO,
        Some(text) => duration::parse(text).map_err(|error| invalid("timeout", error.to_string()))?.min(LONGEST_WAIT),
    };
    // Asked before waiting, so that nobody learns from the waiting that there is something.
    let story = api.engine.story(id).await?;
    if story.as_ref().is_none_or(|story| !may_see(&by, &story.workflow) || story.workflow.version > query.since) {
        return show(&api, &by, story).await;
    }
    let _permit = api.admissions.waits.admit(&by.name, 0)?;
    let newer = move |workflow: &Workflow| workflow.version > query.since;
    let story = match api.until_closing(api.engine.wait(id, patience, newer)).await {
        Some(story) => story?,
        None => story,
    };
    show(&api, &by, story).await
}

async fn show(api: &Api, by: &Principal, story: Option<Story>) -> Result<Json<Value>, Problem> {
    let story = story.filter(|story| may_see(by, &story.workflow)).ok_or_else(Problem::not_found)?;
    let id = story.workflow.id;
    let document = api.engine.storage.document(id).await?.unwrap_or_default();
    let quarantine = api.engine.storage.quarantined(id).await?;
    Ok(Json(json!({"success": true, "workflow": views::workflow(&story.workflow, &story.log, &document, quarantine.as_ref())})))
}

/// Whether the caller may see a workflow.
pub fn may_see(by: &Principal, workflow: &Workflow) -> bool {
    by.may_see(&workflow.submission.requested_by, workflow.submission.on_behalf_of.as_deref())
}

/// What an agent is limited to; people see everything.
pub fn visible(by: &Principal) -> Option<Visible> {
    (by.kind == PrincipalKind::Agent).then(|| Visible { agent: by.name.clone(), on_behalf_of: by.on_behalf_of.clone() })
}

/// Who asks for what they may decide. An agent has no roles, and so decides nothing.
pub fn decider(by: &Principal) -> Decider {
    Decider { name: by.name.clone(), roles: by.roles.iter().cloned().collect() }
}

/// The level that a parameter names.
///
/// # Errors
/// A word that is none.
pub fn level(text: Option<&str>) -> Result<Option<Level>, Problem> {
    let known = || Level::ALL.map(Level::as_str).join(", ");
    text.map(|text| Level::parse(text).ok_or_else(|| invalid("risk_level", format!("has to be one of {}", known())))).transpose()
}

/// The status that a parameter names.
///
/// # Errors
/// A word that is none.
pub fn status(text: &str) -> Result<Status, Problem> {
    let known = || Status::ALL.map(Status::as_str).join(", ");
    Status::parse(text).ok_or_else(|| invalid("status", format!("has to be one of {}", known())))
}
