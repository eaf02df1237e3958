//! The metadata of a task: any JSON object that the requester adds.

use crate::domain::task::digest;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use std::ops::Deref;
use std::sync::OnceLock;

/// The metadata of a task, kept as canonical text, which is hashed and stored. Fields are parsed
/// from it on demand, and most tasks never need that.
#[derive(Debug, Clone)]
pub struct Metadata {
    written: String,
    fields: OnceLock<Map<String, Value>>,
}

impl Metadata {
    /// Metadata from canonical text; `None` if that is not an object.
    pub fn of_canonical(written: String) -> Option<Self> {
        written.starts_with('{').then_some(Self { written, fields: OnceLock::new() })
    }

    /// The canonical text.
    pub fn as_canonical(&self) -> &str {
        &self.written
    }

    /// Whether it is empty.
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
