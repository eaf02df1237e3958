//! The assessment of a plan: each step is assessed as a task of its own, and the plan has the level
//! of its most dangerous step.

use crate::domain::risk::level::Level;
use crate::domain::risk::readings::Facts;
use crate::domain::risk::target::Target;
use crate::domain::risk::{Assessment, Reason, Rules};
use crate::domain::task::Task;
use crate::domain::task::plan::{PlanDocument, StepDocument};
use crate::domain::text::shown;
use chrono::{DateTime, Utc};
use std::cmp::Reverse;

/// The assessment of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanAssessment {
    /// The highest level of all steps. Each reason names its step.
    pub whole: Assessment,
    /// The target of the most dangerous step; of the first, if there are several.
    pub target: Target,
    /// One assessment for each step, in order.
    pub steps: Vec<StepAssessment>,
}

/// The assessment of one step, and its target.
#[derive(Debug, Clone, PartialEq)]
pub struct StepAssessment {
    pub level: Level,
    pub target: Target,
}

impl Rules {
    /// Assesses a plan. Costs are added up: every step that has a cost is assessed with the sum.
    pub fn assess_plan(&self, plan: &PlanDocument, facts: &[Option<Facts>], requested_by: &str, now: DateTime<Utc>) -> PlanAssessment {
        let costs = plan.steps.iter().filter_map(|step| step.task.estimated_cost);
        let cost: f64 = costs.sum();
        let undone = plan.compensations().map(|(of, task)| (format!("undoing step {of}"), task));
        let tasks: Vec<(String, &Task)> =
            plan.steps.iter().enumerate().map(|(index, step)| (named(index, step), &step.task)).chain(undone).collect();
        let assessed = |(index, (_, task)): (usize, &(String, &Task))| {
            let task = self.in_plan(plan, task, cost);
            let facts = facts.get(index).and_then(Option::as_ref);
            (self.assess(&task, facts, requested_by, now), self.target(&task, facts))
        };
        let steps: Vec<(Assessment, Target)> = tasks.iter().enumerate().map(assessed).collect();
        let said = tasks.iter().zip(&steps).flat_map(|((of, _), (assessment, _))| {
            assessment.reasons.iter().map(move |reason| Reason { detail: format!("{of}: {}", reason.detail), ..reason.clone() })
        });
        let mut reasons: Vec<Reason> = said.collect();
        reasons.sort_by_key(|reason| Reverse(reason.level));
        let level = steps.iter().map(|(assessment, _)| assessment.level).max().unwrap_or(Level::Critical);
        let worst = steps.iter().find(|(assessment, _)| assessment.level == level);
        let target = worst.map(|(_, target)| target.clone()).unwrap_or_default();
        let steps = steps.into_iter().map(|(assessment, target)| StepAssessment { level: assessment.level, target }).collect();
        PlanAssessment { whole: Assessment { level, reasons, policy_version: self.version.clone() }, target, steps }
    }

    /// A step with the fields of the whole plan.
    fn in_plan(&self, plan: &PlanDocument, step: &Task, cost: f64) -> Task {
        let mut task = step.clone();
        task.task_id.clone_from(&plan.task_id);
        task.estimated_cost = step.estimated_cost.map(|_| cost);
        if !plan.metadata.is_empty() {
            let mut said = plan.metadata.clone();
            said.extend(step.metadata.iter().map(|(name, value)| (name.clone(), value.clone())));
            task.metadata = said.into();
        }
        task
    }
}

/// The name of a step in reasons.
fn named(index: usize, step: &StepDocument) -> String {
    match &step.name {
        Some(name) => format!("step {} ({})", index + 1, shown(name)),
        None => format!("step {}", index + 1),
    }
}
