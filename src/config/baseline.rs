//! `low_risk` and `otherwise` of `risk-assessment-rules.yaml`: what is low risk if no trigger
//! matches.

use crate::config::value::{At, Fields};
use crate::config::words::Words;
use crate::domain::risk::baseline::{Baseline, LowRisk};
use crate::domain::risk::level::Level;
use serde_json::{Value, json};

const ENTRY_KEYS: [&str; 3] = ["operations", "environments", "resource_types"];

/// Reads both keys; in a file with neither, everything is low risk.
pub fn read(fields: &Fields<'_>, operations: &Words<'_>, environments: &Words<'_>, resource_types: &Words<'_>) -> Baseline {
    let entries = fields.get("low_risk");
    let otherwise = fields.get("otherwise");
    if entries.is_some() && otherwise.is_none() {
        fields.required("otherwise", "name the level of everything that low_risk does not list, such as medium");
    }
    let otherwise = match otherwise.as_ref().map(|at| (at, at.level())) {
        None | Some((_, None)) => Level::Low,
        Some((at, Some(Level::Low))) if entries.is_some() => {
            at.problem("is low, so that low_risk has no effect; name a higher level, or leave both out");
            Level::Low
        }
        Some((_, Some(level))) => level,
    };
    let entry = |at: At<'_>| {
        let fields = at.fields(&ENTRY_KEYS)?;
        let named = fields.required("operations", "name the operations that are low risk, such as [read]");
        Some(LowRisk {
            operations: named.map(|at| listed(&at, "operations", operations)).unwrap_or_default(),
            environments: fields.get("environments").map(|at| listed(&at, "environments; leave the key out for any", environments)),
            resource_types: fields.get("resource_types").map(|at| listed(&at, "types; leave the key out for any", resource_types)),
        })
    };
    let written = entries.map(|at| at.items("entries, such as { operations: [read] }").unwrap_or_default()).unwrap_or_default();
    Baseline { low_risk: written.into_iter().filter_map(entry).collect(), otherwise }
}

/// A list of words, at least one, without repetitions; sorted, because their order means nothing.
fn listed(at: &At<'_>, of: &str, words: &Words<'_>) -> Vec<String> {
    if at.is_empty() {
        at.problem(format!("is empty, so that the entry covers nothing; name some {of}"));
    }
    let mut listed: Vec<String> = Vec::new();
    for item in at.items(of).unwrap_or_default() {
        match words.resolve(&item) {
            Some(word) if listed.contains(&word) => item.problem(format!("names `{word}` a second time; keep one")),
            Some(word) => listed.push(word),
            None => {}
        }
    }
    listed.sort_unstable();
    listed
}

/// The list as a document.
pub fn document(baseline: &Baseline) -> Value {
    let entry = |of: &LowRisk| json!({ "operations": of.operations, "environments": of.environments, "resource_types": of.resource_types });
    baseline.low_risk.iter().map(entry).collect()
}
