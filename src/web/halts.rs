//! The page of halts: shows them, halts, and lifts a halt.

use crate::http::problem::Problem;
use crate::service::halts::{HaltPage, Operation, Scope, Standing};
use crate::web::Web;
use crate::web::csrf::{self, Posted};
use crate::web::form::{Fields, address};
use crate::web::in_force::InForce;
use crate::web::page;
use crate::web::relative_time::RelativeTime;
use crate::web::session::{self, Session};
use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};

/// The option that stands for everything.
const EVERYTHING: &str = "everything";
/// The page.
const PATH: &str = "/inbox/halts";

/// One entry of the log.
#[derive(Debug, Serialize)]
struct Entry {
    at: RelativeTime,
    what: &'static str,
    scope: String,
    by: String,
    via: String,
    reason: Option<String>,
    took_ms: Option<u64>,
}

impl Entry {
    fn of(row: Operation, now: DateTime<Utc>) -> Self {
        let figures: Option<Value> = row.figures.as_deref().and_then(|figures| serde_json::from_str(figures).ok());
        Self {
            at: RelativeTime::of(row.at, now),
            what: match row.kind.as_str() {
                "halted" => "halted",
                "resumed" => "resumed",
                "drill_began" => "drill began",
                _ => "drill ended",
            },
            scope: row.environment.unwrap_or_else(|| EVERYTHING.to_owned()),
            by: row.actor,
            via: row.via,
            reason: row.reason,
            took_ms: figures.and_then(|figures| figures["took_ms"].as_u64()),
        }
    }
}

/// `GET /inbox/halts`
pub async fn show(State(web): State<Web>, session: Session, query: Fields) -> Result<Response, Problem> {
    let done = query.one("done")?.filter(|done| {
        let seal = query.one("seal").ok().flatten().unwrap_or_default();
        csrf::is_seal(session.id(), &receipt(done), seal)
    });
    page_of(&web, &session, None, done).await
}

/// `POST /inbox/halts/halt`
pub async fn halt(State(web): State<Web>, Posted { session, fields, permit }: Posted) -> Result<Response, Problem> {
    let scope = scope(&fields)?;
    let halted = match fields.one("drill")? {
        Some(_) => web.service.drill(&session.person, scope, permit).await,
        None => web.service.halt(&session.person, scope, permit).await,
    };
    match halted {
        Ok(Standing { drill: Some(drill), .. }) => Ok(after(&session, &format!("drill {}", drill.took_ms))),
        Ok(_) => Ok(after(&session, "halted")),
        Err(error) => refused(&web, &session, error.into()).await,
    }
}

/// `POST /inbox/halts/resume`
pub async fn resume(State(web): State<Web>, Posted { session, fields, permit }: Posted) -> Result<Response, Problem> {
    match web.service.resume(&session.person, scope(&fields)?, permit).await {
        Ok(_) => Ok(after(&session, "resumed")),
        Err(error) => refused(&web, &session, error.into()).await,
    }
}

fn scope(fields: &Fields) -> Result<Scope, Problem> {
    let environment = fields.one("environment")?.filter(|environment| *environment != EVERYTHING).map(str::to_owned);
    Ok(Scope { environment, reason: fields.one("reason")?.map(str::to_owned) })
}

fn receipt(done: &str) -> String {
    format!("halts {done}")
}

/// Redirects to the page, by an address that only this server can make and only for this session.
fn after(session: &Session, done: &str) -> Response {
    let seal = csrf::seal(session.id(), &receipt(done));
    session::go_to(&address(PATH, &[("done", Some(done)), ("seal", Some(&seal))]))
}

async fn refused(web: &Web, session: &Session, problem: Problem) -> Result<Response, Problem> {
    let (status, detail) = problem.said();
    let mut page = page_of(web, session, Some(detail.to_owned()), None).await?;
    *page.status_mut() = status;
    Ok(page)
}

async fn page_of(web: &Web, session: &Session, refused: Option<String>, done: Option<&str>) -> Result<Response, Problem> {
    let HaltPage { halts, log } = web.service.halt_page(&session.person).await?;
    let now = web.service.now();
    let environments: Vec<&str> = web.service.environments().collect();
    let took = done.and_then(|done| done.strip_prefix("drill "));
    let shown = json!({
        "section": "halts", "in_force": halts.into_iter().map(|halt| InForce::of(halt, now)).collect::<Vec<_>>(),
        "log": log.into_iter().map(|row| Entry::of(row, now)).collect::<Vec<_>>(), "may_halt": web.service.may_halt(&session.person),
        "environments": environments, "everything": EVERYTHING, "refused": refused, "done": done, "took": took});
    Ok(page::render(web, session, "halts.html", shown))
}
