//! `runbooks.yaml`: the commands that parkbrake itself can run, and the URLs that it can call.

use crate::config::confinement::{self, Confinement};
use crate::config::facts;
use crate::config::names;
use crate::config::placeholders::{Placeholders, arguments_document};
use crate::config::retry;
use crate::config::risk_rules::RiskRules;
use crate::config::value::{At, from_env};
use crate::config::webhooks;
use crate::domain::duration;
use crate::domain::request::arguments::{Argument, Template};
use crate::domain::request::runbook::Runbook;
use crate::domain::request::webhook::Webhook;
use crate::domain::task::ActionKind;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

const RUNBOOK_KEYS: [&str; 19] = [
    "operation",
    "environment",
    "resource",
    "resource_type",
    "command",
    "files",
    "args",
    "timeout",
    "idempotent",
    "concurrency",
    "retry",
    "probe",
    "precondition",
    "env",
    "working_dir",
    "user",
    confinement::KEYS[0],
    confinement::KEYS[1],
    confinement::KEYS[2],
];

/// How long a command may run by default.
const TIMEOUT: Duration = Duration::from_secs(10 * 60);
/// The prefix of the variables that parkbrake sets itself.
const OWN_VARIABLES: &str = "PARKBRAKE_";

/// The file: its runbooks and webhooks, and all of its values as a document.
#[derive(Debug, Default)]
pub struct Runbooks {
    runbooks: BTreeMap<String, Runbook>,
    documents: Map<String, Value>,
    webhooks: BTreeMap<String, Webhook>,
    webhook_documents: Map<String, Value>,
    /// Every name in the file, also of invalid entries.
    declared: BTreeSet<(ActionKind, String)>,
}

/// Reads the file.
pub fn read(file: &At<'_>, rules: &RiskRules<'_>, base: &Path) -> Runbooks {
    let mut found = Runbooks::default();
    let Some(fields) = file.fields(&["runbooks", "webhooks"]) else { return found };
    let section = |name: &str| fields.get(name).and_then(|at| at.entries(&format!("{name} by their names"))).unwrap_or_default();
    for (name, at) in section("runbooks") {
        found.declared.insert((ActionKind::Runbook, name.to_owned()));
        if let Some((runbook, document)) = valid_name(name, &at).and_then(|()| read_runbook(name, &at, rules, base)) {
            found.runbooks.insert(name.to_owned(), runbook);
            found.documents.insert(name.to_owned(), document);
        }
    }
    for (name, at) in section("webhooks") {
        found.declared.insert((ActionKind::Webhook, name.to_owned()));
        if let Some((webhook, document)) = valid_name(name, &at).and_then(|()| webhooks::read(name, &at, rules)) {
            found.webhooks.insert(name.to_owned(), webhook);
            found.webhook_documents.insert(name.to_owned(), document);
        }
    }
    found
}

fn valid_name(name: &str, at: &At<'_>) -> Option<()> {
    names::action(name).map(drop).map_err(|error| at.problem(error)).ok()
}

