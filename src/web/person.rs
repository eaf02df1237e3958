//! One person's decisions.

use crate::domain::page::Page;
use crate::domain::policy::{PrincipalKind, is_principal_spelling};
use crate::http::problem::Problem;
use crate::http::query::{self, invalid};
use crate::service::Decided;
use crate::web::Web;
use crate::web::form::{Fields, address};
use crate::web::page;
use crate::web::record::status_words;
use crate::web::relative_time::RelativeTime;
use crate::web::session::Session;
use axum::extract::{Path, State};
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

/// Decisions on a page.
const PAGE: i64 = 25;

/// One decision.
#[derive(Debug, Serialize)]
struct Line {
    id: Uuid,
    verdict: String,
    at: RelativeTime,
    note: Option<String>,
    headline: String,
    called: Option<String>,
    via: Option<String>,
    level: String,
    requested_by: String,
    status_words: &'static str,
}

/// `GET /inbox/people/{name}`
pub async fn decisions(State(web): State<Web>, session: Session, Path(name): Path<String>, query: Fields) -> Result<Response, Problem> {
    if !is_principal_spelling(&name) {
        return Err(invalid("name", "is not a valid name of a person"));
    }
    let after = query::cursor(query.one("cursor")?)?;
    let Page { items, next } = web.service.decisions_of(&session.person, &name, after, PAGE).await?;
    let here = format!("/inbox/people/{name}");
    let now = web.service.now();
    let person = web.service.principal(&name);
    let shown = json!({
        "section": if name == session.person.name { "person" } else { "" },
        "name": name, "roles": person.as_ref().map(|person| &person.roles), "is_person": person.as_ref().is_some_and(|person| person.kind == PrincipalKind::Person), "is_me": name == session.person.name,
        "by_groups": session.person.signed_in.roles, "covers": session.person.covers.iter().map(|cover| json!({"roles": cover.roles, "whom": cover.to_string()})).collect::<Vec<_>>(),
        "items": items.into_iter().map(|row| line(row, now)).collect::<Vec<_>>(),
        "is_first": after.is_none(), "first": here, "next": next.map(|cursor| address(&here, &[("cursor", Some(&cursor.to_string()))]))});
    Ok(page::render(&web, &session, "person.html", shown))
}

fn line(row: Decided, now: DateTime<Utc>) -> Line {
    Line {
        id: row.workflow_id,
        headline: row.target.short(),
        called: row.target.called(),
        via: row.via,
        status_words: status_words(&row.status),
        verdict: row.verdict,
        at: RelativeTime::of(row.at, now),
        note: row.note,
        level: row.risk_level,
        requested_by: row.requested_by,
    }
}
