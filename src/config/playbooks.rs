//! `playbooks.yaml`: the plans that parkbrake makes for a kind of request. Each step names a
//! runbook or a webhook of `runbooks.yaml`.

use crate::config::names;
use crate::config::placeholders::{Placeholders, arguments_document};
use crate::config::risk_rules::RiskRules;
use crate::config::runbooks::Runbooks;
use crate::config::value::{At, Fields};
use crate::config::words::Words;
use crate::domain::request::arguments::{Argument, Template};
use crate::domain::request::playbook::{Playbook, PlaybookStep, PlaybookUndo};
use crate::domain::task::ActionKind;
use crate::domain::task::digest::{Digest, canonical};
use crate::domain::task::outputs::{self, Reference};
use crate::domain::task::plan::{Gate, MOST_STEPS, is_name};
use crate::domain::text::shown;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

const KEYS: [&str; 3] = ["args", "gate", "steps"];
const STEP_KEYS: [&str; 10] =
    ["name", "description", "operation", "environment", "resource", "resource_type", "runbook", "webhook", "args", "compensate"];
const UNDO_KEYS: [&str; 3] = ["runbook", "webhook", "args"];

/// The file: its playbooks, and all of its values as a document.
#[derive(Debug, Default)]
pub struct Playbooks {
    playbooks: BTreeMap<String, Playbook>,
    documents: Map<String, Value>,
}

impl Playbooks {
    /// The values of the file as a document; `None` if there are none.
    pub fn document(&self) -> Option<Value> {
        (!self.documents.is_empty()).then(|| json!(self.documents))
    }

    /// The playbooks by their names.
    pub fn into_domain(self) -> BTreeMap<String, Playbook> {
        self.playbooks
    }
}

/// Reads the file.
pub fn read(file: &At<'_>, rules: &RiskRules<'_>, runbooks: &Runbooks) -> Playbooks {
    let mut found = Playbooks::default();
    let entries = file.fields(&["playbooks"]).and_then(|fields| fields.get("playbooks")?.entries("playbooks by their names"));
    for (name, at) in entries.unwrap_or_default() {
        if let Err(error) = names::action(name) {
            at.problem(error);
        } else if let Some((playbook, document)) = read_playbook(name, &at, rules, runbooks) {
            found.playbooks.insert(name.to_owned(), playbook);
            found.documents.insert(name.to_owned(), document);
        }
    }
    found
}

fn read_playbook(name: &str, at: &At<'_>, rules: &RiskRules<'_>, runbooks: &Runbooks) -> Option<(Playbook, Value)> {
    let fields = at.fields(&KEYS)?;
    let mut placeholders = Placeholders::default();
    let list = fields.required("steps", "write what is done, one step after the other, each with the runbook that does it");
    let items = list.as_ref().and_then(|at| at.items("steps, such as { name: deploy, runbook: deploy-service, args: {…} }"))?;
    match (&list, items.len()) {
        (Some(at), 0) => at.problem("is empty; a plan has at least one step"),
        (Some(at), count) if count > MOST_STEPS => at.problem(format!("holds {count} steps; a plan has at most {MOST_STEPS}")),
        _ => {}
    }
    let mut taken = BTreeSet::new();
    let count = items.len();
    let steps: Vec<(PlaybookStep, Value)> =
        items.iter().filter_map(|at| read_step(at, rules, runbooks, &mut placeholders, &mut taken)).collect();
    let args: Vec<(&str, &str, Argument)> = fields.get("args").map(|at| placeholders.args(&at)).unwrap_or_default();
    placeholders.refuse_unknown();
    let no_gate = |word: &str| format!("is `{}`, but has to be plan or step", shown(word));
    let gate = fields.get("gate").map_or(Some(Gate::Plan), |at| at.parsed(|word| Gate::parse(word).ok_or_else(|| no_gate(word))))?;
    if steps.len() < count {
        return None;
    }
    let (steps, documents): (Vec<_>, Vec<_>) = steps.into_iter().unzip();
    let document = json!({ "args": arguments_document(&args), "gate": gate.as_str(), "steps": documents });
    let digest = Digest::of(&canonical(&document));
    let args = args.into_iter().map(|(name, _, argument)| (name.to_owned(), argument)).collect();
    Some((Playbook { name: name.to_owned(), digest, args, gate, steps }, document))
}

