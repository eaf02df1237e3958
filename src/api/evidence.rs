//! Checks whether a Terraform plan is the one that was approved.

use crate::api::examples;
use crate::api::sent::Sent;
use crate::api::views::{PlanVerification, SentEvidence};
use crate::domain::request::evidence::{self, EvidenceRequest, FIELD};
use crate::http::body::FromBody;
use crate::http::json;
use crate::http::openapi::{self, BODY, CALLER, refused_with};
use crate::http::path::WorkflowId;
use crate::http::problem::{Code, Problem};
use crate::identity::Caller;
use crate::service::evidence::Presented;
use crate::service::{Service, ServiceError};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use utoipa::ToSchema;

/// A plan that is about to be applied.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanToVerify {
    /// The same as in a task.
    #[schema(value_type = SentEvidence)]
    evidence: EvidenceRequest,
    /// The digest that was approved, from `PARKBRAKE_DIGEST`. If left out, it is not compared.
    #[serde(default)]
    #[schema(max_length = 128)]
    digest: Option<String>,
    /// If several steps of the plan show a Terraform plan: which step is meant.
    #[serde(default)]
    #[schema(minimum = 1)]
    step: Option<u32>,
}

refused_with!(VerifyProblems = CALLER, BODY, [Code::WorkflowNotFound]);

/// Verify a Terraform plan
///
/// For the step that applies the plan, right before it does. `verified` is true only if the plan
/// does exactly what was submitted and approved, sensitive values included, and the workflow is
/// released and has not ended. Nothing is stored; it can be verified again.
#[utoipa::path(
    post,
    path = "/workflows/{id}/verify-plan",
    operation_id = "verify_plan",
    tag = openapi::SUBMITTING,
    params(("id" = Uuid, Path, description = "The workflow's id.")),
    request_body(content = PlanToVerify, example = json!({"evidence": {"type": "terraform_plan", "plan": {
        "format_version": "1.2", "terraform_version": "1.9.8", "planned_values": {}, "resource_changes": []
    }}})),
    responses(
        (status = 200, description = "Whether it may be applied.", body = PlanVerification, example = json!(examples::plan_verification())),
        VerifyProblems,
    ),
)]
pub async fn verify_plan(
    State(service): State<Service>,
    by: Caller,
    WorkflowId(id): WorkflowId,
    Sent { body: Asked(presented), permit }: Sent<Asked>,
) -> Result<Response, Problem> {
    let verified = service.verify_plan(&by, id, &presented).await?;
    drop(permit);
    Ok(Json(PlanVerification::of(id, &verified)).into_response())
}

/// The plan in the request.
pub struct Asked(Presented);

impl FromBody for Asked {
    async fn from_body(head: Parts, bytes: Bytes) -> Result<Self, Problem> {
        let mut value = json::read(&head.headers, &bytes)?;
        let mut faults = Vec::new();
        evidence::reduce(&mut value, "", &mut faults);
        if !faults.is_empty() {
            return Err(ServiceError::InvalidTask(faults).into());
        }
        if value.get(FIELD).is_none() {
            return Err(ServiceError::invalid("/evidence", "is required: the plan that is about to be applied").into());
        }
        let PlanToVerify { evidence, digest, step } = json::decode(value)?;
        let plan = evidence.plan().map_err(|fault| ServiceError::InvalidTask(vec![fault]))?;
        Ok(Self(Presented { plan, digest, step }))
    }
}
