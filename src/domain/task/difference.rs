//! The differences between two documents, field by field.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// A field that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Its position, as a JSON Pointer (RFC 6901).
    pub pointer: String,
    /// The earlier value, as JSON; `None` if there was none.
    #[serde(default)]
    pub before: Option<String>,
    /// The present value.
    #[serde(default)]
    pub after: Option<String>,
}

/// The fields that were added, removed or changed, in the order of their pointers.
pub fn between(before: &Value, after: &Value) -> Vec<Difference> {
    let (mut old, mut new) = (BTreeMap::new(), BTreeMap::new());
    leaves(before, String::new(), &mut old);
    leaves(after, String::new(), &mut new);
    let pointers: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let differs = |pointer: &&String| old.get(*pointer) != new.get(*pointer);
    pointers
        .into_iter()
        .filter(differs)
        .map(|pointer| Difference { pointer: pointer.clone(), before: old.get(pointer).cloned(), after: new.get(pointer).cloned() })
        .collect()
}

/// Every leaf value of a document, as JSON, by its JSON Pointer. Nothing of the document is left
/// out.
pub fn fields(document: &Value) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    leaves(document, String::new(), &mut found);
    found
}

/// Collects the leaf values, and empty lists and objects, by their pointers.
fn leaves(value: &Value, pointer: String, found: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, field) in fields {
                leaves(field, format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                leaves(item, format!("{pointer}/{index}"), found);
            }
        }
        leaf => {
            found.insert(pointer, leaf.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_field_that_differs_is_named_once() {
        let before = json!({"a": 1, "b": {"c": "x", "d/e": [1, 2]}, "same": [true], "gone": {}});
        let after = json!({"a": "1", "b": {"c": "x", "d/e": [1]}, "same": [true], "new": null});
        let written: Vec<_> = between(&before, &after)
            .into_iter()
            .map(|one| format!("{} {} {}", one.pointer, one.before.unwrap_or_default(), one.after.unwrap_or_default()))
            .collect();
        assert_eq!(written, ["/a 1 \"1\"", "/b/d~1e/1 2 ", "/gone {} ", "/new  null"]);
        assert_eq!(between(&before, &before), []);
    }
}
