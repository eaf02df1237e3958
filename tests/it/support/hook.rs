//! A receiver of webhooks that accepts only what Standard Webhooks 1.0 allows, and answers as
//! configured.

use super::called;
use super::eventually;
use super::server::SECRET;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::CONNECTION;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use regex::Regex;
use serde_json::Value;
use sha2::Sha256;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The configured answer.
#[derive(Debug, Clone)]
pub enum Reply {
    Status(u16),
    With(u16, &'static str, &'static str),
    /// No answer, for longer than any timeout.
    Silence,
}

/// One received delivery.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub id: String,
    pub body: Value,
    /// The status of the answer; none if there was no answer.
    pub answered: Option<u16>,
    pub at: Instant,
}

impl Delivery {
    pub fn kind(&self) -> &str {
        self.body["type"].as_str().expect("a type")
    }

    pub fn workflow(&self) -> &str {
        self.body["data"]["workflow_id"].as_str().expect("a workflow")
    }

    fn is_taken(&self) -> bool {
        self.answered.is_some_and(|status| (200..300).contains(&status))
    }
}

#[derive(Default)]
struct Book {
    replies: VecDeque<Reply>,
    usual: Option<Reply>,
    deliveries: Vec<Delivery>,
    /// The first body of each id: later attempts have to have the same.
    bodies: HashMap<String, Bytes>,
    complaints: Vec<String>,
}

/// A receiver at one address.
pub struct Hook {
    pub addr: SocketAddr,
    book: Arc<Mutex<Book>>,
    task: Option<JoinHandle<()>>,
}

