//! Renders a template into a response, with the headers that every page has.

use crate::domain::text;
use crate::http::problem::{Problem, ProblemDocument, WithoutInstance};
use crate::web::Web;
use crate::web::assets::Assets;
use crate::web::in_force::InForce;
use crate::web::relative_time::RelativeTime;
use crate::web::session::Session;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, Request, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse as _, Response};
use minijinja::value::{Serde, Value};
use minijinja::{Environment, Error, ErrorKind, Output, State as Rendering, UndefinedBehavior};
use serde_json::{Value as Json, json};

/// The content security policy: a page may show what this server sends, and talk to it. It has no
/// inline script or style.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; manifest-src 'self'; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";

/// The templates, by their names.
const TEMPLATES: &[(&str, &str)] = &[
    ("layout.html", include_str!("templates/layout.html")),
    ("words.html", include_str!("templates/words.html")),
    ("sign_in.html", include_str!("templates/sign_in.html")),
    ("sign_in_link.html", include_str!("templates/sign_in_link.html")),
    ("sign_in_mail.html", include_str!("templates/sign_in_mail.html")),
    ("keys.html", include_str!("templates/keys.html")),
    ("list.html", include_str!("templates/list.html")),
    ("list_groups.html", include_str!("templates/list_groups.html")),
    ("list_fragment.html", include_str!("templates/list_fragment.html")),
    ("detail.html", include_str!("templates/detail.html")),
    ("detail_resolve.html", include_str!("templates/detail_resolve.html")),
    ("detail_cancel.html", include_str!("templates/detail_cancel.html")),
    ("detail_except.html", include_str!("templates/detail_except.html")),
    ("detail_glass.html", include_str!("templates/detail_glass.html")),
    ("detail_exact.html", include_str!("templates/detail_exact.html")),
    ("detail_claim.html", include_str!("templates/detail_claim.html")),
    ("detail_risk.html", include_str!("templates/detail_risk.html")),
    ("detail_facts.html", include_str!("templates/detail_facts.html")),
    ("detail_digest.html", include_str!("templates/detail_digest.html")),
    ("detail_changed.html", include_str!("templates/detail_changed.html")),
    ("detail_since.html", include_str!("templates/detail_since.html")),
    ("detail_outcome.html", include_str!("templates/detail_outcome.html")),
    ("payload.html", include_str!("templates/payload.html")),
    ("detail_terraform.html", include_str!("templates/detail_terraform.html")),
    ("detail_decide.html", include_str!("templates/detail_decide.html")),
    ("detail_comments.html", include_str!("templates/detail_comments.html")),
    ("detail_output.html", include_str!("templates/detail_output.html")),
    ("detail_record.html", include_str!("templates/detail_record.html")),
    ("reject.html", include_str!("templates/reject.html")),
    ("rejected.html", include_str!("templates/rejected.html")),
    ("history.html", include_str!("templates/history.html")),
    ("policy.html", include_str!("templates/policy.html")),
    ("person.html", include_str!("templates/person.html")),
    ("halts.html", include_str!("templates/halts.html")),
    ("grants.html", include_str!("templates/grants.html")),
    ("push.html", include_str!("templates/push.html")),
    ("statistics.html", include_str!("templates/statistics.html")),
    ("system.html", include_str!("templates/system.html")),
    ("docs.html", include_str!("templates/docs.html")),
    ("error.html", include_str!("templates/error.html")),
];

/// The templates and the assets, built once.
pub struct Pages {
    templates: Environment<'static>,
    pub assets: Assets,
}

