//! The word lists and the resource registry of `risk-assessment-rules.yaml`.

use crate::config::names;
use crate::config::value::At;
use crate::domain::risk::readings::Resource;
use crate::domain::task::vocabulary::{Vocabulary, Word, normalized};
use crate::domain::text::shown;
use core::net::Ipv6Addr;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Whether the order of the keys of a list matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The most dangerous first.
    ByDanger,
    /// It does not matter, so the words are sorted, and the same words always make the same list.
    Alphabetical,
}

/// A word list and its position.
#[derive(Debug)]
pub struct Words<'s> {
    pub at: At<'s>,
    pub vocabulary: Vocabulary,
    words: Vec<Word>,
}

/// Reads `name: [other spellings]`.
pub fn words<'s>(at: &At<'s>, order: Order) -> Words<'s> {
    let mut words = Vec::new();
    let mut taken: BTreeMap<String, &str> = BTreeMap::new();
    let entries = at.entries("words, each with a list of its other spellings").unwrap_or_default();
    if at.is_empty() {
        at.problem("names no word, so that no word would be recognized; name some, or leave the key out for the shipped ones");
    }
    // All names before the spellings, so that an alias that is also a name is reported at the
    // alias.
    for (name, entry) in &entries {
        match names::word(name) {
            Ok(word) => drop(taken.insert(word, name)),
            Err(error) => entry.problem(error),
        }
    }
    for (name, entry) in entries {
        let mut spellings = Vec::new();
        for spelling in entry.items("other spellings, which may be empty: []").unwrap_or_default() {
            let Some(word) = spelling.parsed(names::word) else { continue };
            match taken.insert(word.clone(), name) {
                Some(other) => spelling.problem(format!("`{word}` already stands for `{}`; a spelling has one meaning", shown(other))),
                None => spellings.push(word),
            }
        }
        spellings.sort_unstable();
        words.push(Word { name: name.to_owned(), spellings });
    }
    if order == Order::Alphabetical {
        words.sort_by(|one, other| one.name.cmp(&other.name));
    }
    Words { at: at.clone(), vocabulary: Vocabulary::new(words.clone()), words }
}

impl Words<'_> {
    /// The canonical word for a text in another part of the configuration.
    pub fn resolve(&self, at: &At<'_>) -> Option<String> {
        let known = || self.vocabulary.names().collect::<Vec<_>>().join(", ");
        let unknown = |text: &str| format!("`{}` is not one of the words under `{}`, which are: {}", shown(text), self.at.key(), known());
        at.parsed(|text| self.vocabulary.resolve(text).map(str::to_owned).ok_or_else(|| unknown(text)))
    }

    /// The list as a document; a list of pairs, because the order may matter.
    pub fn document(&self) -> Value {
        self.words.iter().map(|word| json!({ "name": word.name, "spellings": word.spellings })).collect()
    }
}

/// Reads the resource registry.
pub fn resources(at: &At<'_>, environments: &Words<'_>, resource_types: &Words<'_>) -> Vec<Resource> {
    let mut seen: BTreeMap<String, At<'_>> = BTreeMap::new();
    let mut resources = Vec::new();
    for entry in at.items("entries, such as { match: \"db-prod-*\", environment: production }").unwrap_or_default() {
        let Some(fields) = entry.fields(&["match", "environment", "resource_type"]) else { continue };
        let environment = fields.get("environment");
        let resource_type = fields.get("resource_type");
        if environment.is_none() && resource_type.is_none() {
            entry.problem("says nothing of what it matches; give it an environment, a resource_type, or both");
        }
        let environment = environment.and_then(|at| environments.resolve(&at));
        let resource_type = resource_type.and_then(|at| resource_types.resolve(&at));
        let Some(at) = fields.required("match", "write the name of the resource, with * for any text") else { continue };
        let Some(pattern) = at.text().map(normalized) else { continue };
        // The canonical spelling of an address, by which resources are compared.
        let pattern = pattern.parse::<Ipv6Addr>().map_or(pattern, |address| address.to_string());
        if pattern.is_empty() {
            at.problem("matches no resource; write its name, with * for any text");
        }
        if let Some(before) = seen.get(&pattern) {
            at.problem(format!("`{}` is matched at {} already; state both in one entry", shown(&pattern), before.location()));
        }
        seen.insert(pattern.clone(), at);
        resources.push(Resource { pattern, environment, resource_type });
    }
    resources
}

/// Reads `workspaces`: the environment of each Terraform workspace.
pub fn workspaces(at: &At<'_>, environments: &Words<'_>) -> Vec<Resource> {
    let entries = at.entries("names of workspaces, with * for any text, each with its environment").unwrap_or_default();
    let mut workspaces = Vec::with_capacity(entries.len());
    for (name, at) in entries {
        let pattern = normalized(name);
        if pattern.is_empty() {
            at.problem("matches no workspace; write its name, with * for any text");
        }
        let Some(environment) = environments.resolve(&at) else { continue };
        workspaces.push(Resource { pattern, environment: Some(environment), resource_type: None });
    }
    workspaces
}

/// The registry as a document.
pub fn resources_document(resources: &[Resource]) -> Value {
    let entry = |of: &Resource| json!({ "match": of.pattern, "environment": of.environment, "resource_type": of.resource_type });
    resources.iter().map(entry).collect()
}
