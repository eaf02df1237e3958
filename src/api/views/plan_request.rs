//! A plan as a requester sends it, as the schema describes it. `http/submitted.rs` reads it; a test
//! compares the two.

use super::evidence::SentEvidence;
use super::task_request::{Finding, TaskAction};
use crate::domain::request::TaskRequest;
use crate::http::submitted::{PlaybookCall, Undo};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

/// One task, a plan of several, or a playbook that makes one.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it only describes what is read elsewhere")]
pub enum SubmitRequest {
    Task(Box<TaskRequest>),
    Plan(Plan),
    Playbook(PlaybookCall),
}

/// Several tasks that are requested as one: they are approved together, and run one after the
/// other.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "it only describes what is read elsewhere")]
pub struct Plan {
    /// The requester's own name for it; it need not be unique.
    #[schema(min_length = 1, max_length = 128, pattern = r"\S")]
    task_id: Option<String>,
    /// What the whole plan is for, at most 4,096 bytes. Shown as the requester's claim, never
    /// trusted.
    #[schema(min_length = 1, max_length = 4096, pattern = r"\S")]
    description: String,
    /// Kept with the plan, and visible to conditions of triggers, for each step without metadata of
    /// its own.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
    /// In their order.
    #[schema(min_items = 1, max_items = 50)]
    steps: Vec<PlanStep>,
    /// `plan`: one approval covers all steps, before anything starts. `step`: people decide each
    /// step when its turn comes, at its own level, and low-risk steps run at once. Left out:
    /// `plan`.
    #[schema(value_type = Option<GateWord>)]
    gate: Option<GateWord>,
    /// The workflow that it supersedes: an earlier request of the same requester that still waits
    /// for people.
    supersedes: Option<Uuid>,
}

/// One step of a plan: a task without an id of its own.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "it only describes what is read elsewhere")]
struct PlanStep {
    /// Unique within the plan.
    #[schema(pattern = "^[a-z][a-z0-9_-]{0,62}$")]
    name: Option<String>,
    /// Left out: the plan's.
    #[schema(min_length = 1, max_length = 4096, pattern = r"\S")]
    description: Option<String>,
    /// The same as in a task.
    #[schema(min_length = 1, max_length = 128, pattern = "^[ -~]*[!-~][ -~]*$")]
    operation: String,
    #[schema(min_length = 1, max_length = 128, pattern = "^[ -~]*[!-~][ -~]*$")]
    environment: Option<String>,
    #[schema(min_length = 1, max_length = 1024, pattern = "^[ -~]*[!-~][ -~]*$")]
    resource: Option<String>,
    #[schema(min_length = 1, max_length = 128, pattern = "^[ -~]*[!-~][ -~]*$")]
    resource_type: Option<String>,
    #[schema(max_items = 256)]
    security_findings: Option<Vec<Finding>>,
    /// In US dollars. If several steps state costs, each of them is assessed by their sum.
    #[schema(minimum = 0, maximum = 1_000_000_000_000_i64)]
    estimated_cost: Option<f64>,
    #[schema(value_type = Option<SentEvidence>)]
    evidence: Option<SentEvidence>,
    /// Left out: `{"type": "external"}`.
    action: Option<TaskAction>,
    /// What undoes the step if it has succeeded and a later one fails.
    compensate: Option<Undo>,
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
}

/// Which part of a plan people approve at once.
#[derive(ToSchema)]
#[schema(as = Gate, rename_all = "lowercase")]
#[expect(dead_code, reason = "it only describes what is read elsewhere")]
pub(super) enum GateWord {
    Plan,
    Step,
}
