//! The attempts at an action, from the log.

use crate::domain::workflow::{Event, Recorded, Resolution};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

/// One attempt, according to the log.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptRecord<'a> {
    /// The step of the plan, counted from 1.
    pub step: u32,
    /// Counted from 1 within the step.
    pub number: u32,
    /// `None` for an attempt that was refused: nothing ran.
    pub started_at: Option<DateTime<Utc>>,
    pub ended: Option<Ended<'a>>,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended<'a> {
    pub at: DateTime<Utc>,
    pub outcome: AttemptOutcome,
    pub output: Option<&'a Value>,
    pub error: Option<&'a str>,
}

/// The outcome of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AttemptOutcome {
    Succeeded,
    Failed,
    /// It is unknown whether it happened.
    Unknown,
    /// The server stopped, and another attempt follows.
    Interrupted,
    /// It was not started, and nothing ran.
    Refused,
    /// Parkbrake ended it early because somebody cancelled it.
    Cancelled,
}

impl AttemptOutcome {
    /// Every outcome.
    pub const ALL: [Self; 6] = [Self::Succeeded, Self::Failed, Self::Unknown, Self::Interrupted, Self::Refused, Self::Cancelled];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::Interrupted => "interrupted",
            Self::Refused => "refused",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Every attempt that was started or refused, oldest first.
pub fn of(log: &[Recorded]) -> Vec<AttemptRecord<'_>> {
    let mut attempts = Vec::new();
    for Recorded { at, event, .. } in log {
        match event {
            Event::Released { .. } => interrupt(&mut attempts, *at),
            Event::ExecutionStarted { step, attempt, .. } => {
                interrupt(&mut attempts, *at);
                attempts.push(AttemptRecord { step: *step, number: *attempt, started_at: Some(*at), ended: None });
            }
            Event::StartRefused { step, attempt, reason } => {
                attempts.push(AttemptRecord { step: *step, number: *attempt, started_at: None, ended: None });
                end(&mut attempts, *at, AttemptOutcome::Refused, None, Some(reason));
            }
            Event::ExecutionSucceeded { output, .. } => end(&mut attempts, *at, AttemptOutcome::Succeeded, output.as_ref(), None),
            Event::ExecutionFailed { output, error, .. } => end(&mut attempts, *at, AttemptOutcome::Failed, output.as_ref(), Some(error)),
            Event::ExecutionCancelled { output, error, .. } => {
                end(&mut attempts, *at, AttemptOutcome::Cancelled, output.as_ref(), Some(error));
            }
            Event::OutcomeUnknown { reason, .. } => end(&mut attempts, *at, AttemptOutcome::Unknown, None, Some(reason)),
            Event::Resolved { outcome: Resolution::Succeeded, .. } => end(&mut attempts, *at, AttemptOutcome::Succeeded, None, None),
            Event::Resolved { outcome: Resolution::Failed, justification, .. } => {
                end(&mut attempts, *at, AttemptOutcome::Failed, None, Some(justification));
            }
            _ => {}
        }
    }
    attempts
}

fn end<'a>(
    attempts: &mut [AttemptRecord<'a>],
    at: DateTime<Utc>,
    outcome: AttemptOutcome,
    output: Option<&'a Value>,
    error: Option<&'a str>,
) {
    if let Some(attempt) = attempts.last_mut() {
        attempt.ended = Some(Ended { at, outcome, output, error });
    }
}

/// Ends the previous attempt, if no event says how it ended.
fn interrupt(attempts: &mut [AttemptRecord<'_>], at: DateTime<Utc>) {
    if attempts.last().is_some_and(|attempt| attempt.ended.is_none()) {
        end(attempts, at, AttemptOutcome::Interrupted, None, Some("the server stopped while this attempt was running"));
    }
}
