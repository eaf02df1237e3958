//! A task's risk level and the reasons for it.

use crate::domain::risk;
use crate::domain::risk::level::Level;
use crate::domain::risk::target;
use crate::domain::task::digest::Digest;
use serde::Serialize;
use utoipa::ToSchema;

/// A task's risk level and the reasons for it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Assessment<'a> {
    /// The highest level of all reasons, or `low`.
    level: Level,
    /// The highest level first. Some reasons are only remarks, with level `low`.
    reasons: Vec<Reason<'a>>,
    /// The digest of the configuration that assessed the task.
    policy_version: &'a Digest,
}

/// A trigger that matched, or something that parkbrake noticed.
#[derive(Debug, Serialize, ToSchema)]
struct Reason<'a> {
    /// The name of the trigger, as in the configuration.
    trigger: &'a str,
    level: Level,
    /// The reason in words.
    detail: &'a str,
}

impl<'a> From<&'a risk::Assessment> for Assessment<'a> {
    fn from(assessment: &'a risk::Assessment) -> Self {
        let reasons = assessment.reasons.iter();
        Self {
            level: assessment.level,
            reasons: reasons.map(|one| Reason { trigger: &one.trigger, level: one.level, detail: &one.detail }).collect(),
            policy_version: &assessment.policy_version,
        }
    }
}

/// What a task acts on, as far as parkbrake knows: according to the runbook, or else to the
/// registry of resources, or else to the requester.
#[derive(Debug, Serialize, ToSchema)]
pub struct Target<'a> {
    operation: &'a str,
    /// Null if nobody states it.
    #[schema(required)]
    environment: Option<&'a str>,
    #[schema(required)]
    resource: Option<&'a str>,
    #[schema(required)]
    resource_type: Option<&'a str>,
    /// Where the requester's claims differ from what is known. Empty if everything agrees.
    differs: Vec<Differs<'a>>,
}

/// A claim that differs from what parkbrake knows.
#[derive(Debug, Serialize, ToSchema)]
struct Differs<'a> {
    /// `operation`, `environment`, `resource` or `resource_type`.
    field: &'a str,
    /// The requester's word; null if the runbook and the registry contradict each other about
    /// something that was not claimed.
    #[schema(required)]
    claimed: Option<&'a str>,
    /// The value that counts.
    known: &'a str,
    /// Where that value comes from: `runbook`, `webhook` or `registry`.
    from: &'a str,
}

impl<'a> Target<'a> {
    pub(super) fn operation(&self) -> &'a str {
        self.operation
    }

    pub(super) fn environment(&self) -> Option<&'a str> {
        self.environment
    }

    pub(super) fn resource(&self) -> Option<&'a str> {
        self.resource
    }

    pub(super) fn resource_type(&self) -> Option<&'a str> {
        self.resource_type
    }
}

impl<'a> From<&'a target::Target> for Target<'a> {
    fn from(target: &'a target::Target) -> Self {
        let differs = target.differs.iter().map(|one| Differs {
            field: &one.field,
            claimed: one.claimed.as_deref(),
            known: &one.known,
            from: one.from.as_str(),
        });
        Self {
            operation: &target.operation,
            environment: target.environment.as_deref(),
            resource: target.resource.as_deref(),
            resource_type: target.resource_type.as_deref(),
            differs: differs.collect(),
        }
    }
}
