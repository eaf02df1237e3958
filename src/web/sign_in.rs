//! Signing in with a token, and signing out.

use crate::domain::policy::PrincipalKind;
use crate::http::body;
use crate::http::peer::Peer;
use crate::http::problem::{Code, Problem};
use crate::identity::{self, Error};
use crate::service::ServiceError;
use crate::web::Web;
use crate::web::form::{Fields, address};
use crate::web::page;
use crate::web::session::{self, Session};
use crate::web::{csrf, csrf::Posted};
use axum::body::Body;
use axum::extract::{FromRequest, State};
use axum::http::{HeaderMap, Request, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;
use std::time::Instant;

/// `GET /sign-in`
pub async fn show(State(web): State<Web>, headers: HeaderMap, query: Fields) -> Result<Response, Problem> {
    let next = wanted(&query)?;
    // A person who signs in again has a session already; their identity is proved again.
    if query.one("again")?.is_none() && session::of(&web, &headers, true).await?.is_some() {
        return Ok(session::go_to(next));
    }
    Ok(form(&web, next, None))
}

/// The sign-in form, sent by somebody who is not known yet.
pub struct Credentials(pub Fields);

impl<S: Sync> FromRequest<S> for Credentials {
    type Rejection = Problem;

    async fn from_request(request: Request<Body>, _: &S) -> Result<Self, Problem> {
        if !csrf::is_from_here(request.headers()) {
            let detail = "this form did not come from the sign-in page, so nobody was signed in; open the sign-in page and send its form";
            return Err(Problem::new(Code::NotPermitted, detail));
        }
        body::receive_small(request).await.map(Self)
    }
}

/// `POST /sign-in`
pub async fn sign_in(
    State(web): State<Web>,
    peer: Peer,
    headers: HeaderMap,
    Credentials(fields): Credentials,
) -> Result<Response, Problem> {
    let next = wanted(&fields)?;
    let Some(slot) = web.sign_in_limiter.enter(peer).await else {
        return Ok(form(&web, next, Some((Code::RateLimited, "Too many tokens are being looked up at the moment. Try again shortly."))));
    };
    let token = fields.one("token")?.unwrap_or_default().trim();
    let identity = &web.service.identity;
    let presented = identity.holder(token).await;
    drop(slot);
    let holder = match presented {
        Ok(holder) => holder,
        Err(Error::Unproved(why)) => {
            let Some(pause) = web.sign_in_limiter.note_wrong(peer, Instant::now()) else {
                return Ok(form(&web, next, Some((Code::Unauthenticated, &sentence(&why)))));
            };
            let detail =
                "This token is not known, was revoked, or has expired, and too many wrong tokens came from your address. Wait a minute.";
            let mut response = form(&web, next, Some((Code::RateLimited, detail)));
            response.headers_mut().insert(header::RETRY_AFTER, pause.as_secs().max(1).into());
            return Ok(response);
        }
        Err(error) => return Err(ServiceError::from(error).into()),
    };
    let person = match identity.principal(&holder).await {
        Ok(person) => person,
        Err(Error::Unproved(why)) => return Ok(form(&web, next, Some((Code::Unauthenticated, &sentence(&why))))),
        Err(error) => return Err(ServiceError::from(error).into()),
    };
    if person.kind != PrincipalKind::Person {
        let detail = "This is the token of an agent. The inbox is for people; agents use the API, and never decide.";
        return Ok(form(&web, next, Some((Code::NotPermitted, detail))));
    }
    let id = identity.begin_session(&holder).await.map_err(ServiceError::from)?;
    signed_in(&web, &headers, &person.name, &id, next).await
}

/// Gives a browser its new session. An earlier session id is never reused, and its session ends.
pub async fn signed_in(web: &Web, headers: &HeaderMap, name: &str, id: &str, next: &str) -> Result<Response, Problem> {
    web.service.identity.end_session(headers).await.map_err(ServiceError::from)?;
    tracing::info!(person = %name, "somebody signed in to the inbox");
    Ok(([(header::SET_COOKIE, identity::begun(id))], session::go_to(next)).into_response())
}

/// `POST /sign-out`
pub async fn sign_out(State(web): State<Web>, headers: HeaderMap, _: Posted) -> Result<Response, Problem> {
    web.service.identity.end_session(&headers).await.map_err(ServiceError::from)?;
    Ok(([(header::SET_COOKIE, identity::ended())], session::go_to("/sign-in")).into_response())
}

/// The text of a problem as a complete sentence.
pub fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map(|first| format!("{}{}.", first.to_uppercase(), letters.as_str())).unwrap_or_default()
}

/// Where a signed-in person signs in again: at the provider, if that is how they signed in.
pub fn again(session: &Session, next: &str) -> String {
    let path = if session.by_provider { "/sign-in/openid" } else { "/sign-in" };
    address(path, &[("again", Some("yes")), ("next", Some(next))])
}

/// The sign-in page, with the reason why nobody was signed in.
pub fn refusal(web: &Web, next: &str, code: Code, why: &str) -> Response {
    form(web, next, Some((code, why)))
}

fn form(web: &Web, next: &str, refused: Option<(Code, &str)>) -> Response {
    let mut response = page::render_for(
        web,
        None::<&Session>,
        "sign_in.html",
        json!({
            "next": next,
            "mails_links": web.service.mails_links(),
            "provider": web.service.openid_host(),
            "by_provider": address("/sign-in/openid", &[("next", (next != "/").then_some(next))]),
            "error": refused.map(|(_, text)| text),
        }),
    );
    if let Some((code, _)) = refused {
        *response.status_mut() = code.facts().0;
    }
    response
}

/// Where the person wanted to go: one of our pages, never another site's.
pub fn wanted(fields: &Fields) -> Result<&str, Problem> {
    Ok(inside(fields.one("next")?.unwrap_or("/")))
}

/// The same address if it is one of our pages; otherwise the start page.
pub fn inside(next: &str) -> &str {
    let ours = next == "/" || next.starts_with("/?") || next.starts_with("/inbox/");
    if ours && next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') { next } else { "/" }
}
