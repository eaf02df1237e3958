//! Signing in through an OpenID Connect provider: the way there, and the way back.
//!
//! Providers send the browser back with a GET, together with a cookie that only this browser's
//! attempt set. Without that cookie, or with a different state than the attempt's, nobody is signed
//! in, so no other site can sign anybody in as somebody else.

use crate::domain::text::shown;
use crate::http::peer::Peer;
use crate::http::problem::{Code, Problem};
use crate::identity;
use crate::web::Web;
use crate::web::form::{Fields, encoded};
use crate::web::session;
use crate::web::sign_in::{inside, refusal, sentence, signed_in, wanted};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use percent_encoding::percent_decode_str;

/// The cookie of an attempt: its secret, and where the person wanted to go.
const COOKIE: &str = "__Host-parkbrake-openid";
const ATTRIBUTES: &str = "Path=/; Secure; HttpOnly; SameSite=Lax";
/// The error for a browser that did not begin this attempt.
const STRANGE: &str = "This sign-in was begun in another browser, more than 10 minutes ago, or has been used. Begin again.";

/// `GET /sign-in/openid`
pub async fn go(State(web): State<Web>, peer: Peer, headers: HeaderMap, query: Fields) -> Result<Response, Problem> {
    let next = wanted(&query)?;
    if headers.get("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none") {
        return Ok(refusal(
            &web,
            next,
            Code::NotPermitted,
            "Another site has sent you here. If you want to sign in, do it from this page.",
        ));
    }
    let Some(slot) = web.sign_in_limiter.enter(peer).await else {
        return Ok(refusal(&web, next, Code::RateLimited, "Too many people are signing in at the moment. Try again shortly."));
    };
    let begun = web.service.begin_openid(query.one("again")?.is_some()).await;
    drop(slot);
    match begun {
        Ok((secret, address)) => {
            let mut response = session::go_to(&address);
            give(&mut response, &format!("{COOKIE}={secret}.{}; {ATTRIBUTES}; Max-Age=600", encoded(next)));
            Ok(response)
        }
        Err(error) => Ok(page_of(&web, next, &error.into())),
    }
}

/// `GET /sign-in/openid/callback`
pub async fn back(State(web): State<Web>, peer: Peer, headers: HeaderMap, query: Fields) -> Result<Response, Problem> {
    let mut response = come_back(&web, peer, &headers, &query).await?;
    // An attempt is over once the browser has come back, whatever the result.
    give(&mut response, &format!("{COOKIE}=; {ATTRIBUTES}; Max-Age=0"));
    Ok(response)
}

async fn come_back(web: &Web, peer: Peer, headers: &HeaderMap, query: &Fields) -> Result<Response, Problem> {
    let cookie = identity::cookie(headers, COOKIE);
    let Some((secret, next)) = cookie.and_then(|cookie| cookie.split_once('.')) else {
        return Ok(refusal(web, "/", Code::Unauthenticated, STRANGE));
    };
    let next = percent_decode_str(next).decode_utf8_lossy();
    let next = inside(&next);
    let state = query.one("state")?.unwrap_or_default();
    if !web.service.is_of_openid_attempt(secret, state, query.one("iss")?) {
        return Ok(refusal(web, next, Code::Unauthenticated, STRANGE));
    }
    if let Some(error) = query.one("error")? {
        let why = query.one("error_description")?.unwrap_or(error);
        return Ok(refusal(web, next, Code::Unauthenticated, &format!("The provider did not sign you in: {}.", shown(why))));
    }
    let Some(slot) = web.sign_in_limiter.enter(peer).await else {
        return Ok(refusal(web, next, Code::RateLimited, "Too many people are signing in at the moment. Try again shortly."));
    };
    let proved = web.service.sign_in_by_openid(secret, query.one("code")?.unwrap_or_default()).await;
    drop(slot);
    match proved {
        Ok((name, id)) => signed_in(web, headers, &name, &id, next).await,
        Err(error) => Ok(page_of(web, next, &error.into())),
    }
}

fn page_of(web: &Web, next: &str, problem: &Problem) -> Response {
    refusal(web, next, problem.code(), &sentence(problem.said().1))
}

fn give(response: &mut Response, cookie: &str) {
    if let Ok(cookie) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
}
