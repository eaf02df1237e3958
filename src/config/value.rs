//! A value in a file, and methods that read it as a certain type. If it does not fit, the problem
//! is noted in its file with line and key, and the result is `None`; the caller goes on, so that
//! the next problem is found too.

use crate::config::document::{Entry, Node, Position, Value};
use crate::config::names;
use crate::config::source::Source;
use crate::domain::duration;
use crate::domain::risk::level::Level;
use crate::domain::text::shown;
use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

/// A value and its position.
#[derive(Debug, Clone)]
pub struct At<'s> {
    source: &'s Source,
    key: String,
    position: Position,
    node: &'s Node,
}

/// A mapping with a fixed set of keys.
#[derive(Debug)]
pub struct Fields<'s> {
    at: At<'s>,
    entries: &'s [Entry],
}

impl<'s> At<'s> {
    /// The value at the end of this path of keys.
    pub fn new(source: &'s Source, key: String, position: Position, node: &'s Node) -> Self {
        Self { source, key, position, node }
    }

    /// Notes a problem with this value.
    pub fn problem(&self, detail: impl fmt::Display) {
        self.source.note(self.position, &self.key, detail.to_string());
    }

    /// Its line, which takes another pass over the text.
    pub fn line(&self) -> Option<usize> {
        self.source.line(self.position)
    }

    /// Its position, for a message about another one: `file:line`.
    pub fn location(&self) -> String {
        let file = self.source.file().display();
        self.source.line(self.position).map_or_else(|| file.to_string(), |line| format!("{file}:{line}"))
    }

    /// The file and the path of keys, for a message about something else. Unlike a line, this needs
    /// no search.
    pub fn in_words(&self) -> String {
        format!("{}: {}", self.source.file().display(), self.key)
    }

    /// Whether it is in a compiled-in file.
    pub fn is_shipped(&self) -> bool {
        self.source.is_shipped()
    }

    /// The path of keys.
    pub fn key(&self) -> &str {
        &self.key
    }

    fn unfit<T>(&self, wanted: &str) -> Option<T> {
        match &self.node.value {
            Value::Nothing => self.problem(format!("is empty; give it {wanted}, or leave the key out")),
            other => self.problem(format!("is {}, but has to be {wanted}", other.kind())),
        }
        None
    }

