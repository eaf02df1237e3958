//! The answers of tools: a few fields that a model and a program read alike, and a sentence that
//! says what to do next.

use crate::domain::policy::Role;
use crate::domain::request::Fault;
use crate::domain::risk::Reason;
use crate::domain::risk::level::Level;
use crate::domain::task::ActionKind;
use crate::domain::text::shown;
use crate::domain::workflow::approval::entitled_roles;
use crate::domain::workflow::attempt_history::{self, AttemptRecord};
use crate::domain::workflow::{Decision, Recorded, Status, Workflow};
use crate::http::problem::Problem;
use crate::http::time::Time;
use crate::service::submit::Assessed;
use crate::service::{Listed, ServiceError};
use chrono::TimeDelta;
use rmcp::model::{CallToolResult, ContentBlock};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

/// Seconds after which it is worth checking again for a decision.
const LOOK_AGAIN: u64 = 15;
/// How many characters of an output are shown; the inbox has all of it.
const SHOWN_OUTPUT: usize = 8_000;

/// A workflow as an agent sees it.
#[derive(Debug, Serialize)]
pub struct State<'a> {
    workflow_id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_id: Option<&'a str>,
    status: Status,
    risk_level: Level,
    requires_approval: bool,
    digest: &'a str,
    /// The reasons for its risk level.
    reasons: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    approval: Option<Asked>,
    decisions: Vec<Decided<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<Attempt<'a>>,
    /// The page on which people decide.
    #[serde(skip_serializing_if = "Option::is_none")]
    inbox_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_s: Option<u64>,
    /// What to do next.
    next: String,
}

#[derive(Debug, Serialize)]
struct Asked {
    approvers: Vec<String>,
    required: u32,
    approvals: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Time>,
}

#[derive(Debug, Serialize)]
struct Decided<'a> {
    verdict: &'static str,
    approver: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    words: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct Attempt<'a> {
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

impl<'a> State<'a> {
    /// A workflow with its log; `inbox` is the address at which people reach the server.
    pub fn of(workflow: &'a Workflow, log: &'a [Recorded], inbox: Option<&str>) -> Self {
        let submission = &workflow.submission;
        let status = workflow.status();
        let attempts = attempt_history::of(log);
        Self {
            workflow_id: workflow.id,
            task_id: submission.task_id.as_deref(),
            status,
            risk_level: submission.assessment.level,
            requires_approval: workflow.round().is_some(),
            digest: workflow.document().as_str(),
            reasons: submission.assessment.reasons.iter().map(|reason| format!("{}: {}", reason.trigger, reason.detail)).collect(),
            approval: workflow.open_round().map(|round| Asked {
                approvers: entitled_roles(round).into_iter().map(ToString::to_string).collect(),
                required: round.terms.required,
                approvals: round.approvals.len(),
                expires_at: round
                    .terms
                    .expire_after
                    .and_then(|after| round.opened_at.checked_add_signed(TimeDelta::from_std(after).ok()?))
                    .map(Time),
            }),
            decisions: workflow.decisions.iter().map(Decided::from).collect(),
            attempt: attempts.into_iter().next_back().map(Attempt::from),
            inbox_url: inbox.map(|inbox| format!("{inbox}/inbox/workflows/{}", workflow.id)),
            retry_after_s: matches!(status, Status::PendingApproval | Status::Queued).then_some(LOOK_AGAIN),
            next: next(workflow, status),
        }
    }

    /// Converts it to the result of a tool.
    pub fn into_result(self) -> CallToolResult {
        structured(&self)
    }
}

impl<'a> From<&'a Decision> for Decided<'a> {
    fn from(decision: &'a Decision) -> Self {
        Self { verdict: decision.verdict.as_str(), approver: &decision.approver, words: decision.justification.as_deref() }
    }
}

impl<'a> From<AttemptRecord<'a>> for Attempt<'a> {
    fn from(record: AttemptRecord<'a>) -> Self {
        let Some(ended) = record.ended else { return Self { outcome: "running", output: None, error: None } };
        let output = ended.output.map(|output| {
            let text = output.to_string();
            if text.chars().count() <= SHOWN_OUTPUT {
                text
            } else {
                text.chars().take(SHOWN_OUTPUT).chain("… (more in the inbox)".chars()).collect()
            }
        });
        Self { outcome: ended.outcome.as_str(), output, error: ended.error }
    }
}

