//! The state of the system: what runs, undelivered notices, unknown outcomes, and halts.

use crate::domain::hold::Halt;
use crate::http::problem::{Code, Problem};
use crate::service::system::{ChannelState, InQuarantine, LATEST_NOTICES, Server, System};
use crate::service::{Finds, Listed, Notice};
use crate::web::Web;
use crate::web::csrf::{self, Posted};
use crate::web::form::{Fields, address};
use crate::web::in_force::InForce;
use crate::web::list::action;
use crate::web::page;
use crate::web::relative_time::RelativeTime;
use crate::web::session::{self, Session};
use axum::extract::{Path, State};
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

/// The page.
const PATH: &str = "/inbox/system";
/// What the form did.
const RESENT: &str = "resent";

/// `GET /inbox/system`
pub async fn show(State(web): State<Web>, session: Session, query: Fields) -> Result<Response, Problem> {
    let done = query.one("done")?.filter(|done| {
        let seal = query.one("seal").ok().flatten().unwrap_or_default();
        *done == RESENT && csrf::is_seal(session.id(), &receipt(done), seal)
    });
    page_of(&web, &session, None, done.is_some()).await
}

/// `POST /inbox/system/notices/{id}/resend`
pub async fn resend(State(web): State<Web>, Path(id): Path<String>, Posted { session, permit, .. }: Posted) -> Result<Response, Problem> {
    let id = Uuid::try_parse(&id).map_err(|_| Problem::new(Code::NoticeNotFound, "there is no notice with this id"))?;
    match web.service.resend_notice(&session.person, id, permit).await {
        Ok(_) => {
            let seal = csrf::seal(session.id(), &receipt(RESENT));
            Ok(session::go_to(&address(PATH, &[("done", Some(RESENT)), ("seal", Some(&seal))])))
        }
        Err(error) => {
            let problem = Problem::from(error);
            let (status, detail) = problem.said();
            let mut page = page_of(&web, &session, Some(detail), false).await?;
            *page.status_mut() = status;
            Ok(page)
        }
    }
}

fn receipt(done: &str) -> String {
    format!("system {done}")
}

async fn page_of(web: &Web, session: &Session, refused: Option<&str>, resent: bool) -> Result<Response, Problem> {
    let system = web.service.system(&session.person).await?;
    let now = system.now;
    let System { troubles, servers, channels, dead, quarantined, unknown, running, halts, reviews, .. } = system;
    let environments: Vec<&str> = web.service.environments().collect();
    let reviews = reviews.into_iter().map(|review| {
        json!({"id": review.workflow_id, "headline": review.headline, "broken_by": review.broken_by, "since": RelativeTime::of(review.since, now)})
    });
    let shown = json!({
        "section": "system", "refused": refused, "resent": resent, "troubles": troubles.lines(), "version": env!("CARGO_PKG_VERSION"),
        "policy_version": system.policy_version, "weaknesses": system.weaknesses, "may_do": web.service.may_halt(&session.person),
        "servers": servers.into_iter().map(|row| server(row, system.server_id, now)).collect::<Vec<_>>(),
        "channels": channels.into_iter().map(|row| channel(row, now)).collect::<Vec<_>>(), "latest": LATEST_NOTICES,
        "dead": dead.items.into_iter().map(|row| notice(row, now)).collect::<Vec<_>>(), "more_dead": dead.next.is_some(),
        "quarantined": quarantined.into_iter().map(|row| alone(row, now)).collect::<Vec<_>>(),
        "unknown": workflows(unknown, now), "running": workflows(running, now), "reviews": reviews.collect::<Vec<_>>(),
        "in_force": halts.into_iter().map(|halt: Halt| InForce::of(halt, now)).collect::<Vec<_>>(), "environments": environments});
    Ok(page::render(web, session, "system.html", shown))
}

fn server(row: Server, own: Uuid, now: DateTime<Utc>) -> Value {
    json!({
        "id": row.server_id, "is_own": row.server_id == own, "address": row.address, "host": row.host, "version": row.version,
        "started": RelativeTime::of(row.started_at, now), "lease_until": RelativeTime::of(row.lease_until, now), "acts": row.acts,
        "ended": row.ended_at.map(|at| RelativeTime::of(at, now))})
}

fn channel(row: ChannelState, now: DateTime<Utc>) -> Value {
    json!({
        "name": row.channel, "waiting": row.waiting, "oldest": row.oldest.map(|at| RelativeTime::of(at, now)), "delivered": row.delivered,
        "dead": row.dead, "last_delivered": row.last_delivered_at.map(|at| RelativeTime::of(at, now)), "last_error": row.last_error})
}

fn notice(row: Notice, now: DateTime<Utc>) -> Value {
    json!({
        "id": row.notice_id, "workflow_id": row.workflow_id, "kind": row.kind, "channel": row.channel, "recipient": row.recipient,
        "created": RelativeTime::of(row.created_at, now), "attempts": row.attempts, "error": row.error})
}

fn alone(row: InQuarantine, now: DateTime<Utc>) -> Value {
    json!({
        "id": row.workflow_id, "headline": row.headline, "reason": row.reason, "failures": row.failures, "since": RelativeTime::of(row.since, now)})
}

fn workflows(finds: Finds, now: DateTime<Utc>) -> Value {
    let line = |row: Listed| {
        json!({
            "id": row.workflow_id, "headline": row.target.short(), "level": row.risk_level, "requested_by": row.requested_by,
            "action": action(row.action.as_deref(), row.action_name.as_deref()), "since": RelativeTime::of(row.updated_at, now)})
    };
    json!({"count": finds.count.map_or(0, |count| count.found), "items": finds.page.items.into_iter().map(line).collect::<Vec<_>>()})
}
