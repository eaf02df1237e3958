//! The history: all workflows, settled ones too, with a search.

use crate::domain::risk::level::Level;
use crate::domain::text;
use crate::domain::workflow::Status;
use crate::http::problem::Problem;
use crate::http::query::{self, Period, invalid, level, status};
use crate::service::lists::Search;
use crate::service::{Count, Listed, WINDOW};
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
use std::collections::BTreeMap;
use uuid::Uuid;

/// Workflows on a page.
const PAGE: i64 = 25;
/// The most characters of a command in a line. The request's own page shows all of it.
const SHOWN: usize = 120;
/// The filters of a search, as the address names them.
const FILTERS: [&str; 9] = ["status", "level", "requested_by", "approver", "runbook", "from", "until", "text", "sort"];

/// One workflow.
#[derive(Debug, Serialize)]
struct Line {
    id: Uuid,
    level: String,
    status: String,
    status_words: &'static str,
    headline: String,
    called: Option<String>,
    description: String,
    task_id: Option<String>,
    requested_by: String,
    created: RelativeTime,
    decided_by: Vec<String>,
    /// How it was settled, in a few words, if nobody decided.
    settled: Option<&'static str>,
    decided: Option<RelativeTime>,
    /// The name of the action, if it has one.
    action: Option<String>,
    command: Option<String>,
    exit_status: Option<i64>,
}

/// `GET /inbox/history`
pub async fn search(State(web): State<Web>, session: Session, query: Fields) -> Result<Response, Problem> {
    let mut filter = BTreeMap::new();
    for name in FILTERS {
        filter.insert(name, query.one(name)?.map(str::trim));
    }
    let said = |name: &str| filter.get(name).copied().flatten();
    let after = query::cursor(query.one("cursor")?)?;
    let Period { from, until } = Period::read(said("from"), said("until"))?;
    let oldest_first = match said("sort") {
        None | Some("newest") => false,
        Some("oldest") => true,
        Some(_) => return Err(invalid("sort", "has to be newest or oldest")),
    };
    let search = Search {
        status: said("status").map(status).transpose()?,
        risk_level: level(said("level"))?,
        requested_by: said("requested_by").map(str::to_owned),
        approver: said("approver").map(str::to_owned),
        runbook: said("runbook").map(str::to_owned),
        from,
        until,
        text: said("text").map(str::to_owned),
        oldest_first,
        counts: after.is_none(),
        after,
        limit: PAGE,
    };
    let finds = web.service.list(&session.person, search).await?;
    let now = web.service.now();
    let with = |cursor: Option<&str>| {
        let filters: Vec<_> = FILTERS.iter().map(|name| (*name, said(name))).chain([("cursor", cursor)]).collect();
        address("/inbox/history", &filters)
    };
    let export = |format| address("/workflows/export", &[("from", said("from")), ("until", said("until")), ("format", Some(format))]);
    let shown = json!({
        "section": "history", "filter": filter, "items": finds.page.items.into_iter().map(|found| line(found, now)).collect::<Vec<_>>(),
        "statuses": Status::ALL.map(|status| (status.as_str(), status_words(status.as_str()))), "levels": Level::ALL.map(Level::as_str),
        "is_first": after.is_none(), "first": with(None), "next": finds.page.next.map(|cursor| with(Some(&cursor.to_string()))),
        "is_cut": finds.is_cut, "window": WINDOW, "oldest_first": oldest_first, "count": finds.count.map(counted),
        "exports": {"csv": export("csv"), "jsonl": export("jsonl")}});
    Ok(page::render(&web, &session, "history.html", shown))
}

/// The number of results, in words.
fn counted(count: Count) -> String {
    let Count { found, is_cut } = count;
    match (found, is_cut) {
        (1, false) => "1 workflow".to_owned(),
        (found, false) => format!("{found} workflows"),
        (found, true) if found >= WINDOW => format!("{WINDOW} workflows or more"),
        (found, true) => format!("{found} among the first {WINDOW} that were searched"),
    }
}

fn line(found: Listed, now: DateTime<Utc>) -> Line {
    let settled = match found.approval_status.as_deref() {
        None => Some("nobody had to"),
        Some("expired") => Some("nobody in time"),
        Some("cancelled") => Some("cancelled"),
        Some("approved") if found.decided_by.is_empty() => Some("a standing grant"),
        _ => None,
    };
    let action = match found.steps {
        Some(steps) => Some(format!("plan of {steps} steps")),
        None => action(found.action.as_deref(), found.action_name.as_deref()),
    };
    Line {
        id: found.workflow_id,
        headline: found.target.short(),
        called: found.target.called(),
        action,
        status_words: status_words(&found.status),
        level: found.risk_level,
        status: found.status,
        description: text::in_a_line(&found.description.unwrap_or_default()),
        task_id: found.task_id,
        requested_by: found.requested_by,
        created: RelativeTime::of(found.created_at, now),
        decided_by: found.decided_by,
        settled,
        decided: found.decided_at.map(|at| RelativeTime::of(at, now)),
        command: found.command.map(|command| shortened(&command)),
        exit_status: found.exit_status,
    }
}

/// An argument vector in a line.
fn shortened(command: &[String]) -> String {
    let whole = text::in_a_line(&serde_json::to_string(command).unwrap_or_default());
    match whole.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &whole[..end]),
        None => whole,
    }
}
