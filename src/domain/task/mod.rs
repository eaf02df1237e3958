//! The task: what an agent says that it wants to do, and, for a runbook or a webhook, exactly what
//! parkbrake would run or call.

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

/// One task. Its canonical bytes are what is shown, hashed, stored and executed.
///
/// Everything in it but `action.runs` and `action.calls` is the requester's claim; these two are
/// resolved by parkbrake from the configured runbook or webhook, and are part of the document so
/// that an approval covers them.
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
    /// What it acts on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_type: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub security_findings: Vec<SecurityFinding>,
    /// In US dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimated_cost: Option<f64>,
    /// What the requester shows beside its words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Box<Evidence>>,
    pub action: Action,
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
}

impl Task {
    /// The bytes that are shown, hashed, stored and executed (RFC 8785).
    pub fn canonical(&self) -> Vec<u8> {
        // Every field, so that none is forgotten that is added.
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

    /// What the requester shows of a plan of Terraform.
    pub fn terraform(&self) -> Option<&Summary> {
        Some(&self.evidence.as_ref()?.terraform_plan()?.summary)
    }
}

/// A finding of a scanner that the requester reports with its task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecurityFinding {
    pub severity: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

/// What is to be done once it may be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Action {
    #[serde(rename = "type")]
    pub kind: ActionKind,
    /// The name of the runbook or webhook; for an external action whatever the requester calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub args: Map<String, Value>,
    /// The arguments that each name an output of an earlier step, and get their value when the turn
    /// of this one has come.
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
    /// The action of a task that names none: the requester acts once it may, and reports.
    pub fn external() -> Self {
        Self { kind: ActionKind::External, name: None, args: Map::new(), awaits: Vec::new(), runs: None, calls: None }
    }

    /// What is done about an attempt that fails.
    pub fn retry(&self) -> Option<Retry> {
        self.runs.as_ref().and_then(|runs| runs.retry).or_else(|| self.calls.as_ref().and_then(|calls| calls.retry))
    }

    /// Whether parkbrake can find out by itself whether an attempt of unknown outcome happened.
    pub fn has_probe(&self) -> bool {
        self.runs.as_ref().is_some_and(|runs| !runs.probe.is_empty())
    }

    /// Whether parkbrake may do it again, with the same key, where nobody knows what became of an
    /// attempt.
    pub fn is_idempotent(&self) -> bool {
        self.runs.as_ref().is_some_and(|runs| runs.idempotent) || self.calls.as_ref().is_some_and(|calls| calls.idempotent)
    }
}

/// Who acts, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionKind {
    /// The requester itself acts once it may, and reports the result.
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
