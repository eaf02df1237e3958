//! The inbox: browser pages for everything that waits for people.
//!
//! Pages are made on the server and work without a script; the scripts only keep the pages up to
//! date and add keys. People sign in with a token (`sign_in`) or a link (`sign_in_link`) and get a
//! session (`session`); every form proves that it came from here (`csrf`). What a page shows of a
//! request comes from its canonical bytes, and a form's decision takes the same path as an API call
//! (`service/decide.rs`). A GET never decides.

mod assets;
mod charts;
mod comment;
mod csrf;
mod decide;
mod detail;
mod docs;
mod document_view;
mod drafts;
mod form;
mod grants;
mod groups;
mod halts;
mod history;
mod in_force;
mod list;
mod manifest;
mod page;
mod payload;
mod person;
mod policy;
mod prose;
mod push;
mod record;
mod reject;
mod relative_time;
mod selection;
mod session;
mod sign_in;
mod sign_in_limiter;
mod sign_in_link;
mod sign_in_mail;
mod sign_in_openid;
mod statistics;
mod system;
mod terraform_view;
mod walk;

pub use page::explained;

use crate::http::routing;
use crate::service::Service;
use axum::Router;
use axum::middleware;
use axum::routing::{get, post};
use docs::Reference;
use drafts::Drafts;
use page::Pages;
use serde_json::Value;
use sign_in_limiter::SignInLimiter;
use std::sync::Arc;
use tower_http::catch_panic::CatchPanicLayer;

/// What the pages need. A cheap handle, cloned for each request.
#[derive(Clone)]
pub struct Web {
    pub service: Service,
    pages: Arc<Pages>,
    sign_in_limiter: Arc<SignInLimiter>,
    /// Limits requests for sign-in mails, whose senders are not known yet.
    mail_limiter: Arc<SignInLimiter>,
    /// The drafts of people who had to sign in again.
    drafts: Arc<Drafts>,
    /// The reference that `/docs` shows.
    reference: Arc<Reference>,
}

impl Web {
    /// Pages over the use cases; `document` describes the API.
    pub fn new(service: Service, document: &Value) -> Self {
        Self {
            service,
            pages: Arc::default(),
            sign_in_limiter: Arc::default(),
            mail_limiter: Arc::default(),
            drafts: Arc::default(),
            reference: Arc::new(Reference::of(document)),
        }
    }
}

/// The routes of the pages. Errors are shown as pages too.
pub fn routes(web: &Web) -> Router {
    Router::new()
        .route("/", get(list::waiting))
        .route("/docs", get(docs::show))
        .route("/sign-in", get(sign_in::show).post(sign_in::sign_in))
        .route("/sign-in/openid", get(sign_in_openid::go))
        .route("/sign-in/openid/callback", get(sign_in_openid::back))
        .route("/sign-in/mail", post(sign_in_mail::ask))
        .route("/sign-in/link", get(sign_in_link::show).post(sign_in_link::take))
        .route("/sign-out", post(sign_in::sign_out))
        .route("/inbox/workflows/{id}", get(detail::show))
        .route("/inbox/workflows/{id}/approve", post(decide::approve))
        .route("/inbox/workflows/{id}/reject", post(decide::reject))
        .route("/inbox/workflows/{id}/withdraw", post(decide::withdraw))
        .route("/inbox/workflows/{id}/cancel", post(decide::cancel))
        .route("/inbox/workflows/{id}/comments", post(comment::comment))
        .route("/inbox/workflows/{id}/resolve", post(decide::resolve))
        .route("/inbox/workflows/{id}/review", post(decide::review))
        .route("/inbox/reject", post(reject::several))
        .route("/inbox/history", get(history::search))
        .route("/inbox/people/{name}", get(person::decisions))
        .route("/inbox/grants", get(grants::show).post(grants::give))
        .route("/inbox/grants/{id}/revoke", post(grants::revoke))
        .route("/inbox/halts", get(halts::show))
        .route("/inbox/halts/halt", post(halts::halt))
        .route("/inbox/halts/resume", post(halts::resume))
        .route("/inbox/policy", get(policy::show))
        .route("/inbox/statistics", get(statistics::show))
        .route("/inbox/system", get(system::show))
        .route("/inbox/system/notices/{id}/resend", post(system::resend))
        .route("/inbox/push", get(push::show).post(push::subscribe))
        .route("/inbox/push/{id}/unsubscribe", post(push::unsubscribe))
        .route("/inbox/push-worker.js", get(push::worker))
        .route("/inbox/assets/{name}", get(assets::serve))
        .nest("/inbox", Router::new().fallback(routing::not_found))
        .method_not_allowed_fallback(routing::method_not_allowed)
        .layer(CatchPanicLayer::custom(routing::panicked))
        .layer(middleware::from_fn_with_state(web.clone(), page::dress))
        .with_state(web.clone())
}
