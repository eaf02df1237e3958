//! A plan as a requester sends it: steps in place of one task's fields, and around them the fields
//! for all steps.

use super::{ActionRequest, Actions, Fault, Named, TaskRequest};
use crate::domain::policy::PrincipalKind;
use crate::domain::risk::Assessment;
use crate::domain::risk::readings::Facts;
use crate::domain::task::plan::{Document, Gate, LONGEST_NAME, MOST_STEPS, PlanDocument, PlaybookUse, StepDocument, is_name};
use crate::domain::task::{Action, ActionKind, Task, outputs};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use uuid::Uuid;

/// A plan in a request.
#[derive(Debug, Clone)]
pub struct PlanRequest {
    pub task_id: Option<String>,
    pub description: String,
    pub metadata: Map<String, Value>,
    /// The workflow that it supersedes. It is not part of the plan, which describes what would be
    /// done.
    pub supersedes: Option<Uuid>,
    pub steps: Vec<StepRequest>,
    /// The playbook that made the steps; `None` if the requester sent them.
    pub playbook: Option<Box<PlaybookUse>>,
    /// Whether people approve the whole plan at once or each step.
    pub gate: Gate,
}

/// One step of a plan in a request.
#[derive(Debug, Clone)]
pub struct StepRequest {
    pub name: Option<String>,
    /// The task of the step. Without a description of its own it has the plan's.
    pub task: TaskRequest,
    /// The action that undoes it if a later step fails.
    pub compensate: Option<ActionRequest>,
}

/// The requested work, completely checked, with its runbooks resolved.
#[derive(Debug, Clone)]
pub struct Admitted {
    pub document: Document,
    /// The facts known about each step besides the claim; then those of the compensations.
    pub facts: Vec<Option<Facts>>,
    /// For a tool call of a coding agent, the call and its assessment.
    pub call: Option<AssessedCall>,
}

/// A tool call of a coding agent. The task describes only its most dangerous part, and so less than
/// the whole call.
#[derive(Debug, Clone)]
pub struct AssessedCall {
    /// The token of the call.
    pub token: Uuid,
    pub assessment: Assessment,
}

impl From<(Task, Option<Facts>)> for Admitted {
    fn from((task, facts): (Task, Option<Facts>)) -> Self {
        Self { document: task.into(), facts: vec![facts], call: None }
    }
}

