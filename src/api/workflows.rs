//! Reading workflows: the pending ones, all, one, and waiting for a change of one.

use crate::api::examples;
use crate::api::views::{self, PendingPage, WorkflowAnswer, WorkflowPage};
use crate::domain::duration;
use crate::domain::page::Cursor;
use crate::domain::risk::level::Level;
use crate::domain::risk::order::{ListPosition, Order};
use crate::domain::workflow::Status;
use crate::http::openapi::{self, CALLER, WAIT, refused_with};
use crate::http::path::WorkflowId;
use crate::http::problem::{Code, Problem};
use crate::http::query::{LONGEST_WAIT, Listing, PageQuery, Parameters, Period, invalid, level, status};
use crate::identity::Caller;
use crate::service::{Service, Shown, lists};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use std::time::Duration;
use utoipa::{IntoParams, ToSchema};

/// The most characters of a search.
const MOST_WORDS: usize = 200;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct PendingQuery {
    /// Only of this level.
    #[param(value_type = Option<Level>)]
    risk_level: Option<String>,
    /// Only those that this role may decide now.
    role: Option<String>,
    /// `true`: only those that the caller may decide now. For an agent, none.
    #[serde(default)]
    mine: bool,
}

refused_with!(ListProblems = CALLER);

/// List what waits for people
///
/// The newest request first, in the order in which the tasks were submitted; a request that people
/// are asked about again keeps its place. A page never shows an entry twice, and an entry that is
/// decided while you page disappears.
#[utoipa::path(
    get,
    path = "/workflows/pending",
    operation_id = "list_pending",
    tag = openapi::READING,
    params(PendingQuery, PageQuery),
    responses((status = 200, description = "A page of requests.", body = PendingPage, example = json!(examples::pending())), ListProblems),
)]
pub async fn pending(
    State(service): State<Service>,
    by: Caller,
    Listing { filter, after, limit }: Listing<PendingQuery, Cursor>,
) -> Result<Response, Problem> {
    let risk_level = level(filter.risk_level.as_deref())?;
    let after = after.map(|cursor| ListPosition::of_newest(cursor.workflow_id));
    let query = lists::PendingQuery { risk_level, role: filter.role, mine: filter.mine, order: Order::Newest, after, limit };
    let page = service.pending(&by, query).await?;
    Ok(Json(PendingPage::from(&page)).into_response())
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
    /// Only workflows that this person has approved or rejected, released by breaking the glass, or
    /// withdrawn an approval from.
    approver: Option<String>,
    /// Only workflows that run this runbook; for a plan, in any step.
    runbook: Option<String>,
    /// Only workflows submitted at this time or later: a day in UTC (`2026-10-01`) or a time
    /// (`2026-10-01T08:00:00Z`).
    #[param(example = "2026-10-01")]
    from: Option<String>,
    /// Only workflows submitted before this time, or by the end of this day.
    #[param(example = "2026-10-31")]
    until: Option<String>,
    /// Text that occurs, regardless of case, in the description, the requester's own id, the
    /// resource or the action's name; or the workflow's id, or at least its last six characters.
    #[param(max_length = 200)]
    q: Option<String>,
    /// `newest` if left out.
    #[param(value_type = Option<Sort>)]
    sort: Option<String>,
}

/// The order of the list.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "it describes a parameter")]
enum Sort {
    Newest,
    Oldest,
}

/// The words of a search.
fn words(text: Option<String>) -> Result<Option<String>, Problem> {
    match text {
        Some(text) if text.chars().count() > MOST_WORDS => Err(invalid("q", format!("has more than {MOST_WORDS} characters"))),
        Some(text) if text.contains('\0') => Err(invalid("q", "holds a NUL character")),
        text => Ok(text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())),
    }
}

/// List workflows
///
/// All workflows that the caller may see, the newest first, or those that match every parameter.
///
/// With `runbook` or `q`, or with several parameters together, each page searches 2,000 workflows,
/// so a page may be empty and still have a next one.
#[utoipa::path(
    get,
    path = "/workflows",
    operation_id = "list_workflows",
    tag = openapi::READING,
    params(ListQuery, PageQuery),
    responses((status = 200, description = "A page of workflows.", body = WorkflowPage, example = json!(examples::workflows())), ListProblems),
)]
pub async fn list(
    State(service): State<Service>,
    by: Caller,
    Listing { filter, after, limit }: Listing<ListQuery, Cursor>,
) -> Result<Response, Problem> {
    let status = filter.status.as_deref().map(status).transpose()?;
    let risk_level = level(filter.risk_level.as_deref())?;
    let Period { from, until } = Period::read(filter.from.as_deref(), filter.until.as_deref())?;
    let oldest_first = match filter.sort.as_deref() {
        None | Some("newest") => false,
        Some("oldest") => true,
        Some(_) => return Err(invalid("sort", "has to be newest or oldest")),
    };
    let ListQuery { requested_by, approver, runbook, .. } = filter;
    let text = words(filter.q)?;
    let query =
        lists::Search { status, risk_level, requested_by, approver, runbook, from, until, text, oldest_first, counts: false, after, limit };
    let finds = service.list(&by, query).await?;
    Ok(Json(WorkflowPage::from(&finds.page)).into_response())
}

refused_with!(ReadProblems = CALLER, [Code::WorkflowNotFound]);

/// Read a workflow
///
/// One workflow, whole: the request, its risk, the decisions, the attempts and the history.
#[utoipa::path(
    get,
    path = "/workflows/{id}",
    operation_id = "get_workflow",
    tag = openapi::READING,
    params(("id" = Uuid, Path, description = "The workflow's id.")),
    responses((status = 200, description = "The workflow.", body = WorkflowAnswer, example = json!(examples::workflow())), ReadProblems),
)]
pub async fn one(State(service): State<Service>, by: Caller, WorkflowId(id): WorkflowId) -> Result<Response, Problem> {
    Ok(show(&service.show(&by, id).await?))
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
    /// The highest version that you have seen; 0 if left out, which answers at once.
    #[serde(default)]
    since: u32,
    /// Such as `30s` or `1m`; at most `55s`, which is also the default. `0s` does not wait.
    #[param(pattern = "^[0-9]+[smhd]$", example = "30s")]
    timeout: Option<String>,
}

refused_with!(WaitProblems = CALLER, [Code::WorkflowNotFound], WAIT);

/// Wait for a workflow
///
/// Answers as `GET /workflows/{id}` does, as soon as the version is above `since` or the time is
/// up; compare `version` to know which. When the server stops, it answers all waiting calls at
/// once.
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
    let timeout = match query.timeout.as_deref() {
        None => LONGEST_WAIT,
        Some("0s") => Duration::ZERO,
        Some(text) => duration::parse(text).map_err(|error| invalid("timeout", error.to_string()))?.min(LONGEST_WAIT),
    };
    Ok(show(&service.wait(&by, id, query.since, timeout).await?))
}

fn show(shown: &Shown) -> Response {
    let target = views::target_of(&shown.workflow, &shown.document);
    Json(WorkflowAnswer::of(shown, &target)).into_response()
}
