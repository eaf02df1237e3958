//! The values of a resource, each by its path, with sensitive values hidden.

use super::sensitive::{self, Marks};
use super::{LONGEST_VALUE, SENSITIVE, UNKNOWN};
use serde_json::Value;
use std::collections::BTreeMap;

/// A leaf value, or a value that is hidden as a whole.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Leaf<'p> {
    Open(&'p Value),
    Hidden(&'p Value),
    Unknown,
}

/// The leaves of an object, by their paths.
pub(super) type Leaves<'p> = BTreeMap<String, Leaf<'p>>;

/// Collects the leaves of a value. Nulls are left out.
pub(super) fn gather<'p>(value: &'p Value, marks: Marks<'_>, path: &str, found: &mut Leaves<'p>) {
    if value.is_null() {
        return;
    }
    if marks.hides(value) || sensitive::is_named_secret(path, value) {
        found.insert(path.to_owned(), Leaf::Hidden(value));
        return;
    }
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, field) in fields {
                gather(field, marks.of_field(name), &format!("{path}{}", key(name, path.is_empty())), found);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                gather(item, marks.of_item(index), &format!("{path}[{index}]"), found);
            }
        }
        leaf => {
            found.insert(path.to_owned(), Leaf::Open(leaf));
        }
    }
}

/// Adds the values that the plan does not know yet: `after_unknown` is `true` there.
pub(super) fn add_unknown(unknown: &Value, path: &str, found: &mut Leaves<'_>) {
    match unknown {
        Value::Bool(true) => {
            let is_hidden = found.iter().any(|(known, leaf)| matches!(leaf, Leaf::Hidden(_)) && is_within(path, known));
            if !is_hidden {
                found.insert(path.to_owned(), Leaf::Unknown);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                add_unknown(field, &format!("{path}{}", key(name, path.is_empty())), found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                add_unknown(item, &format!("{path}[{index}]"), found);
            }
        }
        _ => {}
    }
}

/// The path of a list of names and indexes, as `replace_paths` has them.
pub(super) fn path_of(segments: &Value) -> String {
    let segments = segments.as_array().map(Vec::as_slice).unwrap_or_default();
    segments.iter().fold(String::new(), |path, segment| match segment {
        Value::String(name) => format!("{path}{}", key(name, path.is_empty())),
        index => format!("{path}[{index}]"),
    })
}

/// Whether a path equals this one or is below it.
pub(super) fn is_within(path: &str, outer: &str) -> bool {
    path.strip_prefix(outer).is_some_and(|rest| outer.is_empty() || rest.is_empty() || rest.starts_with(['.', '[']))
}

/// A name as it is written in a path.
fn key(name: &str, is_first: bool) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    match (!name.is_empty() && name.bytes().all(plain), is_first) {
        (true, true) => name.to_owned(),
        (true, false) => format!(".{name}"),
        (false, _) => format!("[{}]", Value::from(name)),
    }
}

impl Leaf<'_> {
    /// The shown form, next to the other side of the change; `secrets` are hidden wherever they
    /// appear.
    pub(super) fn shown(&self, other: Option<&Self>, secrets: &sensitive::Secrets<'_>) -> String {
        match self {
            Self::Unknown => UNKNOWN.to_owned(),
            Self::Hidden(_) => SENSITIVE.to_owned(),
            Self::Open(value) if secrets.are_in(value) => SENSITIVE.to_owned(),
            Self::Open(value) => {
                let text = value.to_string();
                let same = match other {
                    Some(Self::Open(other)) => common(&text, &other.to_string()),
                    _ => 0,
                };
                cut(&text, same)
            }
        }
    }
}

/// The length of the common prefix of two texts, in characters.
fn common(one: &str, other: &str) -> usize {
    one.chars().zip(other.chars()).take_while(|(one, other)| one == other).count()
}

/// A long text, cut around the first difference.
fn cut(text: &str, same: usize) -> String {
    let length = text.chars().count();
    if length <= LONGEST_VALUE {
        return text.to_owned();
    }
    // A few characters before the difference, for orientation.
    let start = if same < LONGEST_VALUE / 2 { 0 } else { same.saturating_sub(LONGEST_VALUE / 4).min(length - LONGEST_VALUE / 2) };
    let part: String = text.chars().skip(start).take(LONGEST_VALUE).collect();
    let (before, after) = (if start > 0 { "…" } else { "" }, if start + LONGEST_VALUE < length { "…" } else { "" });
    format!("{before}{part}{after} ({length} characters)")
}
