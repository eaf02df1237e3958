//! Every route on one screen, and what all of them share.

use crate::actors::engine::Engine;
use crate::http::auth::Authenticator;
use crate::http::problem::{self, Code, Problem};
use crate::http::{decisions, operations, tasks, workflows};
use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Request, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use std::any::Any;
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;
use tower_http::catch_panic::CatchPanicLayer;
use uuid::Uuid;

/// What all handlers share.
#[derive(Clone)]
pub struct Api {
    pub engine: Arc<Engine>,
    pub authenticator: Arc<Authenticator>,
    pub admission: Arc<Admission>,
    /// True once the server is stopping.
    closing: watch::Receiver<bool>,
}

impl Api {
    /// The API of an engine, which answers who is waiting when `closing` becomes true.
    pub fn new(engine: Arc<Engine>, closing: watch::Receiver<bool>) -> Self {
        Self { engine, authenticator: Arc::default(), admission: Arc::default(), closing }
    }

    /// Whether the server is stopping.
    pub fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }

    /// Waits for something, but not beyond the server's end; `None` is its end.
    pub async fn until_closing<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut closing = self.closing.clone();
        tokio::select! {
            answer = work => Some(answer),
            _ = closing.wait_for(|closing| *closing) => None,
        }
    }
}

/// The routes.
pub fn router(api: Api) -> Router {
    Router::new()
        .route("/orchestrate", post(tasks::orchestrate))
        .route("/risk/assess", post(tasks::assess))
        .route("/workflows", get(workflows::list))
        .route("/workflows/pending", get(workflows::pending))
        .route("/workflows/{id}", get(workflows::status_of))
        .route("/workflows/{id}/status", get(workflows::status_of))
        .route("/workflows/{id}/wait", get(workflows::wait))
        .route("/workflows/{id}/approve", post(decisions::approve))
        .route("/workflows/{id}/reject", post(decisions::reject))
        .route("/workflows/{id}/cancel", post(decisions::cancel))
        .route("/workflows/{id}/result", post(decisions::result))
        .route("/metrics", get(operations::metrics))
        .route("/healthz", get(operations::healthz))
        .route("/readyz", get(operations::readyz))
        .fallback(operations::not_found)
        .method_not_allowed_fallback(operations::method_not_allowed)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn(finish))
        .with_state(api)
}

/// A handler that panics costs its own request, nobody else's.
fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    tracing::error!("a request handler panicked");
    Problem::internal().into_response()
}

/// What every response gets: a problem its place, and headers that keep it out of caches and frames.
async fn finish(request: Request<Body>, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let mut response = problem::place(&path, next.run(request).await);
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    response
}

/// The id in a path. What is no id names no workflow.
pub struct WorkflowId(pub Uuid);

impl FromRequestParts<Api> for WorkflowId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, api).await.map_err(|_| Problem::not_found())?;
        Uuid::try_parse(&text).map(Self).map_err(|_| Problem::not_found())
    }
}

/// How many changes of one principal may be on their way at once, so that none can crowd out the others.
const MOST_AT_ONCE: usize = 512;

/// Counts the changes that are on their way, by principal.
#[derive(Debug, Default)]
pub struct Admission(Mutex<HashMap<String, usize>>);

impl Admission {
    /// Lets one more in; it is counted until the permit is dropped.
    ///
    /// # Errors
    /// `rate-limited` where too many are on their way.
    pub fn admit<'a>(&'a self, name: &str) -> Result<Permit<'a>, Problem> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(name.to_owned()).or_default();
        if *count >= MOST_AT_ONCE {
            let detail = format!("{MOST_AT_ONCE} of your requests are on their way; wait for some of them to be answered");
            return Err(Problem::new(Code::RateLimited, detail));
        }
        *count += 1;
        Ok(Permit { admission: self, name: name.to_owned() })
    }
}

/// One change on its way.
pub struct Permit<'a> {
    admission: &'a Admission,
    name: String,
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut counts = self.admission.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.name) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.name);
            }
        }
    }
}
