//! Every error of the API: an RFC 9457 problem document with a stable `code`.
//!
//! Each code has a heading in `support/docs/API.md`; a test holds both to each other. What went wrong inside is for the log
//! and never for the caller.

use crate::actors::exchange::Failure;
use crate::domain::request::Fault;
use crate::domain::workflow::Refusal;
use crate::http::views;
use crate::storage::Error;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// The codes, in the order of their statuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    MalformedJson,
    Unauthenticated,
    NotPermitted,
    NotAnApprover,
    SelfApproval,
    IdentityMismatch,
    WorkflowNotFound,
    NoticeNotFound,
    AlreadyDecided,
    WrongState,
    IdempotencyKeyInUse,
    Expired,
    DigestMismatch,
    PayloadTooLarge,
    UnsupportedMediaType,
    MisdirectedRequest,
    InvalidTask,
    JustificationRequired,
    IdempotencyKeyReused,
    RateLimited,
    Internal,
    Busy,
    Unavailable,
}

impl Code {
    /// Every code.
    pub const ALL: [Self; 23] = [
        Self::MalformedJson,
        Self::Unauthenticated,
        Self::NotPermitted,
        Self::NotAnApprover,
        Self::SelfApproval,
        Self::IdentityMismatch,
        Self::WorkflowNotFound,
        Self::NoticeNotFound,
        Self::AlreadyDecided,
        Self::WrongState,
        Self::IdempotencyKeyInUse,
        Self::Expired,
        Self::DigestMismatch,
        Self::PayloadTooLarge,
        Self::UnsupportedMediaType,
        Self::MisdirectedRequest,
        Self::InvalidTask,
        Self::JustificationRequired,
        Self::IdempotencyKeyReused,
        Self::RateLimited,
        Self::Internal,
        Self::Busy,
        Self::Unavailable,
    ];

    /// Status, code and title.
    pub fn facts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::MalformedJson => (StatusCode::BAD_REQUEST, "malformed-json", "The body is not sound JSON"),
            Self::Unauthenticated => (StatusCode::UNAUTHORIZED, "unauthenticated", "A valid token is needed"),
            Self::NotPermitted => (StatusCode::FORBIDDEN, "not-permitted", "You may not do this"),
            Self::NotAnApprover => (StatusCode::FORBIDDEN, "not-an-approver", "You may not decide this request"),
            Self::SelfApproval => (StatusCode::FORBIDDEN, "self-approval", "Nobody approves their own request"),
            Self::IdentityMismatch => (StatusCode::FORBIDDEN, "identity-mismatch", "The name in the body is not yours"),
            Self::WorkflowNotFound => (StatusCode::NOT_FOUND, "workflow-not-found", "There is no such workflow"),
            Self::NoticeNotFound => (StatusCode::NOT_FOUND, "notice-not-found", "There is no such notice"),
            Self::AlreadyDecided => (StatusCode::CONFLICT, "already-decided", "The request has been decided"),
            Self::WrongState => (StatusCode::CONFLICT, "wrong-state", "The workflow is not in a state for this"),
            Self::IdempotencyKeyInUse => {
                (StatusCode::CONFLICT, "idempotency-key-in-use", "The first request with this key is not done yet")
            }
            Self::Expired => (StatusCode::GONE, "expired", "The request has expired"),
            Self::DigestMismatch => (StatusCode::PRECONDITION_FAILED, "digest-mismatch", "The decision is about another document"),
            Self::PayloadTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "payload-too-large", "The body is too large"),
            Self::UnsupportedMediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "The body has to be JSON"),
            Self::MisdirectedRequest => (StatusCode::MISDIRECTED_REQUEST, "misdirected-request", "The server does not go by this name"),
            Self::InvalidTask => (StatusCode::UNPROCESSABLE_ENTITY, "invalid-task", "The request does not make sense"),
            Self::JustificationRequired => (StatusCode::UNPROCESSABLE_ENTITY, "justification-required", "A justification is needed"),
            Self::IdempotencyKeyReused => {
                (StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused", "The key was used for another request")
            }
            Self::RateLimited => (StatusCode::TOO_MANY_REQUESTS, "rate-limited", "Too many requests at once"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something went wrong here"),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy", "Too much is under way, or somebody else is writing this"),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not available at the moment"),
        }
    }
}

/// An error on its way to the caller.
#[derive(Debug)]
pub struct Problem {
    code: Code,
    detail: String,
    /// After how many seconds the same may be tried again.
    retry_after: u64,
    extensions: Map<String, Value>,
}

