//! Which values each field of a task has, or could have.
//!
//! A claim can only raise: what parkbrake knows stands beside it, what is left out could be anything that a claim could say,
//! and a word that nobody knows says nothing, so it could be anything too.

use crate::domain::level::Level;
use crate::domain::readings::{Facts, Reading, Resource, Value};
use crate::domain::risk::{Reason, Rules};
use crate::domain::task::Task;
use crate::domain::text::shown;
use crate::domain::vocabulary::{Vocabulary, normalized};
use std::collections::BTreeSet;

/// The values that one field is read with, each word once.
#[derive(Default)]
struct Values(Vec<Value>);

impl Values {
    /// Adds a value. What somebody said is not called assumed, even if it was assumed before.
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

impl Rules {
    /// Every way in which the task can be read: each value that a field is said to have, is known to have, or could have.
    pub fn readings(&self, task: &Task, facts: Option<&Facts>, reasons: &mut Vec<Reason>) -> Vec<Reading> {
        let registered = self.registered(task, facts);
        let operations = self.operations_of(task, facts, reasons);
        let environments = self.environments_of(task, facts, &registered, reasons);
        let resource_types = self.resource_types_of(task, facts, &registered, reasons);
        let resources = resources_of(task, facts, reasons);
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

    /// What the registry knows of a task's resource: its environment, the most dangerous if there are several, and its types.
    pub fn known(&self, task: &Task, facts: Option<&Facts>) -> (Option<&str>, BTreeSet<&str>) {
        let registered = self.registered(task, facts);
        let environments = registered.iter().filter_map(|entry| entry.environment.as_deref());
        let types = registered.iter().filter_map(|entry| entry.resource_type.as_deref());
        (environments.min_by_key(|word| self.environments.rank(word)), types.collect())
    }

    /// The entries of the registry that match a resource which the requester names or which the runbook acts on.
    fn registered(&self, task: &Task, facts: Option<&Facts>) -> Vec<&Resource> {
        let named = [task.resource.as_deref(), facts.and_then(|facts| facts.resource.as_deref())];
        let named: Vec<String> = named.into_iter().flatten().map(normalized).collect();
        self.resources.iter().filter(|entry| named.iter().any(|name| entry.matches(name))).collect()
    }

    fn operations_of(&self, task: &Task, facts: Option<&Facts>, reasons: &mut Vec<Reason>) -> Vec<Value> {
        let mut values = Values::default();
        let claimed = self.word(&self.operations, "operation", &task.operation, reasons);
        if let Some(facts) = facts {
            let real = self.word(&self.operations, "operation", &facts.operation, reasons);
            disagreement("operation", &facts.source, &real.word, &claimed.word, reasons);
            values.extend(everything_if_unrecognised(real, &self.operations));
        }
        values.extend(everything_if_unrecognised(claimed, &self.operations));
        values.0
    }

    fn environments_of(&self, task: &Task, facts: Option<&Facts>, registered: &[&Resource], reasons: &mut Vec<Reason>) -> Vec<Value> {
        let environments = &self.environments;
        let registered = registered.iter().filter_map(|entry| entry.environment.as_deref()).min_by_key(|word| environments.rank(word));
        let of_runbook = self.known_of_runbook(environments, "environment", facts, |facts| facts.environment.as_deref(), reasons);
        let claimed = task.environment.as_deref().map(|written| self.word(environments, "environment", written, reasons));
        // What a resource really is wins over a claim that is less dangerous.
        let limit = registered.map_or(usize::MAX, |word| environments.rank(word));

        let mut values = Values::default();
        values.extend(registered.map(Value::said));
        values.extend(of_runbook.clone().into_iter().flat_map(|(_, value)| everything_if_unrecognised(value, environments)));
        if let Some(claimed) = claimed {
            let registered = registered.map(|word| (REGISTRY, word));
            let of_runbook = of_runbook.as_ref().map(|(source, value)| (*source, value.word.as_str()));
            for (source, word) in registered.into_iter().chain(of_runbook) {
                disagreement("environment", source, word, &claimed.word, reasons);
            }
            if environments.rank(&claimed.word) <= limit {
                values.extend(everything_if_unrecognised(claimed, environments));
            }
        } else {
            // The requester could have claimed anything, so what it could be is everything that a claim could add.
            values.extend(environments.names().filter(|name| environments.rank(name) <= limit).map(Value::assumed));
            unsaid("environment", &mut values, reasons);
        }
        values.0
    }

    fn resource_types_of(&self, task: &Task, facts: Option<&Facts>, registered: &[&Resource], reasons: &mut Vec<Reason>) -> Vec<Value> {
        let resource_types = &self.resource_types;
        let registered: BTreeSet<&str> = registered.iter().filter_map(|entry| entry.resource_type.as_deref()).collect();
        let of_runbook = self.known_of_runbook(resource_types, "resource_type", facts, |facts| facts.resource_type.as_deref(), reasons);
        let claimed = task.resource_type.as_deref().map(|written| self.word(resource_types, "resource_type", written, reasons));

        let mut values = Values::default();
        values.extend(registered.iter().map(|word| Value::said(word)));
        values.extend(of_runbook.clone().into_iter().flat_map(|(_, value)| everything_if_unrecognised(value, resource_types)));
        if let Some(claimed) = claimed {
            let of_runbook = of_runbook.as_ref().map(|(source, value)| (*source, value.word.as_str()));
            for (source, word) in registered.into_iter().map(|word| (REGISTRY, word)).chain(of_runbook) {
                disagreement("resource_type", source, word, &claimed.word, reasons);
            }
            values.extend(everything_if_unrecognised(claimed, resource_types));
        } else {
            values.extend(resource_types.names().map(Value::assumed));
            unsaid("resource_type", &mut values, reasons);
        }
        values.0
    }

    /// What the runbook says of a field, and who says so.
    fn known_of_runbook<'f>(
        &self,
        vocabulary: &Vocabulary,
        field: &str,
        facts: Option<&'f Facts>,
        part: impl Fn(&'f Facts) -> Option<&'f str>,
        reasons: &mut Vec<Reason>,
    ) -> Option<(&'f str, Value)> {
        let facts = facts?;
        Some((facts.source.as_str(), self.word(vocabulary, field, part(facts)?, reasons)))
    }

    /// The canonical word for what was written; a word that is on no list is a reason of its own.
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

/// Where knowledge comes from that no runbook gives.
const REGISTRY: &str = "the resource registry";

/// An unrecognised word says nothing, so beside its own level it is assessed like a field that was left out.
fn everything_if_unrecognised(value: Value, vocabulary: &Vocabulary) -> Vec<Value> {
    if vocabulary.contains(&value.word) {
        return vec![value];
    }
    std::iter::once(value).chain(vocabulary.names().chain([""]).map(Value::assumed)).collect()
}

/// The names under which conditions see the resource: the requester's and the runbook's, each as it is written and as the
/// registry compares it, so that no spelling of a name slips past a condition.
fn resources_of(task: &Task, facts: Option<&Facts>, reasons: &mut Vec<Reason>) -> Vec<String> {
    let claimed = task.resource.as_deref();
    let real = facts.and_then(|facts| Some((facts.source.as_str(), facts.resource.as_deref()?)));
    if let (Some(claimed), Some((source, real))) = (claimed, real) {
        disagreement("resource", source, &normalized(real), &normalized(claimed), reasons);
    }
    let mut resources: Vec<String> = Vec::new();
    for written in [claimed.unwrap_or_default()].into_iter().chain(real.map(|(_, real)| real)) {
        for name in [written.to_owned(), normalized(written)] {
            if !resources.contains(&name) {
                resources.push(name);
            }
        }
    }
    resources
}

/// Notes that a field was left out, and what it is therefore assessed for; conditions also see it empty.
fn unsaid(field: &str, values: &mut Values, reasons: &mut Vec<Reason>) {
    let names: Vec<String> = values.0.iter().map(|value| shown(&value.word)).collect();
    let detail = format!("{field} was not given, so the task is assessed for each that it could be: {}", names.join(", "));
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
