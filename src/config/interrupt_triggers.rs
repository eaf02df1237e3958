//! `hitl/interrupt-triggers.yaml`: the conditions that raise the level of a task.

use crate::config::names;
use crate::config::risk_rules::RiskRules;
use crate::config::value::At;
use crate::config::words::Words;
use crate::domain::risk::expression::Expression;
use crate::domain::risk::expression::words::Lists;
use crate::domain::risk::triggers::{BuiltIn, Condition, Trigger};
use crate::domain::text::shown;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Names of reasons that parkbrake itself gives.
const OWN: [&str; 2] = ["unregistered_resource", "not_low_risk"];

/// The triggers in force, by name.
#[derive(Debug)]
pub struct Triggers(Vec<Trigger>);

/// Reads the triggers of both files, or the shipped ones if neither has any.
pub fn read<'s>(file: Option<&At<'s>>, shipped: &At<'s>, rules: &RiskRules<'s>) -> Triggers {
    let section = |file: &At<'s>| file.fields(&["triggers"]).and_then(|fields| fields.get("triggers"));
    let mut written: Vec<At<'s>> = rules.triggers.clone().into_iter().chain(file.and_then(section)).collect();
    if written.is_empty() {
        written.extend(section(shipped));
    }
    let mut seen: BTreeMap<&str, At<'s>> = BTreeMap::new();
    let mut triggers = Vec::new();
    for section in &written {
        for (name, at) in section.entries("triggers: a name and a level").unwrap_or_default() {
            match seen.get(name) {
                // The same trigger may appear in both files, but not with two meanings.
                Some(before) if at.is_text() && before.text() == at.text() => {}
                Some(before) => at.problem(format!("is also defined at {}, with another meaning; keep one of the two", before.location())),
                None => triggers.extend(trigger(name, &at, rules)),
            }
            seen.insert(name, at);
        }
    }
    if seen.is_empty() && rules.levels[0].as_ref().is_none_or(|low| low.auto_approve) {
        for section in written.iter().filter(|section| section.is_empty()) {
            section.problem(
                "names no trigger, so every known word would run without review; name some, or leave the key out for the shipped ones",
            );
        }
    }
    // The order of the keys means nothing, so equal triggers always give their reasons in the same
    // order.
    triggers.sort_by(|one, other| one.name.cmp(&other.name));
    Triggers(triggers)
}

fn trigger(name: &str, at: &At<'_>, rules: &RiskRules<'_>) -> Option<Trigger> {
    let built_in = BuiltIn::ALL.into_iter().find(|known| known.name() == name);
    match built_in {
        Some(built_in) if at.is_text() => {
            reachable(built_in, at, rules);
            Some(Trigger { name: name.to_owned(), level: at.level()?, condition: Condition::BuiltIn(built_in) })
        }
        Some(_) => {
            at.problem("is a trigger whose condition is built in, so write only its level; a condition of your own needs another name");
            None
        }
        None if at.is_text() => {
            let known = BuiltIn::ALL.map(BuiltIn::name).join(", ");
            at.problem(format!(
                "is not a trigger that parkbrake knows; known are: {known}; \
                 for one of your own write {{ when: 'a condition in CEL', level: {} }}",
                at.text().map(shown).unwrap_or_default()
            ));
            None
        }
        None => own(name, at, rules),
    }
}

/// A custom trigger.
fn own(name: &str, at: &At<'_>, rules: &RiskRules<'_>) -> Option<Trigger> {
    if let Err(error) = names::trigger(name) {
        at.problem(error);
    }
    if ["unsaid_", "unrecognized_"].iter().any(|start| name.starts_with(start)) || name.ends_with("_disagreement") || OWN.contains(&name) {
        at.problem("has a name that parkbrake gives to reasons of its own; choose another");
    }
    let fields = at.fields(&["when", "level"])?;
    let level = fields.required("level", "write low, medium, high or critical").and_then(|at| at.level());
    let condition = fields.required("when", "write the condition in CEL, such as 'operation == \"deploy\"'");
    let lists = Lists {
        operations: &rules.operations.vocabulary,
        environments: &rules.environments.vocabulary,
        resource_types: &rules.resource_types.vocabulary,
    };
    let valid = |written: &str| Expression::compile(written).and_then(|condition| condition.check_words(&lists).map(|()| condition));
    let condition = condition.and_then(|at| at.parsed(valid));
    Some(Trigger { name: name.to_owned(), level: level?, condition: Condition::Expression(condition?) })
}

/// Notes a built-in trigger that can never match, because no list has a word of its condition.
fn reachable(built_in: BuiltIn, at: &At<'_>, rules: &RiskRules<'_>) {
    let needs = built_in.needs();
    let needed: [(&Words<'_>, Option<&str>); 3] =
        [(&rules.operations, needs.operation), (&rules.environments, needs.environment), (&rules.resource_types, needs.resource_type)];
    for (words, needed) in needed {
        if let Some(word) = needed.filter(|word| !words.vocabulary.contains(word)) {
            let list = words.at.key();
            at.problem(format!("can never match, because `{word}` is not a word under `{list}`; add it there, or leave the trigger out"));
        }
    }
}

impl Triggers {
    /// The values of the file as a document.
    pub fn document(&self) -> Value {
        let triggers: serde_json::Map<_, _> = self.0.iter().map(|trigger| (trigger.name.clone(), entry(trigger))).collect();
        json!({ "triggers": triggers })
    }

    /// The triggers, in the order of their names.
    pub fn into_domain(self) -> Vec<Trigger> {
        self.0
    }
}

fn entry(trigger: &Trigger) -> Value {
    match &trigger.condition {
        Condition::BuiltIn(_) => json!(trigger.level),
        Condition::Expression(condition) => json!({ "when": condition.source(), "level": trigger.level }),
    }
}
