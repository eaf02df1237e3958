//! Reading single facts from a response of the server.
//!
//! The responses are read fact by fact rather than into types: a client that refuses a whole
//! response because a newer server has one field more or less would be useless when a person has to
//! decide.

use serde_json::Value;

/// The string at this pointer.
pub fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}

/// The number at this pointer; for a list, its length.
pub fn number(value: &Value, pointer: &str) -> Option<u64> {
    match value.pointer(pointer)? {
        Value::Array(items) => u64::try_from(items.len()).ok(),
        other => other.as_u64(),
    }
}

/// The items at this pointer; none if there is no list.
pub fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The strings in the list at this pointer.
pub fn texts<'a>(value: &'a Value, pointer: &str) -> Vec<&'a str> {
    list(value, pointer).iter().filter_map(Value::as_str).collect()
}

/// The version of a workflow: the number of its last event.
pub fn version(workflow: &Value) -> u64 {
    list(workflow, "/history").iter().filter_map(|event| number(event, "/version")).max().unwrap_or(0)
}
