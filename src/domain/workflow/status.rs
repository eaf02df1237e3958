//! The statuses of a workflow and its approval, the same in JSON and SQL.

use serde::Serialize;
use std::fmt;

/// The status on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    PendingApproval,
    Queued,
    Executing,
    Completed,
    Failed,
    OutcomeUnknown,
    Rejected,
    Cancelled,
    Expired,
    Superseded,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 10] = [
        Self::PendingApproval,
        Self::Queued,
        Self::Executing,
        Self::Completed,
        Self::Failed,
        Self::OutcomeUnknown,
        Self::Rejected,
        Self::Cancelled,
        Self::Expired,
        Self::Superseded,
    ];

    /// The word for it, the same in JSON and SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PendingApproval => "pending_approval",
            Self::Queued => "queued",
            Self::Executing => "executing",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::Superseded => "superseded",
        }
    }

    /// The status with this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// Whether nothing can follow.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::PendingApproval | Self::Queued | Self::Executing | Self::OutcomeUnknown)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The status of one step of a plan, on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StepStatus {
    /// It is not next yet.
    Waiting,
    /// It is next, and people are asked about it.
    PendingApproval,
    /// Released: it waits for its turn, and nothing runs.
    Queued,
    Executing,
    Succeeded,
    /// It failed, or was refused and never started.
    Failed,
    OutcomeUnknown,
    /// It was ended early because somebody cancelled the task.
    Cancelled,
    /// It never starts, because the plan ended first.
    Skipped,
}

impl StepStatus {
    /// Every one of them.
    pub const ALL: [Self; 9] = [
        Self::Waiting,
        Self::PendingApproval,
        Self::Queued,
        Self::Executing,
        Self::Succeeded,
        Self::Failed,
        Self::OutcomeUnknown,
        Self::Cancelled,
        Self::Skipped,
    ];

    /// The word for it, as in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::PendingApproval => "pending_approval",
            Self::Queued => "queued",
            Self::Executing => "executing",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
        }
    }
}

/// The status of the approval, on the wire and in `approval_requests`.
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
    /// Every one of them.
    pub const ALL: [Self; 6] = [Self::NotRequired, Self::Pending, Self::Approved, Self::Rejected, Self::Expired, Self::Cancelled];

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
