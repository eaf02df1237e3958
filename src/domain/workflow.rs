//! A workflow: the state of one task, the events that made it, and what can be asked of it.
//!
//! The vocabulary has room for what is coming: a workflow is a plan of one or more steps (here always one), approval
//! happens in rounds (an edit will open a new one), an action has attempts. Events carry `round`, `step` and `attempt`.

use crate::domain::digest::Digest;
use crate::domain::duration;
use crate::domain::policy::{ApprovalTerms, Role};
use crate::domain::risk::Assessment;
pub use crate::domain::status::{ApprovalStatus, Status};
use crate::domain::target::Target;
use crate::domain::task::ActionKind;
use crate::domain::via::Via;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

mod command;
pub use command::{Command, Disowned, Outcome, Refusal};

/// Something that happened, as it stands in the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    Submitted(Submission),
    ApprovalRequested {
        round: u32,
        terms: Arc<ApprovalTerms>,
        /// Why people are asked again; only in rounds after the first.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
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
        /// The round of approval; none where nobody was asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        round: Option<u32>,
        reason: String,
    },
    /// The action may start: it waits for its turn, and nothing has run yet.
    Released {
        step: u32,
        attempt: u32,
    },
    /// The action was not started and never will be; nothing ran.
    StartRefused {
        step: u32,
        attempt: u32,
        reason: String,
    },
    /// From here on the action may have had effects.
    ExecutionStarted {
        step: u32,
        attempt: u32,
        /// The process that runs it; a fresh id for every start of the server.
        owner: Uuid,
        /// Made by the runner for this one start. Whoever made it, and nobody else, runs the attempt. External actions have none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token: Option<Uuid>,
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
    /// The requester of an external action has not reported in time, and is asked to.
    ReportRequested {
        step: u32,
        attempt: u32,
    },
    /// Nobody knows whether the action happened.
    OutcomeUnknown {
        step: u32,
        attempt: u32,
        reason: String,
    },
    /// Somebody found out what an attempt did whose outcome was unknown, and says how to go on.
    Resolved {
        step: u32,
        attempt: u32,
        outcome: Resolution,
        /// The roles by which this person was entitled at that moment.
        roles: Vec<Role>,
        justification: String,
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
            Self::Released { .. } => "released",
            Self::StartRefused { .. } => "start_refused",
            Self::ExecutionStarted { .. } => "execution_started",
            Self::ExecutionSucceeded { .. } => "execution_succeeded",
            Self::ExecutionFailed { .. } => "execution_failed",
            Self::ReportRequested { .. } => "report_requested",
            Self::OutcomeUnknown { .. } => "outcome_unknown",
            Self::Resolved { .. } => "resolved",
        }
    }
}

/// How an unknown outcome is resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resolution {
    /// It happened.
    Succeeded,
    /// It did not happen, or not as it should have, and that is left as it is.
    Failed,
    /// It is released once more, as the next attempt.
    Retry,
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
    /// How long the requester of an external action has to report how it went; then it is asked, and after as long again nobody knows.
    /// Left out: a day.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "duration::optional")]
    pub report_within: Option<Duration>,
    /// What it is about, as far as was known when it was submitted; logs from before this was recorded have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
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
    /// The door by which they came.
    pub via: Via,
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
    /// How many attempts have been started.
    pub attempts: u32,
    /// How the last unknown outcome was resolved, of which attempt and by whom.
    pub resolved: Option<(u32, Resolution, String)>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// Where a workflow stands, with the evidence for it.
#[derive(Debug, Clone, PartialEq)]
pub enum Phase {
    /// Assessed; the event that says what follows is in the same commit.
    Assessed,
    PendingApproval(Round),
    /// Approved by as many as were needed; the event that releases the action is in the same commit.
    Approved(Option<Round>),
    /// Released: this attempt waits for its turn, and nothing of it has run.
    Queued {
        round: Option<Round>,
        attempt: u32,
    },
    Executing {
        round: Option<Round>,
        attempt: Attempt,
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
    /// By its requester or an admin, before anything ran. There is no round where nobody was asked.
    Cancelled(Option<Round>),
    Expired(Round),
}

/// An attempt that was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// Counted from 1.
    pub number: u32,
    /// The process that started it.
    pub owner: Uuid,
    /// The one that the runner made for this start; none of an external action, and none in old logs.
    pub token: Option<Uuid>,
    pub started_at: DateTime<Utc>,
    /// When the requester of an external action was asked to report.
    pub report_asked_at: Option<DateTime<Utc>>,
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

impl Round {
    /// Whether as many as were needed have approved.
    pub fn is_approved(&self) -> bool {
        self.approvals.last().is_some_and(|approval| approval.remaining == 0)
    }
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
    /// The door by which it came.
    pub via: Via,
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

impl Workflow {
    /// The status on the wire.
    pub fn status(&self) -> Status {
        match self.phase {
            // The first two are never the state after a whole commit; to a reader they would be work that has not started yet.
            Phase::Assessed | Phase::Approved(_) | Phase::Queued { .. } => Status::Queued,
            Phase::Executing { .. } => Status::Executing,
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
            Phase::PendingApproval(round) | Phase::Rejected(round) | Phase::Expired(round) => Some(round),
            Phase::Approved(round)
            | Phase::Queued { round, .. }
            | Phase::Cancelled(round)
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
            (Phase::Cancelled(Some(round)), _) if !round.is_approved() => ApprovalStatus::Cancelled,
            (Phase::Expired(_), _) => ApprovalStatus::Expired,
            (_, Some(_)) => ApprovalStatus::Approved,
            (_, None) => ApprovalStatus::NotRequired,
        }
    }

    /// The last decision of a round that is settled, which is the one that settled it.
    pub fn deciding(&self) -> Option<&Decision> {
        match self.approval_status() {
            ApprovalStatus::Approved | ApprovalStatus::Rejected => self.decisions.last(),
            ApprovalStatus::NotRequired | ApprovalStatus::Pending | ApprovalStatus::Expired | ApprovalStatus::Cancelled => None,
        }
    }
}
