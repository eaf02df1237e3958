//! Steps and their attempts: which were released and started, and how they ended.

use crate::domain::workflow::Resolution;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use uuid::Uuid;

/// Identifies one attempt at one step of a workflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId {
    /// The step's number in the plan, counted from 1.
    pub step: u32,
    /// Counted from 1 within the step.
    pub number: u32,
}

impl AttemptId {
    /// A key that is the same for every attempt at one step, so that the called system can tell a
    /// repetition from a new order: the workflow's id and, for later steps of a plan, the step's
    /// number.
    pub fn idempotency_key(self, workflow_id: Uuid) -> String {
        if self.step == 1 { workflow_id.to_string() } else { format!("{workflow_id}-{}", self.step) }
    }

    /// The next attempt at the same step.
    #[must_use]
    pub fn next(self) -> Self {
        Self { number: self.number + 1, ..self }
    }
}

/// The state of a step of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StepState {
    pub stage: Stage,
    /// The started attempts, oldest first. Only the last one can be running.
    pub attempts: Vec<Attempt>,
    /// The pause before the next attempt, while it lasts.
    pub rest: Option<Rest>,
}

/// A pause before the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rest {
    pub since: DateTime<Utc>,
    pub pause: Duration,
}

/// The stage of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stage {
    /// It has not been released.
    #[default]
    Waiting,
    /// Released: its next attempt waits for its turn, and nothing of that attempt has run.
    Queued,
    /// Its last attempt failed, and it is released again after a pause. Nothing runs.
    Resting,
    /// Its last attempt was started. Its [outcome](Attempt::outcome) says how it ended.
    Started,
    /// It was not started and never will be.
    Refused,
}

/// An attempt that was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Counted from 1.
    pub number: u32,
    /// The process that started it.
    pub owner: Uuid,
    /// The token that the runner made for this start; `None` for external actions and in old logs.
    pub token: Option<Uuid>,
    pub started_at: DateTime<Utc>,
    /// When the requester of an external action was asked to report.
    pub report_asked_at: Option<DateTime<Utc>>,
    /// Who cancelled it while it was running, if anybody did.
    pub cancel_requested: Option<CancelRequest>,
    /// Whether the runbook's probe has checked whether it happened.
    pub probed: bool,
    /// `None` while it is running.
    pub outcome: Option<Ended>,
    /// How its unknown outcome was resolved, and by whom.
    pub resolved: Option<(Resolution, String)>,
}

/// The request to cancel a running attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelRequest {
    pub by: String,
    pub reason: String,
}

/// How an attempt ended. Only the log has what it printed or reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Succeeded,
    Failed,
    /// Nobody knows whether it happened.
    Unknown,
    /// Its process is gone. The action is idempotent, and the next attempt replaces it.
    Interrupted,
    /// It was ended early because somebody cancelled it.
    Cancelled,
}

impl StepState {
    /// The number of the next attempt.
    pub fn next_number(&self) -> u32 {
        self.attempts.last().map_or(0, |attempt| attempt.number) + 1
    }

    /// The number of the attempt that waits for its turn.
    pub fn queued(&self) -> Option<u32> {
        (self.stage == Stage::Queued).then(|| self.next_number())
    }

    /// The attempt that is released after the pause, and the pause.
    pub fn resting(&self) -> Option<(u32, Rest)> {
        self.rest.filter(|_| self.stage == Stage::Resting).map(|rest| (self.next_number(), rest))
    }

    /// How many attempts have failed.
    pub fn failures(&self) -> u32 {
        let failed = self.attempts.iter().filter(|attempt| attempt.outcome == Some(Ended::Failed)).count();
        u32::try_from(failed).unwrap_or(u32::MAX)
    }

    /// The running attempt.
    pub fn running(&self) -> Option<&Attempt> {
        self.last_started().filter(|attempt| attempt.outcome.is_none())
    }

    /// The attempt with an unknown outcome.
    pub fn unknown(&self) -> Option<&Attempt> {
        self.last_started().filter(|attempt| attempt.outcome == Some(Ended::Unknown))
    }

    /// How the step ended; `None` if something can follow.
    pub fn ended(&self) -> Option<Ended> {
        match self.stage {
            Stage::Waiting | Stage::Queued | Stage::Resting => None,
            Stage::Started => {
                self.last_started()?.outcome.filter(|outcome| matches!(outcome, Ended::Succeeded | Ended::Failed | Ended::Cancelled))
            }
            Stage::Refused => Some(Ended::Failed),
        }
    }

    /// The request to cancel the last attempt, unless the step has been released again since.
    pub fn cancel_requested(&self) -> Option<&CancelRequest> {
        self.last_started()?.cancel_requested.as_ref()
    }

    /// The last attempt, unless the step has been released again since.
    fn last_started(&self) -> Option<&Attempt> {
        self.attempts.last().filter(|_| self.stage == Stage::Started)
    }
}

/// The answer of a probe about an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProbeAnswer {
    Happened,
    DidNotHappen,
    CannotTell,
}

impl ProbeAnswer {
    /// Every one of them.
    pub const ALL: [Self; 3] = [Self::Happened, Self::DidNotHappen, Self::CannotTell];

    /// The word for it, as it is written and stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Happened => "happened",
            Self::DidNotHappen => "did_not_happen",
            Self::CannotTell => "cannot_tell",
        }
    }
}