impl Hook {
    /// A receiver that accepts everything.
    #[track_caller]
    pub fn start() -> impl Future<Output = Self> {
        called(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let addr = listener.local_addr().expect("an address");
            let mut hook = Self { addr, book: Arc::default(), task: None };
            hook.serve(listener);
            hook
        })
    }

    /// A receiver whose address does not answer until it is started.
    pub async fn down() -> Self {
        let mut hook = Self::start().await;
        hook.stop().await;
        hook
    }

    fn serve(&mut self, listener: TcpListener) {
        let routes = Router::new().fallback(receive).with_state(Arc::clone(&self.book));
        self.task = Some(tokio::spawn(async move { axum::serve(listener, routes).await.expect("a server") }));
    }

    /// Stops answering: connections are refused.
    pub async fn stop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            let _ = task.await;
        }
    }

    /// Answers again, at the same address.
    #[track_caller]
    pub fn up(&mut self) -> impl Future<Output = ()> {
        called(async move {
            let listener = TcpListener::bind(self.addr).await.expect("the same port");
            self.serve(listener);
        })
    }

    /// Answers the next deliveries like this, and then accepts everything again.
    pub fn then(&self, replies: impl IntoIterator<Item = Reply>) {
        self.book().replies.extend(replies);
    }

    /// Answers every delivery like this from now on.
    pub fn always(&self, reply: Reply) {
        self.book().usual = Some(reply);
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().expect("a book")
    }

    /// A channel to this receiver, for the configuration.
    pub fn channel(&self, name: &str) -> String {
        format!(
            "  {name}: {{ type: webhook, url: 'http://{}/hook', secret: {{ from_env: HOOK_SECRET }}, allow_private: true }}\n",
            self.addr
        )
    }

    /// Every attempt, in order; none of them may have been invalid.
    #[track_caller]
    pub fn attempts(&self) -> Vec<Delivery> {
        let book = self.book();
        assert!(book.complaints.is_empty(), "{:#?}", book.complaints);
        book.deliveries.clone()
    }

    /// The accepted deliveries, in order.
    #[track_caller]
    pub fn taken(&self) -> Vec<Delivery> {
        self.attempts().into_iter().filter(Delivery::is_taken).collect()
    }

    /// The types of the accepted deliveries about one workflow, in order.
    #[track_caller]
    pub fn told(&self, workflow: &str) -> Vec<String> {
        self.taken().iter().filter(|delivery| delivery.workflow() == workflow).map(|delivery| delivery.kind().to_owned()).collect()
    }

    /// Waits until exactly these notices about a workflow have arrived.
    #[track_caller]
    pub fn hears(&self, workflow: &str, expected: &[&str]) -> impl Future<Output = ()> {
        super::called(async move {
            eventually(&format!("{expected:?}"), || async { (self.told(workflow).len() >= expected.len()).then_some(()) }).await;
            assert_eq!(self.told(workflow), expected);
        })
    }

    /// Waits until there were this many attempts.
    #[track_caller]
    pub fn attempted(&self, count: usize) -> impl Future<Output = Vec<Delivery>> {
        super::called(
            async move { eventually("attempts", || async { Some(self.attempts()).filter(|attempts| attempts.len() >= count) }).await },
        )
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

async fn receive(State(book): State<Arc<Mutex<Book>>>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let checked = check(&method, &uri, &headers, &body);
    let reply = {
        let mut book = book.lock().expect("a book");
        let (id, value) = match checked {
            Ok(delivery) => delivery,
            Err(complaint) => {
                book.complaints.push(complaint);
                return StatusCode::BAD_REQUEST.into_response();
            }
        };
        if book.bodies.entry(id.clone()).or_insert_with(|| body.clone()) != &body {
            book.complaints.push(format!("{id} came with another body"));
        }
        let reply = book.replies.pop_front().or_else(|| book.usual.clone()).unwrap_or(Reply::Status(204));
        let answered = match reply {
            Reply::Status(status) | Reply::With(status, ..) => Some(status),
            Reply::Silence => None,
        };
        book.deliveries.push(Delivery { id, body: value, answered, at: Instant::now() });
        reply
    };
    let status = |status| StatusCode::from_u16(status).expect("a status");
    // No connection is kept, because a stopped receiver must not answer any more.
    let close = [(CONNECTION, HeaderValue::from_static("close"))];
    match reply {
        Reply::Status(code) => (status(code), close).into_response(),
        Reply::With(code, name, value) => (status(code), close, [(name, HeaderValue::from_static(value))]).into_response(),
        Reply::Silence => {
            tokio::time::sleep(Duration::from_secs(120)).await;
            StatusCode::OK.into_response()
        }
    }
}

/// Checks everything that the standard requires of a message.
fn check(method: &Method, uri: &Uri, headers: &HeaderMap, body: &Bytes) -> Result<(String, Value), String> {
    let header = |name: &str| {
        let mut values = headers.get_all(name).iter();
        match (values.next().and_then(|value| value.to_str().ok()), values.next()) {
            (Some(value), None) => Ok(value.to_owned()),
            _ => Err(format!("{name} has to stand there once")),
        }
    };
    let expect = |holds: bool, what: &str| if holds { Ok(()) } else { Err(format!("{what}: {method} {uri} {headers:?} {body:?}")) };
    let matches = |pattern: &str, text: &str| Regex::new(pattern).expect("a pattern").is_match(text);
    expect(method == Method::POST && uri.path() == "/hook", "a POST to the address")?;
    expect(header("content-type")? == "application/json", "JSON")?;
    expect(header("user-agent")?.starts_with("parkbrake/"), "who sends it")?;
    let (id, timestamp, signature) = (header("webhook-id")?, header("webhook-timestamp")?, header("webhook-signature")?);
    expect(matches("^msg_[0-9a-f]{32}$", &id), "an id")?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a time").as_secs();
    let sent: u64 = timestamp.parse().map_err(|_| "a time in seconds".to_owned())?;
    expect(now.abs_diff(sent) < 300, "a time that is not stale")?;
    let key = STANDARD.decode(SECRET.trim_start_matches("whsec_")).expect("a key");
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("a key");
    mac.update(&[id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat());
    expect(signature == format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())), "a signature")?;
    expect(body.len() < 20_000, "a small body")?;
    let value: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let keys: Vec<&str> = value.as_object().map(|fields| fields.keys().map(String::as_str).collect()).unwrap_or_default();
    expect(keys == ["type", "timestamp", "data"], "type, timestamp and data")?;
    expect(value["type"].as_str().is_some_and(|kind| matches(r"^[a-zA-Z0-9_]+(\.[a-zA-Z0-9_]+)*$", kind)), "a type")?;
    expect(value["timestamp"].as_str().is_some_and(|time| chrono::DateTime::parse_from_rfc3339(time).is_ok()), "a time")?;
    // An action says what to do; a notice says what has happened.
    let facts: &[&str] =
        if value["type"] == "parkbrake.action" { &["workflow_id", "digest"] } else { &["workflow_id", "risk_level", "status"] };
    for &name in facts {
        expect(value["data"][name].is_string(), name)?;
    }
    Ok((id, value))
}
