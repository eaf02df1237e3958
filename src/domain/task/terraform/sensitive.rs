//! Hides the sensitive parts of a plan: those that the plan marks, and those that are named like a
//! secret.
//!
//! A mark (`before_sensitive`, `after_sensitive`) is `true`, or has the shape of the value with
//! `true` at the sensitive parts. If its shape does not match the value, the whole value is hidden.
//! The marks of both sides apply to both: a value that becomes public with the change was a secret
//! until now, and a value that becomes a secret is worthless once it was shown.
//!
//! In addition, no value is shown that contains the text of something hidden.

use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Shorter secrets are not searched for elsewhere, because they would be found everywhere.
const SHORTEST: usize = 8;
/// Endings of the last name of a path that make the value a secret, whatever the provider marks.
const NAMES: [&str; 14] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "secret_key",
    "secret_string",
    "secret_binary",
    "secret_value",
    "token",
    "private_key",
    "private_key_pem",
    "api_key",
    "credentials",
    "connection_string",
];

/// The marks of both sides at one path.
#[derive(Debug, Clone, Copy)]
pub(super) struct Marks<'p>([Option<&'p Value>; 2]);

impl<'p> Marks<'p> {
    /// The marks of a change.
    pub(super) fn of_change(change: &'p Map<String, Value>) -> Self {
        Self([change.get("before_sensitive"), change.get("after_sensitive")])
    }

    /// One mark.
    pub(super) fn of(mark: Option<&'p Value>) -> Self {
        Self([mark, None])
    }

    /// Whether anything at all is marked.
    pub(super) fn are_set(self) -> bool {
        self.0.into_iter().flatten().any(holds_true)
    }

    /// Whether this value is hidden as a whole.
    pub(super) fn hides(self, value: &Value) -> bool {
        self.0.into_iter().flatten().any(|mark| match (mark, value) {
            (Value::Null | Value::Bool(false), _) => false,
            (Value::Object(_), Value::Object(_)) => false,
            (Value::Array(marks), Value::Array(items)) => marks.len() != items.len() && holds_true(mark),
            (Value::Object(_) | Value::Array(_), _) => holds_true(mark),
            _ => true,
        })
    }

    /// The marks of a field.
    pub(super) fn of_field(self, name: &str) -> Self {
        Self(self.0.map(|mark| mark?.as_object()?.get(name)))
    }

    /// The marks of an item.
    pub(super) fn of_item(self, index: usize) -> Self {
        Self(self.0.map(|mark| mark?.as_array()?.get(index)))
    }
}

/// Whether anything is marked. Anything other than true, false, and lists and objects of these
/// counts as a mark.
pub(super) fn holds_true(mark: &Value) -> bool {
    match mark {
        Value::Null | Value::Bool(false) => false,
        Value::Object(fields) => fields.values().any(holds_true),
        Value::Array(items) => items.iter().any(holds_true),
        _ => true,
    }
}

/// Whether the path of a value ends with a name used for secrets. A block with such a name holds
/// other things too.
pub(super) fn is_named_secret(path: &str, value: &Value) -> bool {
    matches!(value, Value::String(_) | Value::Number(_)) && is_secret_name(path)
}

fn is_secret_name(path: &str) -> bool {
    let last = path.rsplit(['.', '[', '"']).find(|part| part.starts_with(|first: char| first.is_ascii_alphabetic()));
    let last = last.unwrap_or_default().trim_end_matches(']').to_ascii_lowercase();
    NAMES.iter().any(|name| last.strip_suffix(name).is_some_and(|before| before.is_empty() || before.ends_with(['_', '-'])))
}

/// The hidden texts of a plan.
#[derive(Debug, Default)]
pub(super) struct Secrets<'p>(BTreeSet<&'p str>);

impl<'p> Secrets<'p> {
    /// All hidden texts of a plan.
    pub(super) fn of(plan: &'p Map<String, Value>) -> Self {
        let mut secrets = Self::default();
        let list = |name: &str| plan.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let deferred = list("deferred_changes").iter().filter_map(|one| one.get("resource_change"));
        for resource in list("resource_changes").iter().chain(list("resource_drift")).chain(deferred) {
            secrets.add_change(resource.get("change"));
        }
        let outputs = plan.get("output_changes").and_then(Value::as_object);
        outputs.into_iter().flat_map(Map::values).for_each(|output| secrets.add_change(Some(output)));
        for action in list("action_invocations") {
            secrets.add_marked(action.get("config_values"), Marks::of(action.get("config_sensitive")));
        }
        secrets.add_values(plan.get("planned_values"));
        secrets.add_values(plan.get("prior_state").and_then(|state| state.get("values")));
        secrets.add_variables(plan);
        secrets.add_providers(plan);
        secrets
    }

