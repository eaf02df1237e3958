//! A client that acts as a person or an agent.

use super::called;
use super::contract;
use chrono::{DateTime, Utc};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Once;
use std::time::Duration;

/// Acts as one principal.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: String,
}

/// A response.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    /// The raw body.
    pub text: String,
    pub body: Value,
}

impl Answer {
    /// The body, checked for this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self.body
    }

    /// The problem document, checked for this code and its status.
    #[track_caller]
    pub fn problem(self, status: u16, code: &str) -> Value {
        assert_eq!((self.status.as_u16(), self.body["code"].as_str()), (status, Some(code)), "{}", self.body);
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(self.body["status"], status);
        assert_eq!(self.body["type"], format!("/problems/{code}"));
        for field in ["title", "detail", "instance"] {
            assert!(self.body[field].as_str().is_some_and(|text| !text.is_empty()), "{field} in {}", self.body);
        }
        self.body
    }
}

/// The token that the harness has for a name.
pub fn token(name: &str) -> String {
    format!("pbk_test_{name}")
}

/// A client of HTTP. The tests speak it without TLS, so it does not read the root certificates of
/// this machine, which takes longer than many a test without optimization.
pub fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder().tls_certs_only([])
}

impl Client {
    /// Acts as somebody, with the token that the harness gave them.
    pub fn new(addr: SocketAddr, name: &str) -> Self {
        Self::with_token(addr, &token(name))
    }

    /// Acts as the holder of this token.
    pub fn with_token(addr: SocketAddr, token: &str) -> Self {
        static TLS: Once = Once::new();
        TLS.call_once(|| {
            let _ = rustls::crypto::ring::default_provider().install_default();
        });
        let http = builder().timeout(Duration::from_secs(70)).build().expect("a client");
        Self { http, base: format!("http://{addr}"), token: token.to_owned() }
    }

    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token)
    }

    /// A call to another server, at any address, without a token.
    pub fn request_to(&self, url: &str) -> reqwest::RequestBuilder {
        self.http.post(url)
    }

    /// Sends a request; an error is that of the connection.
    #[track_caller]
    pub fn try_send(&self, request: reqwest::RequestBuilder) -> impl Future<Output = Result<Answer, reqwest::Error>> {
        called(async move {
            let (http, request) = request.build_split();
            let request = request?;
            let (method, path) = (request.method().clone(), request.url().path().to_owned());
            let is_ours = request.url().as_str().starts_with(&self.base);
            let response = http.execute(request).await?;
            let (status, headers) = (response.status(), response.headers().clone());
            let text = response.text().await?;
            let body = serde_json::from_str(&text).unwrap_or_else(|_| Value::String(text.clone()));
            if is_ours {
                contract::check(&method, &path, status.as_u16(), &headers, &body);
            }
            Ok(Answer { status, headers, text, body })
        })
    }

    #[track_caller]
    pub fn send(&self, request: reqwest::RequestBuilder) -> impl Future<Output = Answer> {
        called(async move { self.try_send(request).await.expect("an answer") })
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(self.request(Method::POST, path).json(&body)).await
    }

    /// Submits a task, which is accepted.
    #[track_caller]
    pub fn submit(&self, task: Value) -> impl Future<Output = Value> {
        super::called(async move { self.post("/orchestrate", task).await.expect(202) })
    }

    /// Submits a task, and returns the id of its workflow.
    #[track_caller]
    pub fn submit_id(&self, task: Value) -> impl Future<Output = String> {
        super::called(async move { self.submit(task).await["workflow_id"].as_str().expect("an id").to_owned() })
    }

    pub async fn approve(&self, id: &str) -> Answer {
        self.post(&format!("/workflows/{id}/approve"), json!({"justification": "looked at it"})).await
    }

    pub async fn reject(&self, id: &str) -> Answer {
        self.post(&format!("/workflows/{id}/reject"), json!({"reason": "not today"})).await
    }

    /// The current state of a workflow.
    #[track_caller]
    pub fn workflow(&self, id: &str) -> impl Future<Output = Value> {
        super::called(async move { self.get(&format!("/workflows/{id}/status")).await.expect(200)["workflow"].clone() })
    }

    /// Waits until a workflow has a status, by long polling.
    #[track_caller]
    pub fn wait_for(&self, id: &str, status: &str) -> impl Future<Output = Value> {
        super::called(async move {
            let began = std::time::Instant::now();
            let mut since = 0;
            loop {
                let answer = self.get(&format!("/workflows/{id}/wait?since={since}&timeout=5s")).await.expect(200);
                let workflow = answer["workflow"].clone();
                if workflow["status"] == status {
                    return workflow;
                }
                since = workflow["version"].as_u64().expect("a version");
                assert!(began.elapsed() < super::WAIT_LIMIT, "{id} never became {status}: {workflow:#}");
            }
        })
    }
}

/// The names of a workflow's events, in order.
pub fn events(workflow: &Value) -> Vec<&str> {
    workflow["history"].as_array().expect("a history").iter().map(|event| event["event"].as_str().expect("a name")).collect()
}

/// When a workflow's first event with a name happened, by the database's clock.
#[track_caller]
pub fn at(workflow: &Value, event: &str) -> DateTime<Utc> {
    let history = workflow["history"].as_array().expect("a history");
    let found = history.iter().find(|one| one["event"] == event).unwrap_or_else(|| panic!("no {event} in {history:#?}"));
    time(&found["at"])
}

/// Parses a time of the API.
#[track_caller]
pub fn time(written: &Value) -> DateTime<Utc> {
    written.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{written} is no time"))
}

/// Tasks of each level.
pub fn low() -> Value {
    json!({"description": "read the logs", "operation": "read", "environment": "development", "resource_type": "code"})
}

pub fn medium() -> Value {
    json!({"description": "build", "operation": "build", "environment": "development", "resource_type": "code", "estimated_cost": 101})
}

pub fn high() -> Value {
    json!({"description": "deploy api", "operation": "deploy", "environment": "production", "resource_type": "code"})
}

pub fn critical() -> Value {
    json!({"description": "drop it", "operation": "delete", "environment": "production", "resource_type": "database"})
}
