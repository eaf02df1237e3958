//! The steps of a plan, as answers show them.

use super::assessment::Target;
use crate::domain::risk::level::Level;
use crate::domain::workflow::{StepStatus, Workflow};
use crate::service::submit;
use serde::Serialize;
use utoipa::ToSchema;

/// One step of a plan. The attempts show what ran of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WorkflowStep)]
pub struct Step<'a> {
    /// Its place in the plan, counted from 1.
    n: u32,
    /// The requester's name for it.
    #[schema(required)]
    name: Option<&'a str>,
    /// For a compensation, which undoes a step if a later one fails: the number of that step.
    /// Compensations come after all steps, in the order in which they would run.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    compensates: Option<u32>,
    status: StepStatus,
    /// The risk level of this step alone.
    risk_level: Level,
    target: Target<'a>,
}

/// The steps of a workflow; `None` for a single task.
pub fn steps_of(workflow: &Workflow) -> Option<Vec<Step<'_>>> {
    let mut steps = Vec::with_capacity(workflow.submission.steps.len());
    for ((n, _, state), planned) in workflow.numbered_steps().zip(&workflow.submission.steps) {
        steps.push(Step {
            n,
            name: planned.name.as_deref(),
            compensates: planned.compensates,
            status: workflow.step_status(n, state),
            risk_level: planned.level,
            target: (&planned.target).into(),
        });
    }
    (!steps.is_empty()).then_some(steps)
}

/// One step of a plan that was only assessed.
#[derive(Debug, Serialize, ToSchema)]
pub struct AssessedStep<'a> {
    /// Its place in the plan, counted from 1.
    n: u32,
    /// The requester's name for it.
    #[schema(required)]
    name: Option<&'a str>,
    /// For a compensation: the number of the step that it would undo.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    compensates: Option<u32>,
    /// The risk level of this step alone.
    risk_level: Level,
    target: Target<'a>,
}

impl<'a> AssessedStep<'a> {
    /// The steps of a plan; `None` for a single task.
    pub fn all(steps: &'a [submit::AssessedStep]) -> Option<Vec<Self>> {
        let step = |(n, step): (u32, &'a submit::AssessedStep)| Self {
            n,
            name: step.name.as_deref(),
            compensates: step.compensates,
            risk_level: step.level,
            target: (&step.target).into(),
        };
        (!steps.is_empty()).then(|| (1..).zip(steps).map(step).collect())
    }
}
