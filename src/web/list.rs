//! What waits: for the person who looks, or for anybody.

use crate::domain::page::{Cursor, Page};
use crate::domain::risk::level::Level;
use crate::domain::risk::target::Target;
use crate::domain::text;
use crate::http::problem::Problem;
use crate::http::query;
use crate::http::query::level;
use crate::service::lists::PendingQuery;
use crate::service::{self, About};
use crate::web::Web;
use crate::web::form::{Fields, address};
use crate::web::page;
use crate::web::relative_time::RelativeTime;
use crate::web::session::Session;
use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;
use uuid::Uuid;

/// Requests of a page.
const PAGE: usize = 25;
/// How many requests are looked through for words at a time.
const WINDOW: usize = 1_000;

/// One request that waits.
#[derive(Debug, Serialize)]
struct Waiting {
    id: Uuid,
    level: String,
    headline: String,
    called: Option<String>,
    action: Option<String>,
    task_id: Option<String>,
    description: String,
    requested_by: String,
    requested: RelativeTime,
    approvals: i32,
    required: i32,
    approvers: String,
    /// Whether nobody of the configuration could decide it.
    undecidable: bool,
    next: Option<Next>,
}

/// What falls due next.
#[derive(Debug, Serialize)]
struct Next {
    at: RelativeTime,
    what: &'static str,
}

/// `GET /`
pub async fn waiting(State(web): State<Web>, session: Session, query: Fields) -> Result<Response, Problem> {
    let everybodys = query.one("of")? == Some("all");
    let (level_word, role, words) = (query.one("level")?, query.one("role")?, query.one("text")?.map(str::trim));
    let after = query::cursor(query.one("cursor")?)?;
    let filter = PendingQuery {
        risk_level: level(level_word)?,
        role: role.map(str::to_owned),
        mine: !everybodys,
        after,
        limit: i64::try_from(if words.is_some() { WINDOW } else { PAGE }).unwrap_or(i64::MAX),
    };
    let looked_through = web.service.pending(&session.person, filter).await?;
    let (rows, targets, next, is_cut) = page_of(&web, &session, looked_through, words).await?;
    let now = web.service.now();
    let items: Vec<Waiting> = rows.into_iter().map(|row| item(row, &targets, now)).collect();
    let reviews = web.service.open_reviews(&session.person).await?;
    let reviews: Vec<_> = reviews.into_iter().map(|review| OpenReview::of(review, now)).collect();
    let of = everybodys.then_some("all");
    let with =
        |cursor: Option<&str>| address("/", &[("of", of), ("level", level_word), ("role", role), ("text", words), ("cursor", cursor)]);
    let shown = json!({
        "section": "waiting", "everybodys": everybodys, "items": items, "reviews": reviews, "levels": Level::ALL.map(Level::as_str), "roles": web.service.roles(),
        "filter": json!({ "level": level_word.unwrap_or_default(), "role": role.unwrap_or_default(), "text": words.unwrap_or_default() }),
        "is_filtered": level_word.is_some() || role.is_some() || words.is_some(), "is_first": after.is_none(),
        "first": with(None), "next": next.map(|cursor| with(Some(&cursor.to_string()))), "is_cut": is_cut, "window": WINDOW});
    let template = if query.one("fragment")? == Some("list") { "list_fragment.html" } else { "list.html" };
    Ok(page::render(&web, &session, template, shown))
}

/// A request that somebody released by breaking the glass, and that nobody has reviewed.
#[derive(Serialize)]
struct OpenReview {
    id: Uuid,
    headline: String,
    broken_by: String,
    since: RelativeTime,
}

impl OpenReview {
    fn of(review: service::reviews::OpenReview, now: DateTime<Utc>) -> Self {
        Self {
            id: review.workflow_id,
            headline: review.headline.unwrap_or_else(|| "a request that cannot be read".to_owned()),
            broken_by: review.broken_by,
            since: RelativeTime::of(review.since, now),
        }
    }
}

type Abouts = BTreeMap<Uuid, About>;

/// The rows of a page with what they are about, where the next page starts, and whether it starts there only because so many were
/// looked through.
async fn page_of(
    web: &Web,
    session: &Session,
    Page { items: mut rows, next: more }: Page<service::Waiting>,
    words: Option<&str>,
) -> Result<(Vec<service::Waiting>, Abouts, Option<Cursor>, bool), Problem> {
    let ids: Vec<Uuid> = rows.iter().map(|row| row.workflow_id).collect();
    let targets = web.service.targets(&session.person, &ids).await?;
    if let Some(words) = words {
        rows.retain(|row| holds(row, targets.get(&row.workflow_id), words));
    }
    let is_full = rows.len() > PAGE;
    rows.truncate(PAGE);
    let next = if is_full { rows.last().map(place) } else { more };
    Ok((rows, targets, next, words.is_some() && !is_full && more.is_some()))
}

fn place(row: &service::Waiting) -> Cursor {
    Cursor { at: row.requested_at, workflow_id: row.workflow_id }
}

/// Whether the words stand in what a line is about, but for capitals.
fn holds(row: &service::Waiting, about: Option<&About>, words: &str) -> bool {
    let Target { operation, resource, environment, .. } = &row.target;
    let named = [resource, environment, &row.task_id].into_iter().flatten().chain(about.and_then(|about| about.action_name.as_ref()));
    let texts = named.chain([operation, &row.description, &row.requested_by]);
    let words = words.to_lowercase();
    texts.into_iter().any(|text| text.to_lowercase().contains(&words))
}

fn item(row: service::Waiting, targets: &Abouts, now: DateTime<Utc>) -> Waiting {
    Waiting {
        id: row.workflow_id,
        headline: row.target.short(),
        called: row.target.called(),
        action: targets.get(&row.workflow_id).and_then(|target| action(target.action.as_deref(), target.action_name.as_deref())),
        next: next(&row, now),
        undecidable: row.undecidable,
        level: row.risk_level,
        task_id: row.task_id,
        description: text::in_a_line(&row.description),
        requested_by: row.requested_by,
        requested: RelativeTime::of(row.requested_at, now),
        approvals: row.approvals,
        required: row.required,
        approvers: row.approvers.join(", "),
    }
}

/// The next step of the timetable that has not been taken, or the end, whichever comes first.
fn next(row: &service::Waiting, now: DateTime<Utc>) -> Option<Next> {
    let taken = usize::try_from(row.escalation_level).unwrap_or_default();
    let escalation = row.timetable.get(taken).and_then(|step| row.requested_at.checked_add_signed(TimeDelta::from_std(step.after).ok()?));
    let escalation = escalation.filter(|at| row.expires_at.is_none_or(|end| *at < end)).map(|at| (at, "escalates"));
    let (at, what) = escalation.or_else(|| Some((row.expires_at?, "expires")))?;
    Some(Next { at: RelativeTime::of(at, now), what })
}

/// By what it would be done, if that has a name.
pub fn action(kind: Option<&str>, name: Option<&str>) -> Option<String> {
    Some(format!("{} {}", kind?, text::shown(name?)))
}