    /// A mapping with no other keys than these.
    pub fn fields(&self, known: &[&str]) -> Option<Fields<'s>> {
        let Value::Mapping(entries) = &self.node.value else { return self.unfit(&format!("a mapping of {}", known.join(", "))) };
        for entry in entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            self.inside(entry).problem(format!("is not a known key; known are: {}", known.join(", ")));
        }
        Some(Fields { at: self.clone(), entries })
    }

    /// A mapping whose keys are names of the operator's choice, each used once.
    pub fn entries(&self, of: &str) -> Option<Vec<(&'s str, Self)>> {
        let Value::Mapping(entries) = &self.node.value else { return self.unfit(&format!("a mapping of {of}")) };
        let mut seen = BTreeSet::new();
        Some(entries.iter().filter(|entry| seen.insert(&entry.key)).map(|entry| (entry.key.as_str(), self.inside(entry))).collect())
    }

    /// The entries of a mapping, and none for other values: for callers that only look for
    /// positions and report no problems.
    pub fn entries_if_any(&self) -> Vec<(&'s str, Self)> {
        if matches!(self.node.value, Value::Mapping(_)) { self.entries("entries").unwrap_or_default() } else { Vec::new() }
    }

    /// The parts of a list.
    pub fn items(&self, of: &str) -> Option<Vec<Self>> {
        let Value::List(nodes) = &self.node.value else { return self.unfit(&format!("a list of {of}")) };
        let item = |(at, node): (usize, &'s Node)| Self::new(self.source, format!("{}[{at}]", self.key), node.position, node);
        Some(nodes.iter().enumerate().map(item).collect())
    }

    /// Text. A number or a boolean is refused, because YAML has changed its spelling (`1.10` is
    /// `1.1`).
    pub fn text(&self) -> Option<&'s str> {
        match &self.node.value {
            Value::Text(text) => Some(text),
            Value::Boolean(_) | Value::Count(_) | Value::Number(_) => self.unfit("text; put it in quotes"),
            _ => self.unfit("text"),
        }
    }

    /// Text that the given function can parse.
    pub fn parsed<T, E: fmt::Display>(&self, parse: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        parse(self.text()?).map_err(|error| self.problem(error)).ok()
    }

    /// `true` or `false`.
    pub fn boolean(&self) -> Option<bool> {
        match &self.node.value {
            Value::Boolean(value) => Some(*value),
            _ => self.unfit("true or false (yes, no, on and off are plain words in YAML 1.2)"),
        }
    }

    /// A whole number, at least 1.
    pub fn count(&self) -> Option<u32> {
        match &self.node.value {
            Value::Count(number @ 1..) if *number <= u64::from(u32::MAX) => u32::try_from(*number).ok(),
            _ => self.unfit("a whole number from 1 on"),
        }
    }

    /// A duration such as `15m`.
    pub fn duration(&self) -> Option<Duration> {
        match &self.node.value {
            Value::Text(_) => self.parsed(duration::parse),
            _ => self.unfit("a duration: a whole number and a unit, such as 30s, 15m, 2h or 3d"),
        }
    }

    /// A level, by name.
    pub fn level(&self) -> Option<Level> {
        self.parsed(|text| Level::parse(text).ok_or_else(|| format!("is `{}`, but has to be low, medium, high or critical", shown(text))))
    }

    /// Whether it is text, which determines how it is read.
    pub fn is_text(&self) -> bool {
        matches!(self.node.value, Value::Text(_))
    }

    /// Whether it is an empty list or mapping.
    pub fn is_empty(&self) -> bool {
        match &self.node.value {
            Value::List(nodes) => nodes.is_empty(),
            Value::Mapping(entries) => entries.is_empty(),
            _ => false,
        }
    }

    /// Notes every key that appears twice in one mapping, at any depth.
    pub fn refuse_duplicate_keys(&self) {
        match &self.node.value {
            Value::Mapping(entries) => {
                let mut seen = BTreeSet::new();
                for entry in entries {
                    let inside = self.inside(entry);
                    if !seen.insert(&entry.key) {
                        inside.problem("appears twice in this mapping; keep one");
                    }
                    inside.refuse_duplicate_keys();
                }
            }
            Value::List(_) => self.items("").into_iter().flatten().for_each(|item| item.refuse_duplicate_keys()),
            _ => {}
        }
    }

    fn inside(&self, entry: &'s Entry) -> Self {
        let key = if self.key.is_empty() { entry.key.clone() } else { format!("{}.{}", self.key, entry.key) };
        Self::new(self.source, key, entry.position, &entry.node)
    }
}

impl<'s> Fields<'s> {
    /// The value of a key, if it is there.
    pub fn get(&self, name: &str) -> Option<At<'s>> {
        self.entries.iter().find(|entry| entry.key == name).map(|entry| self.at.inside(entry))
    }

    /// The duration under a key, or this default.
    pub fn duration_or(&self, name: &str, default: Duration) -> Duration {
        self.get(name).and_then(|at| at.duration()).unwrap_or(default)
    }

    /// The value of a required key.
    pub fn required(&self, name: &str, meaning: &str) -> Option<At<'s>> {
        let found = self.get(name);
        if found.is_none() {
            let key = if self.at.key.is_empty() { name.to_owned() } else { format!("{}.{name}", self.at.key) };
            self.at.source.note(self.at.position, &key, format!("is missing: {meaning}"));
        }
        found
    }
}

/// Reads `{ from_env: NAME }`.
pub fn from_env(at: &At<'_>) -> Option<String> {
    let source = at.fields(&["from_env"])?.required("from_env", "name the variable of the server's environment that it is read from");
    source?.parsed(names::variable)
}
