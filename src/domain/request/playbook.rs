//! Playbooks: plans that parkbrake makes from an intent. The requester names a playbook and its
//! arguments; the operator has written the steps.

use super::plan::{Admitted, PlanRequest, StepRequest};
use super::{ActionRequest, Actions, Fault, Named, TaskRequest, escaped, known};
use crate::domain::policy::PrincipalKind;
use crate::domain::request::arguments::{Argument, Template, checked};
use crate::domain::task::digest::Digest;
use crate::domain::task::plan::{Gate, PlaybookUse};
use crate::domain::task::{Action, ActionKind, outputs};
use crate::domain::text::shown;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use uuid::Uuid;

/// A configured sequence of steps with its arguments.
#[derive(Debug, Clone)]
pub struct Playbook {
    pub name: String,
    /// The digest of its entry in the configuration, with the defaults filled in.
    pub digest: Digest,
    /// The arguments, all of them required.
    pub args: BTreeMap<String, Argument>,
    /// Whether people approve the whole plan at once or each step.
    pub gate: Gate,
    pub steps: Vec<PlaybookStep>,
}

/// One step of a playbook.
#[derive(Debug, Clone)]
pub struct PlaybookStep {
    pub name: Option<String>,
    /// Default: the requester's description of the whole.
    pub description: Option<Template>,
    /// Default: the operation that the runbook or webhook states.
    pub operation: Option<Template>,
    pub environment: Option<Template>,
    pub resource: Option<Template>,
    pub resource_type: Option<Template>,
    pub kind: ActionKind,
    /// The runbook or the webhook; `None` for a step that the requester performs.
    pub action: Option<String>,
    pub args: BTreeMap<String, Template>,
    /// The action that undoes it if a later step fails.
    pub compensate: Option<PlaybookUndo>,
}

/// A compensation: a runbook or a webhook that undoes a step.
#[derive(Debug, Clone)]
pub struct PlaybookUndo {
    pub kind: ActionKind,
    pub action: String,
    pub args: BTreeMap<String, Template>,
}

/// An intent in a request: a playbook and its arguments, in place of steps.
#[derive(Debug, Clone)]
pub struct PlaybookRequest {
    pub task_id: Option<String>,
    pub description: String,
    pub metadata: Map<String, Value>,
    /// The workflow that it supersedes.
    pub supersedes: Option<Uuid>,
    pub playbook: String,
    pub args: Map<String, Value>,
}

impl PlaybookRequest {
    /// The plan that the playbook makes from the intent.
    ///
    /// # Errors
    /// Every fault, each with its pointer into the request.
    pub fn admit(self, actions: Actions<'_>, by: PrincipalKind) -> Result<Admitted, Vec<Fault>> {
        let Some(playbook) = actions.playbooks.get(&self.playbook) else {
            let known = known(actions.playbooks.keys().map(String::as_str).collect(), by);
            return Err(vec![Fault::new("/playbook", format!("there is no playbook `{}`; {known}", shown(&self.playbook)))]);
        };
        let values = checked(&playbook.args, &self.args, &[], &format!("playbook `{}`", playbook.name)).map_err(|misfits| {
            let fault = |misfit: super::Misfit| Fault::new(format!("/args/{}", escaped(&misfit.argument)), misfit.detail);
            misfits.into_iter().map(fault).collect::<Vec<_>>()
        })?;
        let used = PlaybookUse { name: playbook.name.clone(), digest: playbook.digest.clone(), args: self.args };
        let plan = PlanRequest {
            task_id: self.task_id,
            metadata: self.metadata,
            supersedes: self.supersedes,
            steps: playbook.steps.iter().map(|step| step.request(&self.description, &values, actions)).collect(),
            description: self.description,
            playbook: Some(Box::new(used)),
            gate: playbook.gate,
        };
        plan.admit(actions, by).map_err(|faults| faults.into_iter().map(|fault| playbook.sent(fault)).collect())
    }
}

impl Playbook {
    /// A fault of the plan, moved to its position in the request, which has no steps.
    fn sent(&self, fault: Fault) -> Fault {
        let split = fault.pointer.strip_prefix("/steps/").and_then(|rest| {
            let (index, inside) = rest.split_once('/')?;
            Some((index.parse::<usize>().ok()?, inside))
        });
        let Some((index, inside)) = split else { return fault };
        let name = self.steps.get(index).and_then(|step| step.name.as_deref()).map(|name| format!(" ({name})")).unwrap_or_default();
        Fault::new("/args", format!("step {}{name} of the playbook cannot be made of these: `{inside}` {}", index + 1, fault.detail))
    }
}

impl PlaybookStep {
    /// The step with these arguments. It claims what parkbrake knows about its runbook or webhook,
    /// and otherwise what the playbook says.
    fn request(&self, description: &str, values: &BTreeMap<String, String>, actions: Actions<'_>) -> StepRequest {
        let fill = |template: &Option<Template>| template.as_ref().map(|template| template.fill(values));
        let args = filled(&self.args, values);
        let awaits = outputs::named_in(&args);
        let action = Action { kind: self.kind, name: self.action.clone(), args: args.clone(), awaits, runs: None, calls: None };
        let operation = fill(&self.operation).or_else(|| actions.facts(&action)?.operation);
        let task = TaskRequest {
            description: fill(&self.description).unwrap_or_else(|| description.to_owned()),
            // An action whose arguments do not fit is reported as such elsewhere.
            operation: operation.unwrap_or_else(|| "unknown".to_owned()),
            environment: fill(&self.environment),
            resource: fill(&self.resource),
            resource_type: fill(&self.resource_type),
            action: Some(Named(ActionRequest { kind: Some(self.kind), name: self.action.clone(), args: Some(args) })),
            ..TaskRequest::default()
        };
        let compensate = self.compensate.as_ref().map(|undo| ActionRequest {
            kind: Some(undo.kind),
            name: Some(undo.action.clone()),
            args: Some(filled(&undo.args, values)),
        });
        StepRequest { name: self.name.clone(), task, compensate }
    }
}

