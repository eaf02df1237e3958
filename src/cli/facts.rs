//! Reading single facts out of an answer of the server.
//!
//! The answers are read fact by fact rather than into types: a client that refuses a whole answer
//! because a newer server has one field more or less would be useless at the moment when a person
//! has to decide.

use serde_json::Value;

/// The text at this place.
pub fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}

/// The number at this place; of a list, how many it holds.
pub fn number(value: &Value, pointer: &str) -> Option<u64> {
    match value.pointer(pointer)? {
        Value::Array(items) => u64::try_from(items.len()).ok(),
        other => other.as_u64(),
    }
}

/// The items at this place; none where there is no list.
pub fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The texts of the list at this place.
pub fn texts<'a>(value: &'a Value, pointer: &str) -> Vec<&'a str> {
    list(value, pointer).iter().filter_map(Value::as_str).collect()
}

/// The version of a workflow: the number of its last event.
pub fn version(workflow: &Value) -> u64 {
    list(workflow, "/history").iter().filter_map(|event| number(event, "/version")).max().unwrap_or(0)
}
