//! One workflow as a line of an export: the request, the decisions and the attempts, in JSON or as
//! a row of a table.

use super::assessment::Target;
use super::workflow::decisions;
use crate::domain::risk::level::Level;
use crate::domain::task::ActionKind;
use crate::domain::task::digest::Digest;
use crate::domain::via::Via;
use crate::domain::workflow::attempt_history::{self, AttemptOutcome, AttemptRecord};
use crate::domain::workflow::{ApprovalStatus, Status};
use crate::http::csv;
use crate::http::decision::Decision;
use crate::http::time::Time;
use crate::service::export::{Contents, Exported};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

/// A line of an export. If `problem` is set, something could not be read or verified, and
/// everything that depends on it is null or empty.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExportedWorkflow<'a> {
    workflow_id: Uuid,
    #[schema(required)]
    task_id: Option<&'a str>,
    submitted_at: Time,
    /// When the last event happened.
    updated_at: Time,
    #[schema(value_type = Status)]
    status: &'a str,
    #[schema(value_type = Level)]
    risk_level: &'a str,
    requested_by: &'a str,
    /// The person that the requester acted for.
    #[schema(required)]
    on_behalf_of: Option<&'a str>,
    /// The way in through which it was submitted.
    #[schema(required)]
    via: Option<Via>,
    /// The requester's description: a claim.
    #[schema(required)]
    description: Option<&'a str>,
    #[schema(required)]
    target: Option<Target<'a>>,
    /// The actions: one entry for each step of a plan, and one for a single task.
    actions: Vec<ExportedAction<'a>>,
    /// The digest of the document that people were asked about last.
    #[schema(required)]
    digest: Option<&'a Digest>,
    /// The digest of the configuration that assessed it.
    #[schema(required)]
    policy_version: Option<&'a Digest>,
    #[schema(required)]
    approval_status: Option<ApprovalStatus>,
    /// Every approval, rejection and withdrawal, the oldest first.
    decisions: Vec<Decision<'a>>,
    /// Every attempt that was started or refused, the oldest first.
    attempts: Vec<ExportedAttempt<'a>>,
    /// Why the rest is missing; null if nothing is.
    #[schema(required)]
    problem: Option<&'a str>,
    /// The document itself, a task or a plan, as `GET /workflows/{id}` shows it; only if it was
    /// requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>, nullable = false)]
    document: Option<Value>,
}

/// The action of one step.
#[derive(Debug, Serialize, ToSchema)]
struct ExportedAction<'a> {
    r#type: ActionKind,
    /// The name of the runbook or webhook; for an external action, whatever the requester calls it.
    #[schema(required)]
    name: Option<&'a str>,
    /// For a runbook: the argument vector.
    #[schema(required)]
    argv: Option<&'a [String]>,
    /// For a webhook: the address.
    #[schema(required)]
    url: Option<&'a str>,
}

/// One attempt at a step.
#[derive(Debug, Serialize, ToSchema)]
struct ExportedAttempt<'a> {
    /// The step of the plan, counted from 1.
    step: u32,
    /// Counted from 1, within the step.
    n: u32,
    /// Null if it was refused.
    #[schema(required)]
    started_at: Option<Time>,
    /// Null while it runs.
    #[schema(required)]
    finished_at: Option<Time>,
    /// Null while it runs.
    #[schema(required)]
    outcome: Option<AttemptOutcome>,
    /// For a runbook; null if there is none.
    #[schema(required)]
    exit_status: Option<i64>,
    #[schema(required)]
    error: Option<&'a str>,
}

impl<'a> From<AttemptRecord<'a>> for ExportedAttempt<'a> {
    fn from(attempt: AttemptRecord<'a>) -> Self {
        let ended = attempt.ended.as_ref();
        Self {
            step: attempt.step,
            n: attempt.number,
            started_at: attempt.started_at.map(Time),
            finished_at: ended.map(|ended| Time(ended.at)),
            outcome: ended.map(|ended| ended.outcome),
            exit_status: ended.and_then(|ended| ended.output?.get("exit_status").and_then(Value::as_i64)),
            error: ended.and_then(|ended| ended.error),
        }
    }
}