fn filled(args: &BTreeMap<String, Template>, values: &BTreeMap<String, String>) -> Map<String, Value> {
    args.iter().map(|(name, text)| (name.clone(), Value::String(text.fill(values)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::request::arguments::Pattern;
    use crate::domain::request::runbook::Runbook;
    use crate::domain::task::plan::Document;
    use serde_json::json;
    use std::time::Duration;

    fn template(text: &str) -> Template {
        Template::parse(text).unwrap()
    }

    fn argument(pattern: &str) -> Argument {
        Argument { pattern: Pattern::new(pattern).unwrap(), dash: false, output_without_approval: false }
    }

    fn runbook(name: &str, operation: &str, pattern: &str) -> (String, Runbook) {
        let runbook = Runbook {
            name: name.to_owned(),
            operation: template(operation),
            environment: Some(template("production")),
            resource: Some(template("{{ service }}")),
            resource_type: None,
            command: vec![template("run.sh"), template("{{ service }}")],
            args: [("service".to_owned(), argument(pattern))].into(),
            timeout: Duration::from_secs(60),
            idempotent: false,
            concurrency: None,
            retry: None,
            probe: Vec::new(),
            precondition: Vec::new(),
            env: BTreeMap::new(),
            working_dir: "/srv".into(),
            files: Vec::new(),
            user: None,
            limits: crate::domain::task::confinement::Limits::default(),
            sandbox: None,
            new_privileges: false,
        };
        (name.to_owned(), runbook)
    }

    fn step(name: &str) -> PlaybookStep {
        PlaybookStep {
            name: Some(name.to_owned()),
            description: None,
            operation: None,
            environment: None,
            resource: None,
            resource_type: None,
            kind: ActionKind::Runbook,
            action: Some(name.to_owned()),
            args: [("service".to_owned(), template("{{ service }}"))].into(),
            compensate: None,
        }
    }

    fn admit(playbook: &str, args: Value) -> Result<Admitted, Vec<Fault>> {
        let runbooks = [runbook("backup", "read", "[a-z]+"), runbook("deploy", "deploy", "[a-z]{1,3}")].into();
        let report = PlaybookStep {
            operation: Some(template("read")),
            resource: Some(template("{{ service }}")),
            description: Some(template("Look at {{ service }}")),
            kind: ActionKind::External,
            action: None,
            args: BTreeMap::new(),
            ..step("look")
        };
        let release = Playbook {
            name: "release".to_owned(),
            digest: Digest::of(b"release"),
            args: [("service".to_owned(), argument("[a-z]{1,9}"))].into(),
            gate: Gate::Step,
            steps: vec![step("backup"), step("deploy"), report],
        };
        let (playbooks, webhooks) = ([("release".to_owned(), release)].into(), BTreeMap::new());
        let actions = Actions { runbooks: &runbooks, webhooks: &webhooks, playbooks: &playbooks };
        let asked = PlaybookRequest {
            task_id: Some("T".to_owned()),
            description: "Release it".to_owned(),
            metadata: Map::new(),
            supersedes: None,
            playbook: playbook.to_owned(),
            args: args.as_object().unwrap().clone(),
        };
        asked.admit(actions, PrincipalKind::Agent)
    }

    #[test]
    fn a_playbook_makes_the_steps_and_claims_what_its_runbooks_do() {
        let admitted = admit("release", json!({"service": "api"})).unwrap();
        let Document::Plan(plan) = &admitted.document else { panic!("a plan") };
        let steps: Vec<_> = plan.steps.iter().map(|step| (step.name.as_deref().unwrap(), step.task.operation.as_str())).collect();
        assert_eq!(steps, [("backup", "read"), ("deploy", "deploy"), ("look", "read")]);
        assert_eq!(plan.steps[1].task.action.runs.as_ref().unwrap().command, ["run.sh", "api"]);
        assert_eq!((plan.steps[1].task.description.as_str(), plan.steps[2].task.description.as_str()), ("Release it", "Look at api"));
        assert_eq!(admitted.facts[1].as_ref().unwrap().environment.as_deref(), Some("production"));
        let used = plan.playbook.as_ref().unwrap();
        assert_eq!((used.name.as_str(), &used.digest, &used.args["service"]), ("release", &Digest::of(b"release"), &json!("api")));
        assert_eq!((plan.task_id.as_deref(), plan.gate), (Some("T"), Gate::Step));
    }

    #[test]
    fn faults_point_into_the_request() {
        let faults = |playbook: &str, args: Value| admit(playbook, args).unwrap_err();
        let unknown = faults("nothing", json!({}));
        assert!(unknown[0].pointer == "/playbook" && unknown[0].detail.contains("ask the people"), "{unknown:?}");
        let pointers: Vec<_> = faults("release", json!({"x/y": 1})).into_iter().map(|fault| fault.pointer).collect();
        assert_eq!(pointers, ["/args/x~1y", "/args/service"]);
        let misfit = faults("release", json!({"service": "api; rm"}));
        assert!(misfit[0].pointer == "/args/service" && misfit[0].detail.contains("does not match"), "{misfit:?}");
        // The runbook takes less than the playbook does.
        let inside = faults("release", json!({"service": "gateway"}));
        assert_eq!(inside.len(), 1);
        assert!(inside[0].pointer == "/args" && inside[0].detail.starts_with("step 2 (deploy) of the playbook"), "{inside:?}");
    }
}