impl PlanRequest {
    pub(super) fn admit(self, actions: Actions<'_>, by: PrincipalKind) -> Result<Admitted, Vec<Fault>> {
        let Self { task_id, description, metadata, steps, playbook, gate, .. } = self;
        let mut faults = TaskRequest::faults_around(task_id.as_deref(), &description);
        if steps.is_empty() {
            faults.push(Fault::new("/steps", "is empty: a plan has at least one step"));
        } else if steps.len() > MOST_STEPS {
            faults.push(Fault::new("/steps", format!("holds {} steps; a plan has at most {MOST_STEPS}", steps.len())));
        }
        let mut names = BTreeSet::new();
        let mut undo_facts = Vec::new();
        let (mut documents, mut facts) = (Vec::with_capacity(steps.len()), Vec::with_capacity(steps.len()));
        for (index, StepRequest { name, task, compensate }) in steps.into_iter().enumerate() {
            let at = format!("/steps/{index}");
            let earlier = names.clone();
            if let Some(name) = &name {
                if !is_name(name) {
                    let detail = format!(
                        "has to begin with a lower-case letter, and hold lower-case letters, digits, `_` and `-` only, at most {LONGEST_NAME} of them"
                    );
                    faults.push(Fault::new(format!("{at}/name"), detail));
                } else if !names.insert(name.clone()) {
                    faults.push(Fault::new(format!("{at}/name"), "is the name of an earlier step; give each step a name of its own"));
                }
            }
            let number = u32::try_from(index + 1).unwrap_or(u32::MAX);
            // A compensation may also name outputs of the step that it undoes.
            let undo = compensate.map(|action| task.undoing(number, action, actions).admit_after(&names, actions, by)).transpose();
            let undo = undo.unwrap_or_else(|of_action| {
                let located = |fault: Fault| {
                    let inside = fault.pointer.strip_prefix("/action").unwrap_or_default();
                    Fault::new(format!("{at}/compensate{inside}"), fault.detail)
                };
                faults.extend(of_action.into_iter().map(located));
                None
            });
            match task.admit_after(&earlier, actions, by) {
                Ok((task, known)) => {
                    let (compensate, of_undo) = undo.unzip();
                    undo_facts.extend(of_undo);
                    documents.push(StepDocument { name, compensate: compensate.map(Box::new), task });
                    facts.push(known);
                }
                Err(of_step) => {
                    faults.extend(of_step.into_iter().map(|fault| Fault::new(format!("{at}{}", fault.pointer), fault.detail)));
                }
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        facts.extend(undo_facts.into_iter().rev());
        Ok(Admitted {
            document: Document::Plan(PlanDocument { task_id, description, metadata, playbook, gate, steps: documents }),
            facts,
            call: None,
        })
    }
}

impl TaskRequest {
    /// The task that undoes a step of a plan with this action. It claims to act where the step
    /// acts; its runbook or webhook says what it does.
    fn undoing(&self, step: u32, action: ActionRequest, actions: Actions<'_>) -> Self {
        let resolved = Action {
            kind: action.kind.unwrap_or(ActionKind::External),
            name: action.name.clone(),
            args: action.args.clone().unwrap_or_default(),
            awaits: outputs::named_in(action.args.as_ref().unwrap_or(&Map::new())),
            runs: None,
            calls: None,
        };
        let known = actions.facts(&resolved).and_then(|facts| facts.operation);
        Self {
            description: format!("Undo step {step}"),
            operation: known.unwrap_or_else(|| self.operation.clone()),
            environment: self.environment.clone(),
            resource: self.resource.clone(),
            resource_type: self.resource_type.clone(),
            action: Some(Named(action)),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::request::playbook::Playbook;
    use crate::domain::request::runbook::Runbook;
    use crate::domain::request::webhook::Webhook;
    use serde_json::json;
    use std::collections::BTreeMap;

    /// A configuration that can do nothing.
    fn nothing() -> Actions<'static> {
        static RUNBOOKS: BTreeMap<String, Runbook> = BTreeMap::new();
        static WEBHOOKS: BTreeMap<String, Webhook> = BTreeMap::new();
        static PLAYBOOKS: BTreeMap<String, Playbook> = BTreeMap::new();
        Actions { runbooks: &RUNBOOKS, webhooks: &WEBHOOKS, playbooks: &PLAYBOOKS }
    }

    fn step(name: Option<&str>, task: Value) -> StepRequest {
        StepRequest { name: name.map(str::to_owned), task: serde_json::from_value(task).unwrap(), compensate: None }
    }

    fn plan(steps: Vec<StepRequest>) -> PlanRequest {
        PlanRequest {
            task_id: None,
            description: "release".to_owned(),
            metadata: Map::new(),
            supersedes: None,
            steps,
            playbook: None,
            gate: Gate::Plan,
        }
    }

    fn read() -> Value {
        json!({"description": "d", "operation": "read"})
    }

    fn faults(plan: PlanRequest) -> Vec<String> {
        let faults = plan.admit(nothing(), PrincipalKind::Agent).unwrap_err();
        faults.into_iter().map(|fault| fault.pointer).collect()
    }

    #[test]
    fn a_plan_is_admitted_step_by_step_in_its_order() {
        let asked = plan(vec![step(Some("first"), read()), step(None, json!({"description": "e", "operation": "deploy"}))]);
        let admitted = asked.admit(nothing(), PrincipalKind::Agent).unwrap();
        let Document::Plan(document) = &admitted.document else { panic!("a plan") };
        let steps: Vec<_> = document.steps.iter().map(|step| (step.name.as_deref(), step.task.operation.as_str())).collect();
        assert_eq!(steps, [(Some("first"), "read"), (None, "deploy")]);
        assert_eq!(admitted.facts, [None, None]);
    }

    #[test]
    fn every_fault_is_named_with_the_pointer_of_its_step() {
        let mut wrong = plan(vec![
            step(Some("a"), read()),
            step(Some("a"), json!({"description": "d", "operation": ""})),
            step(Some("A"), json!({"description": "d", "operation": "read", "action": {"type": "runbook", "name": "none"}})),
            step(Some(&"a".repeat(64)), json!({"description": " ", "operation": "read"})),
        ]);
        wrong.description = " ".to_owned();
        wrong.task_id = Some("x".repeat(129));
        let mut found = faults(wrong);
        found.sort_unstable();
        let expected = [
            "/description",
            "/steps/1/name",
            "/steps/1/operation",
            "/steps/2/action/name",
            "/steps/2/name",
            "/steps/3/description",
            "/steps/3/name",
            "/task_id",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_plan_has_1_to_50_steps() {
        assert_eq!(faults(plan(Vec::new())), ["/steps"]);
        let many = |count| plan((0..count).map(|_| step(None, read())).collect());
        assert_eq!(faults(many(51)), ["/steps"]);
        assert!(many(50).admit(nothing(), PrincipalKind::Agent).is_ok());
    }
}
