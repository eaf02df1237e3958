//! The task as a requester sends it: parsed strictly, checked completely, and resolved to what
//! would really run.
//!
//! Every way in parses tasks here. A requester cannot send the fields that only parkbrake may set
//! (`action.runs` and `action.calls`): the request has no such fields, and unknown fields are
//! refused.

pub mod arguments;
mod asked;
mod awaited;
mod bound;
pub mod evidence;
pub mod idempotency;
mod named;
pub mod plan;
pub mod playbook;
pub mod preview;
pub mod runbook;
pub mod tool_call;
mod usual;
pub mod webhook;

pub use asked::Request;
pub use named::Named;
pub use usual::UsualTask;

use crate::domain::policy::PrincipalKind;
use crate::domain::request::arguments::Misfit;
use crate::domain::request::awaited::awaited;
use crate::domain::request::evidence::EvidenceRequest;
use crate::domain::request::playbook::Playbook;
use crate::domain::request::runbook::Runbook;
use crate::domain::request::webhook::Webhook;
use crate::domain::risk::readings::Facts;
use crate::domain::task::metadata::Metadata;
use crate::domain::task::{Action, ActionKind, SecurityFinding, Task};
use crate::domain::text::{says, shown};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// The most characters in the requester's own id.
const LONGEST_ID: usize = 128;
/// The most bytes in a description.
const LONGEST_DESCRIPTION: usize = 4 * 1024;
/// The most characters in an operation, an environment, a type of resource, or an action's name.
const LONGEST_WORD: usize = 128;
/// The most characters in a resource, and in each text of a finding.
const LONGEST_TEXT: usize = 1024;
const MOST_FINDINGS: usize = 256;
/// The fields that are compared with the word lists and the resource registry. They must be ASCII,
/// because other characters can look like these.
const COMPARED: [&str; 4] = ["/operation", "/environment", "/resource", "/resource_type"];
/// The highest cost in US dollars. A higher one is a typing error.
const HIGHEST_COST: f64 = 1e12;

/// One fault of a request, and its position (a JSON Pointer, RFC 6901).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    pub pointer: String,
    pub detail: String,
}

impl Fault {
    /// A fault at a pointer.
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }
}

/// A task in a request.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskRequest {
    #[serde(default)]
    task_id: Option<String>,
    description: String,
    operation: String,
    #[serde(default)]
    environment: Option<String>,
    #[serde(default)]
    resource: Option<String>,
    #[serde(default)]
    resource_type: Option<String>,
    #[serde(default)]
    security_findings: Option<Vec<Named<SecurityFinding>>>,
    #[serde(default)]
    estimated_cost: Option<f64>,
    #[serde(default)]
    evidence: Option<Named<EvidenceRequest>>,
    #[serde(default)]
    action: Option<Named<ActionRequest>>,
    #[serde(default)]
    metadata: Option<Metadata>,
    /// The workflow that it supersedes. It is not part of the task, which describes what would be
    /// done.
    #[serde(default)]
    pub supersedes: Option<Uuid>,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ActionRequest {
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<ActionKind>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Map<String, Value>>,
}

impl TaskRequest {
    /// The same task with this metadata.
    #[must_use]
    pub fn with_metadata(self, metadata: Map<String, Value>) -> Self {
        Self { metadata: Some(metadata.into()), ..self }
    }

    /// The task, and the facts known about it besides the claim, with its runbook or webhook
    /// resolved to what would be run or called.
    ///
    /// # Errors
    /// Every fault of the task.
    pub fn admit(self, actions: Actions<'_>, by: PrincipalKind) -> Result<(Task, Option<Facts>), Vec<Fault>> {
        self.admitted(None, actions, by)
    }

    /// The same for a step of a plan, whose arguments may name outputs of these earlier steps.
    fn admit_after(self, earlier: &BTreeSet<String>, actions: Actions<'_>, by: PrincipalKind) -> Result<(Task, Option<Facts>), Vec<Fault>> {
        self.admitted(Some(earlier), actions, by)
    }

    fn admitted(
        self,
        earlier: Option<&BTreeSet<String>>,
        actions: Actions<'_>,
        by: PrincipalKind,
    ) -> Result<(Task, Option<Facts>), Vec<Fault>> {
        let mut faults = self.faults();
        let requested = self.action.map_or(ActionRequest { kind: None, name: None, args: None }, |Named(action)| action);
        let args = requested.args.unwrap_or_default();
        let mut action = Action {
            kind: requested.kind.unwrap_or(ActionKind::External),
            name: requested.name,
            args,
            awaits: Vec::new(),
            runs: None,
            calls: None,
        };
        match earlier.filter(|_| action.kind != ActionKind::External).map(|earlier| awaited(&action.args, earlier)) {
            None => {}
            Some(Ok(awaits)) => action.awaits = awaits,
            Some(Err(of_args)) => faults.extend(of_args),
        }
        let facts = resolve(&mut action, actions, by).unwrap_or_else(|of_action| {
            faults.extend(of_action);
            None
        });
        let evidence = self.evidence.map(|Named(evidence)| evidence.admit()).transpose().unwrap_or_else(|of_evidence| {
            faults.push(of_evidence);
            None
        });
        if !faults.is_empty() {
            return Err(faults);
        }
        let task = Task {
            task_id: self.task_id,
            description: self.description,
            operation: self.operation,
            environment: self.environment,
            resource: self.resource,
            resource_type: self.resource_type,
            security_findings: self.security_findings.into_iter().flatten().map(|Named(finding)| finding).collect(),
            estimated_cost: self.estimated_cost,
            evidence: evidence.map(Box::new),
            action,
            metadata: self.metadata.unwrap_or_default(),
        };
        Ok((task, facts))
    }