impl<'a> From<&'a Exported> for ExportedWorkflow<'a> {
    fn from(exported: &'a Exported) -> Self {
        let empty = Self {
            workflow_id: exported.workflow_id,
            task_id: None,
            submitted_at: Time(exported.created_at),
            updated_at: Time(exported.updated_at),
            status: &exported.status,
            risk_level: &exported.risk_level,
            requested_by: &exported.requested_by,
            on_behalf_of: None,
            via: None,
            description: None,
            target: None,
            actions: Vec::new(),
            digest: None,
            policy_version: None,
            approval_status: None,
            decisions: Vec::new(),
            attempts: Vec::new(),
            problem: exported.contents.as_ref().err().map(String::as_str),
            document: None,
        };
        let Ok(contents) = &exported.contents else { return empty };
        let Contents { workflow, log, target, document, digest } = contents;
        let submission = &workflow.submission;
        let actions = document.steps().into_iter().map(|(_, task)| ExportedAction {
            r#type: task.action.kind,
            name: task.action.name.as_deref(),
            argv: task.action.runs.as_ref().map(|runs| runs.command.as_slice()),
            url: task.action.calls.as_ref().map(|calls| calls.url.as_str()),
        });
        Self {
            task_id: submission.task_id.as_deref(),
            on_behalf_of: submission.on_behalf_of.as_deref(),
            via: log.first().map(|first| first.via),
            description: Some(document.description()),
            target: Some(target.into()),
            actions: actions.collect(),
            digest: Some(digest),
            policy_version: Some(&submission.assessment.policy_version),
            approval_status: Some(workflow.approval_status()),
            decisions: decisions(workflow),
            attempts: attempt_history::of(log).into_iter().map(ExportedAttempt::from).collect(),
            ..empty
        }
    }
}

impl<'a> ExportedWorkflow<'a> {
    /// The names of the columns of a table.
    pub const COLUMNS: [&'static str; 23] = [
        "workflow_id",
        "task_id",
        "submitted_at",
        "updated_at",
        "status",
        "risk_level",
        "operation",
        "environment",
        "resource",
        "resource_type",
        "requested_by",
        "on_behalf_of",
        "via",
        "description",
        "action",
        "argv",
        "digest",
        "policy_version",
        "approval_status",
        "decisions",
        "attempts",
        "exit_status",
        "problem",
    ];

    /// Appends the workflow as a row of a table. Lists are JSON; `argv` is that of the task, or for
    /// a plan a list of those of its steps.
    pub fn add_row(&self, text: &mut String) {
        let target = self.target.as_ref();
        let action = |one: &ExportedAction<'_>| [Some(one.r#type.as_str()), one.name].into_iter().flatten().collect::<Vec<_>>().join(" ");
        let argv = match &self.actions[..] {
            [] => String::new(),
            [only] => only.argv.map(json).unwrap_or_default(),
            steps => json(&steps.iter().map(|step| step.argv).collect::<Vec<_>>()),
        };
        let exit_status = self.attempts.last().and_then(|attempt| attempt.exit_status);
        let cells: [&str; 23] = [
            &self.workflow_id.to_string(),
            self.task_id.unwrap_or_default(),
            &time(self.submitted_at),
            &time(self.updated_at),
            self.status,
            self.risk_level,
            target.map(Target::operation).unwrap_or_default(),
            target.and_then(Target::environment).unwrap_or_default(),
            target.and_then(Target::resource).unwrap_or_default(),
            target.and_then(Target::resource_type).unwrap_or_default(),
            self.requested_by,
            self.on_behalf_of.unwrap_or_default(),
            self.via.map(Via::as_str).unwrap_or_default(),
            self.description.unwrap_or_default(),
            &self.actions.iter().map(action).collect::<Vec<_>>().join("; "),
            &argv,
            &self.digest.map(ToString::to_string).unwrap_or_default(),
            &self.policy_version.map(ToString::to_string).unwrap_or_default(),
            self.approval_status.map(ApprovalStatus::as_str).unwrap_or_default(),
            &json(&self.decisions),
            &json(&self.attempts),
            &exit_status.map(|status| status.to_string()).unwrap_or_default(),
            self.problem.unwrap_or_default(),
        ];
        csv::row(text, cells);
    }

    /// The same with the document itself.
    pub fn with_document(exported: &'a Exported) -> Self {
        let document = exported.contents.as_ref().ok().and_then(|contents| serde_json::from_slice(&contents.document.canonical()).ok());
        Self { document, ..exported.into() }
    }

    /// Appends the workflow as a line of JSON.
    pub fn add_line(&self, text: &mut String) {
        text.push_str(&json(self));
        text.push('\n');
    }
}

fn json<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).expect("a document of texts and numbers")
}

fn time(at: Time) -> String {
    json(&at).trim_matches('"').to_owned()
}
