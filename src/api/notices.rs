//! Notices: what was said to the outside, what could not be said, and saying it once more.

use crate::api::body;
use crate::api::views::{optional_time, time};
use crate::domain::policy::{Principal, PrincipalKind, roles};
use crate::http::problem::{Code, Problem};
use crate::http::query::{self, Parameters, invalid};
use crate::identity::Caller;
use crate::service::{Service, ServiceError};
use crate::storage::{NoticeFilter, NoticeRow, Resent};
use axum::Json;
use axum::body::Body;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::Request;
use axum::http::request::Parts;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

const STATUSES: [&str; 4] = ["pending", "delivered", "cancelled", "dead"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    status: Option<String>,
    channel: Option<String>,
    workflow_id: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

/// `GET /notices`
pub async fn list(State(service): State<Service>, by: Caller, Parameters(query): Parameters<ListQuery>) -> Result<Json<Value>, Problem> {
    only_people(&by)?;
    let limit = query::page_size(query.limit)?;
    if query.status.as_deref().is_some_and(|status| !STATUSES.contains(&status)) {
        return Err(invalid("status", format!("has to be one of {}", STATUSES.join(", "))));
    }
    let id = |name, text: Option<&str>, what: &str| text.map(|text| Uuid::try_parse(text).map_err(|_| invalid(name, what))).transpose();
    let filter = NoticeFilter {
        workflow_id: id("workflow_id", query.workflow_id.as_deref(), "is no id of a workflow")?,
        before: id("cursor", query.cursor.as_deref(), "is not one that a list has handed out")?,
        status: query.status,
        channel: query.channel,
        limit,
    };
    let (rows, next) = service.engine.storage.notices(&filter).await?;
    let next = next.map(|id| id.to_string());
    Ok(Json(json!({"success": true, "notices": rows.iter().map(view).collect::<Vec<_>>(), "next_cursor": next})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResendBody {}

/// `POST /notices/{id}/resend`
pub async fn resend(
    State(service): State<Service>,
    by: Caller,
    NoticeId(id): NoticeId,
    request: Request<Body>,
) -> Result<Json<Value>, Problem> {
    let (body, permit) = body::read(&service.admissions.changes, &by.name, request).await?;
    let ResendBody {} = body::decode(body)?;
    only_people(&by)?;
    if !by.has_role(roles::ADMIN) {
        return Err(Problem::new(Code::NotPermitted, "a notice is sent again by an admin"));
    }
    match service.engine.resend_notice_for(id, permit).await? {
        Resent::Pending(row) => {
            tracing::info!(notice.id = %id, by = by.name, "a notice is sent once more");
            Ok(Json(json!({"success": true, "notice": view(&row)})))
        }
        Resent::Refused(row) if row.status == "pending" => Err(wrong_state(&row, "the notice waits to be delivered already")),
        Resent::Refused(row) => {
            Err(wrong_state(&row, "the notice asks for a decision, and the request is settled; nobody is asked any more"))
        }
        Resent::NotFound => Err(unknown()),
    }
}

/// A notice that cannot be sent again as it is.
fn wrong_state(row: &NoticeRow, detail: &str) -> Problem {
    ServiceError::WrongState { current_status: row.status.clone(), detail: detail.to_owned() }.into()
}

/// Agents learn of their own workflows only; a notice names people and how they are reached.
fn only_people(by: &Principal) -> Result<(), Problem> {
    match by.kind {
        PrincipalKind::Person => Ok(()),
        PrincipalKind::Agent => Err(Problem::new(Code::NotPermitted, "notices are for people to look at")),
    }
}

fn unknown() -> Problem {
    ServiceError::NoticeNotFound.into()
}

/// The id in a path. What is no id names no notice.
pub struct NoticeId(pub Uuid);

impl FromRequestParts<Service> for NoticeId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, service: &Service) -> Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, service).await.map_err(|_| unknown())?;
        Uuid::try_parse(&text).map(Self).map_err(|_| unknown())
    }
}

/// One notice as it is sent.
fn view(row: &NoticeRow) -> Value {
    json!({
        "notice_id": row.notice_id,
        "workflow_id": row.workflow_id,
        "version": row.version,
        "type": row.kind,
        "reminder": (row.number > 0).then_some(row.number),
        "risk_level": row.risk_level,
        "channel": row.channel,
        "recipient": row.recipient,
        "status": row.status,
        "attempts": row.attempts,
        "resends": row.resends,
        "created_at": time(row.created_at),
        "due_at": time(row.due_at),
        "first_attempt_at": optional_time(row.first_attempt_at),
        "delivered_at": optional_time(row.delivered_at),
        "error": row.error,
    })
}
