//! Events: what stands in the log. Stored events are read back for ever, so a field that is added
//! has a default.

use crate::domain::duration;
use crate::domain::policy::{ApprovalTerms, GroupRole, Role};
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

/// Something that happened, as it stands in the log.
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
        /// The step that they are asked about; left out where that is the whole.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<u32>,
    },
    Approved(Approval),
    /// A standing grant has given the yes that its giver gave in advance.
    Granted(GrantedApproval),
    /// One person has released it alone, whatever the quorum and the roles that are asked. Somebody
    /// else has to review that.
    GlassBroken(GlassBroken),
    /// Somebody else has reviewed that the glass was broken.
    Reviewed {
        /// Who had broken it.
        broken_by: String,
        /// The roles by which the reviewer was entitled at that moment.
        roles: Vec<Role>,
        finding: String,
    },
    Rejected {
        round: u32,
        digest: Digest,
        roles: Vec<Role>,
        reason: String,
    },
    /// An approver has taken the own yes back. It no longer counts, and the same person may approve
    /// again.
    Withdrawn {
        round: u32,
        /// The roles by which the approval had been given.
        roles: Vec<Role>,
        reason: String,
        /// How many approvals are needed after it.
        remaining: u32,
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
    /// Somebody has cancelled it while this attempt was running. How the attempt ended is said by a
    /// later event.
    CancelRequested {
        step: u32,
        attempt: u32,
        reason: String,
    },
    /// Another task of the same requester has taken its place, in the same commit.
    Superseded {
        round: u32,
        /// The workflow of that task.
        by: Uuid,
    },
    /// Somebody has said something. It changes nothing of what was decided, or will be.
    Commented {
        text: String,
        /// Whether it is a question to the requester.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        ask: bool,
    },
    /// The action may start: it waits for its turn, and nothing has run yet.
    Released {
        step: u32,
        attempt: u32,
    },
    /// The attempt before this one failed. It is released once the pause is over.
    RetryScheduled {
        step: u32,
        attempt: u32,
        /// How long it rests, counted from this event.
        #[serde(with = "duration::text")]
        after: Duration,
    },
    /// It may start although a freeze holds it.
    FreezeExcepted(FreezeException),
    /// What is about to start is not what the document says: from here on another one holds. Where
    /// people are asked about it, that is in the same commit.
    DocumentRenewed {
        step: u32,
        attempt: u32,
        digest: Digest,
        reason: String,
        /// The fields in which it differs from the one before.
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
        /// The process that runs it; a fresh id for every start of the server.
        owner: Uuid,
        /// Made by the runner for this one start, or that of the tool call that claimed it. Whoever
        /// has it, and nobody else, runs the attempt. Other external actions have none.
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
    /// Parkbrake ended the action before it was done, because somebody had cancelled it.
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
    /// Nobody knows whether the action happened.
    OutcomeUnknown {
        step: u32,
        attempt: u32,
        reason: String,
    },
    /// The runbook's probe has looked whether an attempt of unknown outcome happened.
    Probed {
        step: u32,
        attempt: u32,
        answer: ProbeAnswer,
        /// How the probe ended, and what it printed; none where it did not run.
        output: Option<Value>,
        /// Why it could not tell; left out where it could.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
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

    /// The attempt that it is about, if it is about one.
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
    /// It did not happen, or not as it should have, and that is left as it is.
    Failed,
    /// It is released once more, as the next attempt.
    Retry,
}

/// The first event: what was asked, by whom, and how it was assessed. The task itself is stored
/// once, apart.
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
    /// How long the requester of an external action has to report how it went; then it is asked,
    /// and after as long again nobody knows. Left out: a day.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "duration::optional")]
    pub report_within: Option<Duration>,
    /// What is done about an attempt that fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Whether parkbrake can find out by itself whether an attempt of unknown outcome happened.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub probe: bool,
    /// What it is about, as far as was known when it was submitted; logs from before this was
    /// recorded have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// The workflow whose place it has taken, which was pending until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supersedes: Option<Uuid>,
    /// The steps of a plan, in their order; none of a single task. What stands above is about the
    /// whole plan: `action` is `external` where all of its steps are, and the target is that of its
    /// most dangerous step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<PlannedStep>,
    /// Of a tool call of a coding agent: the token of the call by which it came. What is allowed is
    /// begun by one such call alone, which claims it with its token; so once it is approved it is
    /// queued until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Uuid>,
    /// What of a plan people approve at once.
    #[serde(default, skip_serializing_if = "Gate::is_plan")]
    pub gate: Gate,
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
    /// Those of the roles that groups of a provider gave.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_groups: Vec<GroupRole>,
}

/// A yes that was given in advance, for requests of this kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantedApproval {
    pub round: u32,
    /// The grant that let it pass.
    pub grant: Uuid,
    /// Who gave the grant.
    pub approver: String,
    /// The roles by which this person was entitled at that moment.
    pub roles: Vec<Role>,
    pub digest: Digest,
    /// Why the grant was given.
    pub justification: String,
}

/// One person's yes in an emergency, in place of all that were asked.
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

/// One person's exception from a freeze: what is released may start although the freeze holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FreezeException {
    /// The name of the freeze.
    pub freeze: String,
    /// When this stretch of the freeze ends; a later one needs an exception of its own.
    pub until: DateTime<Utc>,
    pub approver: String,
    /// The roles by which this person was entitled at that moment.
    pub roles: Vec<Role>,
    pub digest: Digest,
    pub justification: String,
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
