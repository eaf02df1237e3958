//! How something that was submitted before would be assessed under a changed configuration.

use crate::domain::policy::Policy;
use crate::domain::request::Actions;
use crate::domain::risk::Rules;
use crate::domain::risk::level::Level;
use crate::domain::risk::readings::Facts;
use crate::domain::task::plan::Document;
use crate::domain::task::{ActionKind, Task};
use crate::domain::tools::{ToolCall, ToolRules};
use chrono::{DateTime, Utc};

/// A changed configuration, as far as it says how dangerous something is.
#[derive(Debug, Clone, Copy)]
pub struct Preview<'c> {
    pub rules: &'c Rules,
    pub policy: &'c Policy,
    pub tools: &'c ToolRules,
    pub actions: Actions<'c>,
}

impl Preview<'_> {
    /// The level that a document would be given if this requester submitted it at this moment.
    ///
    /// # Errors
    /// Why it could not be submitted.
    pub fn level(self, document: &Document, requested_by: &str, at: DateTime<Utc>) -> Result<Level, String> {
        match document {
            Document::Task(task) => match ToolCall::of(task) {
                Some(call) => self.level_of_call(&call, requested_by, at),
                None => Ok(self.rules.assess(task, self.facts(task)?.as_ref(), requested_by, at).level),
            },
            Document::Plan(plan) => {
                let tasks = plan.steps.iter().map(|step| &step.task).chain(plan.compensations().map(|(_, undoes)| undoes));
                let facts = tasks.map(|task| self.facts(task)).collect::<Result<Vec<_>, _>>()?;
                Ok(self.rules.assess_plan(plan, &facts, requested_by, at).whole.level)
            }
        }
    }

    fn level_of_call(self, call: &ToolCall, requested_by: &str, at: DateTime<Utc>) -> Result<Level, String> {
        let reading = self.tools.read(call);
        let judged = reading.judge(self.rules, requested_by, at);
        let task = call.task(requested_by, &reading, &judged.facts);
        let level = self.rules.assess(&task, None, requested_by, at).level.max(judged.assessment.level);
        if judged.is_matched || !self.policy.level(level).auto_approve {
            return Ok(level);
        }
        self.policy.asked_above(level).ok_or_else(|| "nobody could be asked about a tool call that cannot be read".to_owned())
    }

    fn facts(self, task: &Task) -> Result<Option<Facts>, String> {
        let action = &task.action;
        match (action.kind, self.actions.facts(action)) {
            (ActionKind::External, _) => Ok(None),
            (_, Some(facts)) => Ok(Some(facts)),
            (kind, None) => {
                Err(format!("no {} {} takes these arguments", kind.as_str(), action.name.as_deref().unwrap_or("without a name")))
            }
        }
    }
}
