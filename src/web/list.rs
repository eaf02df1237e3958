//! The list of waiting requests: those that the reader may decide, or all.

use crate::domain::page::Page;
use crate::domain::risk::level::Level;
use crate::domain::risk::order::{ListPosition, Order};
use crate::domain::risk::target::Target;
use crate::domain::text;
use crate::http::problem::Problem;
use crate::http::query;
use crate::service::lists::MOST_COUNTED;
use crate::service::{self, About};
use crate::web::Web;
use crate::web::form::{Fields, encoded};
use crate::web::groups;
use crate::web::page;
use crate::web::relative_time::RelativeTime;
use crate::web::selection::{self, Selection, WINDOW};
use crate::web::session::Session;
use crate::web::walk::Last;
use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Requests on a page.
const PAGE: usize = 25;
/// Requests on a page that groups them by kind.
const GROUPED_PAGE: usize = 30;

/// One request that waits.
#[derive(Debug, Serialize)]
struct Waiting {
    id: Uuid,
    level: String,
    /// The headline: what would be done, and where.
    kind: String,
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
    /// Whether nobody in the configuration could decide it.
    undecidable: bool,
    next: Option<Next>,
    /// For a plan whose steps are approved one by one: the number of the waiting step, and the
    /// plan's own level.
    step: Option<(u32, String)>,
}

/// The next deadline.
#[derive(Debug, Serialize)]
struct Next {
    at: RelativeTime,
    what: &'static str,
}

/// `GET /`
pub async fn waiting(State(web): State<Web>, session: Session, query: Fields) -> Result<Response, Problem> {
    let selection = Selection::of(&query)?;
    let after: Option<ListPosition> = query::cursor(query.one("cursor")?)?;
    if after.is_some_and(|position| position.order != selection.order()) {
        return Err(query::invalid("cursor", "belongs to a list in another order; start with the first page"));
    }
    let words = selection.words.as_deref();
    let size = if selection.is_grouped { GROUPED_PAGE } else { PAGE };
    let wanted = selection.query(after, if words.is_some() { WINDOW } else { size });
    let looked_through = web.service.pending(&session.person, wanted).await?;
    let (rows, targets, next, is_cut) = page_of(&web, &session, &selection, size, looked_through).await?;
    let now = web.service.now();
    let tables = if selection.is_grouped { groups::of(&web, &session, &rows).await? } else { Vec::new() };
    let mut items: Vec<Waiting> = rows.into_iter().map(|row| item(row, &targets, now)).collect();
    let groups: Vec<Value> = tables
        .into_iter()
        .map(|table| {
            let lines: Vec<Waiting> = items.extract_if(.., |item| table.holds(item.id)).collect();
            json!({"lines": lines, "table": table})
        })
        .collect();
    let reviews = web.service.open_reviews(&session.person).await?;
    let reviews: Vec<_> = reviews.into_iter().map(|review| OpenReview::of(review, now)).collect();
    let sorted = |order| selection.sorted(order).address(None);
    let shown = json!({
        "section": "waiting", "everybodys": selection.is_everybodys, "items": items, "reviews": reviews,
        "levels": Level::ALL.map(Level::as_str), "roles": web.service.roles(), "counts": Counts::of(&web, &session, &selection).await?,
        "filter": json!({
            "level": selection.level.map(Level::as_str).unwrap_or_default(), "role": selection.role.as_deref().unwrap_or_default(),
            "text": words.unwrap_or_default(), "sort": selection.order().as_str(), "group": if selection.is_grouped { "kind" } else { "" } }),
        "sort": json!({
            "level": sorted(Order::Level), "due": sorted(Order::Due), "oldest": sorted(Order::Oldest), "newest": sorted(Order::Newest) }),
        "groups": groups, "carried_plain": selection.carried(), "carried": encoded(&selection.carried()), "last": Last::of(&web, &session, &query).await?,
        "is_filtered": selection.is_filtered(), "is_first": after.is_none(),
        "first": selection.address(None), "next": next.map(|position| selection.address(Some(position))), "is_cut": is_cut, "window": WINDOW});
    let template = if query.one("fragment")? == Some("list") { "list_fragment.html" } else { "list.html" };
    Ok(page::render(&web, &session, template, shown))
}

