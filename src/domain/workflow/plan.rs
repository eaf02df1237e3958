//! Plans: the steps of a workflow. A single task is a plan of one step.

use crate::domain::duration;
use crate::domain::risk::level::Level;
use crate::domain::risk::target::Target;
use crate::domain::task::ActionKind;
use crate::domain::task::plan::Gate;
use crate::domain::task::retry::Retry;
use crate::domain::workflow::Submission;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The steps of a workflow. They never change after the submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// In order; a step is identified by its number, counted from 1.
    pub steps: Vec<Step>,
}

/// One action of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    pub action: ActionKind,
    /// Whether the action may be run again, with the same key, after a crash.
    pub idempotent: bool,
    /// How long the requester of an external action has to report the outcome. Default: a day.
    pub report_within: Option<Duration>,
    /// Whether it waits, once released, until a call of its requester claims it.
    pub is_claimed: bool,
    /// How failed attempts are retried.
    pub retry: Option<Retry>,
    /// The step that it undoes if a later one fails; `None` if it is not a compensation.
    pub compensates: Option<u32>,
    /// Whether a probe can find out whether an attempt of unknown outcome happened.
    pub probe: bool,
}

/// A step of a plan, as in the first event of the log. The document has the task itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedStep {
    /// The requester's name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub action: ActionKind,
    pub idempotent: bool,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "duration::optional")]
    pub report_within: Option<Duration>,
    /// How failed attempts are retried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub probe: bool,
    /// The level of the step alone.
    pub level: Level,
    /// The target, as far as it was known at the submission.
    pub target: Target,
    /// The step that it undoes if a later one fails. Compensations come after all steps, in the
    /// order in which they run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compensates: Option<u32>,
    /// Whether it uses outputs of earlier steps, which are known when it is next.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub awaits: bool,
}

/// How a caller names a step of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepName {
    /// By its number, counted from 1.
    Number(u32),
    Name(String),
}

impl Plan {
    /// The submitted plan: its steps, or the one step of a single task.
    pub fn of(submission: &Submission) -> Self {
        let Submission { action, idempotent, report_within, retry, probe, .. } = *submission;
        if submission.steps.is_empty() {
            let is_claimed = submission.claim.is_some();
            return Self { steps: vec![Step { action, idempotent, report_within, retry, probe, is_claimed, compensates: None }] };
        }
        let step = |step: &PlannedStep| Step {
            action: step.action,
            idempotent: step.idempotent,
            report_within: step.report_within,
            is_claimed: false,
            retry: step.retry,
            compensates: step.compensates,
            probe: step.probe,
        };
        Self { steps: submission.steps.iter().map(step).collect() }
    }

    /// The step with this number; `None` if there is none.
    pub fn step(&self, number: u32) -> Option<&Step> {
        self.steps.get(usize::try_from(number).ok()?.checked_sub(1)?)
    }
}

impl Submission {
    /// Whether it was submitted as a plan, even of a single step.
    pub fn is_plan(&self) -> bool {
        !self.steps.is_empty()
    }

    /// The number of a named step; `None` if there is no such step.
    pub fn step_named(&self, name: &StepName) -> Option<u32> {
        let count = self.steps.len().max(1);
        match name {
            StepName::Number(number) => (1..=count).contains(&usize::try_from(*number).ok()?).then_some(*number),
            StepName::Name(name) => {
                let index = self.steps.iter().position(|step| step.name.as_deref() == Some(name))?;
                u32::try_from(index + 1).ok()
            }
        }
    }

    /// The level of a step alone, or of the whole if no step is given.
    pub fn level_of(&self, step: Option<u32>) -> Level {
        step.and_then(|step| self.planned(step)).map_or(self.assessment.level, |step| step.level)
    }

    /// The step that people are asked about before this one starts; `None` if they are asked about
    /// the whole.
    pub fn asked_about(&self, step: u32) -> Option<u32> {
        (self.gate == Gate::Step).then_some(step)
    }

    /// A step of a plan as it was planned.
    pub fn planned(&self, step: u32) -> Option<&PlannedStep> {
        self.steps.get(usize::try_from(step).ok()?.checked_sub(1)?)
    }

    /// The title of a step: its number, and its name if it has one.
    pub fn step_title(&self, number: u32) -> String {
        if let Some(of) = self.planned(number).and_then(|step| step.compensates) {
            return format!("step {number} (undoing step {of})");
        }
        match self.planned(number).and_then(|step| step.name.as_deref()) {
            Some(name) => format!("step {number} ({name})"),
            None => format!("step {number}"),
        }
    }
}