/// What the agent should do next.
fn next(workflow: &Workflow, status: Status) -> String {
    let external = workflow.submission.action == ActionKind::External;
    match status {
        Status::PendingApproval => "People have to decide. Do not act. Call wait_for_decision with this workflow_id.".to_owned(),
        Status::Queued => "It is released and waits for its turn. Do not act.".to_owned(),
        Status::Executing if workflow.is_being_cancelled() => "It is being stopped. Call get_workflow to learn how it ended.".to_owned(),
        Status::Executing if external => {
            "You may now do exactly what you submitted, once. Then report the result with POST /workflows/{id}/result.".to_owned()
        }
        Status::Executing => "Parkbrake is doing it. Call wait_for_decision with until: \"end\" to learn how it ends.".to_owned(),
        Status::Completed => "It is done.".to_owned(),
        Status::Failed => "It failed; see attempt. Submit a new task if it should be tried again.".to_owned(),
        Status::OutcomeUnknown => "Nobody knows whether it happened. A person has to find out; do not try it again.".to_owned(),
        Status::Rejected => {
            let why = workflow.decisions.last().and_then(|decision| decision.justification.as_deref()).map(shown);
            let why = why.map(|why| format!(": {why}")).unwrap_or_default();
            format!("It was rejected{why}. Do not do it, and do not submit the same again.")
        }
        Status::Expired => "Nobody decided in time. It was not rejected: submit it again if it is still wanted.".to_owned(),
        Status::Cancelled => "It was cancelled. Do not do it.".to_owned(),
        Status::Superseded => "Another request has superseded it. Do not do this one.".to_owned(),
    }
}

/// A line of a list.
#[derive(Debug, Serialize)]
struct Line<'a> {
    workflow_id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_id: Option<&'a str>,
    status: &'a str,
    risk_level: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    /// The target, as far as the server knows it.
    target: About<'a>,
    created_at: Time,
    updated_at: Time,
}

#[derive(Debug, Serialize)]
struct About<'a> {
    operation: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_type: Option<&'a str>,
}

impl<'a> From<&'a Listed> for Line<'a> {
    fn from(line: &'a Listed) -> Self {
        let target = &line.target;
        Self {
            workflow_id: line.workflow_id,
            task_id: line.task_id.as_deref(),
            status: &line.status,
            risk_level: &line.risk_level,
            description: line.description.as_deref(),
            target: About {
                operation: &target.operation,
                environment: target.environment.as_deref(),
                resource: target.resource.as_deref(),
                resource_type: target.resource_type.as_deref(),
            },
            created_at: Time(line.created_at),
            updated_at: Time(line.updated_at),
        }
    }
}

#[derive(Debug, Serialize)]
struct Page<'a> {
    workflows: Vec<Line<'a>>,
    next_cursor: Option<String>,
}

/// A page of workflows.
pub fn page(lines: &[Listed], next_cursor: Option<String>) -> CallToolResult {
    let workflows = lines.iter().map(Line::from).collect();
    structured(&Page { workflows, next_cursor })
}

/// The assessment of a task.
#[derive(Debug, Serialize)]
struct Explained<'a> {
    risk_level: Level,
    requires_approval: bool,
    reasons: Vec<Cause<'a>>,
    approvers: Vec<&'a Role>,
    required: u32,
    digest: &'a str,
}

#[derive(Debug, Serialize)]
struct Cause<'a> {
    trigger: &'a str,
    level: Level,
    detail: &'a str,
}

/// The result for an assessment.
pub fn explained(assessed: &Assessed) -> CallToolResult {
    let terms = assessed.terms.as_deref();
    structured(&Explained {
        risk_level: assessed.assessment.level,
        requires_approval: terms.is_some(),
        reasons: assessed.assessment.reasons.iter().map(Cause::from).collect(),
        approvers: terms.map(|terms| terms.approvers.iter().collect()).unwrap_or_default(),
        required: terms.map_or(0, |terms| terms.required),
        digest: assessed.digest.as_str(),
    })
}

impl<'a> From<&'a Reason> for Cause<'a> {
    fn from(reason: &'a Reason) -> Self {
        Self { trigger: &reason.trigger, level: reason.level, detail: &reason.detail }
    }
}

/// The answer, as text for the model and as data for the program.
fn structured(answer: &impl Serialize) -> CallToolResult {
    CallToolResult::structured(serde_json::to_value(answer).unwrap_or_default())
}

/// A refusal: the same code and words as in a problem document.
#[derive(Debug, Serialize)]
pub struct Refused {
    code: &'static str,
    title: &'static str,
    detail: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Fault>,
    /// The workflow that was rejected before.
    #[serde(skip_serializing_if = "Option::is_none")]
    workflow_id: Option<Uuid>,
    /// Who rejected it, and the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_s: Option<u64>,
}

impl From<ServiceError> for Refused {
    fn from(error: ServiceError) -> Self {
        let errors = match &error {
            ServiceError::InvalidTask(faults) => faults.clone(),
            _ => Vec::new(),
        };
        let (workflow_id, decision) = match &error {
            ServiceError::AlreadyRejected { workflow_id, decision, .. } => {
                (Some(*workflow_id), serde_json::to_value(Decided::from(&**decision)).ok())
            }
            _ => (None, None),
        };
        let problem = Problem::from(error);
        let (_, code, title) = problem.code().facts();
        Self { code, title, detail: problem.said().1.to_owned(), errors, workflow_id, decision, retry_after_s: problem.retry_after() }
    }
}

impl Refused {
    /// Converts it to the result of a failed tool call, which the model reads to do better.
    pub fn into_result(self) -> CallToolResult {
        let said = serde_json::to_value(self).unwrap_or_default();
        let mut result = CallToolResult::error(vec![ContentBlock::text(said.to_string())]);
        result.structured_content = Some(said);
        result
    }
}
