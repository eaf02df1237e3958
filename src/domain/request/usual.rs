//! A fast parser for the usual body of a submit: in one pass from bytes to the task and the
//! canonical form of its metadata, without a tree.
//!
//! It gives up on anything unusual: unknown or repeated fields, explicit nulls, arguments of a
//! runbook, numbers at the limits, NUL characters, and any fault. The caller then uses the careful
//! parser, which accepts more and explains faults. So this parser accepts only what the careful
//! parser accepts, with the same result.

use super::{ActionRequest, Named, TaskRequest};
use crate::domain::json;
use crate::domain::task::canonical::Rewriter;
use crate::domain::task::digest::{self, Digest};
use crate::domain::task::metadata::Metadata;
use crate::domain::task::{ActionKind, SecurityFinding};
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;

/// A task that was parsed in one pass. Its fields hold everything in its body.
#[derive(Debug)]
pub struct UsualTask(TaskRequest);

impl UsualTask {
    /// Parses a body; `None` if it is unusual.
    pub fn read(body: &[u8]) -> Option<Self> {
        if json::may_hold_nul(body) {
            return None;
        }
        let mut reader = serde_json::Deserializer::from_slice(body);
        let request = reader.deserialize_map(Members).ok()?;
        reader.end().ok()?;
        Some(Self(request))
    }

    /// The digest of the body's canonical form.
    pub fn fingerprint(&self) -> Digest {
        let TaskRequest { action, metadata, .. } = &self.0;
        let TaskRequest {
            task_id, description, operation, environment, resource, resource_type, security_findings, estimated_cost, ..
        } = &self.0;
        let written = digest::canonical_object(|members| {
            members.add_some("action", action.as_ref().map(|Named(action)| action))?;
            members.add("description", description)?;
            members.add_some("environment", environment.as_ref())?;
            members.add_some("estimated_cost", estimated_cost.as_ref())?;
            if let Some(metadata) = metadata {
                members.add_canonical("metadata", metadata.as_canonical())?;
            }
            members.add("operation", operation)?;
            members.add_some("resource", resource.as_ref())?;
            members.add_some("resource_type", resource_type.as_ref())?;
            if let Some(findings) = security_findings {
                let findings: Vec<_> = findings.iter().map(|Named(finding)| finding).collect();
                members.add("security_findings", &findings)?;
            }
            members.add_some("task_id", task_id.as_ref())
        });
        Digest::of(&written)
    }

    /// The requested task.
    pub fn into_request(self) -> TaskRequest {
        self.0
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Field {
    TaskId,
    Description,
    Operation,
    Environment,
    Resource,
    ResourceType,
    SecurityFindings,
    EstimatedCost,
    Action,
    Metadata,
}

/// Reads the members of a body.
struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = TaskRequest;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a task as usual")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<TaskRequest, A::Error> {
        let (mut description, mut operation) = (None, None);
        let mut request = TaskRequest::default();
        while let Some(field) = members.next_key()? {
            match field {
                Field::TaskId => fill(&mut request.task_id, members.next_value()?)?,
                Field::Description => fill(&mut description, members.next_value()?)?,
                Field::Operation => fill(&mut operation, members.next_value()?)?,
                Field::Environment => fill(&mut request.environment, members.next_value()?)?,
                Field::Resource => fill(&mut request.resource, members.next_value()?)?,
                Field::ResourceType => fill(&mut request.resource_type, members.next_value()?)?,
                Field::SecurityFindings => {
                    let findings: Vec<Named<UsualFinding>> = members.next_value()?;
                    fill(&mut request.security_findings, findings.into_iter().map(|Named(finding)| Named(finding.into())).collect())?;
                }
                Field::EstimatedCost => {
                    let cost: f64 = members.next_value()?;
                    if cost.abs() >= json::FIRST_INEXACT {
                        return Err(A::Error::custom("the cost is too large"));
                    }
                    fill(&mut request.estimated_cost, cost)?;
                }
                Field::Action => {
                    let Named(UsualAction { kind, name }) = members.next_value()?;
                    let unknown = || A::Error::custom("the kind of action is not known");
                    let kind = kind.map(|word| ActionKind::parse(&word).ok_or_else(unknown)).transpose()?;
                    fill(&mut request.action, Named(ActionRequest { kind, name, args: None }))?;
                }
                Field::Metadata => {
                    let mut written = Vec::with_capacity(1024);
                    members.next_value_seed(Rewriter::new(&mut written, 1))?;
                    let written = String::from_utf8(written).map_err(A::Error::custom)?;
                    let metadata = Metadata::of_canonical(written).ok_or_else(|| A::Error::custom("metadata is not an object"))?;
                    fill(&mut request.metadata, metadata)?;
                }
            }
        }
        let missing = |name: &'static str| move || A::Error::missing_field(name);
        request.description = description.ok_or_else(missing("description"))?;
        request.operation = operation.ok_or_else(missing("operation"))?;
        Ok(request)
    }
}

/// Sets a field; an error if it is set already.
fn fill<T, E: Error>(field: &mut Option<T>, value: T) -> Result<(), E> {
    if field.replace(value).is_some() { Err(E::custom("a field appears twice")) } else { Ok(()) }
}

/// A finding without nulls.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UsualFinding {
    severity: String,
    #[serde(default, deserialize_with = "present")]
    id: Option<String>,
    #[serde(default, deserialize_with = "present")]
    title: Option<String>,
}

impl From<UsualFinding> for SecurityFinding {
    fn from(UsualFinding { severity, id, title }: UsualFinding) -> Self {
        Self { severity, id, title }
    }
}

/// An action without nulls and arguments.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UsualAction {
    #[serde(rename = "type", default, deserialize_with = "present")]
    kind: Option<String>,
    #[serde(default, deserialize_with = "present")]
    name: Option<String>,
}

/// A text that is present and not null.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    String::deserialize(deserializer).map(Some)
}
