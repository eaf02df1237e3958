//! Commands to a workflow, and their refusals.

use crate::domain::hold::Freeze;
use crate::domain::policy::{ApprovalTerms, Principal, Role};
use crate::domain::workflow::{AttemptId, Decision, ProbeAnswer, Renewed, Resolution, Status, StepName};
use chrono::{DateTime, Utc};
use serde_json::Value;
use std::sync::Arc;
use uuid::Uuid;

/// A command to a workflow.
#[derive(Debug, Clone)]
pub enum Command {
    Approve {
        by: Principal,
        justification: Option<String>,
        digest: Option<String>,
        /// The process that will run the action if this approval completes the quorum.
        owner: Uuid,
    },
    /// One person releases the action alone, in an emergency.
    BreakGlass {
        by: Principal,
        justification: Option<String>,
        digest: Option<String>,
        /// The roles by which this person may do so today; empty if none allows it.
        roles: Vec<Role>,
        /// The process that will run the action.
        owner: Uuid,
    },
    /// Another person reviews that the glass was broken.
    Review {
        by: Principal,
        finding: Option<String>,
        /// The roles that decide at its level today.
        deciders: Vec<Role>,
    },
    Reject {
        by: Principal,
        reason: Option<String>,
        digest: Option<String>,
    },
    /// A person approves that a released action starts during a freeze.
    Except {
        by: Principal,
        freeze: Arc<Freeze>,
        /// When the freeze ends; `None` if it does not hold this workflow now.
        until: Option<DateTime<Utc>>,
        justification: Option<String>,
        digest: Option<String>,
    },
    Cancel {
        by: Principal,
        reason: Option<String>,
    },
    /// Another task of the same requester supersedes this one.
    Supersede {
        by: Principal,
        /// The workflow of that task.
        successor: Uuid,
    },
    /// An approver withdraws their approval.
    Withdraw {
        by: Principal,
        reason: Option<String>,
    },
    /// Somebody comments on it, or asks its requester a question.
    Comment {
        by: Principal,
        text: String,
        ask: bool,
    },
    /// The requester of an external action reports its outcome.
    Report {
        by: Principal,
        /// The step in question; required if a plan has several external steps.
        step: Option<StepName>,
        outcome: Outcome,
    },
    /// A person resolves an attempt of unknown outcome.
    Resolve {
        by: Principal,
        outcome: Resolution,
        justification: Option<String>,
        /// The process that acts if the action is released again.
        owner: Uuid,
        /// The roles that may decide about a task that needed no approval.
        deciders: Vec<Role>,
    },
    /// A tool call of a coding agent claims what was released for it. The call may run if the
    /// workflow then has its token.
    Claim {
        by: Principal,
        owner: Uuid,
        token: Uuid,
    },
    /// The runner has a turn for a queued attempt. The runner whose token the workflow then has
    /// runs it.
    Start {
        attempt: AttemptId,
        owner: Uuid,
        token: Uuid,
        /// The document with which it starts, if that is not the one in force.
        renewed: Option<Arc<Renewed>>,
    },
    /// A check of the start gate refuses a queued attempt.
    RefuseStart {
        attempt: AttemptId,
        reason: String,
    },
    /// A check of the start gate requires that people are asked again before a queued attempt runs,
    /// under these terms.
    AskAgain {
        attempt: AttemptId,
        reason: String,
        terms: Arc<ApprovalTerms>,
        /// The document that they are asked about, if that is not the one in force.
        renewed: Option<Arc<Renewed>>,
    },
    /// A queued attempt gets outputs of earlier steps. This needs no approval.
    Renew {
        attempt: AttemptId,
        renewed: Arc<Renewed>,
    },
    /// The executor reports how an attempt ended.
    Finish {
        attempt: AttemptId,
        outcome: Outcome,
    },
    /// The runbook's probe reports whether an attempt of unknown outcome happened.
    Probed {
        attempt: AttemptId,
        answer: ProbeAnswer,
        output: Option<Value>,
        reason: Option<String>,
    },
    /// The process that started an attempt is gone.
    Recover {
        attempt: AttemptId,
        /// The process that takes over.
        owner: Uuid,
    },
    /// The log says that this process runs an attempt, but it does not, or no longer does.
    Disown {
        attempt: AttemptId,
        token: Option<Uuid>,
        cause: Disowned,
    },
    /// Time has passed; `now` is the database's time.
    Tick {
        now: DateTime<Utc>,
    },
}

