//! The tools as a model sees them: names, descriptions, arguments, and hints for clients.

use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use serde_json::{Value, json};
use std::sync::Arc;

/// A tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    SubmitTask,
    GetWorkflow,
    WaitForDecision,
    CancelWorkflow,
    ExplainRisk,
    ListMyWorkflows,
}

impl Name {
    /// Every tool.
    pub const ALL: [Self; 6] =
        [Self::SubmitTask, Self::GetWorkflow, Self::WaitForDecision, Self::CancelWorkflow, Self::ExplainRisk, Self::ListMyWorkflows];

    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SubmitTask => "submit_task",
            Self::GetWorkflow => "get_workflow",
            Self::WaitForDecision => "wait_for_decision",
            Self::CancelWorkflow => "cancel_workflow",
            Self::ExplainRisk => "explain_risk",
            Self::ListMyWorkflows => "list_my_workflows",
        }
    }

    /// The tool with this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|name| name.as_str() == text)
    }

    fn title(self) -> &'static str {
        match self {
            Self::SubmitTask => "Submit a task for assessment and approval",
            Self::GetWorkflow => "Read a workflow",
            Self::WaitForDecision => "Wait until people have decided",
            Self::CancelWorkflow => "Cancel a request",
            Self::ExplainRisk => "Explain how a task would be assessed",
            Self::ListMyWorkflows => "List what you submitted",
        }
    }

    fn description(self) -> &'static str {
        match self {
            Self::SubmitTask => {
                "Submit what you want to do, before you do it. Parkbrake assesses its risk: what is harmless is released at once, the rest waits \
                 until the right people decide. With a `runbook` or `webhook` action parkbrake does it itself; without one (`external`) you do it, \
                 once, as soon as the status is `executing`. Send an idempotency_key so that a repeated call finds the same workflow."
            }
            Self::GetWorkflow => "Read one workflow: its status, who decided what and why, what ran and how it ended.",
            Self::WaitForDecision => {
                "Wait until people have decided a workflow, at most 50 seconds a call. If the answer still says `pending_approval`, call it again; \
                 do not act meanwhile. With `until: \"end\"` it waits until the workflow has ended."
            }
            Self::CancelWorkflow => {
                "Cancel a request of yours that you no longer want. What runs is stopped; what it has already done is not undone."
            }
            Self::ExplainRisk => {
                "Explain how a task would be assessed now, for which reasons, and whose approval it would need. Nothing is stored and nobody is asked."
            }
            Self::ListMyWorkflows => "List the workflows that you submitted, the newest first.",
        }
    }

    /// The schema of its arguments.
    fn input(self) -> Value {
        match self {
            Self::SubmitTask => task_schema(&[(
                "idempotency_key",
                json!({"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$",
                    "description": "The same key with the same task finds the first workflow again; the same key with another task is refused."}),
            )]),
            Self::ExplainRisk => task_schema(&[]),
            Self::GetWorkflow => object(json!({"workflow_id": workflow_id()}), &["workflow_id"]),
            Self::WaitForDecision => object(
                json!({
                    "workflow_id": workflow_id(),
                    "timeout_s": {"type": "integer", "minimum": 0, "maximum": 50, "default": 45, "description": "Seconds to wait at most."},
                    "until": {"enum": ["decision", "end"], "default": "decision", "description": "`end`: until the workflow has ended."},
                }),
                &["workflow_id"],
            ),
            Self::CancelWorkflow => object(
                json!({"workflow_id": workflow_id(), "reason": {"type": "string", "maxLength": 4096, "description": "Why."}}),
                &["workflow_id"],
            ),
            Self::ListMyWorkflows => object(
                json!({
                    "status": {"enum": crate::domain::workflow::Status::ALL.map(|status| status.as_str()), "description": "Only these."},
                    "limit": {"type": "integer", "minimum": 1, "maximum": 100, "default": 20},
                    "cursor": {"type": "string", "description": "The `next_cursor` of the previous page."},
                }),
                &[],
            ),
        }
    }

    fn annotations(self) -> ToolAnnotations {
        let hints = ToolAnnotations::with_title(self.title()).open_world(false);
        match self {
            Self::SubmitTask => hints.read_only(false).destructive(true).idempotent(false),
            Self::CancelWorkflow => hints.read_only(false).destructive(false).idempotent(true),
            Self::GetWorkflow | Self::WaitForDecision | Self::ExplainRisk | Self::ListMyWorkflows => hints.read_only(true),
        }
    }
}