/// Reads one step; returns nothing if it has problems.
fn read_step<'s>(
    at: &At<'s>,
    rules: &RiskRules<'_>,
    runbooks: &Runbooks,
    placeholders: &mut Placeholders<'s>,
    taken: &mut BTreeSet<&'s str>,
) -> Option<(PlaybookStep, Value)> {
    let fields = at.fields(&STEP_KEYS)?;
    let earlier = taken.clone();
    let name = fields.get("name").map(|at| step_name(&at, taken));
    let description = fields.get("description").map(|at| placeholders.text(&at));
    let mut fact = |key: &str, words: Option<&Words<'_>>| fields.get(key).map(|at| placeholders.fact(&at, words));
    let operation = fact("operation", Some(&rules.operations));
    let environment = fact("environment", Some(&rules.environments));
    let resource = fact("resource", None);
    let resource_type = fact("resource_type", Some(&rules.resource_types));
    let (kind, action) = action(&fields, runbooks)?;
    let args = read_args(at, &fields, (kind, action), runbooks, placeholders, &earlier)?;
    let undo = match fields.get("compensate") {
        Some(at) => Some(read_undo(&at, runbooks, placeholders, taken)?),
        None => None,
    };
    if operation.is_none() && !states_operation(kind, action, runbooks) {
        fields
            .required("operation", "say what the step does, such as deploy; only a runbook or a webhook that states it may leave it out")?;
    }
    let mut document = Map::new();
    let written = [
        ("description", text(&description)),
        ("operation", text(&operation)),
        ("environment", text(&environment)),
        ("resource", text(&resource)),
        ("resource_type", text(&resource_type)),
        ("name", name.flatten()),
        (kind.as_str(), action),
    ];
    document.extend(written.into_iter().filter_map(|(key, text)| Some((key.to_owned(), Value::from(text?)))));
    document.insert("args".to_owned(), args_document(&args));
    if let Some((_, undo)) = &undo {
        document.insert("compensate".to_owned(), undo.clone());
    }
    let step = PlaybookStep {
        name: match name {
            None => None,
            Some(name) => Some(name?.to_owned()),
        },
        description: template(description)?,
        operation: template(operation)?,
        environment: template(environment)?,
        resource: template(resource)?,
        resource_type: template(resource_type)?,
        kind,
        action: action.map(str::to_owned),
        args: templates(args),
        compensate: undo.map(|(undo, _)| undo),
    };
    Some((step, Value::Object(document)))
}

/// The arguments of an action, each with its text.
type Read<'s> = Vec<(&'s str, (&'s str, Template))>;

fn templates(args: Read<'_>) -> BTreeMap<String, Template> {
    args.into_iter().map(|(name, (_, template))| (name.to_owned(), template)).collect()
}

fn args_document(args: &Read<'_>) -> Value {
    args.iter().map(|(name, (text, _))| ((*name).to_owned(), Value::from(*text))).collect()
}

/// The arguments of an action, if they fit it. They may name outputs of the steps with these names.
fn read_args<'s>(
    at: &At<'s>,
    fields: &Fields<'s>,
    (kind, action): (ActionKind, Option<&str>),
    runbooks: &Runbooks,
    placeholders: &mut Placeholders<'s>,
    earlier: &BTreeSet<&str>,
) -> Option<Read<'s>> {
    let args = fields.get("args").map(|at| arguments(&at, placeholders, earlier)).unwrap_or_default();
    fit(at, fields, kind, action, &args, runbooks)?;
    // Their problems have been noted.
    args.into_iter().map(|(name, (_, value))| Some((name, value?))).collect()
}

/// What undoes a step, and its document.
fn read_undo<'s>(
    at: &At<'s>,
    runbooks: &Runbooks,
    placeholders: &mut Placeholders<'s>,
    earlier: &BTreeSet<&str>,
) -> Option<(PlaybookUndo, Value)> {
    let fields = at.fields(&UNDO_KEYS)?;
    let (kind, Some(action)) = action(&fields, runbooks)? else {
        at.problem("names nothing that undoes the step; write the runbook or the webhook that does");
        return None;
    };
    let args = read_args(at, &fields, (kind, Some(action)), runbooks, placeholders, earlier)?;
    let mut document = Map::new();
    document.insert(kind.as_str().to_owned(), Value::from(action));
    document.insert("args".to_owned(), args_document(&args));
    Some((PlaybookUndo { kind, action: action.to_owned(), args: templates(args) }, Value::Object(document)))
}

/// A text of a step: `None` if the key is left out, `Some(None)` if it had a problem, which has
/// been noted.
type Written<'s> = Option<Option<(&'s str, Template)>>;

fn text<'s>(written: &Written<'s>) -> Option<&'s str> {
    written.as_ref()?.as_ref().map(|(text, _)| *text)
}