impl Command {
    /// The caller; `None` if parkbrake itself sends the command.
    pub fn caller(&self) -> Option<&Principal> {
        match self {
            Self::Approve { by, .. }
            | Self::BreakGlass { by, .. }
            | Self::Review { by, .. }
            | Self::Reject { by, .. }
            | Self::Except { by, .. }
            | Self::Cancel { by, .. }
            | Self::Supersede { by, .. }
            | Self::Withdraw { by, .. }
            | Self::Comment { by, .. }
            | Self::Report { by, .. }
            | Self::Claim { by, .. }
            | Self::Resolve { by, .. } => Some(by),
            Self::Start { .. }
            | Self::RefuseStart { .. }
            | Self::AskAgain { .. }
            | Self::Renew { .. }
            | Self::Finish { .. }
            | Self::Probed { .. }
            | Self::Recover { .. }
            | Self::Disown { .. }
            | Self::Tick { .. } => None,
        }
    }

    /// The document that is in force from then on.
    pub fn renewed(&self) -> Option<&Arc<Renewed>> {
        match self {
            Self::Start { renewed, .. } | Self::AskAgain { renewed, .. } => renewed.as_ref(),
            Self::Renew { renewed, .. } => Some(renewed),
            _ => None,
        }
    }

    /// Whether it approves, rejects, or withdraws an approval.
    pub fn is_decision(&self) -> bool {
        matches!(self, Self::Approve { .. } | Self::BreakGlass { .. } | Self::Reject { .. } | Self::Except { .. } | Self::Withdraw { .. })
    }

    /// Whether it depends on who is suspended today.
    pub fn asks_today(&self) -> bool {
        self.is_decision() || matches!(self, Self::Comment { .. } | Self::Review { .. })
    }
}

/// Why a process disowns an attempt that belongs to it according to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disowned {
    /// Its runner does not know the attempt.
    NotHere,
    /// It ended the action's processes because its lease could not be renewed in time.
    LeaseLapsing,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Succeeded {
        output: Option<Value>,
    },
    Failed {
        error: String,
        output: Option<Value>,
    },
    /// Parkbrake ended the action early because somebody cancelled it.
    Cancelled {
        error: String,
        output: Option<Value>,
    },
    /// The outcome is unknown. Only parkbrake itself reports this, about actions that it runs.
    Unknown {
        reason: String,
    },
}

/// Why a command is refused. Each refusal has a status and a page in the API's errors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("{0}")]
    NotPermitted(String),
    #[error("{0}")]
    NotAnApprover(String),
    #[error("{0}")]
    SelfApproval(String),
    /// The caller's sign-in is too old to approve at this level.
    #[error("{0}")]
    SignInAgain(String),
    #[error("a justification is needed: give the reason in a sentence")]
    JustificationRequired,
    #[error("{0}")]
    DigestMismatch(String),
    #[error("the request was {verdict} by {approver} already", verdict = .0.verdict.as_str(), approver = .0.approver)]
    AlreadyDecided(Box<Decision>),
    /// The same person broke the glass before, and that has not been reviewed.
    #[error(
        "you have broken the glass before, and nobody has reviewed that yet: ask somebody else to close the review, or leave this one to somebody else"
    )]
    ReviewOpen,
    #[error("the request has expired: nobody decided in time, and it will not run; submit the task again")]
    Expired,
    #[error("{detail}; its status is {current}")]
    WrongState { current: Status, detail: String },
}
