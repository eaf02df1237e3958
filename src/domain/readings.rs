//! The ways in which one task can be read: what its requester claims, what parkbrake knows, and what was left unsaid.

use crate::domain::expression::{Scope, Variables};
use crate::domain::level::Level;
use crate::domain::risk::{Reason, Rules};
use crate::domain::task::Task;
use crate::domain::text::shown;
use crate::domain::vocabulary::{Vocabulary, normalized};
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
    pub operation: String,
    pub environment: Value,
    pub resource_type: Value,
}

impl Reading {
    /// What was assumed for this reading, for the end of a sentence.
    pub fn assumption(&self) -> String {
        let assumed: Vec<String> = [("environment", &self.environment), ("resource_type", &self.resource_type)]
            .into_iter()
            .filter(|(_, value)| value.assumed)
            .map(|(field, value)| if value.word.is_empty() { format!("{field} empty") } else { format!("{field} {}", value.word) })
            .collect();
        if assumed.is_empty() { String::new() } else { format!(", assuming {}", assumed.join(" and ")) }
    }

    pub fn scope<'a>(&'a self, task: &'a Task, json: &'a Json, requested_by: &'a str, now: DateTime<Utc>) -> Scope<'a> {
        Scope::new(&Variables {
            operation: &self.operation,
            environment: &self.environment.word,
            resource: task.resource.as_deref().unwrap_or_default(),
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

impl Rules {
    /// Every way in which the task can be read: each value that a field is said to have, is known to have, or could have.
    pub fn readings(&self, task: &Task, facts: Option<&Facts>, reasons: &mut Vec<Reason>) -> Vec<Reading> {
        let registered = self.registered(task, facts);
        let operations = self.operations_of(task, facts, reasons);
        let environments = self.environments_of(task, facts, &registered, reasons);
        let resource_types = self.resource_types_of(task, facts, &registered, reasons);
        let mut readings = Vec::with_capacity(operations.len() * environments.len() * resource_types.len());
        for operation in &operations {
            for environment in &environments {
                for resource_type in &resource_types {
                    readings.push(Reading {
                        operation: operation.word.clone(),
                        environment: environment.clone(),
                        resource_type: resource_type.clone(),
                    });
                }
            }
        }
        readings
    }

    /// The entries of the registry that match a resource which the requester names or which the runbook acts on.
    fn registered(&self, task: &Task, facts: Option<&Facts>) -> Vec<&Resource> {
        let named = [task.resource.as_deref(), facts.and_then(|facts| facts.resource.as_deref())];
        let named: Vec<String> = named.into_iter().flatten().map(normalized).collect();
        self.resources.iter().filter(|entry| named.iter().any(|name| entry.matches(name))).collect()
    }

    fn operations_of(&self, task: &Task, facts: Option<&Facts>, reasons: &mut Vec<Reason>) -> Vec<Value> {
        let mut operations = vec![self.word(&self.operations, "operation", &task.operation, reasons)];
        if let Some(facts) = facts {
            let real = self.word(&self.operations, "operation", &facts.operation, reasons);
            if real.word != operations[0].word {
                reasons.push(disagreement("operation", &facts.source, &real.word, &operations[0].word));
                operations.push(real);
            }
        }
        operations
    }

    fn environments_of(&self, task: &Task, facts: Option<&Facts>, registered: &[&Resource], reasons: &mut Vec<Reason>) -> Vec<Value> {
        let known = registered.iter().filter_map(|entry| Some(("the resource registry".to_owned(), entry.environment.clone()?)));
        let of_runbook = facts.and_then(|facts| {
            let written = facts.environment.as_deref()?;
            Some((facts.source.clone(), self.word(&self.environments, "environment", written, reasons).word))
        });
        let known: Vec<(String, String)> = known.chain(of_runbook).collect();
        // Of all that parkbrake knows, the most dangerous holds.
        let worst_known = known.iter().min_by_key(|(_, word)| self.environments.rank(word));
        let limit = worst_known.map_or(usize::MAX, |(_, word)| self.environments.rank(word));
        let mut values = match task.environment.as_deref() {
            // The requester could have claimed anything, and a claim can only raise: so what it could be is all that is
            // at least as dangerous as what parkbrake knows.
            None => {
                let possible = self.environments.names().filter(|name| self.environments.rank(name) <= limit).map(Value::assumed).collect();
                unsaid("environment", possible, reasons)
            }
            Some(written) => {
                let claimed = self.word(&self.environments, "environment", written, reasons);
                if let Some((source, word)) = worst_known.filter(|(_, word)| *word != claimed.word) {
                    reasons.push(disagreement("environment", source, word, &claimed.word));
                }
                if limit < self.environments.rank(&claimed.word) {
                    Vec::new()
                } else {
                    self.everything_if_unrecognised(claimed, &self.environments)
                }
            }
        };
        // What the runbook fixes is assessed beside whatever else holds.
        let of_runbook = known.iter().filter(|(source, _)| facts.is_some_and(|facts| facts.source == *source));
        for (_, word) in worst_known.into_iter().chain(of_runbook) {
            if !values.iter().any(|value| value.word == *word) {
                values.push(Value::said(word));
            }
        }
        values
    }

    fn resource_types_of(&self, task: &Task, facts: Option<&Facts>, registered: &[&Resource], reasons: &mut Vec<Reason>) -> Vec<Value> {
        let known = registered.iter().filter_map(|entry| Some(("the resource registry".to_owned(), entry.resource_type.clone()?)));
        let of_runbook = facts.and_then(|facts| {
            let written = facts.resource_type.as_deref()?;
            Some((facts.source.clone(), self.word(&self.resource_types, "resource_type", written, reasons).word))
        });
        let known: Vec<(String, String)> = known.chain(of_runbook).collect();
        let Some(written) = task.resource_type.as_deref() else {
            let mut possible: Vec<Value> = known.iter().map(|(_, word)| Value::said(word)).collect();
            possible.extend(self.resource_types.names().filter(|name| !known.iter().any(|(_, word)| word == name)).map(Value::assumed));
            return unsaid("resource_type", possible, reasons);
        };
        let claimed = self.word(&self.resource_types, "resource_type", written, reasons);
        let mut values = self.everything_if_unrecognised(claimed.clone(), &self.resource_types);
        for (source, word) in known {
            if word != claimed.word {
                reasons.push(disagreement("resource_type", &source, &word, &claimed.word));
            }
            if !values.iter().any(|value| value.word == word) {
                values.push(Value::said(&word));
            }
        }
        values
    }

    /// The canonical word for what was written; a word that is on no list is a reason of its own.
    fn word(&self, vocabulary: &Vocabulary, field: &str, written: &str, reasons: &mut Vec<Reason>) -> Value {
        if let Some(word) = vocabulary.resolve(written) {
            return Value::said(word);
        }
        let known = vocabulary.names().collect::<Vec<_>>().join(", ");
        let detail = format!("{field} `{}` is not a word that parkbrake knows; known are: {known}", shown(written));
        reasons.push(Reason { trigger: format!("unrecognized_{field}"), level: self.unrecognized, detail });
        Value::said(&normalized(written))
    }

    /// An unrecognised word says nothing, so beside its own level it is assessed like a field that was left out.
    fn everything_if_unrecognised(&self, value: Value, vocabulary: &Vocabulary) -> Vec<Value> {
        if vocabulary.contains(&value.word) {
            return vec![value];
        }
        std::iter::once(value).chain(vocabulary.names().map(Value::assumed)).collect()
    }
}

/// Notes that a field was left out, and gives every value that it could have; conditions also see it empty.
fn unsaid(field: &str, mut possible: Vec<Value>, reasons: &mut Vec<Reason>) -> Vec<Value> {
    let names: Vec<&str> = possible.iter().map(|value| value.word.as_str()).collect();
    let detail = format!("{field} was not given, so the task is assessed for each that it could be: {}", names.join(", "));
    reasons.push(Reason { trigger: format!("unsaid_{field}"), level: Level::Low, detail });
    possible.push(Value::assumed(""));
    possible
}

fn disagreement(field: &str, source: &str, known: &str, claimed: &str) -> Reason {
    Reason {
        trigger: format!("{field}_disagreement"),
        level: Level::Low,
        detail: format!("{source} says that the {field} is `{known}`, the request says `{}`; the more dangerous one holds", shown(claimed)),
    }
}
