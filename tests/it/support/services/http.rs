//! What the HTTP stand-ins share.

use super::super::called;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, Response};
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A call that was received.
#[derive(Debug, Clone)]
pub struct Call {
    pub method: Method,
    pub path: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Call {
    /// The body as JSON, if it is declared as JSON.
    pub fn json(&self) -> Result<Value, String> {
        let kind = self.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
        if kind != "application/json" {
            return Err(format!("Content-Type is `{kind}`"));
        }
        serde_json::from_slice(&self.body).map_err(|error| error.to_string())
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

impl Reply {
    pub fn new(status: u16, body: impl Into<String>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

/// A fault in one call.
#[derive(Debug, Clone)]
pub enum Mishap {
    /// Answers this, and does nothing.
    Instead(Reply),
    /// Does its work, but the caller gets this answer.
    Lost(Reply),
    /// Does nothing, and gives no answer for this long.
    Silent(Duration),
}

type Handler = dyn Fn(&Call) -> Reply + Send + Sync;

struct Shared {
    handler: Box<Handler>,
    calls: Mutex<Vec<Call>>,
    mishaps: Mutex<VecDeque<Mishap>>,
    /// While it is set, everything gets this answer.
    down: Mutex<Option<Reply>>,
}

/// A running service.
#[derive(Clone)]
pub struct Service {
    pub url: String,
    shared: Arc<Shared>,
}

impl Service {
    #[track_caller]
    pub fn start(handler: impl Fn(&Call) -> Reply + Send + Sync + 'static) -> impl Future<Output = Self> {
        called(async move {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let url = format!("http://{}", listener.local_addr().expect("an address"));
            let shared =
                Arc::new(Shared { handler: Box::new(handler), calls: Mutex::default(), mishaps: Mutex::default(), down: Mutex::default() });
            let app = Router::new().fallback(answer).with_state(Arc::clone(&shared));
            tokio::spawn(async move { axum::serve(listener, app).await.expect("a server") });
            Self { url, shared }
        })
    }

    /// The next call has this fault; several are used one after the other.
    pub fn next(&self, mishap: Mishap) {
        lock(&self.shared.mishaps).push_back(mishap);
    }

    /// From now on every call gets this answer, or, with `None`, a proper one again.
    pub fn down(&self, reply: Option<Reply>) {
        *lock(&self.shared.down) = reply;
    }

    pub fn calls(&self) -> Vec<Call> {
        lock(&self.shared.calls).clone()
    }
}

pub fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 4 << 20).await.expect("a body").to_vec();
    let call = Call { method: parts.method, path: parts.uri.path().to_owned(), headers: parts.headers, body };
    lock(&shared.calls).push(call.clone());
    let (down, mishap) = (lock(&shared.down).clone(), lock(&shared.mishaps).pop_front());
    let reply = match (down, mishap) {
        (Some(reply), _) | (None, Some(Mishap::Instead(reply))) => reply,
        (None, Some(Mishap::Lost(reply))) => {
            (shared.handler)(&call);
            reply
        }
        (None, Some(Mishap::Silent(time))) => {
            tokio::time::sleep(time).await;
            Reply::new(200, "ok")
        }
        (None, None) => (shared.handler)(&call),
    };
    let mut response = Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(reply.body)).expect("an answer")
}