impl Default for Pages {
    /// # Panics
    /// A template is invalid, which the tests would have found.
    fn default() -> Self {
        let mut templates = Environment::new();
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        templates.set_formatter(write);
        for (name, source) in TEMPLATES {
            templates.add_template(name, source).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        Self { templates, assets: Assets::default() }
    }
}

/// How a value is written into a page: escaped, and with every character that could hide or reorder
/// something shown by its number. An undefined value is an error: a template has to check first
/// whether an optional value is there.
fn write(output: &mut Output, state: &mut Rendering, value: &Value) -> Result<(), Error> {
    if value.is_none() {
        return Err(Error::new(ErrorKind::InvalidOperation, "a value that is missing would be shown as text"));
    }
    match value.as_str() {
        Some(text) if !value.is_safe() => minijinja::escape_formatter(output, state, &Value::from(text::lines(text))),
        _ => minijinja::escape_formatter(output, state, value),
    }
}

/// A page for somebody who is signed in.
pub fn render(web: &Web, session: &Session, template: &str, shown: Json) -> Response {
    render_for(web, Some(session), template, shown)
}

/// A page for somebody who may be signed in.
pub fn render_for(web: &Web, session: Option<&Session>, template: &str, shown: Json) -> Response {
    let now = web.service.now();
    let form_token = match session.map(Session::form_token).transpose() {
        Ok(token) => token,
        Err(problem) => return problem.into_response(),
    };
    // Halts and alarms are shown only to people who are signed in.
    let halts = session.map(|_| web.service.halts()).unwrap_or_default();
    let mut all = json!({
        "alarms": session.map(|session| web.service.known_troubles(&session.person)).unwrap_or_default(),
        "halts": halts.into_iter().map(|halt| InForce::of(halt, now)).collect::<Vec<_>>(),
        "me": session.map(|session| json!({"name": session.person.name, "roles": session.person.deciding().roles})),
        "now": RelativeTime::of(now, now).iso,
        "form_token": form_token,
        "pushes": web.service.push_key().is_some(),
        "assets": web.pages.assets,
    });
    if let (Json::Object(all), Json::Object(shown)) = (&mut all, shown) {
        all.extend(shown);
    }
    match web.pages.templates.get_template(template).and_then(|template| template.render(Value::from(Serde(all)))) {
        Ok(page) => Html(page).into_response(),
        Err(error) => {
            tracing::error!(template, error = ?error, "a page could not be rendered");
            Problem::internal().into_response()
        }
    }
}

/// Adds to every page the explanation of an error, if there is one, and the headers that isolate
/// it.
pub async fn dress(State(web): State<Web>, request: Request<Body>, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let mut response = explained(&web, next.run(request).await, &path);
    dress_up(&mut response);
    response
}

/// The same response; a problem becomes a page. `path` is the requested path.
pub fn explained(web: &Web, mut response: Response, path: &str) -> Response {
    match response.extensions_mut().remove::<WithoutInstance>() {
        Some(WithoutInstance(problem)) => {
            let mut page = explain(web, response, &problem, path);
            dress_up(&mut page);
            page
        }
        None => response,
    }
}

fn dress_up(response: &mut Response) {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        // Our own forms have to state their origin; no other site learns which request a person
        // read.
        (header::REFERRER_POLICY, "same-origin"),
        (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// A problem as a page, with the problem's status and headers.
fn explain(web: &Web, response: Response, problem: &ProblemDocument, path: &str) -> Response {
    let (mut parts, _) = response.into_parts();
    // A person who reloads the address of a form wants the page with that form.
    let forms = ["/approve", "/reject", "/withdraw", "/comments", "/resolve"];
    let form = forms.into_iter().find_map(|form| path.strip_suffix(form));
    let back = form.filter(|page| page.starts_with("/inbox/workflows/"));
    let shown = json!({"title": problem.title, "detail": problem.detail, "status": parts.status.as_u16(), "back": back});
    let mut page = render_for(web, None, "error.html", shown);
    if page.extensions_mut().remove::<WithoutInstance>().is_some() {
        return parts.status.into_response();
    }
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.extend(page.headers().iter().map(|(name, value)| (name.clone(), value.clone())));
    Response::from_parts(parts, page.into_body())
}
