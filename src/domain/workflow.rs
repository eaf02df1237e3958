//! A workflow: the state of one task, the events that made it, and what can be asked of it.
//!
//! The vocabulary has room for what is coming: a workflow is a plan of one or more steps (here always one), approval
//! happens in rounds (an edit will open a new one), an action has attempts. Events carry `round`, `step` and `attempt`.

use crate::domain::digest::Digest;
use crate::domain::policy::{ApprovalTerms, Principal, Role};
use crate::domain::risk::Assessment;
use crate::domain::task::ActionKind;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{fmt, sync::Arc};
use uuid::Uuid;

/// Something that happened, as it stands in the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    Submitted(Submission),
    ApprovalRequested {
        round: u32,
        terms: Arc<ApprovalTerms>,
    },
    Approved(Approval),
    Rejected {
        round: u32,
        digest: Digest,
        roles: Vec<Role>,
        reason: String,
    },
    /// Step `level` of the timetable, counted from 1.
    Escalated {
        round: u32,
        level: u32,
        to: Vec<Role>,
    },
    Expired {
        round: u32,
    },
    Cancelled {
        round: u32,
        reason: String,
    },
    /// From here on the action may have had effects.
    ExecutionStarted {
        step: u32,
        attempt: u32,
        /// The process that runs it; a fresh id for every start of the server.
        owner: Uuid,
    },
    ExecutionSucceeded {
        step: u32,
        attempt: u32,
        output: Option<Value>,
    },
    ExecutionFailed {
        step: u32,
        attempt: u32,
        output: Option<Value>,
        error: String,
    },
    /// Nobody knows whether the action happened.
    OutcomeUnknown {
        step: u32,
        attempt: u32,
        reason: String,
    },
}

impl Event {
    /// Its name in the log and in histories.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Submitted(_) => "submitted",
            Self::ApprovalRequested { .. } => "approval_requested",
            Self::Approved(_) => "approved",
            Self::Rejected { .. } => "rejected",
            Self::Escalated { .. } => "escalated",
            Self::Expired { .. } => "expired",
            Self::Cancelled { .. } => "cancelled",
            Self::ExecutionStarted { .. } => "execution_started",
            Self::ExecutionSucceeded { .. } => "execution_succeeded",
            Self::ExecutionFailed { .. } => "execution_failed",
            Self::OutcomeUnknown { .. } => "outcome_unknown",
        }
    }
}

/// The first event: what was asked, by whom, and how it was assessed. The task itself is stored once, apart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Submission {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<String>,
    pub requested_by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<String>,
    pub digest: Digest,
    pub assessment: Assessment,
    pub action: ActionKind,
    /// Whether the action may be run again, with the same key, after a crash.
    pub idempotent: bool,
}

/// One person's yes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    pub round: u32,
    pub approver: String,
    /// The roles by which this person was entitled at that moment.
    pub roles: Vec<Role>,
    pub digest: Digest,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub justification: Option<String>,
    /// How many more were needed after it.
    pub remaining: u32,
}

/// An event with what the database recorded of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    pub version: u32,
    pub at: DateTime<Utc>,
    /// Who caused it: a principal's name, or [`SYSTEM`](crate::domain::policy::SYSTEM).
    pub actor: String,
    pub event: Event,
}

/// The state of one workflow: what its log folds to.
#[derive(Debug, Clone, PartialEq)]
pub struct Workflow {
    pub id: Uuid,
    /// The number of its last event; the next one can be written once.
    pub version: u32,
    pub submission: Submission,
    pub phase: Phase,
    pub decisions: Vec<Decision>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// Where a workflow stands, with the evidence for it.
#[derive(Debug, Clone, PartialEq)]
pub enum Phase {
    /// Assessed; the event that says what follows is in the same commit.
    Assessed,
    PendingApproval(Round),
    /// Approved by as many as were needed; the event that starts the action is in the same commit.
    Approved(Option<Round>),
    Executing {
        round: Option<Round>,
        attempt: u32,
        owner: Uuid,
    },
    OutcomeUnknown {
        round: Option<Round>,
        attempt: u32,
    },
    Completed {
        round: Option<Round>,
    },
    Failed {
        round: Option<Round>,
    },
    Rejected(Round),
    Cancelled(Round),
    Expired(Round),
}

/// One round of approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    pub number: u32,
    pub requested_at: DateTime<Utc>,
    pub terms: Arc<ApprovalTerms>,
    /// How many steps of the timetable have been taken.
    pub escalation_level: u32,
    pub approvals: Vec<Approval>,
}