fn read_runbook(name: &str, at: &At<'_>, rules: &RiskRules<'_>, base: &Path) -> Option<(Runbook, Value)> {
    let fields = at.fields(&RUNBOOK_KEYS)?;
    let mut placeholders = Placeholders::default();
    let operation = fields.required("operation", "say what it really does, such as deploy");
    let operation = operation.and_then(|at| placeholders.fact(&at, Some(&rules.operations)));
    let environment = fields.get("environment").and_then(|at| placeholders.fact(&at, Some(&rules.environments)));
    let resource = fields.get("resource").and_then(|at| placeholders.fact(&at, None));
    let resource_type = fields.get("resource_type").and_then(|at| placeholders.fact(&at, Some(&rules.resource_types)));
    let command = fields.required("command", "write the program and its arguments as a list");
    let command: Vec<(&str, Template)> = command.map(|at| placeholders.command(&at)).unwrap_or_default();
    let files: Vec<(&str, Template)> = fields.get("files").map(|at| placeholders.files(&at)).unwrap_or_default();
    let probe: Vec<(&str, Template)> = fields.get("probe").map(|at| placeholders.command(&at)).unwrap_or_default();
    let precondition: Vec<(&str, Template)> = fields.get("precondition").map(|at| placeholders.command(&at)).unwrap_or_default();
    let concurrency = fields.get("concurrency").map(|at| concurrency(&at, &mut placeholders));
    let args: Vec<(&str, &str, Argument)> = fields.get("args").map(|at| placeholders.args(&at)).unwrap_or_default();
    placeholders.refuse_unknown();
    let stated = [("operation", &operation), ("environment", &environment), ("resource", &resource), ("resource_type", &resource_type)];
    let stated = stated.map(|(key, fact)| (key, fact.as_ref().map(|(_, template)| template)));
    let reached: Vec<_> = command.iter().map(|(_, template)| template).collect();
    let declared: Vec<_> = args.iter().map(|(name, ..)| *name).collect();
    facts::refuse_claims(&fields, &stated, &reached, &declared, &rules.operations);
    let timeout = fields.duration_or("timeout", TIMEOUT);
    let idempotent = fields.get("idempotent").and_then(|at| at.boolean()).unwrap_or(false);
    let retry = fields.get("retry").map(|at| retry::read(&at, idempotent));
    let env = fields.get("env").map(|at| variables(&at)).unwrap_or_default();
    let working_dir = fields.get("working_dir").and_then(|at| directory(&at)).unwrap_or(".");
    let user = fields.get("user").and_then(|at| at.parsed(names::account));
    let Confinement { limits, sandbox, new_privileges, document: confinement } = confinement::read(&fields);
    let fact = |fact: &Option<(&str, Template)>| fact.as_ref().map(|(text, _)| Value::from(*text)).unwrap_or_default();
    let mut document = json!({
        "operation": fact(&operation),
        "environment": fact(&environment),
        "resource": fact(&resource),
        "resource_type": fact(&resource_type),
        "command": command.iter().map(|(text, _)| *text).collect::<Vec<_>>(),
        "args": arguments_document(&args),
        "timeout": duration::show(timeout).to_string(),
        "idempotent": idempotent,
        "concurrency": concurrency.as_ref().and_then(Option::as_ref).map(|(key, _, limit)| json!({ "key": key, "limit": limit })),
        "probe": probe.iter().map(|(text, _)| *text).collect::<Vec<_>>(),
        "precondition": precondition.iter().map(|(text, _)| *text).collect::<Vec<_>>(),
        "retry": retry::document(retry.flatten().as_ref()),
        "env": env.iter().map(|(name, from)| (name.clone(), json!({ "from_env": from }))).collect::<Map<_, _>>(),
        "working_dir": working_dir,
        "files": files.iter().map(|(text, _)| *text).collect::<Vec<_>>(),
        "user": user,
    });
    if let Some(document) = document.as_object_mut() {
        document.extend(confinement);
    }
    let template = |fact: Option<(&str, Template)>| fact.map(|(_, template)| template);
    let runbook = Runbook {
        name: name.to_owned(),
        operation: template(operation)?,
        environment: template(environment),
        resource: template(resource),
        resource_type: template(resource_type),
        command: command.into_iter().map(|(_, template)| template).collect(),
        args: args.into_iter().map(|(name, _, argument)| (name.to_owned(), argument)).collect(),
        timeout,
        idempotent,
        concurrency: match concurrency {
            Some(read) => read.map(|(_, key, limit)| Some((key, limit)))?,
            None => None,
        },
        // Its problems have been noted.
        retry: retry.map_or(Some(None), |read| read.map(Some))?,
        probe: probe.into_iter().map(|(_, template)| template).collect(),
        precondition: precondition.into_iter().map(|(_, template)| template).collect(),
        env,
        // Without a trailing `.`, so that approvers read the folder itself.
        working_dir: base.join(working_dir).components().collect(),
        files: files.into_iter().map(|(_, template)| template).collect(),
        user,
        limits,
        sandbox,
        new_privileges,
    };
    Some((runbook, document))
}

/// Reads `{ key: ..., limit: ... }`.
fn concurrency<'s>(at: &At<'s>, placeholders: &mut Placeholders<'s>) -> Option<(&'s str, Template, u32)> {
    let fields = at.fields(&["key", "limit"])?;
    let key = fields.required("key", "say what may not run side by side, such as \"{{ service }}\"");
    let key = key.and_then(|at| placeholders.text(&at));
    let limit = fields.get("limit").map_or(Some(1), |at| {
        let limit = at.count();
        if limit == Some(0) {
            at.problem("has to be at least 1, or nothing would ever run");
        }
        limit.filter(|limit| *limit > 0)
    });
    let ((text, key), limit) = key.zip(limit)?;
    Some((text, key, limit))
}

fn directory<'s>(at: &At<'s>) -> Option<&'s str> {
    let text = at.text()?;
    if text.trim().is_empty() || text.contains('\0') {
        at.problem("is not a folder; write a path, which is relative to where parkbrake was started, or leave the key out");
        return None;
    }
    Some(text)
}

/// Reads `NAME: { from_env: SOURCE }`.
fn variables(at: &At<'_>) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    for (name, at) in at.entries("variables: a name and { from_env: NAME }").unwrap_or_default() {
        match names::variable(name) {
            Err(error) => at.problem(error),
            Ok(name) if name.starts_with(OWN_VARIABLES) => {
                at.problem("is a name that parkbrake gives to variables of its own; choose another")
            }
            Ok(name) => drop(from_env(&at).map(|source| variables.insert(name, source))),
        }
    }
    variables
}

impl Runbooks {
    /// The values of the file as a document, with defaults filled in.
    pub fn document(&self) -> Value {
        json!({ "runbooks": self.documents, "webhooks": self.webhook_documents })
    }

    /// Whether the file has an entry with this name, valid or not.
    pub fn declares(&self, kind: ActionKind, name: &str) -> bool {
        self.declared.contains(&(kind, name.to_owned()))
    }

    /// The arguments that an entry declares; `None` if it accepts any, or is invalid.
    pub fn arguments(&self, kind: ActionKind, name: &str) -> Option<&BTreeMap<String, Argument>> {
        match kind {
            ActionKind::External => None,
            ActionKind::Runbook => self.runbooks.get(name).map(|runbook| &runbook.args),
            ActionKind::Webhook => self.webhooks.get(name)?.args.as_ref(),
        }
    }

    /// Whether an entry states its operation; an invalid entry counts, because it has been
    /// reported.
    pub fn states_operation(&self, kind: ActionKind, name: &str) -> bool {
        kind == ActionKind::Runbook || self.webhooks.get(name).is_none_or(|webhook| webhook.operation.is_some())
    }

    /// The runbooks and the webhooks by their names.
    pub fn into_domain(self) -> (BTreeMap<String, Runbook>, BTreeMap<String, Webhook>) {
        (self.runbooks, self.webhooks)
    }
}
