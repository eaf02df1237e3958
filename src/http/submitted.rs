//! What a submit requests: one task, a plan of several, or a playbook that makes one. Every way in
//! that takes JSON parses it here.

use crate::domain::request::Request;
use crate::domain::request::plan::{PlanRequest, StepRequest};
use crate::domain::request::playbook::PlaybookRequest;
use crate::domain::request::{ActionRequest, Fault, TaskRequest, evidence};
use crate::domain::task::ActionKind;
use crate::domain::task::digest::{Digest, canonical};
use crate::domain::task::plan::Gate;
use crate::http::json;
use crate::service::ServiceError;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

/// The field that marks a plan.
const STEPS: &str = "steps";
/// The field that marks the use of a playbook.
const PLAYBOOK: &str = "playbook";
/// Fields beside the steps that no step has.
const OUTSIDE: [&str; 2] = ["task_id", "supersedes"];

/// The fields beside the steps.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Around {
    #[serde(default)]
    task_id: Option<String>,
    description: String,
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
    #[serde(default)]
    supersedes: Option<Uuid>,
    #[serde(default)]
    gate: Option<String>,
}

/// A request that names a playbook of the configuration, from which parkbrake makes the plan. That
/// plan is what is shown, assessed and approved.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlaybookCall {
    /// The requester's own name for it; it need not be unique.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 128, pattern = r"\S")]
    pub task_id: Option<String>,
    /// What the whole plan is for, at most 4,096 bytes. Shown as the requester's claim, never
    /// trusted.
    #[schema(min_length = 1, max_length = 4096, pattern = r"\S")]
    pub description: String,
    /// Kept with the plan, and visible to conditions of triggers for each step.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Map<String, Value>>,
    /// The workflow that it supersedes: an earlier request of the same requester that still waits
    /// for people.
    #[serde(default)]
    pub supersedes: Option<Uuid>,
    /// The name of the playbook.
    pub playbook: String,
    /// Every argument that the playbook declares, each matching its pattern; strings, numbers and
    /// booleans only.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub args: Option<Map<String, Value>>,
}

/// What undoes a step.
#[derive(Deserialize, ToSchema)]
#[schema(as = UndoingAction)]
#[serde(deny_unknown_fields)]
pub struct Undo {
    /// Left out: `external`.
    #[serde(default)]
    pub r#type: Option<ActionKind>,
    /// The name of the runbook or webhook, required for these.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 128)]
    pub name: Option<String>,
    /// The same as in an action.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub args: Option<Map<String, Value>>,
}

/// The body, with each piece of evidence reduced to what is stored of it: whole Terraform plans,
/// and the secrets in them, are removed.
pub struct Submitted {
    value: Value,
    faults: Vec<Fault>,
}

impl Submitted {
    /// Parses and reduces the body.
    pub fn new(mut value: Value) -> Self {
        let mut faults = Vec::new();
        evidence::reduce(&mut value, "", &mut faults);
        let steps = value.get_mut(STEPS).and_then(Value::as_array_mut).into_iter().flatten();
        steps.enumerate().for_each(|(index, step)| evidence::reduce(step, &format!("/{STEPS}/{index}"), &mut faults));
        Self { value, faults }
    }

    /// The digest by which an idempotency key recognizes the request. It does not depend on
    /// sensitive values of a plan, so nobody can guess them from it.
    pub fn fingerprint(&self) -> Digest {
        let has_evidence = |task: &Value| task.get(evidence::FIELD).is_some();
        let steps = self.value.get(STEPS).and_then(Value::as_array);
        if !has_evidence(&self.value) && !steps.is_some_and(|steps| steps.iter().any(has_evidence)) {
            return Digest::of(&canonical(&self.value));
        }
        let mut value = evidence::without_contents(self.value.clone());
        for step in value.get_mut(STEPS).and_then(Value::as_array_mut).into_iter().flatten() {
            *step = evidence::without_contents(step.take());
        }
        Digest::of(&canonical(&value))
    }

    /// The request.
    ///
    /// # Errors
    /// Each fault with its position.
    pub fn request(self) -> Result<Request, ServiceError> {
        if self.faults.is_empty() { request(self.value) } else { Err(ServiceError::InvalidTask(self.faults)) }
    }
}

fn request(value: Value) -> Result<Request, ServiceError> {
    if value.get(STEPS).is_some() {
        plan(value).map(Request::Plan)
    } else if value.get(PLAYBOOK).is_some() {
        playbook(value).map(Request::Playbook)
    } else {
        task_request(value).map(Request::from)
    }
}

fn playbook(value: Value) -> Result<PlaybookRequest, ServiceError> {
    let PlaybookCall { task_id, description, metadata, supersedes, playbook, args } = json::decode(value)?;
    let (metadata, args) = (metadata.unwrap_or_default(), args.unwrap_or_default());
    Ok(PlaybookRequest { task_id, description, metadata, supersedes, playbook, args })
}

/// The task in a body. Its metadata may be any JSON, so it is not decoded field by field.
fn task_request(mut value: Value) -> Result<TaskRequest, ServiceError> {
    let metadata = value.get_mut("metadata").and_then(Value::as_object_mut).map(std::mem::take);
    let request: TaskRequest = json::decode(value)?;
    Ok(match metadata {
        Some(metadata) => request.with_metadata(metadata),
        None => request,
    })
}

