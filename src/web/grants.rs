//! The page of grants: shows given and proposed grants, gives a grant for requests like a given
//! one, and revokes one.

use crate::domain::grant::Grant;
use crate::http::problem::{Code, Problem};
use crate::service::grants::WantedGrant;
use crate::service::proposals::{DAYS, Proposed};
use crate::web::Web;
use crate::web::csrf::{self, Posted};
use crate::web::form::{Fields, address};
use crate::web::page;
use crate::web::relative_time::RelativeTime;
use crate::web::session::{self, Session};
use axum::extract::{Path, State};
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

/// How many of the other requests that a proposal would have released are listed.
const NAMED: usize = 5;
/// The page.
const PATH: &str = "/inbox/grants";

/// `GET /inbox/grants`
pub async fn show(State(web): State<Web>, session: Session, query: Fields) -> Result<Response, Problem> {
    let done = query.one("done")?.filter(|done| {
        let seal = query.one("seal").ok().flatten().unwrap_or_default();
        csrf::is_seal(session.id(), &receipt(done), seal)
    });
    page_of(&web, &session, &query, None, done).await
}

/// `POST /inbox/grants`
pub async fn give(State(web): State<Web>, Posted { session, fields, permit }: Posted) -> Result<Response, Problem> {
    let given = async {
        let wanted = wanted(&fields)?;
        web.service.give_grant(&session.person, wanted, permit).await.map_err(Problem::from)
    };
    match given.await {
        Ok(_) => Ok(after(&session, "given")),
        Err(problem) => refused(&web, &session, &fields, &problem).await,
    }
}

/// `POST /inbox/grants/{id}/revoke`
pub async fn revoke(
    State(web): State<Web>,
    Path(id): Path<String>,
    Posted { session, fields, permit }: Posted,
) -> Result<Response, Problem> {
    let id = Uuid::try_parse(&id).map_err(|_| Problem::new(Code::GrantNotFound, "there is no grant with this id"))?;
    let reason = fields.one("reason")?.map(str::to_owned);
    match web.service.revoke_grant(&session.person, id, reason, permit).await {
        Ok(_) => Ok(after(&session, "revoked")),
        Err(error) => refused(&web, &session, &Fields::default(), &error.into()).await,
    }
}

/// The grant that a form asks for. Empty fields are left out.
fn wanted(fields: &Fields) -> Result<WantedGrant, Problem> {
    let text = |name: &str| Ok::<_, Problem>(fields.one(name)?.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned));
    let unfit = |what: &str| Problem::new(Code::InvalidTask, format!("{what} cannot be read; correct it, and send the form again"));
    let like = text("like")?.ok_or_else(|| {
        Problem::new(Code::InvalidTask, "the form names no request; write the id of a request of the kind that the grant should release")
    })?;
    Ok(WantedGrant {
        id: text("grant_id")?.and_then(|id| Uuid::try_parse(&id).ok()),
        like: Some(
            Uuid::try_parse(&like)
                .map_err(|_| Problem::new(Code::InvalidTask, "that is not the id of a request; copy it from the address of its page"))?,
        ),
        resource: text("resource")?,
        expires_in: text("expires_in")?,
        uses: text("uses")?.map(|uses| uses.parse().map_err(|_| unfit("how many requests it may release"))).transpose()?,
        cost: text("cost")?.map(|cost| cost.parse().map_err(|_| unfit("the sum"))).transpose()?,
        justification: text("justification")?,
        ..WantedGrant::default()
    })
}

fn receipt(done: &str) -> String {
    format!("grants {done}")
}

/// Redirects to the page, by an address that only this server can make and only for this session.
fn after(session: &Session, done: &str) -> Response {
    let seal = csrf::seal(session.id(), &receipt(done));
    session::go_to(&address(PATH, &[("done", Some(done)), ("seal", Some(&seal))]))
}

/// The page again, with what the person wrote and why it was refused.
async fn refused(web: &Web, session: &Session, written: &Fields, problem: &Problem) -> Result<Response, Problem> {
    let (status, detail) = problem.said();
    let mut page = page_of(web, session, written, Some(detail), None).await?;
    *page.status_mut() = status;
    Ok(page)
}

async fn page_of(web: &Web, session: &Session, written: &Fields, refused: Option<&str>, done: Option<&str>) -> Result<Response, Problem> {
    let text = |name: &str| Ok::<_, Problem>(written.one(name)?.unwrap_or_default().to_owned());
    let now = web.service.now();
    let may_revoke = web.service.may_revoke(&session.person);
    let grants = web.service.grants(&session.person).await?;
    let grants: Vec<Value> = grants.iter().map(|grant| line(grant, now, may_revoke || grant.given_by == session.person.name)).collect();
    let found = web.service.grant_proposals(&session.person).await?;
    let proposals: Vec<Value> = found.proposals.iter().map(proposal).collect();
    let shown = json!({
        "section": "grants", "grants": grants, "proposals": proposals, "after": found.after, "days": DAYS,
        "looked_through": found.looked_through, "is_cut": found.is_cut, "refused": refused, "done": done,
        "written": json!({
            "like": text("like")?, "resource": text("resource")?, "expires_in": text("expires_in")?, "uses": text("uses")?, "cost": text("cost")?,
            "justification": text("justification")? }),
        // With this id, a form that is sent twice gives one grant.
        "grant_id": web.service.new_grant_id()});
    Ok(page::render(web, session, "grants.html", shown))
}

fn proposal(Proposed { proposal, may_give }: &Proposed) -> Value {
    json!({
        "headline": proposal.pattern.headline(), "level": proposal.level, "like": proposal.like, "approved": proposal.approved.len(),
        "others": proposal.others.len(), "some": proposal.others.iter().take(NAMED).collect::<Vec<_>>(), "may_give": may_give})
}

fn line(grant: &Grant, now: DateTime<Utc>, may_revoke: bool) -> Value {
    let status = grant.status(now);
    json!({
        "id": grant.id, "status": status.as_str().replace('_', " "), "headline": grant.terms.pattern.headline(), "level": grant.terms.level,
        "used": grant.used, "uses": grant.terms.uses, "cost": grant.terms.cost.map(|cost| cost.dollars()), "spent": grant.spent.dollars(),
        "by": grant.given_by, "why": grant.justification, "expires": RelativeTime::of(grant.expires_at, now),
        "revoked_by": grant.revoked.as_ref().map(|revoked| &revoked.by),
        "may_revoke": may_revoke && grant.revoked.is_none() && grant.expires_at > now})
}