    /// The faults of the fields around the steps of a plan.
    fn faults_around(task_id: Option<&str>, description: &str) -> Vec<Fault> {
        let of_id = task_id.and_then(|id| text_fault("/task_id", id, LONGEST_ID));
        of_id.into_iter().chain(description_fault(description)).collect()
    }

    fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut text = |pointer: &str, text: &str, longest: usize| faults.extend(text_fault(pointer, text, longest));
        text("/operation", &self.operation, LONGEST_WORD);
        for (pointer, value, longest) in [
            ("/task_id", &self.task_id, LONGEST_ID),
            ("/environment", &self.environment, LONGEST_WORD),
            ("/resource", &self.resource, LONGEST_TEXT),
            ("/resource_type", &self.resource_type, LONGEST_WORD),
        ] {
            if let Some(value) = value {
                text(pointer, value, longest);
            }
        }
        for (index, Named(finding)) in self.security_findings.iter().flatten().enumerate() {
            text(&format!("/security_findings/{index}/severity"), &finding.severity, LONGEST_WORD);
            for (name, value) in [("id", &finding.id), ("title", &finding.title)] {
                if let Some(value) = value {
                    text(&format!("/security_findings/{index}/{name}"), value, LONGEST_TEXT);
                }
            }
        }
        if self.security_findings.as_ref().is_some_and(|findings| findings.len() > MOST_FINDINGS) {
            faults.push(Fault::new("/security_findings", format!("holds more than {MOST_FINDINGS} findings")));
        }
        faults.extend(description_fault(&self.description));
        if self.estimated_cost.is_some_and(|cost| !(0.0..=HIGHEST_COST).contains(&cost)) {
            faults.push(Fault::new("/estimated_cost", format!("has to be between 0 and {HIGHEST_COST} US dollars")));
        }
        faults
    }
}

/// The fault of a text, if it has one.
fn text_fault(pointer: &str, text: &str, longest: usize) -> Option<Fault> {
    if text.trim().is_empty() {
        return Some(Fault::new(pointer, "is empty; say what it is"));
    }
    if text.chars().count() > longest {
        return Some(Fault::new(pointer, format!("is longer than {longest} characters")));
    }
    let character = foreign(text).filter(|_| COMPARED.contains(&pointer))?;
    let detail = format!("has to be visible ASCII, so that it reads in one way only; it holds U+{:04X}", character as u32);
    Some(Fault::new(pointer, detail))
}

fn description_fault(description: &str) -> Option<Fault> {
    if !says(description) {
        Some(Fault::new("/description", "is empty; say in a sentence what is to be done"))
    } else if description.len() > LONGEST_DESCRIPTION {
        Some(Fault::new("/description", format!("is longer than {LONGEST_DESCRIPTION} bytes")))
    } else {
        None
    }
}

/// The first character that is neither visible ASCII nor a space.
fn foreign(text: &str) -> Option<char> {
    text.chars().find(|character| !(' '..='~').contains(character))
}

/// The actions that the configuration lets parkbrake perform, by name.
#[derive(Debug, Clone, Copy)]
pub struct Actions<'c> {
    pub runbooks: &'c BTreeMap<String, Runbook>,
    pub webhooks: &'c BTreeMap<String, Webhook>,
    /// The playbooks that it makes plans from.
    pub playbooks: &'c BTreeMap<String, Playbook>,
}

impl Actions<'_> {
    /// What parkbrake knows about an action that it would perform itself; `None` for other actions.
    pub fn facts(&self, action: &Action) -> Option<Facts> {
        let name = action.name.as_deref()?;
        match action.kind {
            ActionKind::External => None,
            ActionKind::Runbook => Some(self.runbooks.get(name)?.resolve_awaiting(&action.args, &action.awaits).ok()?.1),
            ActionKind::Webhook => Some(self.webhooks.get(name)?.resolve_awaiting(&action.args, &action.awaits).ok()?.1),
        }
    }
}

