//! Every error of the API: an RFC 9457 problem document with a stable `code`.
//!
//! Each code has a heading in `support/docs/API.md`; a test compares the two. The log has the
//! details of internal errors, which the caller never sees.

use crate::domain::request::Fault;
use crate::domain::workflow;
use crate::http::decision::Decision;
use crate::service::ServiceError;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::time::Duration;
use uuid::Uuid;

/// The codes, in the order of their statuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    MalformedJson,
    Unauthenticated,
    NotPermitted,
    NotAnApprover,
    SelfApproval,
    SignInAgain,
    IdentityMismatch,
    WorkflowNotFound,
    NoticeNotFound,
    GrantNotFound,
    AlreadyDecided,
    AlreadyRejected,
    WrongState,
    Halted,
    ReviewOpen,
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
    pub const ALL: [Self; 28] = [
        Self::MalformedJson,
        Self::Unauthenticated,
        Self::NotPermitted,
        Self::NotAnApprover,
        Self::SelfApproval,
        Self::SignInAgain,
        Self::IdentityMismatch,
        Self::WorkflowNotFound,
        Self::NoticeNotFound,
        Self::GrantNotFound,
        Self::AlreadyDecided,
        Self::AlreadyRejected,
        Self::WrongState,
        Self::Halted,
        Self::ReviewOpen,
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
            Self::MalformedJson => (StatusCode::BAD_REQUEST, "malformed-json", "The body is not valid JSON"),
            Self::Unauthenticated => (StatusCode::UNAUTHORIZED, "unauthenticated", "A valid token is needed"),
            Self::NotPermitted => (StatusCode::FORBIDDEN, "not-permitted", "You may not do this"),
            Self::NotAnApprover => (StatusCode::FORBIDDEN, "not-an-approver", "You may not decide this request"),
            Self::SelfApproval => (StatusCode::FORBIDDEN, "self-approval", "Somebody else has to decide this"),
            Self::SignInAgain => (StatusCode::FORBIDDEN, "sign-in-again", "Your sign-in is too old for this"),
            Self::IdentityMismatch => (StatusCode::FORBIDDEN, "identity-mismatch", "The name in the body is not yours"),
            Self::WorkflowNotFound => (StatusCode::NOT_FOUND, "workflow-not-found", "There is no such workflow"),
            Self::NoticeNotFound => (StatusCode::NOT_FOUND, "notice-not-found", "There is no such notice"),
            Self::GrantNotFound => (StatusCode::NOT_FOUND, "grant-not-found", "There is no such grant"),
            Self::AlreadyDecided => (StatusCode::CONFLICT, "already-decided", "The request has been decided"),
            Self::AlreadyRejected => (StatusCode::CONFLICT, "already-rejected", "The same task was rejected a short time ago"),
            Self::WrongState => (StatusCode::CONFLICT, "wrong-state", "The current status does not allow this"),
            Self::Halted => (StatusCode::CONFLICT, "halted", "Parkbrake is halted"),
            Self::ReviewOpen => (StatusCode::CONFLICT, "review-open", "You have an open break-glass review"),
            Self::IdempotencyKeyInUse => {
                (StatusCode::CONFLICT, "idempotency-key-in-use", "The first request with this key is not done yet")
            }
            Self::Expired => (StatusCode::GONE, "expired", "The request has expired"),
            Self::DigestMismatch => (StatusCode::PRECONDITION_FAILED, "digest-mismatch", "The decision is about another document"),
            Self::PayloadTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "payload-too-large", "The body is too large"),
            Self::UnsupportedMediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "The body has to be JSON"),
            Self::MisdirectedRequest => (StatusCode::MISDIRECTED_REQUEST, "misdirected-request", "The server does not answer to this name"),
            Self::InvalidTask => (StatusCode::UNPROCESSABLE_ENTITY, "invalid-task", "The request is invalid"),
            Self::JustificationRequired => (StatusCode::UNPROCESSABLE_ENTITY, "justification-required", "A justification is needed"),
            Self::IdempotencyKeyReused => {
                (StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused", "The key was used for another request")
            }
            Self::RateLimited => (StatusCode::TOO_MANY_REQUESTS, "rate-limited", "Too many requests at once"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something went wrong here"),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy", "The server is busy, or somebody else is changing this"),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not available at the moment"),
        }
    }
}

impl Code {
    /// Whether the same call may succeed later without any other change; such a problem says when.
    pub fn may_be_retried(self) -> bool {
        matches!(self, Self::Busy | Self::Unavailable | Self::RateLimited | Self::IdempotencyKeyInUse)
    }
}

/// An error to be sent to the caller.
#[derive(Debug)]
pub struct Problem {
    code: Code,
    detail: String,
    /// After how many seconds to try again.
    retry_after: u64,
    more: More,
}

impl Problem {
    /// A problem with its detail.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), retry_after: 1, more: More::default() }
    }

    /// A request with these faults.
    pub fn invalid(faults: &[Fault]) -> Self {
        ServiceError::InvalidTask(faults.to_vec()).into()
    }

    /// For the caller, whatever it may not see does not exist.
    pub fn not_found() -> Self {
        ServiceError::WorkflowNotFound.into()
    }

    /// The code of the problem.
    pub fn code(&self) -> Code {
        self.code
    }

    /// The status and the detail, for a page that presents them in its own way.
    pub fn said(&self) -> (StatusCode, &str) {
        (self.code.facts().0, &self.detail)
    }

    /// After how many seconds the same call may succeed without any other change; `None` if it will
    /// not.
    pub fn retry_after(&self) -> Option<u64> {
        self.code.may_be_retried().then_some(self.retry_after)
    }

    /// Whether the requested thing does not exist, so that there is no page of it.
    pub fn is_missing(&self) -> bool {
        self.code == Code::WorkflowNotFound
    }

    /// An internal error. Only the log has the cause.
    pub fn internal() -> Self {
        ServiceError::internal().into()
    }

    /// The same, to be tried again after this time.
    pub fn after(self, pause: Duration) -> Self {
        Self { retry_after: pause.as_secs_f64().ceil().max(1.0) as u64, ..self }
    }

    fn with(self, more: More) -> Self {
        Self { more, ..self }
    }
}

