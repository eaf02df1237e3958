//! The digest of everything that a plan would do: its changes and outputs with all their values,
//! and the state that it was made against.
//!
//! Parts that change nothing are left out, and so are those that differ each time the same plan is
//! written, such as the time. Whole numbers are exact up to 64 bits; others are doubles.

use super::Summary;
use crate::domain::task::digest::{Digest, Digester};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The digest of these changes.
pub(super) fn digest(changes: &[&Value], outputs: &BTreeMap<&str, &Value>, plan: &Map<String, Value>, summary: &Summary) -> Digest {
    let mut digester = Digester::default();
    digester.add(b"parkbrake terraform plan v1");
    // Sorted by digest, so that the order in the file does not matter.
    let mut each: Vec<Digest> = changes.iter().map(|change| of(change)).collect();
    each.sort_unstable();
    add_length(each.len(), &mut digester);
    each.iter().for_each(|digest| digester.add(digest.as_str().as_bytes()));
    add_length(outputs.len(), &mut digester);
    for (name, output) in outputs {
        add_text(name, &mut digester);
        add(output, &mut digester);
    }
    for list in ["deferred_changes", "action_invocations"] {
        add(plan.get(list).unwrap_or(&Value::Null), &mut digester);
    }
    add_text(summary.terraform_version.as_deref().unwrap_or_default(), &mut digester);
    let state = summary.state.as_ref();
    add_text(&state.and_then(|state| state.serial).map(|serial| serial.to_string()).unwrap_or_default(), &mut digester);
    add_text(state.and_then(|state| state.lineage.as_deref()).unwrap_or_default(), &mut digester);
    digester.finish()
}

fn of(value: &Value) -> Digest {
    let mut digester = Digester::default();
    add(value, &mut digester);
    digester.finish()
}

/// Adds a value with its kind and its length, so that no two values are encoded alike.
fn add(value: &Value, digester: &mut Digester) {
    match value {
        Value::Null => digester.add(b"n"),
        Value::Bool(truth) => digester.add(if *truth { b"t" } else { b"f" }),
        Value::Number(number) => {
            digester.add(b"#");
            add_text(&number.to_string(), digester);
        }
        Value::String(text) => {
            digester.add(b"s");
            add_text(text, digester);
        }
        Value::Array(items) => {
            digester.add(b"[");
            add_length(items.len(), digester);
            items.iter().for_each(|item| add(item, digester));
        }
        Value::Object(fields) => {
            digester.add(b"{");
            add_length(fields.len(), digester);
            for (name, field) in fields.iter().collect::<BTreeMap<_, _>>() {
                add_text(name, digester);
                add(field, digester);
            }
        }
    }
}

fn add_text(text: &str, digester: &mut Digester) {
    add_length(text.len(), digester);
    digester.add(text.as_bytes());
}

fn add_length(length: usize, digester: &mut Digester) {
    digester.add(&(length as u64).to_be_bytes());
}
