//! The shapes that are sent. Everything in them is derived from the log and the stored document.

use crate::domain::approval;
use crate::domain::digest::Digest;
use crate::domain::level::Level;
use crate::domain::policy::{ApprovalTerms, Role};
use crate::domain::risk::Assessment;
use crate::domain::target::Target;
use crate::domain::task::Task;
use crate::domain::transition;
use crate::domain::workflow::{Decision, Event, Recorded, Resolution, Round, Status, Verdict, Workflow};
use crate::http::problem::decision;
pub use crate::http::problem::time;
use crate::storage::{Listed, PendingRow, Quarantine};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

/// A moment, or null.
pub fn optional_time(at: Option<DateTime<Utc>>) -> Value {
    at.map_or(Value::Null, time)
}

/// The answer to a submit.
#[derive(Serialize)]
pub struct Submitted<'a> {
    success: bool,
    workflow_id: Uuid,
    task_id: Option<&'a str>,
    status: Status,
    risk_level: Level,
    requires_approval: bool,
    digest: &'a Digest,
    target: Option<&'a Target>,
    assessment: &'a Assessment,
    approval: Option<Approval<'a>>,
}

/// The answer to a submit.
pub fn submitted(workflow: &Workflow) -> Submitted<'_> {
    let submission = &workflow.submission;
    Submitted {
        success: true,
        workflow_id: workflow.id,
        task_id: submission.task_id.as_deref(),
        status: workflow.status(),
        risk_level: submission.assessment.level,
        requires_approval: workflow.round().is_some(),
        digest: &submission.digest,
        target: submission.target.as_ref(),
        assessment: &submission.assessment,
        approval: workflow.round().map(approval_of),
    }
}

/// A request with its terms and times.
#[derive(Serialize)]
pub struct Approval<'a> {
    approvers: Vec<&'a Role>,
    required: u32,
    approvals: usize,
    escalation_level: u32,
    distinct_roles: bool,
    require_justification: bool,
    require_digest: bool,
    requested_at: Value,
    timetable: Value,
    expires_at: Value,
}

/// A request as it stands.
pub fn approval_of(round: &Round) -> Approval<'_> {
    Approval {
        approvers: approval::entitled_roles(round),
        approvals: round.approvals.len(),
        escalation_level: round.escalation_level,
        ..terms(&round.terms, round.opened_at)
    }
}

/// The request as it would be if it were made at this moment.
pub fn terms(terms: &ApprovalTerms, requested_at: DateTime<Utc>) -> Approval<'_> {
    let steps = terms.escalation.iter().map(|step| (step.after, step.to.as_slice()));
    let expires_at = terms.expire_after.map(|delay| later(requested_at, delay));
    Approval {
        approvers: terms.approvers.iter().collect(),
        required: terms.required,
        approvals: 0,
        escalation_level: 0,
        distinct_roles: terms.distinct_roles,
        require_justification: terms.require_justification,
        require_digest: terms.require_digest,
        requested_at: time(requested_at),
        timetable: timetable(requested_at, steps, expires_at),
        expires_at: optional_time(expires_at),
    }
}

fn timetable<'a>(
    requested_at: DateTime<Utc>,
    steps: impl Iterator<Item = (Duration, &'a [Role])>,
    expires_at: Option<DateTime<Utc>>,
) -> Value {
    let escalations = steps.map(|(after, to)| json!({"at": time(later(requested_at, after)), "what": "escalate", "to": to}));
    let expiry = expires_at.map(|at| json!({"at": time(at), "what": "expire", "to": []}));
    Value::Array(escalations.chain(expiry).collect())
}

fn later(from: DateTime<Utc>, delay: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(delay).ok().and_then(|delay| from.checked_add_signed(delay)).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// One line of the list of what waits.
pub fn pending(row: &PendingRow) -> Value {
    let steps: Vec<(Duration, Vec<Role>)> = row
        .timetable
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|step| Some((Duration::from_secs(step["after"].as_u64()?), serde_json::from_value(step["to"].clone()).ok()?)))
        .collect();
    json!({
        "workflow_id": row.workflow_id,
        "task_id": row.task_id,
        "risk_level": row.risk_level,
        "description": row.description,
        "target": row.target,
        "requested_by": row.requested_by,
        "requested_at": time(row.requested_at),
        "approvers": row.approvers,
        "required": row.required,
        "approvals": row.approvals,
        "escalation_level": row.escalation_level,
        "timetable": timetable(row.requested_at, steps.iter().map(|(after, to)| (*after, to.as_slice())), row.expires_at),
        "expires_at": optional_time(row.expires_at),
        "digest": row.digest,
    })
}

/// One line of the list of all workflows.
pub fn listed(row: &Listed) -> Value {
    let document: Value = serde_json::from_slice(&row.document).unwrap_or_default();
    json!({
        "workflow_id": row.workflow_id,
        "task_id": row.task_id,
        "status": row.status,
        "risk_level": row.risk_level,
        "description": document["description"],
        "operation": row.target.operation,
        "environment": row.target.environment,
        "resource": row.target.resource,
        "target": row.target,
        "requested_by": row.requested_by,
        "on_behalf_of": row.on_behalf_of,
        "digest": row.digest,
        "quarantine": row.quarantine,
        "created_at": time(row.created_at),
        "updated_at": time(row.updated_at),
    })
}