/// One answer of a person, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub round: u32,
    pub approver: String,
    pub roles: Vec<Role>,
    pub verdict: Verdict,
    pub justification: Option<String>,
    /// How many more approvals were needed after it.
    pub remaining: u32,
    pub at: DateTime<Utc>,
}

/// Yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Approved,
    Rejected,
}

impl Verdict {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Rejected => "rejected",
        }
    }
}

/// The status on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    PendingApproval,
    Executing,
    Completed,
    Failed,
    OutcomeUnknown,
    Rejected,
    Cancelled,
    Expired,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 8] = [
        Self::PendingApproval,
        Self::Executing,
        Self::Completed,
        Self::Failed,
        Self::OutcomeUnknown,
        Self::Rejected,
        Self::Cancelled,
        Self::Expired,
    ];

    /// The word for it, the same in JSON and SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PendingApproval => "pending_approval",
            Self::Executing => "executing",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }

    /// The status with this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// Whether nothing can follow.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::PendingApproval | Self::Executing | Self::OutcomeUnknown)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How the approval stands, on the wire and in `approval_requests`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalStatus {
    NotRequired,
    Pending,
    Approved,
    Rejected,
    Expired,
    Cancelled,
}

impl ApprovalStatus {
    /// The word for it, the same in JSON and SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotRequired => "not_required",
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }
}

impl Workflow {
    /// The status on the wire.
    pub fn status(&self) -> Status {
        match self.phase {
            // Never the state after a whole commit; to a reader it would be work that has not started yet.
            Phase::Assessed | Phase::Approved(_) | Phase::Executing { .. } => Status::Executing,
            Phase::PendingApproval(_) => Status::PendingApproval,
            Phase::OutcomeUnknown { .. } => Status::OutcomeUnknown,
            Phase::Completed { .. } => Status::Completed,
            Phase::Failed { .. } => Status::Failed,
            Phase::Rejected(_) => Status::Rejected,
            Phase::Cancelled(_) => Status::Cancelled,
            Phase::Expired(_) => Status::Expired,
        }
    }

    /// The round of approval, for a task that needed one.
    pub fn round(&self) -> Option<&Round> {
        match &self.phase {
            Phase::Assessed => None,
            Phase::PendingApproval(round) | Phase::Rejected(round) | Phase::Cancelled(round) | Phase::Expired(round) => Some(round),
            Phase::Approved(round)
            | Phase::Executing { round, .. }
            | Phase::OutcomeUnknown { round, .. }
            | Phase::Completed { round }
            | Phase::Failed { round } => round.as_ref(),
        }
    }

    /// How the approval stands.
    pub fn approval_status(&self) -> ApprovalStatus {
        match (&self.phase, self.round()) {
            (Phase::PendingApproval(_), _) => ApprovalStatus::Pending,
            (Phase::Rejected(_), _) => ApprovalStatus::Rejected,
            (Phase::Cancelled(_), _) => ApprovalStatus::Cancelled,
            (Phase::Expired(_), _) => ApprovalStatus::Expired,
            (_, Some(_)) => ApprovalStatus::Approved,
            (_, None) => ApprovalStatus::NotRequired,
        }
    }

    /// The last decision of a round that is settled, which is the one that settled it.
    pub fn deciding(&self) -> Option<&Decision> {
        match self.approval_status() {
            ApprovalStatus::Approved | ApprovalStatus::Rejected => self.decisions.last(),
            _ => None,
        }
    }
}

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
    Reject {
        by: Principal,
        reason: Option<String>,
        digest: Option<String>,
    },
    Cancel {
        by: Principal,
        reason: Option<String>,
    },
    /// The requester of an external action says how it went.
    Report {
        by: Principal,
        outcome: Outcome,
    },
    /// The executor says how an attempt went.
    Finish {
        attempt: u32,
        outcome: Outcome,
    },
    /// An attempt was begun by a process that is gone.
    Recover {
        owner: Uuid,
    },
    /// Time has passed; `now` is the database's.
    Tick {
        now: DateTime<Utc>,
    },
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
    #[error("this level needs a justification: say in a sentence why it may be done")]
    JustificationRequired,
    #[error("{0}")]
    DigestMismatch(String),
    #[error("the request was {verdict} by {approver} already", verdict = .0.verdict.as_str(), approver = .0.approver)]
    AlreadyDecided(Box<Decision>),
    #[error("the request has expired: nobody decided in time, and it will not run; submit the task again")]
    Expired,
    #[error("{detail}; its status is {current}")]
    WrongState { current: Status, detail: String },
}
