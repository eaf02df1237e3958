//! The page on which a person subscribes a browser to notices (Web Push), and the service worker
//! that shows them.

use crate::domain::task::digest::Digest;
use crate::http::problem::{Code, Problem};
use crate::service::push::{Browser, NewBrowser};
use crate::web::Web;
use crate::web::csrf::{self, Posted};
use crate::web::form::{Fields, address};
use crate::web::page;
use crate::web::relative_time::RelativeTime;
use crate::web::session::{self, Session};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

/// The page.
const PATH: &str = "/inbox/push";
/// The service worker. Its address is fixed, because browsers look there for its next version.
const WORKER: &str = include_str!("static/push_worker.js");

/// `GET /inbox/push`
pub async fn show(State(web): State<Web>, session: Session, query: Fields) -> Result<Response, Problem> {
    let done = query.one("done")?.filter(|done| {
        let seal = query.one("seal").ok().flatten().unwrap_or_default();
        csrf::is_seal(session.id(), &receipt(done), seal)
    });
    page_of(&web, &session, None, done).await
}

/// `POST /inbox/push`
pub async fn subscribe(
    State(web): State<Web>,
    headers: HeaderMap,
    Posted { session, fields, permit }: Posted,
) -> Result<Response, Problem> {
    let subscribed = async {
        let browser = NewBrowser {
            endpoint: fields.one("endpoint")?.unwrap_or_default().to_owned(),
            p256dh: bytes(&fields, "p256dh")?,
            auth: bytes(&fields, "auth")?,
            name: browser_name(&headers),
        };
        web.service.subscribe_browser(&session.person, browser, permit).await.map_err(Problem::from)
    };
    match subscribed.await {
        Ok(()) => Ok(after(&session, "subscribed")),
        Err(problem) => {
            let (status, detail) = problem.said();
            let mut page = page_of(&web, &session, Some(detail), None).await?;
            *page.status_mut() = status;
            Ok(page)
        }
    }
}

/// `POST /inbox/push/{id}/unsubscribe`
pub async fn unsubscribe(
    State(web): State<Web>,
    Path(id): Path<String>,
    Posted { session, permit, .. }: Posted,
) -> Result<Response, Problem> {
    // Text that is not an id names no browser.
    if let Ok(id) = Uuid::try_parse(&id) {
        web.service.unsubscribe_browser(&session.person, id, permit).await?;
    }
    Ok(after(&session, "unsubscribed"))
}

/// `GET /inbox/push-worker.js`
pub async fn worker() -> Response {
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], WORKER).into_response()
}

fn bytes(fields: &Fields, name: &str) -> Result<Vec<u8>, Problem> {
    let unfit = || Problem::new(Code::InvalidTask, format!("the field {name} is not what a browser sends; reload the page and try again"));
    URL_SAFE_NO_PAD.decode(fields.one(name)?.unwrap_or_default()).map_err(|_| unfit())
}

/// A short name of the browser that sent a request, by which its owner recognizes it.
fn browser_name(headers: &HeaderMap) -> String {
    let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // A browser's User-Agent may also contain names that are listed after its own.
    let one_of = |names: &[(&str, &'static str)]| names.iter().find(|(mark, _)| agent.contains(mark)).map(|(_, name)| *name);
    let browser = one_of(&[("Edg", "Edge"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari")]);
    let system = one_of(&[
        ("Android", "Android"),
        ("iPhone", "an iPhone"),
        ("iPad", "an iPad"),
        ("Windows", "Windows"),
        ("Mac OS X", "a Mac"),
        ("Linux", "Linux"),
    ]);
    let browser = browser.unwrap_or("A browser");
    system.map_or_else(|| browser.to_owned(), |system| format!("{browser} on {system}"))
}

fn receipt(done: &str) -> String {
    format!("push {done}")
}

fn after(session: &Session, done: &str) -> Response {
    let seal = csrf::seal(session.id(), &receipt(done));
    session::go_to(&address(PATH, &[("done", Some(done)), ("seal", Some(&seal))]))
}

async fn page_of(web: &Web, session: &Session, refused: Option<&str>, done: Option<&str>) -> Result<Response, Problem> {
    let now = web.service.now();
    let browsers: Vec<Value> = web.service.browsers(&session.person).await?.into_iter().map(|browser| line(browser, now)).collect();
    let shown = json!({"section": "person", "refused": refused, "done": done, "key": web.service.push_key(), "browsers": browsers});
    Ok(page::render(web, session, "push.html", shown))
}

/// The script recognizes its own browser by the digest; the endpoint itself is shown to nobody.
fn line(browser: Browser, now: DateTime<Utc>) -> Value {
    let digest = Digest::of(browser.endpoint.as_bytes());
    json!({"id": browser.id, "name": browser.name, "since": RelativeTime::of(browser.since, now), "digest": digest.as_str()})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_named_as_its_owner_knows_it() {
        let chrome = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0";
        for (agent, name) in [
            ("Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0".to_owned(), "Firefox on Linux"),
            (format!("Mozilla/5.0 (Linux; Android 10; K) {chrome} Mobile Safari/537.36"), "Chrome on Android"),
            (format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) {chrome} Safari/537.36 Edg/131.0"), "Edge on Windows"),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1"
                    .to_owned(),
                "Safari on an iPhone",
            ),
            ("curl/8".to_owned(), "A browser"),
        ] {
            let headers = HeaderMap::from_iter([(header::USER_AGENT, agent.parse().unwrap())]);
            assert_eq!(browser_name(&headers), name, "{agent}");
        }
    }
}
