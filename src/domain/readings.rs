//! The ways in which one task can be read: what its requester claims, what parkbrake knows, and what was left unsaid.

mod possible;

use crate::domain::expression::{Scope, Variables};
use crate::domain::task::Task;
use chrono::{DateTime, Utc};

/// What parkbrake itself knows of an action, whatever the requester says: for a runbook, what it really does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Where the knowledge comes from, for the reason: ``runbook `deploy-service` ``.
    pub source: String,
    pub operation: String,
    pub environment: Option<String>,
    pub resource: Option<String>,
    pub resource_type: Option<String>,
}

/// What resources whose name matches really are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// `*` stands for any text; compared like every spelling, trimmed and in ASCII lower case.
    pub pattern: String,
    /// Canonical words.
    pub environment: Option<String>,
    pub resource_type: Option<String>,
}

impl Resource {
    fn matches(&self, resource: &str) -> bool {
        glob(self.pattern.as_bytes(), resource.as_bytes())
    }
}

/// Whether a text fits a pattern in which `*` stands for any run of characters, in linear space and at worst
/// length × length steps.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p, t));
                p += 1;
            }
            Some(byte) if *byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match retry {
                Some((star, from)) => {
                    p = star + 1;
                    t = from + 1;
                    retry = Some((star, from + 1));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// One value that a field has or could have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    pub word: String,
    /// Whether it was left unsaid, and this is one of the values that it could have.
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
    /// As conditions see it; the registry has been asked already.
    pub resource: String,
}

impl Reading {
    /// What was assumed for this reading of the fields that a condition looks at, for the end of a sentence.
    pub fn assumption(&self, looked_at: &[&str]) -> String {
        let fields = [("operation", &self.operation), ("environment", &self.environment), ("resource_type", &self.resource_type)];
        let assumed: Vec<String> = fields
            .into_iter()
            .filter(|(field, value)| value.assumed && looked_at.contains(field))
            .map(|(field, value)| if value.word.is_empty() { format!("{field} empty") } else { format!("{field} {}", value.word) })
            .collect();
        if assumed.is_empty() { String::new() } else { format!(", assuming {}", assumed.join(" and ")) }
    }

    /// What conditions that look only at these variables can tell apart.
    pub fn seen_by(&self, variables: &[&str]) -> [&str; 4] {
        let fields = [
            ("operation", &self.operation.word),
            ("environment", &self.environment.word),
            ("resource_type", &self.resource_type.word),
            ("resource", &self.resource),
        ];
        fields.map(|(field, word)| if variables.contains(&field) { word.as_str() } else { "" })
    }

    /// What conditions see of this reading.
    pub fn scope<'a>(&'a self, task: &'a Task, json: &'a Json, requested_by: &'a str, now: DateTime<Utc>) -> Scope<'a> {
        Scope::new(&Variables {
            operation: &self.operation.word,
            environment: &self.environment.word,
            resource: &self.resource,
            resource_type: &self.resource_type.word,
            estimated_cost: task.estimated_cost.unwrap_or_default(),
            security_findings: &json.security_findings,
            metadata: &json.metadata,
            requested_by,
            now,
        })
    }
}

/// The parts of a task that conditions see as JSON.
pub struct Json {
    security_findings: serde_json::Value,
    metadata: serde_json::Value,
}

impl Json {
    pub fn of(task: &Task) -> Self {
        Self {
            security_findings: serde_json::to_value(&task.security_findings).unwrap_or_default(),
            metadata: serde_json::Value::Object(task.metadata.clone()),
        }
    }
}
