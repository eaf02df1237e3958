//! Evidence, as the schema describes what is sent and what is stored; and whether a plan is the one
//! that was approved.

use super::Success;
use crate::domain::task::digest::Digest;
use crate::domain::workflow::Status;
use crate::service::evidence::Verified;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

/// A plan of Terraform or OpenTofu. Send the `plan` and its `workspace`; or the `summary` and
/// `contents` that `parkbrake submit --terraform-plan` makes from a plan, so that the plan itself
/// stays on your machine. Sensitive values are dropped before anything is stored.
#[derive(ToSchema)]
#[schema(as = Evidence)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "it only describes what is read elsewhere")]
pub struct SentEvidence {
    r#type: EvidenceKind,
    /// The output of `terraform show -json PLANFILE` or `tofu show -json PLANFILE`, with a
    /// `format_version` of 1.x.
    #[schema(value_type = Option<Object>)]
    plan: Option<Map<String, Value>>,
    /// The workspace that the plan is for; the configuration maps it to an environment.
    #[schema(min_length = 1, max_length = 128, pattern = "^[!-~]+$")]
    workspace: Option<String>,
    /// What people see of the plan.
    #[schema(value_type = Option<Object>)]
    summary: Option<Map<String, Value>>,
    /// The digest of everything that the plan would do. Only its hash under the server's key is
    /// stored.
    #[schema(pattern = "^sha256:[0-9a-f]{64}$")]
    contents: Option<String>,
}

/// The kind of document.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "it only describes what is read elsewhere")]
pub(super) enum EvidenceKind {
    TerraformPlan,
}

/// What is stored of a plan of Terraform or OpenTofu.
#[derive(ToSchema)]
#[schema(as = StoredEvidence)]
#[expect(dead_code, reason = "it only describes the bytes that are sent")]
pub(super) struct DocumentEvidence {
    r#type: EvidenceKind,
    /// A hash, under the server's key, of everything that the plan would do, sensitive values
    /// included.
    fingerprint: String,
    /// Counts and changes: deletions and replacements first. Sensitive values appear as
    /// `(sensitive)`.
    #[schema(value_type = Object)]
    summary: Map<String, Value>,
}

/// Whether a Terraform plan may be applied.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlanVerification<'a> {
    success: Success,
    workflow_id: Uuid,
    verified: bool,
    /// Why it may not be applied: the differences, or that nobody has approved it. Empty if it may.
    reasons: &'a [String],
    status: Status,
    digest: &'a Digest,
}

impl<'a> PlanVerification<'a> {
    /// The answer.
    pub fn of(workflow_id: Uuid, verified: &'a Verified) -> Self {
        let Verified { status, digest, reasons } = verified;
        Self { success: Success, workflow_id, verified: reasons.is_empty(), reasons, status: *status, digest }
    }
}
