//! Asking for a link by mail. The answer is the same whether the name is known or not, and is sent
//! before the name is looked up.

use crate::http::peer::Peer;
use crate::http::problem::{Code, Problem};
use crate::web::Web;
use crate::web::page;
use crate::web::sign_in::{Credentials, refusal, wanted};
use axum::extract::State;
use axum::http::header;
use axum::response::Response;
use serde_json::json;
use std::time::Instant;

/// `POST /sign-in/mail`
pub async fn ask(State(web): State<Web>, peer: Peer, Credentials(fields): Credentials) -> Result<Response, Problem> {
    let next = wanted(&fields)?;
    if !web.service.mails_links() {
        return Err(Problem::new(Code::NotPermitted, "this server sends no links by mail; an operator sets that up in sign-in.yaml"));
    }
    let Some(name) = fields.one("name")?.map(str::trim) else {
        return Ok(refusal(&web, next, Code::InvalidTask, "Write your name, so that the link can be sent to you."));
    };
    if let Some(pause) = web.mail_limiter.note_wrong(peer, Instant::now()) {
        let detail = "Too many links were requested from your address. Wait a minute.";
        let mut response = refusal(&web, next, Code::RateLimited, detail);
        response.headers_mut().insert(header::RETRY_AFTER, pause.as_secs().max(1).into());
        return Ok(response);
    }
    if !web.service.mail_link(name, next) {
        return Ok(refusal(&web, next, Code::RateLimited, "Too many links are being sent at the moment. Try again in a minute."));
    }
    Ok(page::render_for(&web, None, "sign_in_mail.html", json!({ "name": name })))
}