/// The template, if there is one; nothing if it is invalid.
fn template(written: Written<'_>) -> Option<Option<Template>> {
    match written {
        None => Some(None),
        Some(read) => read.map(|(_, template)| Some(template)),
    }
}

fn step_name<'s>(at: &At<'s>, taken: &mut BTreeSet<&'s str>) -> Option<&'s str> {
    let name = at.text()?;
    if !is_name(name) {
        at.problem(format!(
            "`{}` cannot be used: the name of a step has only a-z, 0-9, _ and -, begins with a letter, and has at most 63 characters",
            shown(name)
        ));
        return None;
    }
    if !taken.insert(name) {
        at.problem("is the name of an earlier step; give each step a name of its own");
        return None;
    }
    Some(name)
}

/// What performs the step: a runbook, a webhook, or the requester itself.
fn action<'s>(fields: &Fields<'s>, runbooks: &Runbooks) -> Option<(ActionKind, Option<&'s str>)> {
    let (runbook, webhook) = (fields.get("runbook"), fields.get("webhook"));
    let (kind, at) = match (runbook, webhook) {
        (None, None) => return Some((ActionKind::External, None)),
        (Some(_), Some(at)) => {
            at.problem("cannot be combined with `runbook`; only one of them performs a step");
            return None;
        }
        (Some(at), None) => (ActionKind::Runbook, at),
        (None, Some(at)) => (ActionKind::Webhook, at),
    };
    let name = at.text()?;
    if !runbooks.declares(kind, name) {
        at.problem(format!("there is no {} `{}` in runbooks.yaml", kind.as_str(), shown(name)));
        return None;
    }
    Some((kind, Some(name)))
}

/// Arguments by name, each with its position, and its text, if it has one.
type Arguments<'s> = BTreeMap<&'s str, (At<'s>, Option<(&'s str, Template)>)>;

fn arguments<'s>(at: &At<'s>, placeholders: &mut Placeholders<'s>, earlier: &BTreeSet<&str>) -> Arguments<'s> {
    let entries = at.entries("arguments and their values").unwrap_or_default().into_iter();
    let mut text = |at: &At<'s>| match at.text()? {
        text if outputs::means_one(text) => output(at, text, earlier),
        _ => placeholders.text(at),
    };
    entries.map(|(name, at)| (name, (at.clone(), text(&at)))).collect()
}

/// An argument that names an output of an earlier step; it stays as written until that step has
/// produced the output.
fn output<'s>(at: &At<'_>, text: &'s str, earlier: &BTreeSet<&str>) -> Option<(&'s str, Template)> {
    match Reference::read(text) {
        Some(reference) if earlier.contains(reference.step.as_str()) => return Some((text, Template::plain(text))),
        Some(reference) => at.problem(format!("names an output of `{}`, and no earlier step has this name", reference.step)),
        None => at.problem("has to be one output and nothing else, such as \"{{ steps.backup.output.path }}\""),
    }
    None
}

/// Checks the arguments of a step against those that its runbook or webhook declares; `None` if
/// they differ.
fn fit(at: &At<'_>, fields: &Fields<'_>, kind: ActionKind, action: Option<&str>, args: &Arguments<'_>, runbooks: &Runbooks) -> Option<()> {
    let Some(declared) = action.and_then(|action| runbooks.arguments(kind, action)) else { return Some(()) };
    let action = action.unwrap_or_default();
    let mut is_valid = true;
    for (name, (at, value)) in args {
        let refused = match declared.get(*name) {
            None => Some(format!("is not an argument of the {} `{}`", kind.as_str(), shown(action))),
            Some(argument) => {
                let literal = value.as_ref().filter(|(text, template)| template.literal().is_some() && !outputs::means_one(text));
                literal.and_then(|(text, _)| argument.refuses(text))
            }
        };
        if let Some(detail) = refused {
            at.problem(detail);
            is_valid = false;
        }
    }
    let missing: Vec<&str> = declared.keys().map(String::as_str).filter(|name| !args.contains_key(name)).collect();
    if !missing.is_empty() {
        let at = fields.get("args").unwrap_or_else(|| at.clone());
        at.problem(format!("leaves out {}, which the {} `{}` needs", missing.join(", "), kind.as_str(), shown(action)));
        is_valid = false;
    }
    is_valid.then_some(())
}

/// Whether the runbook or webhook states an operation, so that the step need not.
fn states_operation(kind: ActionKind, action: Option<&str>, runbooks: &Runbooks) -> bool {
    action.is_some_and(|action| runbooks.states_operation(kind, action))
}
