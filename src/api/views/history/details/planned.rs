//! The plan, as the first event of a history records it.

use crate::api::views::assessment::Target;
use crate::domain::duration;
use crate::domain::risk::level::Level;
use crate::domain::task::ActionKind;
use crate::domain::task::retry::Retry;
use crate::domain::workflow;
use serde::Serialize;
use utoipa::ToSchema;

/// One step of a plan, as it was planned.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PlannedStep)]
pub struct PlannedDetail<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub name: Option<&'a str>,
    pub action: ActionKind,
    pub idempotent: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub report_within: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub retry: Option<RetryDetail>,
    /// Whether its runbook has a probe; left out if it has none.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    pub probe: bool,
    /// The risk level of this step alone.
    pub level: Level,
    pub target: Target<'a>,
    /// The step that it undoes, if a later one fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub compensates: Option<u32>,
    /// Whether it uses outputs of earlier steps; left out if it does not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    pub awaits: bool,
}

impl<'a> From<&'a workflow::PlannedStep> for PlannedDetail<'a> {
    fn from(step: &'a workflow::PlannedStep) -> Self {
        Self {
            name: step.name.as_deref(),
            action: step.action,
            idempotent: step.idempotent,
            report_within: step.report_within.map(|within| duration::show(within).to_string()),
            retry: step.retry.map(RetryDetail::from),
            probe: step.probe,
            level: step.level,
            target: (&step.target).into(),
            compensates: step.compensates,
            awaits: step.awaits,
        }
    }
}

/// How often a failing attempt is repeated.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PlannedRetry)]
pub struct RetryDetail {
    /// The most attempts, the first included.
    pub attempts: u32,
    /// The pause after the first failure; it doubles with each one, up to an hour.
    pub backoff: String,
}

impl From<Retry> for RetryDetail {
    fn from(retry: Retry) -> Self {
        Self { attempts: retry.attempts, backoff: duration::show(retry.backoff).to_string() }
    }
}
