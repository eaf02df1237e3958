//! The answers to tool calls, in words. The agent's model reads them, so they say what happened,
//! what to do, and what not to do.

use crate::domain::risk::Reason;
use crate::domain::text::{in_a_line, says};
use crate::domain::tools::ToolCall;
use crate::domain::workflow::approval::open_roles;
use crate::domain::workflow::{Decision, Status, Workflow};
use std::time::Duration;

/// The session and id were used for another call before.
pub const REUSED: &str = "denied: this tool_use_id came with another call before; every call needs an id of its own";
/// The call has run, or has been abandoned.
pub const OVER: &str = "denied: this very call has been allowed before and is over; to do the same once more, make a new call";

/// The most reasons that an answer names.
const REASONS: usize = 3;

pub fn allowed(workflow: &Workflow) -> String {
    match workflow.deciding() {
        Some(decision) => format!("approved by {} (workflow {}), for this one call", decision.approver, workflow.id),
        None => format!("{}: needs no approval (workflow {})", workflow.submission.assessment.level, workflow.id),
    }
}

pub fn parked(workflow: &Workflow, inbox: Option<&str>, retry_after: Duration) -> String {
    let asked = workflow.open_round().map(|round| open_roles(round).join(" or ")).unwrap_or_default();
    let address = inbox.map(|inbox| format!(" at {}/workflows/{}", inbox.trim_end_matches('/'), workflow.id)).unwrap_or_default();
    format!(
        "parked as {}: its risk is {} ({}), and {asked} has to approve it{address}. It has not run. Tell your user; do not try to do the same in another way. \
         Once it is approved, make exactly the same call again (not before {} s have passed); it then runs once.",
        workflow.id,
        workflow.submission.assessment.level,
        because(&workflow.submission.assessment.reasons),
        retry_after.as_secs()
    )
}

pub fn rejected(workflow: &Workflow, decision: &Decision) -> String {
    let words = decision.justification.as_deref().filter(|words| says(words)).map(in_a_line).unwrap_or_default();
    format!(
        "rejected by {} (workflow {}): \"{words}\". It does not run, and nobody is asked about the same call again for now. \
         Do not try to do the same in another way; ask your user how to go on.",
        decision.approver, workflow.id
    )
}

pub fn ended(workflow: &Workflow) -> String {
    let what = match workflow.status() {
        Status::Expired => "expired: nobody decided in time",
        Status::Superseded => "superseded by another request",
        _ => "cancelled before anybody decided or it began",
    };
    format!("{what} (workflow {}). It has not run. This was no decision: make the same call again to ask people again.", workflow.id)
}

pub fn not_started(workflow: &Workflow) -> String {
    format!(
        "denied: it was approved, but may not start any more (workflow {} says why). It has not run. Make the same call again to ask people \
         again.",
        workflow.id
    )
}

pub fn halted(why: &str) -> String {
    format!("denied: {why}. It has not run. Wait until that is over; do not try to do the same in another way.")
}

pub fn unread(call: &ToolCall) -> String {
    format!(
        "denied: no entry of hitl/agent-tools.yaml matches all of this call of {}, and no level of this server asks anybody",
        in_a_line(&call.tool_name)
    )
}

fn because(reasons: &[Reason]) -> String {
    let named: Vec<String> = reasons.iter().take(REASONS).map(|reason| in_a_line(&reason.detail)).collect();
    if named.is_empty() { "by the rules of this server".to_owned() } else { named.join("; ") }
}
