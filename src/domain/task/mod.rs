//! The task: what an agent wants to do and, for a runbook or a webhook, exactly what parkbrake
//! would run or call.

pub mod call;
pub mod canonical;
pub mod confinement;
pub mod difference;
pub mod digest;
pub mod evidence;
pub mod invocation;
pub mod metadata;
pub mod outputs;
pub mod plan;
pub mod precondition;
pub mod retry;
pub mod terraform;
pub mod vocabulary;

use crate::domain::task::call::Call;
use crate::domain::task::digest::Digest;
use crate::domain::task::evidence::Evidence;
use crate::domain::task::invocation::Invocation;
use crate::domain::task::metadata::Metadata;
use crate::domain::task::retry::Retry;
use crate::domain::task::terraform::Summary;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One task. Its canonical bytes are shown, hashed, stored and executed.
///
/// All fields except `action.runs` and `action.calls` are the requester's claim. Parkbrake resolves
/// these two from the configured runbook or webhook, and they are part of the document so that an
/// approval covers them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// The requester's own name for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_id: Option<String>,
    /// In the requester's words; shown as a claim, never trusted.
    pub description: String,
    pub operation: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The resource that it acts on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_type: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub security_findings: Vec<SecurityFinding>,
    /// In US dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimated_cost: Option<f64>,
    /// The evidence that the requester adds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Box<Evidence>>,
    pub action: Action,
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
}

impl Task {
    /// The bytes that are shown, hashed, stored and executed (RFC 8785).
    pub fn canonical(&self) -> Vec<u8> {
        // Destructures every field, so that a new field cannot be forgotten.
        let Self {
            task_id,
            description,
            operation,
            environment,
            resource,
            resource_type,
            security_findings,
            estimated_cost,
            evidence,
            action,
            metadata,
        } = self;
        digest::canonical_object(|members| {
            members.add("action", action)?;
            members.add("description", description)?;
            members.add_some("environment", environment.as_ref())?;
            members.add_some("estimated_cost", estimated_cost.as_ref())?;
            members.add_some("evidence", evidence.as_ref())?;
            if !metadata.is_empty() {
                members.add_canonical("metadata", metadata.as_canonical())?;
            }
            members.add("operation", operation)?;
            members.add_some("resource", resource.as_ref())?;
            members.add_some("resource_type", resource_type.as_ref())?;
            members.add_some("security_findings", Some(security_findings).filter(|findings| !findings.is_empty()))?;
            members.add_some("task_id", task_id.as_ref())
        })
    }

    /// The digest of the canonical bytes.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.canonical())
    }

    /// The Terraform plan that the requester shows, if there is one.
    pub fn terraform(&self) -> Option<&Summary> {
        Some(&self.evidence.as_ref()?.terraform_plan()?.summary)
    }
}

/// A scanner's finding that the requester reports with its task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecurityFinding {
    pub severity: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

/// The action of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Action {
    #[serde(rename = "type")]
    pub kind: ActionKind,
    /// The name of the runbook or webhook. For an external action, any name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub args: Map<String, Value>,
    /// The arguments that name an output of an earlier step, and get their value when this step is
    /// next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub awaits: Vec<String>,
    /// What parkbrake would run, for a runbook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs: Option<Invocation>,
    /// What parkbrake would call, for a webhook; it sends [`args`](Self::args).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls: Option<Call>,
}

impl Action {
    /// The action of a task that names none: the requester acts once it is released, and reports
    /// the result.
    pub fn external() -> Self {
        Self { kind: ActionKind::External, name: None, args: Map::new(), awaits: Vec::new(), runs: None, calls: None }
    }

    /// How failed attempts are retried.
    pub fn retry(&self) -> Option<Retry> {
        self.runs.as_ref().and_then(|runs| runs.retry).or_else(|| self.calls.as_ref().and_then(|calls| calls.retry))
    }

    /// Whether a probe can find out whether an attempt of unknown outcome happened.
    pub fn has_probe(&self) -> bool {
        self.runs.as_ref().is_some_and(|runs| !runs.probe.is_empty())
    }

    /// Whether parkbrake may repeat it, with the same key, if the outcome of an attempt is unknown.
    pub fn is_idempotent(&self) -> bool {
        self.runs.as_ref().is_some_and(|runs| runs.idempotent) || self.calls.as_ref().is_some_and(|calls| calls.idempotent)
    }
}

/// Who acts, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionKind {
    /// The requester itself acts once the action is released, and reports the result.
    External,
    /// Parkbrake runs a configured command.
    Runbook,
    /// Parkbrake calls a configured destination.
    Webhook,
}

impl ActionKind {
    /// Every one of them.
    pub const ALL: [Self; 3] = [Self::External, Self::Runbook, Self::Webhook];

    /// The kind with this name.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// The word for it, the same in JSON and SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::External => "external",
            Self::Runbook => "runbook",
            Self::Webhook => "webhook",
        }
    }
}
