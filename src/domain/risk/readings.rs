//! The readings of a task: what its requester claims, what parkbrake knows, and every value that an
//! omitted field could have.

mod possible;

pub use crate::domain::risk::registry::Resource;

use crate::domain::risk::expression::scope::Words;
use serde::{Deserialize, Serialize};

/// The source of a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    Runbook,
    Webhook,
    Registry,
}

impl Source {
    /// The word for it in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Runbook => "runbook",
            Self::Webhook => "webhook",
            Self::Registry => "registry",
        }
    }
}

/// What parkbrake itself knows about an action, whatever the requester says: for a runbook or a
/// webhook, what it really does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The source, for reasons: ``runbook `deploy-service` ``.
    pub source: String,
    pub from: Source,
    pub operation: Option<String>,
    pub environment: Option<String>,
    pub resource: Option<String>,
    pub resource_type: Option<String>,
}

/// One value that a field has or could have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    pub word: String,
    /// Whether the field was omitted, and this is one of its possible values.
    pub assumed: bool,
}

impl Value {
    fn said(word: &str) -> Self {
        Self { word: word.to_owned(), assumed: false }
    }

    fn assumed(word: &str) -> Self {
        Self { word: word.to_owned(), assumed: true }
    }
}

/// One way to read a task.
pub struct Reading {
    pub operation: Value,
    pub environment: Value,
    pub resource_type: Value,
    /// The resource as conditions see it, after the registry was consulted. `None` is any, because
    /// a runbook does not state it.
    pub resource: Option<String>,
}

impl Reading {
    /// The assumptions of this reading about the fields that a condition reads, for the end of a
    /// sentence.
    pub fn assumption(&self, looked_at: &[&str]) -> String {
        let fields = [("operation", &self.operation), ("environment", &self.environment), ("resource_type", &self.resource_type)];
        let mut assumed: Vec<String> = fields
            .into_iter()
            .filter(|(field, value)| value.assumed && looked_at.contains(field))
            .map(|(field, value)| if value.word.is_empty() { format!("{field} empty") } else { format!("{field} {}", value.word) })
            .collect();
        if self.resource.is_none() && looked_at.contains(&"resource") {
            assumed.push("any resource".to_owned());
        }
        if assumed.is_empty() { String::new() } else { format!(", assuming {}", assumed.join(" and ")) }
    }

    /// The values that conditions reading only these variables can distinguish.
    pub fn seen_by(&self, variables: &[&str]) -> [Option<&str>; 4] {
        let fields = [
            ("operation", Some(&self.operation.word)),
            ("environment", Some(&self.environment.word)),
            ("resource_type", Some(&self.resource_type.word)),
            ("resource", self.resource.as_ref()),
        ];
        fields.map(|(field, word)| if variables.contains(&field) { word.map(String::as_str) } else { Some("") })
    }

    /// The words of this reading, as conditions see them.
    pub fn words(&self) -> Words<'_> {
        Words {
            operation: &self.operation.word,
            environment: &self.environment.word,
            resource_type: &self.resource_type.word,
            resource: self.resource.as_deref(),
        }
    }
}
