//! The events of the log. Stored events are read forever, so an added field has a default.

use crate::domain::duration;
use crate::domain::policy::{ApprovalTerms, Cover, GroupRole, Role};
use crate::domain::risk::Assessment;
use crate::domain::risk::target::Target;
use crate::domain::task::ActionKind;
use crate::domain::task::difference::Difference;
use crate::domain::task::digest::Digest;
use crate::domain::task::plan::Gate;
use crate::domain::task::retry::Retry;
use crate::domain::via::Via;
use crate::domain::workflow::{AttemptId, PlannedStep, ProbeAnswer};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// An event as it is in the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    Submitted(Arc<Submission>),
    ApprovalRequested {
        round: u32,
        terms: Arc<ApprovalTerms>,
        /// Why people are asked again; only in rounds after the first.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// The step that they are asked about; omitted for the whole.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<u32>,
    },
    Approved(Approval),
    /// A standing grant applied the approval that its giver gave in advance.
    Granted(GrantedApproval),
    /// One person has released the action alone, whatever the quorum and the roles. Somebody else
    /// has to review that.
    GlassBroken(GlassBroken),
    /// Somebody else has reviewed that the glass was broken.
    Reviewed {
        /// Who had broken it.
        broken_by: String,
        /// The roles that entitled the reviewer at that moment.
        roles: Vec<Role>,
        finding: String,
    },
    Rejected {
        round: u32,
        digest: Digest,
        roles: Vec<Role>,
        reason: String,
        /// The people for whom this person covered, with the roles that count for that reason.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        cover: Vec<Cover>,
    },
    /// An approver has withdrawn their approval. It no longer counts, and the same person may
    /// approve again.
    Withdrawn {
        round: u32,
        /// The roles of the withdrawn approval.
        roles: Vec<Role>,
        reason: String,
        /// How many approvals are needed after it.
        remaining: u32,
    },
    /// Step `level` of the escalation, counted from 1.
    Escalated {
        round: u32,
        level: u32,
        to: Vec<Role>,
    },
    Expired {
        round: u32,
    },
    Cancelled {
        /// The round of approval; `None` if nobody was asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        round: Option<u32>,
        reason: String,
    },
    /// Somebody cancelled it while this attempt was running. A later event says how the attempt
    /// ended.
    CancelRequested {
        step: u32,
        attempt: u32,
        reason: String,
    },
    /// Another task of the same requester has superseded it, in the same commit.
    Superseded {
        round: u32,
        /// The workflow of that task.
        by: Uuid,
    },
    /// Somebody commented. This has no effect on any decision.
    Commented {
        text: String,
        /// Whether it is a question to the requester.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        ask: bool,
    },
    /// The action may start. It waits for its turn, and nothing has run yet.
    Released {
        step: u32,
        attempt: u32,
    },
    /// The previous attempt failed. The next one is released after the pause.
    RetryScheduled {
        step: u32,
        attempt: u32,
        /// The length of the pause, counted from this event.
        #[serde(with = "duration::text")]
        after: Duration,
    },
    /// It may start during a freeze.
    FreezeExcepted(FreezeException),
    /// The action that is about to start differs from the document, so another document is in force
    /// from here on. If people are asked about it, that is in the same commit.
    DocumentRenewed {
        step: u32,
        attempt: u32,
        digest: Digest,
        reason: String,
        /// The fields in which it differs from the previous document.
        changes: Vec<Difference>,
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
        /// The process that runs it, with a new id for every start of the server.
        owner: Uuid,
        /// The token that the runner made for this start, or that of the tool call that claimed it.
        /// Only the holder of the token runs the attempt. Other external actions have none.
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
    /// Parkbrake ended the action early because somebody cancelled it.
    ExecutionCancelled {
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
    /// It is unknown whether the action happened.
    OutcomeUnknown {
        step: u32,
        attempt: u32,
        reason: String,
    },
    /// The runbook's probe has checked whether an attempt of unknown outcome happened.
    Probed {
        step: u32,
        attempt: u32,
        answer: ProbeAnswer,
        /// How the probe ended, and what it printed; omitted if it did not run.
        output: Option<Value>,
        /// Why it could not tell; omitted if it could.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A person found out what an attempt of unknown outcome did, and decided how to continue.
    Resolved {
        step: u32,
        attempt: u32,
        outcome: Resolution,
        /// The roles that entitled this person at that moment.
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
            Self::Granted(_) => "granted",
            Self::GlassBroken(_) => "glass_broken",
            Self::Reviewed { .. } => "reviewed",
            Self::Rejected { .. } => "rejected",
            Self::Withdrawn { .. } => "withdrawn",
            Self::Escalated { .. } => "escalated",
            Self::Expired { .. } => "expired",
            Self::Cancelled { .. } => "cancelled",
            Self::CancelRequested { .. } => "cancel_requested",
            Self::Superseded { .. } => "superseded",
            Self::Commented { .. } => "commented",
            Self::Released { .. } => "released",
            Self::RetryScheduled { .. } => "retry_scheduled",
            Self::FreezeExcepted(_) => "freeze_excepted",
            Self::DocumentRenewed { .. } => "document_renewed",
            Self::StartRefused { .. } => "start_refused",
            Self::ExecutionStarted { .. } => "execution_started",
            Self::ExecutionSucceeded { .. } => "execution_succeeded",
            Self::ExecutionFailed { .. } => "execution_failed",
            Self::ExecutionCancelled { .. } => "execution_cancelled",
            Self::ReportRequested { .. } => "report_requested",
            Self::OutcomeUnknown { .. } => "outcome_unknown",
            Self::Probed { .. } => "probed",
            Self::Resolved { .. } => "resolved",
        }
    }

    /// The attempt of the event, if there is one.
    pub fn attempt(&self) -> Option<AttemptId> {
        match self {
            Self::Released { step, attempt }
            | Self::RetryScheduled { step, attempt, .. }
            | Self::DocumentRenewed { step, attempt, .. }
            | Self::StartRefused { step, attempt, .. }
            | Self::ExecutionStarted { step, attempt, .. }
            | Self::ExecutionSucceeded { step, attempt, .. }
            | Self::ExecutionFailed { step, attempt, .. }
            | Self::ExecutionCancelled { step, attempt, .. }
            | Self::CancelRequested { step, attempt, .. }
            | Self::ReportRequested { step, attempt }
            | Self::OutcomeUnknown { step, attempt, .. }
            | Self::Probed { step, attempt, .. }
            | Self::Resolved { step, attempt, .. } => Some(AttemptId { step: *step, number: *attempt }),
            Self::Submitted(_)
            | Self::ApprovalRequested { .. }
            | Self::Approved(_)
            | Self::Granted(_)
            | Self::GlassBroken(_)
            | Self::Reviewed { .. }
            | Self::Rejected { .. }
            | Self::Withdrawn { .. }
            | Self::Escalated { .. }
            | Self::Expired { .. }
            | Self::Cancelled { .. }
            | Self::FreezeExcepted(_)
            | Self::Superseded { .. }
            | Self::Commented { .. } => None,
        }
    }
}

/// How an unknown outcome is resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resolution {
    /// It happened.
    Succeeded,
    /// It did not happen, or not as intended, and nothing more is done.
    Failed,
    /// It is released again, as the next attempt.
    Retry,
}

