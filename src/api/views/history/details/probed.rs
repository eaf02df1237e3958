//! What a probe found, as a history records it.

use crate::domain::workflow::ProbeAnswer;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// The runbook's probe has checked whether an attempt of unknown outcome happened.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProbedDetail<'a> {
    pub step: u32,
    pub attempt: u32,
    pub answer: ProbeAnswer,
    /// How the probe ended, and the ends of its streams; null if it did not run.
    #[schema(required)]
    pub output: Option<&'a Value>,
    /// Why the probe could not decide; left out if it could.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub reason: Option<&'a str>,
}
