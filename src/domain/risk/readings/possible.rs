//! The values that each field of a task has or could have.
//!
//! What parkbrake runs is read as parkbrake knows it: a fact that the runbook does not state has
//! every value, and the requester's claims only add readings, so no claim lowers the level. What
//! the requester does itself is read as claimed; an omitted field could be anything that a claim
//! could say. An unknown word says nothing, so it could be anything too.

use crate::domain::risk::level::Level;
use crate::domain::risk::readings::{Facts, Reading, Resource, Value};
use crate::domain::risk::registry::spellings;
use crate::domain::risk::terraform;
use crate::domain::risk::{Reason, Rules};
use crate::domain::task::Task;
use crate::domain::task::vocabulary::{Vocabulary, normalized};
use crate::domain::text::shown;
use std::collections::BTreeSet;

/// The values of one field, each word once.
#[derive(Default)]
struct Values(Vec<Value>);

impl Values {
    /// Adds a value. A stated value is not called assumed, even if it was assumed before.
    fn add(&mut self, value: Value) {
        match self.0.iter_mut().find(|known| known.word == value.word) {
            Some(known) => known.assumed &= value.assumed,
            None => self.0.push(value),
        }
    }

    fn extend(&mut self, values: impl IntoIterator<Item = Value>) {
        values.into_iter().for_each(|value| self.add(value));
    }
}

/// A field, as claimed and as the registry knows it.
struct Field<'r> {
    name: &'static str,
    words: &'r Vocabulary,
    claimed: Option<Value>,
    known: Vec<(&'static str, String)>,
}

impl Rules {
    /// Every reading of the task: each value that a field is claimed to have, is known to have, or
    /// could have.
    pub fn readings(&self, task: &Task, facts: Option<&Facts>, reasons: &mut Vec<Reason>) -> Vec<Reading> {
        let operations = self.operations_of(task, facts, reasons);
        let environments = self.environments_of(task, facts, reasons);
        let resource_types = self.resource_types_of(task, facts, reasons);
        let resources = resources_of(task, facts, reasons);
        self.unregistered_resources(task, facts, reasons);
        let mut readings = Vec::with_capacity(operations.len() * environments.len() * resource_types.len() * resources.len());
        for operation in &operations {
            for environment in &environments {
                for resource_type in &resource_types {
                    readings.extend(resources.iter().map(|resource| Reading {
                        operation: operation.clone(),
                        environment: environment.clone(),
                        resource_type: resource_type.clone(),
                        resource: resource.clone(),
                    }));
                }
            }
        }
        readings
    }

    /// What the registry knows about a task's resource: its environment, the most dangerous if
    /// there are several, and its types.
    pub fn known(&self, task: &Task, facts: Option<&Facts>) -> (Option<&str>, BTreeSet<&str>) {
        let named = named(task, facts);
        let entries: Vec<_> = named.iter().flat_map(|(_, name)| self.registered(Some(name))).collect();
        (self.most_dangerous(&entries), types(&entries))
    }

    /// The registry entries that match this resource.
    fn registered(&self, resource: Option<&str>) -> Vec<&Resource> {
        let Some(name) = resource else { return Vec::new() };
        let spellings = spellings(name);
        self.resources.iter().filter(|entry| entry.speaks_of(&spellings)).collect()
    }

