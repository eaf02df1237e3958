//! The task as a requester sends it, as the schema describes it. `domain/request/mod.rs` reads it;
//! a test compares the two.
#![expect(dead_code, reason = "these structs only describe what is read elsewhere")]

use super::evidence::SentEvidence;
use crate::domain::request::TaskRequest;
use serde_json::{Map, Value};
use std::borrow::Cow;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

/// What is to be done. Strings may not be empty.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
struct Task {
    /// The requester's own name for it; it need not be unique.
    #[schema(min_length = 1, max_length = 128, pattern = r"\S")]
    task_id: Option<String>,
    /// What is to be done, at most 4,096 bytes. Shown as the requester's claim, never trusted.
    #[schema(min_length = 1, max_length = 4096, pattern = r"\S")]
    description: String,
    /// `read`, `deploy`, `delete` and so on. A word that the configuration does not know is treated
    /// as dangerous.
    #[schema(min_length = 1, max_length = 128, pattern = "^[ -~]*[!-~][ -~]*$")]
    operation: String,
    /// Where it acts. Left out: it is assessed for every environment. For a runbook, this can only
    /// raise the risk.
    #[schema(min_length = 1, max_length = 128, pattern = "^[ -~]*[!-~][ -~]*$")]
    environment: Option<String>,
    /// What it acts on. A resource that the configuration does not know may need people.
    #[schema(min_length = 1, max_length = 1024, pattern = "^[ -~]*[!-~][ -~]*$")]
    resource: Option<String>,
    /// `code`, `database`, `infrastructure` and so on. Left out: it is assessed for every type. For
    /// a runbook, this can only raise the risk.
    #[schema(min_length = 1, max_length = 128, pattern = "^[ -~]*[!-~][ -~]*$")]
    resource_type: Option<String>,
    #[schema(max_items = 256)]
    security_findings: Option<Vec<Finding>>,
    /// In US dollars.
    #[schema(minimum = 0, maximum = 1_000_000_000_000_i64)]
    estimated_cost: Option<f64>,
    /// Evidence for the requester's claims. It can raise the risk, and never lowers it.
    #[schema(value_type = Option<SentEvidence>)]
    evidence: Option<SentEvidence>,
    /// Left out: `{"type": "external"}`.
    action: Option<TaskAction>,
    /// Kept with the task, and visible to conditions of triggers.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
    /// The workflow of an earlier request of the same requester that still waits for people. This
    /// task supersedes it, in one commit.
    supersedes: Option<Uuid>,
}

/// A finding of a scanner.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Finding {
    /// `critical`, `high`, `medium`, `low` or `info`; any other word counts as critical.
    #[schema(min_length = 1, max_length = 128, pattern = r"\S")]
    severity: String,
    #[schema(min_length = 1, max_length = 1024, pattern = r"\S")]
    id: Option<String>,
    #[schema(min_length = 1, max_length = 1024, pattern = r"\S")]
    title: Option<String>,
}

/// Who acts, and how.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TaskAction {
    /// Left out: `external`.
    #[schema(value_type = Option<TaskActionKind>)]
    r#type: Option<TaskActionKind>,
    /// The name of the runbook or webhook, required for these; for `external`, whatever the
    /// requester calls it.
    #[schema(min_length = 1, max_length = 128)]
    name: Option<String>,
    /// For a runbook, or a webhook that declares arguments: all declared arguments, each matching
    /// its pattern; strings, numbers and booleans only. A webhook that declares none receives
    /// whatever is given here.
    #[schema(value_type = Option<Object>)]
    args: Option<Map<String, Value>>,
}

/// `external`: the requester acts once it may, and reports with `/result`. `runbook`: parkbrake
/// runs a configured command. `webhook`: parkbrake calls a configured URL.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
enum TaskActionKind {
    External,
    Runbook,
    Webhook,
}

impl PartialSchema for TaskRequest {
    fn schema() -> RefOr<Schema> {
        Task::schema()
    }
}

impl ToSchema for TaskRequest {
    fn name() -> Cow<'static, str> {
        "Task".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        Task::schemas(schemas);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fields(of: &RefOr<Schema>) -> Vec<String> {
        let schema = serde_json::to_value(of).unwrap();
        schema["properties"].as_object().unwrap().keys().cloned().collect()
    }

    /// The words that serde says it expects.
    fn read(text: &Value) -> Vec<String> {
        let refused = serde_json::from_value::<TaskRequest>(text.clone()).unwrap_err().to_string();
        let (_, expected) = refused.split_once("expected one of ").unwrap_or_else(|| panic!("{refused}"));
        expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    #[test]
    fn the_schema_of_a_task_has_the_fields_that_are_read() {
        let task = |name: &str, value: Value| json!({"description": "d", "operation": "read", name: value});
        assert_eq!(fields(&Task::schema()), read(&task("nothing", json!(1))));
        assert_eq!(fields(&TaskAction::schema()), read(&task("action", json!({"nothing": 1}))));
        assert_eq!(fields(&Finding::schema()), read(&task("security_findings", json!([{"nothing": 1}]))));
    }
}