/// The first event: the request, the requester, and the assessment. The task itself is stored
/// separately.
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
    /// How long the requester of an external action has to report the outcome. Then parkbrake asks
    /// for the report, and after the same time again the outcome is unknown. Default: a day.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "duration::optional")]
    pub report_within: Option<Duration>,
    /// How failed attempts are retried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Whether a probe can find out whether an attempt of unknown outcome happened.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub probe: bool,
    /// The target, as far as it was known at the submission. Older logs have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// The workflow that it superseded, which was pending until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supersedes: Option<Uuid>,
    /// The steps of a plan, in order; empty for a single task. The fields above describe the whole
    /// plan: `action` is `external` if all of its steps are, and the target is that of its most
    /// dangerous step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<PlannedStep>,
    /// For a tool call of a coding agent, the token of the submitting call. Only one call, which
    /// claims the action with its token, begins it, so an approved action stays queued until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Uuid>,
    /// Whether people approve the whole plan at once or each step.
    #[serde(default, skip_serializing_if = "Gate::is_plan")]
    pub gate: Gate,
}

/// One person's approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    pub round: u32,
    pub approver: String,
    /// The roles that entitled this person at that moment.
    pub roles: Vec<Role>,
    pub digest: Digest,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub justification: Option<String>,
    /// How many more approvals were needed after it.
    pub remaining: u32,
    /// Those of the roles that came from groups of a provider.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_groups: Vec<GroupRole>,
    /// The people for whom the approver covered, with the roles that count for that reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cover: Vec<Cover>,
}

/// An approval that a grant gave in advance, for requests of this kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantedApproval {
    pub round: u32,
    /// The grant that released it.
    pub grant: Uuid,
    /// Who gave the grant.
    pub approver: String,
    /// The roles that entitled this person at that moment.
    pub roles: Vec<Role>,
    pub digest: Digest,
    /// Why the grant was given.
    pub justification: String,
}

/// One person's approval in an emergency, in place of everybody who was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GlassBroken {
    pub round: u32,
    pub approver: String,
    /// The roles by which this person may break the glass.
    pub roles: Vec<Role>,
    pub digest: Digest,
    pub justification: String,
    /// How many approvals were missing.
    pub missing: u32,
}

/// One person's exception from a freeze: the released action may start during the freeze.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FreezeException {
    /// The name of the freeze.
    pub freeze: String,
    /// When this period of the freeze ends. A later one needs another exception.
    pub until: DateTime<Utc>,
    pub approver: String,
    /// The roles that entitled this person at that moment.
    pub roles: Vec<Role>,
    pub digest: Digest,
    pub justification: String,
}

/// An event with the data that the database recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    pub version: u32,
    pub at: DateTime<Utc>,
    /// Who caused it: a principal's name, or [`SYSTEM`](crate::domain::policy::SYSTEM).
    pub actor: String,
    /// The way in by which it came.
    pub via: Via,
    pub event: Event,
}
