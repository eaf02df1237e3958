//! What can be asked of a workflow, and how it is refused.

use crate::domain::hold::Freeze;
use crate::domain::policy::{ApprovalTerms, Principal, Role};
use crate::domain::workflow::{AttemptId, Decision, ProbeAnswer, Renewed, Resolution, Status, StepName};
use chrono::{DateTime, Utc};
use serde_json::Value;
use std::sync::Arc;
use uuid::Uuid;

/// What can be asked of a workflow.
#[derive(Debug, Clone)]
pub enum Command {
    Approve {
        by: Principal,
        justification: Option<String>,
        digest: Option<String>,
        /// The process that will run the action if this approval completes the quorum.
        owner: Uuid,
    },
    /// One person releases it alone, in an emergency.
    BreakGlass {
        by: Principal,
        justification: Option<String>,
        digest: Option<String>,
        /// The roles by which this person may, today; empty where none of them does.
        roles: Vec<Role>,
        /// The process that will run the action.
        owner: Uuid,
    },
    /// Somebody else says what they found where the glass was broken.
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
    /// Somebody lets what is released start although a freeze holds it.
    Except {
        by: Principal,
        freeze: Arc<Freeze>,
        /// When the freeze ends; `None` where it does not hold this workflow now.
        until: Option<DateTime<Utc>>,
        justification: Option<String>,
        digest: Option<String>,
    },
    Cancel {
        by: Principal,
        reason: Option<String>,
    },
    /// Another task of the same requester takes the place of this one.
    Supersede {
        by: Principal,
        /// The workflow of that task.
        successor: Uuid,
    },
    /// An approver takes the own yes back.
    Withdraw {
        by: Principal,
        reason: Option<String>,
    },
    /// Somebody says something about it, or asks its requester something.
    Comment {
        by: Principal,
        text: String,
        ask: bool,
    },
    /// The requester of an external action says how it went.
    Report {
        by: Principal,
        /// The step that it is about; needed where a plan has several external steps.
        step: Option<StepName>,
        outcome: Outcome,
    },
    /// Somebody found out what an attempt of unknown outcome did.
    Resolve {
        by: Principal,
        outcome: Resolution,
        justification: Option<String>,
        /// The process that acts if the action is released once more.
        owner: Uuid,
        /// Whose role decides about a task that needed no approval.
        deciders: Vec<Role>,
    },
    /// A tool call of a coding agent claims what was released for it. Whoever finds its token in
    /// the workflow afterwards may carry it out.
    Claim {
        by: Principal,
        owner: Uuid,
        token: Uuid,
    },
    /// The runner has a turn for a queued attempt. Whoever finds its token in the workflow
    /// afterwards runs it.
    Start {
        attempt: AttemptId,
        owner: Uuid,
        token: Uuid,
        /// The document by which it starts, where that is not the one that holds.
        renewed: Option<Arc<Renewed>>,
    },
    /// A guard of the start gate says that a queued attempt is not to run.
    RefuseStart {
        attempt: AttemptId,
        reason: String,
    },
    /// A guard of the start gate says that people have to be asked again before a queued attempt
    /// runs, under these terms.
    AskAgain {
        attempt: AttemptId,
        reason: String,
        terms: Arc<ApprovalTerms>,
        /// The document that they are asked about, where that is not the one that holds.
        renewed: Option<Arc<Renewed>>,
    },
    /// A queued attempt gets what earlier steps have handed out. Nobody has to be asked about that.
    Renew {
        attempt: AttemptId,
        renewed: Arc<Renewed>,
    },
    /// The executor says how an attempt went.
    Finish {
        attempt: AttemptId,
        outcome: Outcome,
    },
    /// The runbook's probe says whether an attempt of unknown outcome happened.
    Probed {
        attempt: AttemptId,
        answer: ProbeAnswer,
        output: Option<Value>,
        reason: Option<String>,
    },
    /// An attempt was begun by a process that is gone.
    Recover {
        attempt: AttemptId,
        /// The process that takes it up.
        owner: Uuid,
    },
    /// This process is said to run an attempt, and does not, or no longer.
    Disown {
        attempt: AttemptId,
        token: Option<Uuid>,
        cause: Disowned,
    },
    /// Time has passed; `now` is the database's.
    Tick {
        now: DateTime<Utc>,
    },
}

impl Command {
    /// Who asks; nobody where parkbrake itself does.
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

    /// The document that is to hold from then on.
    pub fn renewed(&self) -> Option<&Arc<Renewed>> {
        match self {
            Self::Start { renewed, .. } | Self::AskAgain { renewed, .. } => renewed.as_ref(),
            Self::Renew { renewed, .. } => Some(renewed),
            _ => None,
        }
    }

    /// Whether it is somebody's yes or no, or takes a yes back.
    pub fn is_decision(&self) -> bool {
        matches!(self, Self::Approve { .. } | Self::BreakGlass { .. } | Self::Reject { .. } | Self::Except { .. } | Self::Withdraw { .. })
    }

    /// The same, where groups give whoever decides further roles; none where they do not, or where
    /// such roles do not count.
    pub fn with_roles_of_groups(&self) -> Option<Self> {
        let (Self::Approve { by, .. } | Self::Reject { by, .. } | Self::Withdraw { by, .. }) = self else { return None };
        let deciding = (!by.signed_in.roles.is_empty()).then(|| by.deciding())?;
        let mut widened = self.clone();
        if let Self::Approve { by, .. } | Self::Reject { by, .. } | Self::Withdraw { by, .. } = &mut widened {
            *by = deciding;
        }
        Some(widened)
    }

    /// Whether it asks who is suspended today.
    pub fn asks_today(&self) -> bool {
        self.is_decision() || matches!(self, Self::Comment { .. } | Self::Review { .. })
    }
}

/// Why a process disowns an attempt that is its own by the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disowned {
    /// Its runner knows nothing of it.
    NotHere,
    /// It ended the action's processes, because its lease could not be renewed in time.
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
    /// Parkbrake ended the action before it was done, because somebody had cancelled it.
    Cancelled {
        error: String,
        output: Option<Value>,
    },
    /// Nobody knows; only parkbrake itself says so, of an action that it runs.
    Unknown {
        reason: String,
    },
}

/// Why a command is refused. Each has its status and its page in the API's errors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("{0}")]
    NotPermitted(String),
    #[error("{0}")]
    NotAnApprover(String),
    #[error("{0}")]
    SelfApproval(String),
    /// The caller has signed in too long ago for a yes at this level.
    #[error("{0}")]
    SignInAgain(String),
    #[error("a justification is needed: say in a sentence why")]
    JustificationRequired,
    #[error("{0}")]
    DigestMismatch(String),
    #[error("the request was {verdict} by {approver} already", verdict = .0.verdict.as_str(), approver = .0.approver)]
    AlreadyDecided(Box<Decision>),
    /// The same person has broken the glass before, and nobody has reviewed that.
    #[error(
        "you have broken the glass before, and nobody has reviewed that yet: ask somebody else to close the review, or leave this one to others"
    )]
    ReviewOpen,
    #[error("the request has expired: nobody decided in time, and it will not run; submit the task again")]
    Expired,
    #[error("{detail}; its status is {current}")]
    WrongState { current: Status, detail: String },
}
