//! A tool call as a task, and the level of the whole call.

use crate::domain::policy::Policy;
use crate::domain::risk::{Assessment, Reason, Rules};
use crate::domain::task::Task;
use crate::domain::tools::{ToolCall, ToolRules};
use chrono::{DateTime, Utc};

/// Reads a call into a task, and assesses the whole call. A call with a part that no entry matches
/// never runs without people: it gets at least the lowest level at which people are asked. `None`
/// if no level asks anybody.
pub fn assess(
    tools: &ToolRules,
    call: &ToolCall,
    (rules, policy): (&Rules, &Policy),
    requested_by: &str,
    now: DateTime<Utc>,
) -> Option<(Task, Assessment)> {
    let reading = tools.read(call);
    let judged = reading.judge(rules, requested_by, now);
    let task = call.task(requested_by, &reading, &judged.facts);
    let mut assessment = rules.assess(&task, None, requested_by, now).and(judged.assessment);
    if !judged.is_matched && policy.level(assessment.level).auto_approve {
        let level = policy.asked_above(assessment.level)?;
        let detail = "no entry of hitl/agent-tools.yaml matches all of this call, so people have to approve it".to_owned();
        assessment.reasons.insert(0, Reason { trigger: "unread".to_owned(), level, detail });
        assessment.level = level;
    }
    Some((task, assessment))
}