    fn most_dangerous<'r>(&self, entries: &[&'r Resource]) -> Option<&'r str> {
        entries.iter().filter_map(|entry| entry.environment.as_deref()).min_by_key(|word| self.environments.rank(word))
    }

    /// Notes resources that no entry matches. They are as unknown as a word on no list: only the
    /// person who names one says what it is.
    fn unregistered_resources(&self, task: &Task, facts: Option<&Facts>, reasons: &mut Vec<Reason>) {
        let Some(level) = self.unregistered else { return };
        for (source, name) in named(task, facts).into_iter().filter(|(_, name)| self.registered(Some(name)).is_empty()) {
            let detail = format!(
                "{source} names the resource `{}`, which no entry under `resources` matches, so nothing says what it is",
                shown(&normalized(name))
            );
            reasons.push(Reason { trigger: "unregistered_resource".to_owned(), level, detail });
        }
    }

    fn operations_of(&self, task: &Task, facts: Option<&Facts>, reasons: &mut Vec<Reason>) -> Vec<Value> {
        let mut values = Values::default();
        let claimed = self.word(&self.operations, "operation", &task.operation, reasons);
        if let Some(facts) = facts {
            if let Some(written) = &facts.operation {
                let real = self.word(&self.operations, "operation", written, reasons);
                disagreement("operation", &facts.source, &real.word, &claimed.word, reasons);
                values.extend(everything_if_unrecognized(real, &self.operations));
            } else {
                values.extend(self.operations.names().map(Value::assumed));
                unsaid("operation", Some(&facts.source), &mut values, reasons);
            }
        }
        if let Some(plan) = task.terraform() {
            let evident = terraform::operations(plan, &self.operations);
            if let Some(word) = evident.first().filter(|_| !evident.contains(&claimed.word.as_str())) {
                disagreement("operation", PLAN, word, &claimed.word, reasons);
            }
            values.extend(evident.into_iter().map(Value::said));
        }
        values.extend(everything_if_unrecognized(claimed, &self.operations));
        values.0
    }

    fn environments_of(&self, task: &Task, facts: Option<&Facts>, reasons: &mut Vec<Reason>) -> Vec<Value> {
        let words = &self.environments;
        let claimed = task.environment.as_deref().map(|written| self.word(words, "environment", written, reasons));
        let of_claimed = self.most_dangerous(&self.registered(task.resource.as_deref()));
        let of_real = facts.and_then(|facts| self.most_dangerous(&self.registered(facts.resource.as_deref())));
        let mut values = Values::default();
        values.extend(of_claimed.into_iter().chain(of_real).map(Value::said));
        let known = of_claimed.into_iter().chain(of_real).map(|word| (REGISTRY, word.to_owned())).collect();
        // The registry overrides a claim that is less dangerous. Next to a runbook's statement, the
        // claim still counts.
        let limit = of_claimed.filter(|_| facts.is_none()).map_or(usize::MAX, |word| words.rank(word));
        let possible = |name: &&str| words.rank(name) <= limit;
        let of_workspace = task.terraform().and_then(|plan| self.environment_of_workspace(plan));
        if let (Some(word), Some(claimed)) = (of_workspace, &claimed) {
            disagreement("environment", WORKSPACE, word, &claimed.word, reasons);
        }
        let field = Field { name: "environment", words, claimed, known };
        let claimed = self.stated(&field, facts, |facts| facts.environment.as_deref(), possible, &mut values, reasons);
        values.extend(
            claimed
                .filter(|claimed| words.rank(&claimed.word) <= limit)
                .into_iter()
                .flat_map(|value| everything_if_unrecognized(value, words)),
        );
        values.extend(of_workspace.map(Value::said));
        values.0
    }

    fn resource_types_of(&self, task: &Task, facts: Option<&Facts>, reasons: &mut Vec<Reason>) -> Vec<Value> {
        let words = &self.resource_types;
        let claimed = task.resource_type.as_deref().map(|written| self.word(words, "resource_type", written, reasons));
        let entries: Vec<_> = named(task, facts).iter().flat_map(|(_, name)| self.registered(Some(name))).collect();
        let mut values = Values::default();
        values.extend(types(&entries).into_iter().map(Value::said));
        let known = types(&entries).into_iter().map(|word| (REGISTRY, word.to_owned())).collect();
        let field = Field { name: "resource_type", words, claimed, known };
        let claimed = self.stated(&field, facts, |facts| facts.resource_type.as_deref(), |_| true, &mut values, reasons);
        let evident = task.terraform().and_then(|plan| terraform::resource_type(plan, words));
        if let (Some(word), Some(claimed)) = (evident, &claimed) {
            disagreement("resource_type", PLAN, word, &claimed.word, reasons);
        }
        values.extend(evident.map(Value::said));
        values.extend(claimed.into_iter().flat_map(|value| everything_if_unrecognized(value, words)));
        values.0
    }

    /// Adds what is known about a field besides the claim, and returns the claim.
    ///
    /// Which source counts as omitting the field: for what parkbrake runs, only the runbook,
    /// whatever the requester claims; for what the requester does itself, the requester.
    fn stated<'f>(
        &self,
        field: &Field<'_>,
        facts: Option<&'f Facts>,
        part: impl Fn(&'f Facts) -> Option<&'f str>,
        possible: impl Fn(&&str) -> bool,
        values: &mut Values,
        reasons: &mut Vec<Reason>,
    ) -> Option<Value> {
        let Field { name, words, claimed, known } = field;
        let real = facts.map(|facts| (facts, part(facts).map(|written| self.word(words, name, written, reasons))));
        let unsaid_by = match &real {
            Some((facts, None)) => Some(Some(facts.source.as_str())),
            None if claimed.is_none() => Some(None),
            _ => None,
        };
        if let Some(claimed) = claimed {
            let of_runbook = real.iter().filter_map(|(facts, value)| Some((facts.source.as_str(), value.as_ref()?.word.clone())));
            for (source, word) in known.iter().cloned().chain(of_runbook) {
                disagreement(name, source, &word, &claimed.word, reasons);
            }
        }
        values.extend(real.and_then(|(_, value)| value).into_iter().flat_map(|value| everything_if_unrecognized(value, words)));
        if let Some(source) = unsaid_by {
            values.extend(words.names().filter(possible).map(Value::assumed));
            unsaid(name, source, values, reasons);
        }
        claimed.clone()
    }

    /// The canonical word for what was written. A word that is on no list is a reason of its own.
    fn word(&self, vocabulary: &Vocabulary, field: &str, written: &str, reasons: &mut Vec<Reason>) -> Value {
        if let Some(word) = vocabulary.resolve(written) {
            return Value::said(word);
        }
        let known = vocabulary.names().collect::<Vec<_>>().join(", ");
        let detail = format!("{field} `{}` is not a word that parkbrake knows; known are: {known}", shown(written));
        reasons.push(Reason { trigger: format!("unrecognized_{field}"), level: self.unrecognized, detail });
        Value::said(&normalized(written))
    }
}

