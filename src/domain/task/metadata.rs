//! What a requester says beside the fields of a task: any JSON object.

use crate::domain::task::digest;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use std::ops::Deref;
use std::sync::OnceLock;

/// The metadata of a task. It is kept as its canonical text, which is what is hashed and stored;
/// the fields are read from there for those who look at them, and most tasks are never looked into.
#[derive(Debug, Clone)]
pub struct Metadata {
    written: String,
    fields: OnceLock<Map<String, Value>>,
}

impl Metadata {
    /// Metadata from its canonical text. `None` where that is no object.
    pub fn of_canonical(written: String) -> Option<Self> {
        written.starts_with('{').then_some(Self { written, fields: OnceLock::new() })
    }

    /// The canonical text.
    pub fn as_canonical(&self) -> &str {
        &self.written
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.written == "{}"
    }
}

impl Default for Metadata {
    fn default() -> Self {
        Self { written: "{}".to_owned(), fields: OnceLock::new() }
    }
}

impl From<Map<String, Value>> for Metadata {
    fn from(fields: Map<String, Value>) -> Self {
        let written = String::from_utf8(digest::canonical(&fields)).expect("JSON is UTF-8");
        Self { written, fields: OnceLock::from(fields) }
    }
}

impl Deref for Metadata {
    type Target = Map<String, Value>;

    fn deref(&self) -> &Map<String, Value> {
        self.fields.get_or_init(|| serde_json::from_str(&self.written).expect("the text of an object"))
    }
}

impl PartialEq for Metadata {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl Serialize for Metadata {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Map::deserialize(deserializer).map(Self::from)
    }
}
