//! Errors of the use cases: one variant for each problem that a caller can be told. Each way in
//! renders it in its own protocol.

use crate::actors::protocol::Failure;
use crate::domain::request::Fault;
use crate::domain::workflow::{Decision, Refusal};
use crate::{identity, storage};
use std::time::Duration;
use uuid::Uuid;

/// The default for `Retry-After`.
const SOON: Duration = Duration::from_secs(1);

/// An error that the caller sees. Its text says what happened and what to do. Internal causes are
/// in the log and never in the text.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    #[error("{0}")]
    Unauthenticated(String),
    #[error("{0}")]
    NotPermitted(String),
    #[error("{0}")]
    NotAnApprover(String),
    #[error("{0}")]
    SelfApproval(String),
    /// The caller's sign-in is too old for this decision.
    #[error("{0}")]
    SignInAgain(String),
    /// The request names somebody other than the caller as the one who acts.
    #[error("{0}")]
    IdentityMismatch(String),
    /// There is no such workflow, or the caller may not see it.
    #[error("there is no workflow with this id that you may see")]
    WorkflowNotFound,
    #[error("there is no notice with this id")]
    NoticeNotFound,
    /// The caller broke the glass before, and that has not been reviewed.
    #[error("{}", Refusal::ReviewOpen)]
    ReviewOpen,
    #[error("there is no grant with this id")]
    GrantNotFound,
    #[error("{}", Refusal::AlreadyDecided(.0.clone()))]
    AlreadyDecided(Box<Decision>),
    /// The same task was rejected recently.
    #[error("{}", Failure::AlreadyRejected { workflow_id: *workflow_id, decision: decision.clone() })]
    AlreadyRejected { workflow_id: Uuid, decision: Box<Decision> },
    #[error("{detail}")]
    WrongState { current_status: String, detail: String },
    /// A hold is in force, and this request cannot be queued until it ends.
    #[error("{0}")]
    Halted(String),
    #[error("the first request with this key is still being stored")]
    IdempotencyKeyInUse,
    #[error("{}", Refusal::Expired)]
    Expired,
    #[error("{0}")]
    DigestMismatch(String),
    #[error("{}", told(.0))]
    InvalidTask(Vec<Fault>),
    #[error("{}", Refusal::JustificationRequired)]
    JustificationRequired,
    #[error("this key was used with a different body before; use a new key for a new task")]
    IdempotencyKeyReused,
    #[error("{detail}")]
    RateLimited { detail: String, retry_after: Duration },
    #[error("{0}")]
    Internal(String),
    #[error("{0}")]
    Busy(String),
    #[error("{0}")]
    Unavailable(String),
}

impl ServiceError {
    /// An invalid request with a single fault.
    pub fn invalid(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::InvalidTask(vec![Fault::new(pointer, detail)])
    }

    /// Too many requests at once; the caller can try again in a moment.
    pub fn too_much(detail: impl Into<String>) -> Self {
        Self::RateLimited { detail: detail.into(), retry_after: SOON }
    }

    /// An internal failure; its reason is only in the log.
    pub fn internal() -> Self {
        Self::Internal("the request failed on the server's side; an operator finds the reason in its log".to_owned())
    }

    fn unavailable() -> Self {
        Self::Unavailable("the server cannot reach its database, or is starting or stopping; try again in a moment".to_owned())
    }
}

/// The faults in one line.
fn told(faults: &[Fault]) -> String {
    match faults {
        [only] if only.pointer.is_empty() => only.detail.clone(),
        [only] => format!("{} {}", only.pointer, only.detail),
        many => format!("{} things are wrong; see `errors`", many.len()),
    }
}

impl From<Refusal> for ServiceError {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        match refusal {
            Refusal::NotPermitted(_) => Self::NotPermitted(detail),
            Refusal::NotAnApprover(_) => Self::NotAnApprover(detail),
            Refusal::SelfApproval(_) => Self::SelfApproval(detail),
            Refusal::SignInAgain(_) => Self::SignInAgain(detail),
            Refusal::JustificationRequired => Self::JustificationRequired,
            Refusal::DigestMismatch(_) => Self::DigestMismatch(detail),
            Refusal::AlreadyDecided(decision) => Self::AlreadyDecided(decision),
            Refusal::Expired => Self::Expired,
            Refusal::ReviewOpen => Self::ReviewOpen,
            Refusal::WrongState { current, .. } => Self::WrongState { current_status: current.as_str().to_owned(), detail },
        }
    }
}

impl From<Failure> for ServiceError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NotFound => Self::WorkflowNotFound,
            Failure::AlreadyRejected { workflow_id, decision } => Self::AlreadyRejected { workflow_id, decision },
            Failure::Refused(refusal) => refusal.into(),
            Failure::Held(why) => Self::Halted(why),
            Failure::Quarantined => Self::Unavailable(failure.to_string()),
            Failure::Busy => Self::Busy(failure.to_string()),
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

impl From<storage::Error> for ServiceError {
    fn from(error: storage::Error) -> Self {
        match error {
            storage::Error::Unavailable(reason) => {
                tracing::warn!(reason, "a request could not be answered");
                Self::unavailable()
            }
            storage::Error::Corrupt { .. } => {
                tracing::error!(%error, "a request failed");
                Self::Internal(
                    "the stored state of this workflow cannot be read; an operator finds the reason in the server's log".to_owned(),
                )
            }
            other => {
                tracing::error!(error = %other, "a request failed");
                Self::internal()
            }
        }
    }
}

impl From<identity::Error> for ServiceError {
    fn from(error: identity::Error) -> Self {
        match error {
            identity::Error::Unproved(why) => Self::Unauthenticated(why),
            identity::Error::Storage(error) => error.into(),
            identity::Error::NoRandomNumbers(error) => {
                tracing::error!(%error, "the system provides no random numbers");
                Self::internal()
            }
        }
    }
}
