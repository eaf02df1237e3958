//! All workflows, settled ones too, and looking for one.

use crate::domain::risk::level::Level;
use crate::domain::text;
use crate::domain::workflow::Status;
use crate::http::problem::Problem;
use crate::http::query::{self, Period, level, status};
use crate::service::lists::Search;
use crate::service::{Found, WINDOW};
use crate::web::Web;
use crate::web::form::{Fields, address};
use crate::web::list::action;
use crate::web::page;
use crate::web::record::status_words;
use crate::web::relative_time::RelativeTime;
use crate::web::session::Session;
use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

/// Workflows of a page.
const PAGE: i64 = 25;

/// One workflow.
#[derive(Debug, Serialize)]
struct Line {
    id: Uuid,
    level: String,
    status: String,
    status_words: &'static str,
    headline: String,
    called: Option<String>,
    action: Option<String>,
    description: String,
    task_id: Option<String>,
    requested_by: String,
    created: RelativeTime,
}

/// `GET /inbox/history`
pub async fn search(State(web): State<Web>, session: Session, query: Fields) -> Result<Response, Problem> {
    let (status_word, level_word) = (query.one("status")?, query.one("level")?);
    let (requester, words) = (query.one("requested_by")?.map(str::trim), query.one("text")?.map(str::trim));
    let (from, until) = (query.one("from")?, query.one("until")?);
    let period = Period::read(from, until)?;
    let after = query::cursor(query.one("cursor")?)?;
    let search = Search {
        status: status_word.map(status).transpose()?,
        risk_level: level(level_word)?,
        requested_by: requester.map(str::to_owned),
        from: period.from,
        until: period.until,
        text: words.map(str::to_owned),
        after,
        limit: PAGE,
    };
    let finds = web.service.search(&session.person, search).await?;
    let now = web.service.now();
    let with = |cursor: Option<&str>| {
        let filters = [("status", status_word), ("level", level_word), ("requested_by", requester), ("text", words)];
        address("/inbox/history", &[&filters[..], &[("from", from), ("until", until), ("cursor", cursor)]].concat())
    };
    let filter = json!({
        "status": status_word.unwrap_or_default(), "level": level_word.unwrap_or_default(), "requested_by": requester.unwrap_or_default(),
        "text": words.unwrap_or_default(), "from": from.unwrap_or_default(), "until": until.unwrap_or_default()});
    let shown = json!({
        "section": "history", "filter": filter, "items": finds.page.items.into_iter().map(|found| line(found, now)).collect::<Vec<_>>(),
        "statuses": Status::ALL.map(|status| (status.as_str(), status_words(status.as_str()))), "levels": Level::ALL.map(Level::as_str),
        "is_first": after.is_none(), "first": with(None), "next": finds.page.next.map(|cursor| with(Some(&cursor.to_string()))),
        "is_cut": finds.is_cut, "window": WINDOW});
    Ok(page::render(&web, &session, "history.html", shown))
}

fn line(found: Found, now: DateTime<Utc>) -> Line {
    Line {
        id: found.workflow_id,
        headline: found.target.short(),
        called: found.target.called(),
        action: action(found.action.as_deref(), found.action_name.as_deref()),
        status_words: status_words(&found.status),
        level: found.risk_level,
        status: found.status,
        description: text::in_a_line(&found.description.unwrap_or_default()),
        task_id: found.task_id,
        requested_by: found.requested_by,
        created: RelativeTime::of(found.created_at, now),
    }
}
