//! How dangerous a task is, and why.

use crate::domain::risk;
use crate::domain::risk::level::Level;
use crate::domain::risk::target;
use crate::domain::task::digest::Digest;
use serde::Serialize;
use utoipa::ToSchema;

/// How dangerous a task is, and why.
#[derive(Debug, Serialize, ToSchema)]
pub struct Assessment<'a> {
    /// The highest level of all reasons, or `low`.
    level: Level,
    /// The highest level first. Some are remarks of level `low`.
    reasons: Vec<Reason<'a>>,
    /// The digest of the configuration that the task was assessed by.
    policy_version: &'a Digest,
}

/// A trigger that matched, or something that parkbrake noticed.
#[derive(Debug, Serialize, ToSchema)]
struct Reason<'a> {
    /// The name of the trigger, as in the configuration.
    trigger: &'a str,
    level: Level,
    /// In words.
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

/// What a task is about, as far as parkbrake knows: what the runbook says, or else the registry of
/// resources, or else the requester.
#[derive(Debug, Serialize, ToSchema)]
pub struct Target<'a> {
    operation: &'a str,
    /// Null where nobody says.
    #[schema(required)]
    environment: Option<&'a str>,
    #[schema(required)]
    resource: Option<&'a str>,
    #[schema(required)]
    resource_type: Option<&'a str>,
    /// Where the requester claims something else than is known. Empty where all agree.
    differs: Vec<Differs<'a>>,
}

/// A claim that is not what parkbrake knows.
#[derive(Debug, Serialize, ToSchema)]
struct Differs<'a> {
    /// `operation`, `environment`, `resource` or `resource_type`.
    field: &'a str,
    /// The requester's word; null where the runbook and the registry contradict each other about
    /// something that was not claimed.
    #[schema(required)]
    claimed: Option<&'a str>,
    /// What holds.
    known: &'a str,
    /// Where that comes from: `runbook`, `webhook` or `registry`.
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