impl From<ServiceError> for Problem {
    fn from(error: ServiceError) -> Self {
        let detail = error.to_string();
        match error {
            ServiceError::Unauthenticated(_) => Self::new(Code::Unauthenticated, detail),
            ServiceError::NotPermitted(_) => Self::new(Code::NotPermitted, detail),
            ServiceError::NotAnApprover(_) => Self::new(Code::NotAnApprover, detail),
            ServiceError::SelfApproval(_) => Self::new(Code::SelfApproval, detail),
            ServiceError::SignInAgain(_) => Self::new(Code::SignInAgain, detail),
            ServiceError::IdentityMismatch(_) => Self::new(Code::IdentityMismatch, detail),
            ServiceError::WorkflowNotFound => Self::new(Code::WorkflowNotFound, detail),
            ServiceError::NoticeNotFound => Self::new(Code::NoticeNotFound, detail),
            ServiceError::GrantNotFound => Self::new(Code::GrantNotFound, detail),
            ServiceError::AlreadyDecided(decided) => {
                Self::new(Code::AlreadyDecided, detail).with(More { decision: Some(decided), ..More::default() })
            }
            ServiceError::AlreadyRejected { workflow_id, decision, .. } => Self::new(Code::AlreadyRejected, detail).with(More {
                decision: Some(decision),
                workflow_id: Some(workflow_id),
                ..More::default()
            }),
            ServiceError::WrongState { current_status, .. } => {
                Self::new(Code::WrongState, detail).with(More { current_status: Some(current_status), ..More::default() })
            }
            ServiceError::IdempotencyKeyInUse => Self::new(Code::IdempotencyKeyInUse, detail),
            ServiceError::Expired => Self::new(Code::Expired, detail),
            ServiceError::DigestMismatch(_) => Self::new(Code::DigestMismatch, detail),
            ServiceError::InvalidTask(faults) => {
                Self::new(Code::InvalidTask, detail).with(More { errors: Some(faults), ..More::default() })
            }
            ServiceError::JustificationRequired => Self::new(Code::JustificationRequired, detail),
            ServiceError::IdempotencyKeyReused => Self::new(Code::IdempotencyKeyReused, detail),
            ServiceError::RateLimited { retry_after, .. } => Self::new(Code::RateLimited, detail).after(retry_after),
            ServiceError::Halted(_) => Self::new(Code::Halted, detail),
            ServiceError::ReviewOpen => Self::new(Code::ReviewOpen, detail),
            ServiceError::Internal(_) => Self::new(Code::Internal, detail),
            ServiceError::Busy(_) => Self::new(Code::Busy, detail),
            ServiceError::Unavailable(_) => Self::new(Code::Unavailable, detail),
        }
    }
}

/// A problem as the API sends it.
#[derive(Debug, Clone, Serialize)]
pub struct ProblemDocument {
    r#type: Cow<'static, str>,
    pub title: &'static str,
    status: u16,
    pub detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(flatten)]
    more: More,
    instance: Option<String>,
}

/// The additional fields of some codes.
#[derive(Debug, Clone, Default, Serialize)]
struct More {
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<Vec<Fault>>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_sent")]
    decision: Option<Box<workflow::Decision>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workflow_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    current_status: Option<String>,
}

fn as_sent<S: Serializer>(decision: &Option<Box<workflow::Decision>>, serializer: S) -> Result<S::Ok, S::Error> {
    decision.as_ref().map(|decision| Decision::of(decision, decision.roles.first())).serialize(serializer)
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, code, title) = self.code.facts();
        let retry_after = self.retry_after();
        let (r#type, code) = (format!("/problems/{code}").into(), Some(code));
        let document =
            ProblemDocument { r#type, title, status: status.as_u16(), detail: self.detail, code, more: self.more, instance: None };
        let mut response = without_instance(status, document);
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        if self.code == Code::Unauthenticated {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// A problem without a code, for which RFC 9457 has `about:blank`.
pub fn plain(status: StatusCode, detail: &str) -> Response {
    let (title, detail) = (status.canonical_reason().unwrap_or_default(), detail.to_owned());
    let r#type = "about:blank".into();
    without_instance(
        status,
        ProblemDocument { r#type, title, status: status.as_u16(), detail, code: None, more: More::default(), instance: None },
    )
}

/// Marks a response whose body still lacks its `instance`; the router's outer layer adds the path.
#[derive(Debug, Clone)]
pub struct WithoutInstance(pub ProblemDocument);

fn without_instance(status: StatusCode, document: ProblemDocument) -> Response {
    let mut response = status.into_response();
    response.extensions_mut().insert(WithoutInstance(document));
    response
}

/// Completes a problem with its `instance`, the path of the request.
pub fn add_instance(path: &str, mut response: Response) -> Response {
    if let Some(WithoutInstance(mut document)) = response.extensions_mut().remove::<WithoutInstance>() {
        document.instance = Some(path.to_owned());
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response.headers_mut().remove(header::CONTENT_LENGTH);
        *response.body_mut() = serde_json::to_string(&document).expect("a document of texts and numbers").into();
    }
    response
}