/// The source of facts that no runbook states.
const REGISTRY: &str = "the resource registry";
const PLAN: &str = "the Terraform plan";
const WORKSPACE: &str = "the workspace of the Terraform plan";

/// An unrecognized word says nothing, so it is assessed at its own level and also like an omitted
/// field.
fn everything_if_unrecognized(value: Value, vocabulary: &Vocabulary) -> Vec<Value> {
    if vocabulary.contains(&value.word) {
        return vec![value];
    }
    std::iter::once(value).chain(vocabulary.names().chain([""]).map(Value::assumed)).collect()
}

/// The entries' types.
fn types<'r>(entries: &[&'r Resource]) -> BTreeSet<&'r str> {
    entries.iter().filter_map(|entry| entry.resource_type.as_deref()).collect()
}

/// The resources that the task names, with who names each; each name once.
fn named<'t>(task: &'t Task, facts: Option<&'t Facts>) -> Vec<(&'t str, &'t str)> {
    let real = facts.and_then(|facts| Some((facts.source.as_str(), facts.resource.as_deref()?)));
    let claimed = task.resource.as_deref().filter(|claimed| real.is_none_or(|(_, real)| normalized(real) != normalized(claimed)));
    claimed.map(|claimed| ("the request", claimed)).into_iter().chain(real).collect()
}

/// The names under which conditions see the resource: the requester's and the runbook's, each in
/// every spelling in which the registry looks it up, so that no spelling evades a condition. `None`
/// is a resource that could be any, because the runbook does not state it.
fn resources_of(task: &Task, facts: Option<&Facts>, reasons: &mut Vec<Reason>) -> Vec<Option<String>> {
    let claimed = task.resource.as_deref();
    let real = facts.map(|facts| (facts.source.as_str(), facts.resource.as_deref()));
    if let (Some(claimed), Some((source, Some(real)))) = (claimed, real) {
        disagreement("resource", source, &normalized(real), &normalized(claimed), reasons);
    }
    let of_requester = if facts.is_none() { Some(claimed.unwrap_or_default()) } else { claimed };
    let mut resources: Vec<Option<String>> = Vec::new();
    let names = of_requester.into_iter().chain(real.and_then(|(_, real)| real)).flat_map(spellings).map(Some);
    for name in names.chain(matches!(real, Some((_, None))).then_some(None)) {
        if !resources.contains(&name) {
            resources.push(name);
        }
    }
    resources
}

/// Notes that a field was omitted, and which values are therefore assessed; conditions also see it
/// empty.
fn unsaid(field: &str, source: Option<&str>, values: &mut Values, reasons: &mut Vec<Reason>) {
    let names: Vec<String> = values.0.iter().map(|value| shown(&value.word)).collect();
    let unsaid = match source {
        Some(runbook) => format!("{runbook} does not state its {field}"),
        None => format!("{field} was not given"),
    };
    let detail = format!("{unsaid}, so the task is assessed for each that it could be: {}", names.join(", "));
    reasons.push(Reason { trigger: format!("unsaid_{field}"), level: Level::Low, detail });
    values.add(Value::assumed(""));
}

/// Notes that parkbrake knows better than the requester.
fn disagreement(field: &str, source: &str, known: &str, claimed: &str, reasons: &mut Vec<Reason>) {
    if known == claimed {
        return;
    }
    let (known, claimed) = (shown(known), shown(claimed));
    let detail = format!("{source} says that the {field} is `{known}`, the request says `{claimed}`; the more dangerous one holds");
    reasons.push(Reason { trigger: format!("{field}_disagreement"), level: Level::Low, detail });
}
