//! The level that an earlier request would get under a changed configuration.

use crate::domain::policy::Policy;
use crate::domain::request::{Actions, tool_call};
use crate::domain::risk::Rules;
use crate::domain::risk::level::Level;
use crate::domain::risk::readings::Facts;
use crate::domain::task::plan::Document;
use crate::domain::task::{ActionKind, Task};
use crate::domain::tools::{ToolCall, ToolRules};
use chrono::{DateTime, Utc};

/// The parts of a changed configuration that determine levels.
#[derive(Debug, Clone, Copy)]
pub struct Preview<'c> {
    pub rules: &'c Rules,
    pub policy: &'c Policy,
    pub tools: &'c ToolRules,
    pub actions: Actions<'c>,
}

impl Preview<'_> {
    /// The level that a document would get if this requester submitted it at this moment.
    ///
    /// # Errors
    /// The reason why it could not be submitted.
    pub fn level(self, document: &Document, requested_by: &str, at: DateTime<Utc>) -> Result<Level, String> {
        match document {
            Document::Task(task) => match ToolCall::of(task) {
                Some(call) => {
                    let assessed = tool_call::assess(self.tools, &call, (self.rules, self.policy), requested_by, at);
                    let unasked = || "no level asks people, so a tool call that cannot be read has none to decide it".to_owned();
                    assessed.map(|(_, assessment)| assessment.level).ok_or_else(unasked)
                }
                None => Ok(self.rules.assess(task, self.facts(task)?.as_ref(), requested_by, at).level),
            },
            Document::Plan(plan) => {
                let tasks = plan.steps.iter().map(|step| &step.task).chain(plan.compensations().map(|(_, undoes)| undoes));
                let facts = tasks.map(|task| self.facts(task)).collect::<Result<Vec<_>, _>>()?;
                Ok(self.rules.assess_plan(plan, &facts, requested_by, at).whole.level)
            }
        }
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
