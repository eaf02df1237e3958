//! What a probe found out, as a history tells it.

use crate::domain::workflow::ProbeAnswer;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// The runbook's probe has looked whether an attempt of unknown outcome happened.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProbedDetail<'a> {
    pub step: u32,
    pub attempt: u32,
    pub answer: ProbeAnswer,
    /// How the probe ended, and the ends of its streams; null where it did not run.
    #[schema(required)]
    pub output: Option<&'a Value>,
    /// Why it could not tell; left out where it could.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub reason: Option<&'a str>,
}
