//! Sessions for pages: whoever is not signed in is sent to sign in, and returns afterwards.

use crate::http::problem::Problem;
use crate::service::ServiceError;
use crate::web::Web;
use crate::web::form::address;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

pub use crate::identity::Session;

impl FromRequestParts<Web> for Session {
    type Rejection = Response;

    /// For pages: whoever is not signed in is sent to sign in, and returns afterwards.
    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Response> {
        // Requests of the script are not activity of the person, and must not keep an abandoned
        // screen signed in forever.
        let by_hand = !parts.uri.query().is_some_and(|query| query.split('&').any(|pair| pair.starts_with("fragment=")));
        match of(web, &parts.headers, by_hand).await {
            Ok(Some(session)) => Ok(session),
            Ok(None) => Err(ask_to_sign_in(parts.uri.path_and_query().map_or("/", |path| path.as_str()))),
            Err(problem) => Err(problem.into_response()),
        }
    }
}

/// The session of a request.
///
/// # Errors
/// Fails if the database is unavailable.
pub async fn of(web: &Web, headers: &HeaderMap, by_hand: bool) -> Result<Option<Session>, Problem> {
    web.service.identity.session(headers, by_hand).await.map_err(|error| ServiceError::from(error).into())
}

/// Redirects to the sign-in page, which then leads to where the person wanted to go.
pub fn ask_to_sign_in(wanted: &str) -> Response {
    // The address of a decision leads back to the page of its request.
    let wanted = wanted.strip_suffix("/approve").or_else(|| wanted.strip_suffix("/reject")).unwrap_or(wanted);
    let wanted = if wanted == "/inbox" { "/" } else { wanted };
    go_to(&address("/sign-in", &[("next", (wanted != "/").then_some(wanted))]))
}

/// Redirects a browser to another page of ours, which it requests with GET.
pub fn go_to(address: &str) -> Response {
    let address = HeaderValue::from_str(address).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(header::LOCATION, address)]).into_response()
}
