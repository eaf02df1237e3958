//! Sessions: who is signed in, by a cookie that only this origin's pages over a safe connection can have.
//!
//! `__Host-` and `Secure` tie the cookie to this host and to TLS (browsers take `localhost` for safe); `HttpOnly` keeps it from
//! scripts; `SameSite=Lax` lets a link in a notice open the inbox, and keeps other sites' forms out. The id is 256 random bits; the
//! database has its hash only.

use crate::domain::digest::hex;
use crate::domain::policy::{Principal, PrincipalKind};
use crate::domain::via::Via;
use crate::http::api::Api;
use crate::http::auth;
use crate::http::inbox::csrf;
use crate::http::inbox::form::address;
use crate::http::problem::{Code, Problem};
use crate::storage::TokenHolder;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

/// The cookie that holds a session's id.
const COOKIE: &str = "__Host-parkbrake";
const ATTRIBUTES: &str = "Path=/; Secure; HttpOnly; SameSite=Lax";

/// Somebody who is signed in.
pub struct Session {
    pub person: Principal,
    id: String,
}

impl Session {
    /// The secret that the cookie holds; it goes nowhere else.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// The token for the forms of this session's pages.
    pub fn form_token(&self) -> String {
        csrf::form_token(&self.id)
    }
}

impl FromRequestParts<Api> for Session {
    type Rejection = Response;

    /// For pages: who is not signed in is sent to sign in, and comes back.
    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Response> {
        // What the script fetches is not done by hand, and must not keep a forgotten screen signed in for ever.
        let by_hand = !parts.uri.query().is_some_and(|query| query.split('&').any(|pair| pair.starts_with("fragment=")));
        match of(api, &parts.headers, by_hand).await {
            Ok(Some(session)) => Ok(session),
            Ok(None) => Err(ask_to_sign_in(parts.uri.path_and_query().map_or("/", |place| place.as_str()))),
            Err(problem) => Err(problem.into_response()),
        }
    }
}

/// Whose session a request belongs to, if it is good now and its holder is one of the people today.
///
/// # Errors
/// No database.
pub async fn of(api: &Api, headers: &HeaderMap, by_hand: bool) -> Result<Option<Session>, Problem> {
    let Some(id) = id_in(headers) else { return Ok(None) };
    let Some(holder) = api.engine.storage.session_holder(id, by_hand).await? else { return Ok(None) };
    match auth::principal(api, &holder).await {
        Ok(person) if person.kind == PrincipalKind::Person => Ok(Some(Session { person: person.by(Via::Inbox), id: id.to_owned() })),
        Ok(_) => Ok(None),
        // Signing in again says why.
        Err(problem) if problem.code() == Code::Unauthenticated => Ok(None),
        Err(problem) => Err(problem),
    }
}

/// Begins a session of somebody whose name has been proven, and gives the cookie for it. Every way to sign in ends here. The session
/// lasts no longer than the token that it is begun with.
///
/// # Errors
/// No database, or no random numbers.
pub async fn begin(api: &Api, holder: &TokenHolder) -> Result<HeaderValue, Problem> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| {
        tracing::error!(%error, "the system gives no random numbers");
        Problem::internal()
    })?;
    let id = hex(&bytes);
    api.engine.storage.begin_session(&id, holder).await?;
    HeaderValue::from_str(&format!("{COOKIE}={id}; {ATTRIBUTES}")).map_err(|_| Problem::internal())
}

/// Ends the session of a request, if it has one, and gives the cookie that says so.
///
/// # Errors
/// No database.
pub async fn end(api: &Api, headers: &HeaderMap) -> Result<HeaderValue, Problem> {
    if let Some(id) = id_in(headers) {
        api.engine.storage.end_session(id).await?;
    }
    HeaderValue::from_str(&format!("{COOKIE}=; {ATTRIBUTES}; Max-Age=0")).map_err(|_| Problem::internal())
}

/// The id in the cookie. A second cookie of this name can only be somebody's trick, and neither is believed.
fn id_in(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(';'));
    let mut ids = cookies.filter_map(|cookie| cookie.trim().split_once('=')).filter(|(name, _)| *name == COOKIE).map(|(_, id)| id);
    match (ids.next(), ids.next()) {
        (Some(id), None) if !id.is_empty() => Some(id),
        _ => None,
    }
}

/// Sends somebody to sign in, and then to where they wanted to go.
pub fn ask_to_sign_in(wanted: &str) -> Response {
    // The page of a decision is the page of its request.
    let wanted = wanted.strip_suffix("/approve").or_else(|| wanted.strip_suffix("/reject")).unwrap_or(wanted);
    let wanted = if wanted == "/inbox" { "/" } else { wanted };
    go_to(&address("/sign-in", &[("next", (wanted != "/").then_some(wanted))]))
}

/// Sends a browser to another page of ours, which it asks for with GET.
pub fn go_to(place: &str) -> Response {
    let place = HeaderValue::from_str(place).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(header::LOCATION, place)]).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_cookie_is_believed_and_two_are_not() {
        let with = |text: &str| [(header::COOKIE, text.parse().unwrap())].into_iter().collect::<HeaderMap>();
        assert_eq!(id_in(&with("a=b; __Host-parkbrake=x; c=d")), Some("x"));
        for other in ["", "a=b", "__Host-parkbrake=", "parkbrake=x", "__Host-parkbrake=x; __Host-parkbrake=y"] {
            assert_eq!(id_in(&with(other)), None, "{other}");
        }
    }
}