/// Every tool, always in the same order.
pub fn all() -> Vec<Tool> {
    Name::ALL
        .map(|name| {
            let Value::Object(input) = name.input() else {
                return Tool::new(name.as_str(), name.description(), Arc::new(JsonObject::new()));
            };
            Tool::new(name.as_str(), name.description(), Arc::new(input)).with_title(name.title()).with_annotations(name.annotations())
        })
        .into()
}

fn object(properties: Value, required: &[&str]) -> Value {
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

fn workflow_id() -> Value {
    json!({"type": "string", "format": "uuid", "description": "The workflow_id that submit_task returned."})
}

/// A task, a plan, or the use of a playbook, as `POST /orchestrate` accepts it, with more fields.
fn task_schema(more: &[(&str, Value)]) -> Value {
    let word = |description: &str| json!({"type": "string", "minLength": 1, "maxLength": 128, "description": description});
    let mut properties = json!({
        "description": {"type": "string", "minLength": 1, "maxLength": 4096, "description": "What is to be done, in a sentence for people."},
        "operation": word("What it does, such as read, plan, test, build, deploy, modify, delete, restart, scale, data_export. Not for a plan."),
        "environment": word("Where, such as production, staging or development. If left out, the most dangerous one counts."),
        "resource": {"type": "string", "minLength": 1, "maxLength": 1024, "description": "What it acts on, such as db-prod-1."},
        "resource_type": word("Such as code, service, database or infrastructure."),
        "security_findings": {"type": "array", "maxItems": 256, "items": {"type": "object", "properties": {
            "severity": {"enum": ["low", "medium", "high", "critical"]}, "id": {"type": "string"}, "title": {"type": "string"}
        }, "required": ["severity"]}},
        "estimated_cost": {"type": "number", "minimum": 0, "description": "In US dollars."},
        "evidence": {"type": "object", "description": "A Terraform plan: what `terraform show -json` writes. People are shown what it changes.", "properties": {
            "type": {"enum": ["terraform_plan"]}, "plan": {"type": "object"}, "workspace": {"type": "string"}
        }, "required": ["type"]},
        "action": {"type": "object", "description": "What parkbrake should run or call once it may; if left out, you do it yourself.", "properties": {
            "type": {"enum": ["runbook", "webhook", "external"]}, "name": {"type": "string"}, "args": {"type": "object"}
        }},
        "metadata": {"type": "object", "description": "Kept with the task and shown."},
        "task_id": word("Your own name for it."),
        "supersedes": {"type": "string", "format": "uuid", "description": "An earlier request of yours that still waits, which this one supersedes."},
        "steps": {"type": "array", "minItems": 1, "maxItems": 50, "items": {"type": "object"},
            "description": "A plan: tasks that are approved together and run in order, each with these same fields and an optional name."},
        "gate": {"enum": ["plan", "step"], "description": "For a plan: one approval for all steps (the default), or one for each when its turn comes."},
        "playbook": word("The name of a playbook, from which parkbrake makes the plan, instead of steps."),
        "args": {"type": "object", "description": "The arguments of the playbook."},
    });
    if let Value::Object(properties) = &mut properties {
        properties.extend(more.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())));
    }
    object(properties, &["description"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_tool_decides_and_every_schema_is_an_object_that_takes_nothing_else() {
        let names: Vec<_> = all().into_iter().map(|tool| tool.name.into_owned()).collect();
        assert_eq!(names, ["submit_task", "get_workflow", "wait_for_decision", "cancel_workflow", "explain_risk", "list_my_workflows"]);
        for tool in all() {
            let schema = &tool.input_schema;
            assert_eq!((&schema["type"], &schema["additionalProperties"]), (&json!("object"), &json!(false)), "{}", tool.name);
            assert!(!tool.name.contains("approve") && !tool.name.contains("reject"), "{}", tool.name);
            let annotations = tool.annotations.unwrap();
            assert!(annotations.title.is_some() && annotations.read_only_hint.is_some(), "{}", tool.name);
        }
    }
}