/// Resolves a runbook to what would run, and a webhook to what would be called.
fn resolve(action: &mut Action, actions: Actions<'_>, by: PrincipalKind) -> Result<Option<Facts>, Vec<Fault>> {
    let facts = match action.kind {
        ActionKind::External => {
            return match &action.name {
                Some(name) if name.trim().is_empty() || name.chars().count() > LONGEST_WORD => {
                    Err(vec![Fault::new("/action/name", format!("has to be 1 to {LONGEST_WORD} characters"))])
                }
                _ => Ok(None),
            };
        }
        ActionKind::Runbook => {
            let (runs, facts) =
                named(action, "runbook", actions.runbooks, by)?.resolve_awaiting(&action.args, &action.awaits).map_err(faults_of)?;
            action.runs = Some(runs);
            facts
        }
        ActionKind::Webhook => {
            let (calls, facts) =
                named(action, "webhook", actions.webhooks, by)?.resolve_awaiting(&action.args, &action.awaits).map_err(faults_of)?;
            action.calls = Some(calls);
            facts
        }
    };
    let stated = [&facts.operation, &facts.environment, &facts.resource, &facts.resource_type];
    if let Some(character) = stated.into_iter().flatten().find_map(|text| foreign(text)) {
        let detail = format!(
            "an argument that says what the {} acts on has to be visible ASCII, so that it reads in one way only; one holds U+{:04X}",
            facts.from.as_str(),
            character as u32
        );
        return Err(vec![Fault::new("/action/args", detail)]);
    }
    Ok(Some(facts))
}

/// The runbook or the webhook that an action names.
fn named<'c, T>(action: &Action, what: &str, configured: &'c BTreeMap<String, T>, by: PrincipalKind) -> Result<&'c T, Vec<Fault>> {
    let Some(name) = &action.name else {
        return Err(vec![Fault::new("/action/name", format!("is required: the name of the {what}"))]);
    };
    configured.get(name).ok_or_else(|| {
        let known = known(configured.keys().map(String::as_str).collect(), by);
        vec![Fault::new("/action/name", format!("there is no {what} `{}`; {known}", shown(name)))]
    })
}

fn faults_of(misfits: Vec<Misfit>) -> Vec<Fault> {
    let fault = |misfit: Misfit| Fault::new(format!("/action/args/{}", escaped(&misfit.argument)), misfit.detail);
    misfits.into_iter().map(fault).collect()
}

/// The known names, for an error about an unknown one. Agents do not get this list: whoever set an
/// agent up tells it the names that it needs, and a list of everything else would only help an
/// agent that was talked into something.
fn known(names: Vec<&str>, by: PrincipalKind) -> String {
    match by {
        PrincipalKind::Agent => "ask the people who run this server for the name".to_owned(),
        PrincipalKind::Person if names.is_empty() => "none is configured".to_owned(),
        PrincipalKind::Person => format!("configured are: {}", names.join(", ")),
    }
}

/// A key in the form of a JSON Pointer token.
pub fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn admit(value: Value) -> Result<(Task, Option<Facts>), Vec<Fault>> {
        let request: TaskRequest = serde_json::from_value(value).unwrap();
        request.admit(Actions { runbooks: &BTreeMap::new(), webhooks: &BTreeMap::new(), playbooks: &BTreeMap::new() }, PrincipalKind::Agent)
    }

    #[test]
    fn a_small_task_is_an_external_action() {
        let (task, facts) = admit(json!({"description": "read the logs", "operation": "read"})).unwrap();
        assert_eq!(task.action, Action::external());
        assert_eq!(facts, None);
    }

    #[test]
    fn every_fault_is_named_with_its_pointer() {
        let faults = admit(json!({
            "description": " ", "operation": "", "task_id": "x".repeat(129), "estimated_cost": -1.0,
            "security_findings": [{"severity": ""}], "action": {"type": "runbook", "name": "nothing"}
        }))
        .unwrap_err();
        let mut pointers: Vec<_> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
        pointers.sort_unstable();
        assert_eq!(
            pointers,
            ["/action/name", "/description", "/estimated_cost", "/operation", "/security_findings/0/severity", "/task_id"]
        );
    }

    #[test]
    fn compared_fields_accept_only_visible_ascii() {
        for text in
            ["pr\u{43e}duction", "\u{200b}db", "db\u{ad}prod", "\u{ff44}b", "db\u{2010}prod", "\u{a0}db", "db\t", "d\nb", "db\u{7f}", "\0"]
        {
            for field in ["operation", "environment", "resource", "resource_type"] {
                let mut task = json!({"description": "d", "operation": "read"});
                task[field] = json!(text);
                let faults = admit(task).unwrap_err();
                let pointers: Vec<_> = faults.iter().map(|fault| fault.pointer.clone()).collect();
                assert_eq!(pointers, [format!("/{field}")], "{text:?}");
                assert!(faults[0].detail.contains("visible ASCII") && faults[0].detail.contains("U+"), "{faults:?}");
            }
        }
        admit(json!({"description": "gr\u{fc}\u{df}e", "operation": " Roll out ", "resource": "https://u@db-prod-1:5432/x?y=~#!", "task_id": "\u{fc}"}))
            .unwrap();
    }

    #[test]
    fn a_requester_cannot_set_what_runs() {
        let smuggled = json!({"description": "d", "operation": "read", "action": {"type": "external", "runs": {"command": ["rm"]}}});
        assert!(serde_json::from_value::<TaskRequest>(smuggled).is_err());
    }
}
