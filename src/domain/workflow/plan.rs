//! Plans: the steps of a workflow. A single task is a plan of one step.

use crate::domain::task::ActionKind;
use crate::domain::workflow::Submission;
use std::time::Duration;

/// What a workflow is to do, step by step. It never changes once it has been submitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// In their order; a step is named by its place, counted from 1.
    pub steps: Vec<Step>,
}

/// One action of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    pub action: ActionKind,
    /// Whether the action may be run again, with the same key, after a crash.
    pub idempotent: bool,
    /// How long the requester of an external action has to report how it went. Left out: a day.
    pub report_within: Option<Duration>,
}

impl Plan {
    /// The plan of a single task.
    pub fn of(submission: &Submission) -> Self {
        let Submission { action, idempotent, report_within, .. } = *submission;
        Self { steps: vec![Step { action, idempotent, report_within }] }
    }
}