impl Problem {
    /// A problem with its detail.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), retry_after: 1, extensions: Map::new() }
    }

    /// A request with these faults.
    pub fn invalid(faults: &[Fault]) -> Self {
        let detail = match faults {
            [only] if only.pointer.is_empty() => only.detail.clone(),
            [only] => format!("{} {}", only.pointer, only.detail),
            many => format!("{} things are wrong; see `errors`", many.len()),
        };
        let errors = faults.iter().map(|fault| json!({"pointer": fault.pointer, "detail": fault.detail})).collect();
        Self::new(Code::InvalidTask, detail).with("errors", Value::Array(errors))
    }

    /// What the caller may not see does not exist for it.
    pub fn not_found() -> Self {
        Self::new(Code::WorkflowNotFound, "there is no workflow with this id that you may see")
    }

    /// What it is.
    pub fn code(&self) -> Code {
        self.code
    }

    /// Its status and what it says, for a page that says it in its own way.
    pub fn said(&self) -> (StatusCode, &str) {
        (self.code.facts().0, &self.detail)
    }

    /// Whether there is nothing to show a page of.
    pub fn is_missing(&self) -> bool {
        self.code == Code::WorkflowNotFound
    }

    /// A notice that cannot be sent again as it is.
    pub fn wrong_notice(status: &str, detail: &str) -> Self {
        Self::new(Code::WrongState, detail).with("current_status", json!(status))
    }

    /// The same, to be tried again after this time.
    pub fn after(self, pause: Duration) -> Self {
        Self { retry_after: pause.as_secs_f64().ceil().max(1.0) as u64, ..self }
    }

    fn with(mut self, name: &str, value: Value) -> Self {
        self.extensions.insert(name.to_owned(), value);
        self
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        match refusal {
            Refusal::NotPermitted(_) => Self::new(Code::NotPermitted, detail),
            Refusal::NotAnApprover(_) => Self::new(Code::NotAnApprover, detail),
            Refusal::SelfApproval(_) => Self::new(Code::SelfApproval, detail),
            Refusal::JustificationRequired => Self::new(Code::JustificationRequired, detail),
            Refusal::DigestMismatch(_) => Self::new(Code::DigestMismatch, detail),
            Refusal::AlreadyDecided(decision) => {
                Self::new(Code::AlreadyDecided, detail).with("decision", views::decision(&decision, decision.roles.first()))
            }
            Refusal::Expired => Self::new(Code::Expired, detail),
            Refusal::WrongState { current, .. } => Self::new(Code::WrongState, detail).with("current_status", json!(current)),
        }
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NotFound => Self::not_found(),
            Failure::Refused(refusal) => refusal.into(),
            Failure::Quarantined => Self::new(Code::Unavailable, failure.to_string()),
            Failure::Busy => Self::new(Code::Busy, failure.to_string()),
            Failure::Unavailable(reason) => {
                tracing::warn!(reason, "a request could not be answered");
                Self::unavailable()
            }
            Failure::Internal(reason) => {
                tracing::error!(reason, "a request failed");
                Self::internal()
            }
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Unavailable(reason) => {
                tracing::warn!(reason, "a request could not be answered");
                Self::unavailable()
            }
            Error::Corrupt { .. } => {
                tracing::error!(%error, "a request failed");
                Self::new(
                    Code::Internal,
                    "what is stored of this workflow cannot be read; an operator finds the reason in the server's log",
                )
            }
            other => {
                tracing::error!(error = %other, "a request failed");
                Self::internal()
            }
        }
    }
}

impl Problem {
    fn unavailable() -> Self {
        Self::new(Code::Unavailable, "the server cannot reach its database, or is starting or stopping; try again in a moment")
    }

    /// What went wrong is in the log, not here.
    pub fn internal() -> Self {
        Self::new(Code::Internal, "the request failed on the server's side; an operator finds the reason in its log")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, code, title) = self.code.facts();
        let mut body = json!({
            "type": format!("/problems/{code}"), "title": title, "status": status.as_u16(), "detail": self.detail, "code": code,
        });
        if let Value::Object(fields) = &mut body {
            fields.extend(self.extensions);
        }
        let mut response = document(status, body);
        match self.code {
            Code::Busy | Code::Unavailable | Code::RateLimited | Code::IdempotencyKeyInUse => {
                response.headers_mut().insert(header::RETRY_AFTER, self.retry_after.into());
            }
            Code::Unauthenticated => {
                response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            _ => {}
        }
        response
    }
}

/// An error of plain HTTP, for which RFC 9457 has `about:blank`.
pub fn plain(status: StatusCode, detail: &str) -> Response {
    let title = status.canonical_reason().unwrap_or_default();
    document(status, json!({"type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail}))
}

/// Marks a response whose body still lacks its `instance`; the router's outer layer adds the path.
#[derive(Debug, Clone)]
pub struct Unplaced(pub Value);

fn document(status: StatusCode, body: Value) -> Response {
    let mut response = status.into_response();
    response.extensions_mut().insert(Unplaced(body));
    response
}

/// Gives a problem its place: the path that was asked for.
pub fn place(path: &str, mut response: Response) -> Response {
    if let Some(Unplaced(mut body)) = response.extensions_mut().remove::<Unplaced>() {
        body["instance"] = json!(path);
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response.headers_mut().remove(header::CONTENT_LENGTH);
        *response.body_mut() = body.to_string().into();
    }
    response
}