/// How many requests wait, as a page shows it.
#[derive(Serialize)]
struct Counts {
    mine: String,
    all: String,
    /// In the current selection; none for a text search.
    selected: Option<String>,
    /// Whether something critical waits for the reader.
    is_critical: bool,
    /// How many wait only for others.
    others: i64,
}

impl Counts {
    async fn of(web: &Web, session: &Session, selection: &Selection) -> Result<Self, Problem> {
        let count = |selection: Selection| web.service.pending_counts(&session.person, selection.query(None, 0));
        let everybodys = Selection { is_everybodys: true, ..Selection::default() };
        let (mine, all) = tokio::try_join!(count(Selection::default()), count(everybodys))?;
        let selected = match selection {
            Selection { words: Some(_), .. } => None,
            Selection { level: None, role: None, is_everybodys, .. } => Some(if *is_everybodys { all.total() } else { mine.total() }),
            _ => Some(count(selection.clone()).await?.total()),
        };
        Ok(Self {
            mine: counted(mine.total()),
            all: counted(all.total()),
            selected: selected.map(counted),
            is_critical: mine.of(Level::Critical) > 0,
            others: all.total() - mine.total(),
        })
    }
}

fn counted(requests: i64) -> String {
    if requests > MOST_COUNTED { format!("{MOST_COUNTED}+") } else { requests.to_string() }
}

/// A request that somebody released by breaking the glass and that nobody has reviewed yet.
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

/// The rows of a page with their documents, where the next page starts, and whether it starts there
/// only because the search window was used up.
async fn page_of(
    web: &Web,
    session: &Session,
    selection: &Selection,
    size: usize,
    Page { items: mut rows, next: more }: Page<service::Waiting, ListPosition>,
) -> Result<(Vec<service::Waiting>, Abouts, Option<ListPosition>, bool), Problem> {
    let ids: Vec<Uuid> = rows.iter().map(|row| row.workflow_id).collect();
    let targets = web.service.targets(&session.person, &ids).await?;
    let words = selection.words.as_deref();
    if let Some(words) = words {
        rows.retain(|row| selection::holds(row, targets.get(&row.workflow_id), words));
    }
    let is_full = rows.len() > size;
    rows.truncate(size);
    let next = if is_full { rows.last().map(|row| row.position(selection.order())) } else { more };
    Ok((rows, targets, next, words.is_some() && !is_full && more.is_some()))
}

fn item(row: service::Waiting, targets: &Abouts, now: DateTime<Utc>) -> Waiting {
    Waiting {
        id: row.workflow_id,
        kind: kind(&row.target),
        headline: row.target.short(),
        called: row.target.called(),
        action: targets.get(&row.workflow_id).and_then(|target| action(target.action.as_deref(), target.action_name.as_deref())),
        next: next(&row, now),
        undecidable: row.undecidable,
        level: row.asked_level().to_owned(),
        step: row.step.map(|step| (step.n, row.risk_level)),
        task_id: row.task_id,
        description: text::in_a_line(&row.description),
        requested_by: row.requested_by,
        requested: RelativeTime::of(row.requested_at, now),
        approvals: row.approvals,
        required: row.required,
        approvers: row.approvers.join(", "),
    }
}

fn kind(target: &Target) -> String {
    match &target.environment {
        Some(environment) => format!("{} in {environment}", target.operation),
        None => target.operation.clone(),
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

/// The name of the action, if it has one.
pub fn action(kind: Option<&str>, name: Option<&str>) -> Option<String> {
    Some(format!("{} {}", kind?, text::shown(name?)))
}