fn plan(mut value: Value) -> Result<PlanRequest, ServiceError> {
    let steps = value.as_object_mut().and_then(|fields| fields.remove(STEPS));
    let Some(Value::Array(steps)) = steps else { return Err(ServiceError::invalid("/steps", "has to be a list of tasks")) };
    let Around { task_id, description, metadata, supersedes, gate } = json::decode(value)?;
    let gate = gate.map_or(Some(Gate::Plan), |word| Gate::parse(&word));
    let gate = gate.ok_or_else(|| ServiceError::invalid("/gate", "has to be `plan` or `step`"))?;
    let (mut read, mut faults) = (Vec::with_capacity(steps.len()), Vec::new());
    for (index, value) in steps.into_iter().enumerate() {
        match step(value, &description) {
            Ok(step) => read.push(step),
            Err(ServiceError::InvalidTask(of_step)) => {
                faults.extend(of_step.into_iter().map(|fault| Fault::new(format!("/steps/{index}{}", fault.pointer), fault.detail)));
            }
            Err(other) => return Err(other),
        }
    }
    if faults.is_empty() {
        Ok(PlanRequest { task_id, description, metadata: metadata.unwrap_or_default(), supersedes, steps: read, playbook: None, gate })
    } else {
        Err(ServiceError::InvalidTask(faults))
    }
}

fn step(mut value: Value, description: &str) -> Result<StepRequest, ServiceError> {
    let Some(fields) = value.as_object_mut() else { return Err(ServiceError::invalid("", "has to be an object: the task of this step")) };
    if let Some(outside) = OUTSIDE.into_iter().find(|name| fields.contains_key(*name)) {
        return Err(ServiceError::invalid(format!("/{outside}"), "belongs beside `steps`, once for the whole plan"));
    }
    let name = match fields.remove("name") {
        None | Some(Value::Null) => None,
        Some(Value::String(name)) => Some(name),
        Some(_) => return Err(ServiceError::invalid("/name", "has to be a text")),
    };
    let compensate = match fields.remove("compensate") {
        None | Some(Value::Null) => None,
        Some(action) if action.is_object() => {
            let Undo { r#type, name, args } = json::decode(action).map_err(|error| inside("/compensate", error))?;
            Some(ActionRequest { kind: r#type, name, args })
        }
        Some(_) => return Err(ServiceError::invalid("/compensate", "has to be an object: the action that undoes this step")),
    };
    if fields.get("description").is_none_or(Value::is_null) {
        fields.insert("description".to_owned(), Value::from(description));
    }
    Ok(StepRequest { name, task: task_request(value)?, compensate })
}

/// Adds the position in the step to a refusal.
fn inside(pointer: &str, error: impl Into<ServiceError>) -> ServiceError {
    match error.into() {
        ServiceError::InvalidTask(faults) => ServiceError::InvalidTask(
            faults.into_iter().map(|fault| Fault::new(format!("{pointer}{}", fault.pointer), fault.detail)).collect(),
        ),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pointers(value: Value) -> Vec<String> {
        match request(value) {
            Err(ServiceError::InvalidTask(faults)) => faults.into_iter().map(|fault| fault.pointer).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_step_takes_its_description_from_the_plan_where_it_has_none() {
        let body = json!({"description": "all", "task_id": "T", "metadata": {"a": [1]}, "steps": [
            {"operation": "read"}, {"name": "two", "operation": "read", "description": "its own", "metadata": {"b": null}}
        ]});
        let Ok(Request::Plan(plan)) = request(body) else { panic!("a plan") };
        let words: Vec<_> = plan.steps.iter().map(|step| format!("{:?}", step.task)).collect();
        assert!(words[0].contains("\"all\"") && words[1].contains("\"its own\""), "{words:?}");
        assert_eq!((plan.task_id.as_deref(), plan.steps[1].name.as_deref()), (Some("T"), Some("two")));
        assert_eq!(Value::Object(plan.metadata), json!({"a": [1]}));
    }

    #[test]
    fn faults_of_a_step_point_to_it() {
        let read = || json!({"operation": "read"});
        let plan = |steps: Value| json!({"description": "d", "steps": steps});
        assert_eq!(
            pointers(plan(json!([read(), 7, {"operation": 7}, {"operation": "read", "task_id": "x"}]))),
            ["/steps/1", "/steps/2/operation", "/steps/3/task_id"]
        );
        assert_eq!(
            pointers(plan(json!([{"operation": "read", "name": 7}, {"operation": "read", "x": 1}]))),
            ["/steps/0/name", "/steps/1/x"]
        );
        assert_eq!(pointers(plan(json!("x"))), ["/steps"]);
        assert_eq!(pointers(plan(json!([{"operation": "read", "compensate": {"kind": "runbook"}}]))), ["/steps/0/compensate/kind"]);
        assert_eq!(pointers(json!({"description": "d", "steps": [read()], "gate": "each"})), ["/gate"]);
        assert_eq!(pointers(json!({"description": "d", "steps": [read()], "operation": "read"})), ["/operation"]);
        assert_eq!(pointers(json!({"steps": [read()]})), [""]);
        assert_eq!(pointers(json!({"description": "d", "steps": [read()], "playbook": "release"})), ["/playbook"]);
        assert_eq!(pointers(json!({"description": "d", "playbook": "release", "operation": "read"})), ["/operation"]);
        assert_eq!(pointers(json!({"description": "d", "playbook": 7})), ["/playbook"]);
    }
}
