//! Signing in by a link. Opening it only shows whom it signs in, because programs that scan mail
//! open links too. The button uses it up.

use crate::http::peer::Peer;
use crate::http::problem::{Code, Problem};
use crate::identity::{Error, Offer};
use crate::service::ServiceError;
use crate::web::Web;
use crate::web::form::Fields;
use crate::web::page;
use crate::web::session;
use crate::web::sign_in::{Credentials, sentence, signed_in, wanted};
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::Response;
use serde_json::json;
use std::time::Instant;

/// `GET /sign-in/link`
pub async fn show(State(web): State<Web>, peer: Peer, headers: HeaderMap, query: Fields) -> Result<Response, Problem> {
    let (code, next) = (query.one("code")?.unwrap_or_default(), wanted(&query)?);
    match look_up(&web, peer, code).await? {
        Ok(offer) => {
            let session = session::of(&web, &headers, false).await?;
            let shown = json!({"name": offer.person.name, "code": code, "next": next, "error": null,
                               "other": session.as_ref().map(|session| &session.person.name)});
            Ok(page::render_for(&web, None, "sign_in_link.html", shown))
        }
        Err(refused) => Ok(refused),
    }
}

/// `POST /sign-in/link`
pub async fn take(State(web): State<Web>, peer: Peer, headers: HeaderMap, Credentials(fields): Credentials) -> Result<Response, Problem> {
    let (code, next) = (fields.one("code")?.unwrap_or_default(), wanted(&fields)?);
    let offer = match look_up(&web, peer, code).await? {
        Ok(offer) => offer,
        Err(refused) => return Ok(refused),
    };
    let name = offer.person.name.clone();
    match web.service.identity.take(offer).await {
        Ok(id) => signed_in(&web, &headers, &name, &id, next).await,
        Err(Error::Unproved(why)) => Ok(refusal(&web, Code::Unauthenticated, &sentence(&why))),
        Err(error) => Err(ServiceError::from(error).into()),
    }
}

/// The person whom a link signs in, or the page that says why it signs nobody in.
async fn look_up(web: &Web, peer: Peer, code: &str) -> Result<Result<Offer, Response>, Problem> {
    let Some(slot) = web.sign_in_limiter.enter(peer).await else {
        return Ok(Err(refusal(web, Code::RateLimited, "Too many links are being looked up at the moment. Try again shortly.")));
    };
    let offer = web.service.identity.offer(code).await;
    drop(slot);
    match offer {
        Ok(offer) => Ok(Ok(offer)),
        Err(Error::Unproved(why)) => {
            let Some(pause) = web.sign_in_limiter.note_wrong(peer, Instant::now()) else {
                return Ok(Err(refusal(web, Code::Unauthenticated, &sentence(&why))));
            };
            let detail = "This link is not valid, and too many invalid links came from your address. Wait a minute.";
            let mut response = refusal(web, Code::RateLimited, detail);
            response.headers_mut().insert(header::RETRY_AFTER, pause.as_secs().max(1).into());
            Ok(Err(response))
        }
        Err(error) => Err(ServiceError::from(error).into()),
    }
}

fn refusal(web: &Web, code: Code, detail: &str) -> Response {
    let mut response = page::render_for(web, None, "sign_in_link.html", json!({ "error": detail }));
    *response.status_mut() = code.facts().0;
    response
}
