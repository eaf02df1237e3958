//! What the rest of the program passes to the engine, and what it gets back.

use crate::domain::policy::Principal;
use crate::domain::request::idempotency::IdempotencyKey;
use crate::domain::request::plan::Admitted;
use crate::domain::workflow::{Decision, Refusal, Workflow};
use std::sync::Arc;
use uuid::Uuid;

/// A task or a plan that has been checked and whose runbooks have been resolved.
#[derive(Debug)]
pub struct AdmittedTask {
    pub by: Principal,
    pub work: Admitted,
    /// The workflow that it supersedes.
    pub supersedes: Option<Uuid>,
    pub key: Option<IdempotencyKey>,
}

/// The result of a submit.
#[derive(Debug)]
pub enum Submitted {
    Accepted(Arc<Workflow>),
    /// The idempotency key has been used before.
    KeyUsed,
}

/// The result of a command.
#[derive(Debug)]
pub struct CommandOutcome {
    pub workflow: Arc<Workflow>,
    /// After an approval or a rejection: the decision just made, or the same person's earlier one.
    pub decision: Option<Decision>,
}

/// Why a submit or a command has no result.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("there is no such workflow")]
    NotFound,
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The level's policy remembers rejections, and the same task of the same requester was
    /// rejected a short time ago.
    #[error(
        "{approver} rejected this task recently (workflow {workflow_id}), so nobody is asked again: change the task, or submit it later",
        approver = .decision.approver
    )]
    AlreadyRejected { workflow_id: Uuid, decision: Box<Decision> },
    /// A halt or a freeze holds the action, and the request cannot be queued.
    #[error("{0}")]
    Held(String),
    /// The workflow's actor kept failing and is not started again.
    #[error(
        "this workflow kept failing and is in quarantine; an operator finds the reason in the list of workflows and in the server's log"
    )]
    Quarantined,
    /// Nothing was written, because another transaction holds a lock on the workflow or on the
    /// idempotency key.
    #[error("another change is being written at the same time; nothing was done, try again in a moment")]
    Busy,
    #[error("{0}")]
    Unavailable(String),
    #[error("{0}")]
    Internal(String),
}