    /// Whether a value contains one of them.
    pub(super) fn are_in(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => self.0.iter().any(|secret| text.contains(secret)),
            Value::Array(items) => items.iter().any(|item| self.are_in(item)),
            Value::Object(fields) => {
                fields.iter().any(|(name, field)| self.0.iter().any(|secret| name.contains(secret)) || self.are_in(field))
            }
            _ => false,
        }
    }

    /// A text of the plan itself, such as an address, with these texts removed.
    pub(super) fn out_of(&self, text: &str) -> String {
        self.0
            .iter()
            .fold(text.to_owned(), |text, secret| if text.contains(secret) { text.replace(secret, super::SENSITIVE) } else { text })
    }

    fn add_change(&mut self, change: Option<&'p Value>) {
        let Some(change) = change.and_then(Value::as_object) else { return };
        for side in ["before", "after"] {
            self.add_marked(change.get(side), Marks::of_change(change));
        }
    }

    /// Adds the marked parts of a value.
    fn add_marked(&mut self, value: Option<&'p Value>, marks: Marks<'_>) {
        let Some(value) = value else { return };
        if marks.hides(value) {
            return self.add_all(value);
        }
        match value {
            Value::Object(fields) => {
                for (name, field) in fields {
                    if is_named_secret(name, field) {
                        self.add_all(field);
                    }
                    self.add_marked(Some(field), marks.of_field(name));
                }
            }
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(index, item)| self.add_marked(Some(item), marks.of_item(index)));
            }
            _ => {}
        }
    }

    /// Adds every text in a value, including the names of fields.
    fn add_all(&mut self, value: &'p Value) {
        match value {
            Value::String(text) if text.len() >= SHORTEST => drop(self.0.insert(text)),
            Value::Object(fields) => fields.values().for_each(|field| self.add_all(field)),
            Value::Array(items) => items.iter().for_each(|item| self.add_all(item)),
            _ => {}
        }
    }

    /// Adds what a state or the planned values mark.
    fn add_values(&mut self, values: Option<&'p Value>) {
        let Some(values) = values else { return };
        for output in values.get("outputs").and_then(Value::as_object).into_iter().flat_map(Map::values) {
            self.add_marked(output.get("value"), Marks::of(output.get("sensitive")));
        }
        self.add_module(values.get("root_module"));
    }

    fn add_module(&mut self, module: Option<&'p Value>) {
        let list = |name: &str| module.and_then(|module| module.get(name)?.as_array()).map(Vec::as_slice).unwrap_or_default();
        for resource in list("resources") {
            self.add_marked(resource.get("values"), Marks::of(resource.get("sensitive_values")));
        }
        list("child_modules").iter().for_each(|module| self.add_module(Some(module)));
    }

    /// Adds the values of variables that are declared as sensitive.
    fn add_variables(&mut self, plan: &'p Map<String, Value>) {
        let declared = plan.get("configuration").and_then(|configuration| configuration.pointer("/root_module/variables")?.as_object());
        for (name, variable) in plan.get("variables").and_then(Value::as_object).into_iter().flatten() {
            let is_sensitive = declared.and_then(|declared| declared.get(name)?.get("sensitive")) == Some(&Value::Bool(true));
            if is_sensitive || is_secret_name(name) {
                variable.get("value").into_iter().for_each(|value| self.add_all(value));
            }
        }
    }

    /// Adds literal values in provider configurations whose names are used for secrets.
    fn add_providers(&mut self, plan: &'p Map<String, Value>) {
        let providers = plan.get("configuration").and_then(|configuration| configuration.get("provider_config")?.as_object());
        for provider in providers.into_iter().flat_map(Map::values) {
            provider.get("expressions").into_iter().for_each(|expressions| self.add_marked(Some(expressions), Marks::of(None)));
        }
    }
}
