//! What the rest of the program hands to the engine, and what it gets back.

use crate::domain::policy::Principal;
use crate::domain::request::idempotency::IdempotencyKey;
use crate::domain::risk::readings::Facts;
use crate::domain::task::Task;
use crate::domain::workflow::{Decision, Refusal, Workflow};
use std::sync::Arc;
use uuid::Uuid;

/// A task as it comes in: checked, with its runbook resolved.
#[derive(Debug)]
pub struct Intake {
    pub by: Principal,
    pub task: Task,
    pub facts: Option<Facts>,
    /// The workflow whose place it is to take.
    pub supersedes: Option<Uuid>,
    pub key: Option<IdempotencyKey>,
}

/// What became of a submit.
#[derive(Debug)]
pub enum Submitted {
    Accepted(Arc<Workflow>),
    /// The idempotency key has been used before.
    KeyUsed,
}

/// What became of a command.
#[derive(Debug)]
pub struct Answered {
    pub workflow: Arc<Workflow>,
    /// For an approval or a rejection: this one, or the same person's earlier one.
    pub decision: Option<Decision>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("there is no such workflow")]
    NotFound,
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The level's policy remembers rejections, and the same requester's very same task was rejected a short time ago.
    #[error(
        "{approver} rejected this very task a short time ago (workflow {workflow_id}), so nobody is asked again: change the task, or submit it later",
        approver = .decision.approver
    )]
    AlreadyRejected { workflow_id: Uuid, decision: Box<Decision> },
    /// Its actor kept failing, and it is left alone.
    #[error("this workflow kept failing and is left alone; an operator finds the reason in the list of workflows and in the server's log")]
    Quarantined,
    /// It was not done, because somebody else has locked the workflow or the idempotency key.
    #[error("somebody else is just writing this; nothing was done, try again in a moment")]
    Busy,
    #[error("{0}")]
    Unavailable(String),
    #[error("{0}")]
    Internal(String),
}