/// One workflow, whole.
pub fn workflow(workflow: &Workflow, log: &[Recorded], document: &[u8], quarantine: Option<&Quarantine>) -> Value {
    let task: Value = serde_json::from_slice(document).unwrap_or_default();
    let submission = &workflow.submission;
    json!({
        "workflow_id": workflow.id,
        "task_id": submission.task_id,
        "status": workflow.status(),
        "approval_status": workflow.approval_status(),
        "risk_level": submission.assessment.level,
        "requires_approval": workflow.round().is_some(),
        "description": task["description"],
        "requested_by": submission.requested_by,
        "on_behalf_of": submission.on_behalf_of,
        "version": workflow.version,
        "task": task,
        "target": target_of(workflow, document),
        "digest": submission.digest,
        "assessment": submission.assessment,
        "approval": workflow.round().map(approval_of),
        "decisions": decisions(workflow),
        "execution": execution(log),
        "history": log.iter().map(history).collect::<Vec<_>>(),
        "quarantine": quarantine.map(|left| json!({"reason": left.reason, "failures": left.failures, "since": time(left.since)})),
        "created_at": time(workflow.created_at),
        "updated_at": time(workflow.updated_at),
    })
}

/// What a workflow is about; of one that was submitted before this was recorded, its claim.
pub fn target_of(workflow: &Workflow, document: &[u8]) -> Target {
    let claimed = || serde_json::from_slice::<Task>(document).map(|task| Target::claimed(&task)).unwrap_or_default();
    workflow.submission.target.clone().unwrap_or_else(claimed)
}

/// The decisions, each with the role that it counts for: approvals share the roles out among themselves.
fn decisions(workflow: &Workflow) -> Vec<Value> {
    let given: Vec<&[Role]> =
        workflow.round().into_iter().flat_map(|round| &round.approvals).map(|approval| approval.roles.as_slice()).collect();
    let mut assigned = approval::assign_roles(&given).into_iter();
    let mut role = |one: &Decision| {
        let counts_for = if one.verdict == Verdict::Approved { assigned.next().flatten().cloned() } else { None };
        counts_for.or_else(|| one.roles.first().cloned())
    };
    workflow.decisions.iter().map(|one| decision(one, role(one).as_ref())).collect()
}

/// The attempts at the action, or null where none was begun or refused.
pub fn execution(log: &[Recorded]) -> Value {
    let mut attempts: Vec<Value> = Vec::new();
    for recorded in log {
        match &recorded.event {
            Event::Released { .. } => interrupt(&mut attempts, recorded.at),
            Event::ExecutionStarted { attempt, .. } => {
                interrupt(&mut attempts, recorded.at);
                attempts.push(begin(*attempt, time(recorded.at)));
            }
            // Nothing of it ran, so that it has no beginning.
            Event::StartRefused { attempt, reason, .. } => {
                attempts.push(begin(*attempt, Value::Null));
                end(&mut attempts, recorded.at, "refused", None, Some(reason));
            }
            Event::ExecutionSucceeded { output, .. } => end(&mut attempts, recorded.at, "succeeded", output.as_ref(), None),
            Event::ExecutionFailed { output, error, .. } => end(&mut attempts, recorded.at, "failed", output.as_ref(), Some(error)),
            Event::OutcomeUnknown { reason, .. } => end(&mut attempts, recorded.at, "unknown", None, Some(reason)),
            Event::Resolved { outcome: Resolution::Succeeded, .. } => end(&mut attempts, recorded.at, "succeeded", None, None),
            Event::Resolved { outcome: Resolution::Failed, justification, .. } => {
                end(&mut attempts, recorded.at, "failed", None, Some(justification));
            }
            _ => {}
        }
    }
    if attempts.is_empty() { Value::Null } else { json!({"attempts": attempts}) }
}

fn begin(attempt: u32, started_at: Value) -> Value {
    json!({"n": attempt, "started_at": started_at, "finished_at": null, "outcome": null, "output": null, "error": null})
}

fn end(attempts: &mut [Value], at: DateTime<Utc>, outcome: &str, output: Option<&Value>, error: Option<&str>) {
    if let Some(attempt) = attempts.last_mut() {
        attempt["finished_at"] = time(at);
        attempt["outcome"] = json!(outcome);
        attempt["output"] = json!(output);
        attempt["error"] = json!(error);
    }
}

/// The attempt before the next one, where nothing said how it ended.
fn interrupt(attempts: &mut [Value], at: DateTime<Utc>) {
    if attempts.last().is_some_and(|attempt| attempt["outcome"].is_null()) {
        end(attempts, at, "interrupted", None, Some("the server stopped while this attempt was running"));
    }
}

/// One event as histories show it.
fn history(recorded: &Recorded) -> Value {
    let mut detail = serde_json::to_value(&recorded.event).unwrap_or_default();
    if let Value::Object(fields) = &mut detail {
        fields.remove("event");
    }
    json!({
        "version": recorded.version,
        "event": recorded.event.name(),
        "actor": recorded.actor,
        "at": time(recorded.at),
        "via": recorded.via,
        "detail": detail,
    })
}

/// The answer to an approval, the first time and every time it is repeated.
pub fn approved(workflow: &Workflow, decision: &Decision) -> Value {
    json!({
        "success": true,
        "workflow_id": workflow.id,
        "status": if decision.remaining == 0 { "approved" } else { "pending" },
        "approved_by": decision.approver,
        "approvals_remaining": decision.remaining,
        "workflow_status": transition::status_after(decision, workflow.submission.action),
    })
}
