//! Evidence: sealed when a task is submitted, and compared when it is about to be used.

use crate::domain::request::plan::Admitted;
use crate::domain::task::Task;
use crate::domain::task::digest::Digest;
use crate::domain::task::evidence::{Fingerprint, TerraformPlan};
use crate::domain::task::plan::{Document, step_digest};
use crate::domain::task::terraform::{Plan, compare};
use crate::domain::workflow::{Status, StepStatus, Workflow};
use crate::identity::Caller;
use crate::service::review::is_intact;
use crate::service::{Service, ServiceError, about};
use crate::storage::Storage;
use uuid::Uuid;

/// A Terraform plan that somebody is about to apply, and what they know of its approval.
#[derive(Debug)]
pub struct Presented {
    pub plan: Plan,
    /// The approved digest, as the person or program that applies the plan knows it.
    pub digest: Option<String>,
    /// The step that the Terraform plan belongs to, if the workflow is a plan of several steps.
    pub step: Option<u32>,
}

/// Whether a plan may be applied.
#[derive(Debug)]
pub struct Verified {
    pub status: Status,
    pub digest: Digest,
    /// Why it may not; empty if it may.
    pub reasons: Vec<String>,
}

/// Seals the fingerprints of the evidence. An unsealed fingerprint cannot be stored.
///
/// # Errors
/// The server has no key to seal with.
pub(super) fn seal(storage: &Storage, work: &mut Admitted) -> Result<(), ServiceError> {
    let tasks: Vec<&mut Task> = match &mut work.document {
        Document::Task(task) => vec![task],
        Document::Plan(plan) => plan.steps.iter_mut().map(|step| &mut step.task).collect(),
    };
    for evidence in tasks.into_iter().filter_map(|task| task.evidence.as_mut()) {
        let fingerprint = evidence.fingerprint_mut();
        if let Fingerprint::Bare(contents) = fingerprint {
            *fingerprint = Fingerprint::Sealed(storage.seal_evidence(contents)?);
        }
    }
    Ok(())
}

impl Service {
    /// Whether this Terraform plan is the approved one, and may be applied now. This stores nothing
    /// and can be repeated.
    ///
    /// # Errors
    /// There is no workflow with this id that the caller may see, or the database is unavailable.
    pub async fn verify_plan(&self, by: &Caller, id: Uuid, presented: &Presented) -> Result<Verified, ServiceError> {
        let workflow = self.history(by, id).await?.workflow;
        let bytes = self.engine.storage.document(id, workflow.document_number()).await.map_err(about(id))?.unwrap_or_default();
        let mut reasons = Vec::new();
        match Document::read(&bytes) {
            Ok(document) if is_intact(&workflow, &bytes, &document) => {
                reasons.extend(self.objections(&workflow, &document, presented)?);
            }
            _ => reasons.push("what is stored is not what was submitted; tell an operator".to_owned()),
        }
        Ok(Verified { status: workflow.status(), digest: workflow.document().clone(), reasons })
    }

    /// The reasons why the plan may not be applied.
    fn objections(&self, workflow: &Workflow, document: &Document, presented: &Presented) -> Result<Vec<String>, ServiceError> {
        let mut reasons = Vec::new();
        let approved = match shown_in(document, presented.step) {
            Ok((step, approved)) => {
                reasons.extend(not_released(workflow, step));
                let digests = [workflow.document().clone(), step_digest(workflow.document(), step)];
                if let Some(digest) = presented.digest.as_deref().filter(|digest| digests.iter().all(|known| known.as_str() != *digest)) {
                    let digest = crate::domain::text::shown(digest);
                    reasons.push(format!("the digest of this workflow is {}, and not {digest}", workflow.document()));
                }
                approved
            }
            Err(reason) => {
                reasons.push(reason);
                return Ok(reasons);
            }
        };
        let Fingerprint::Sealed(sealed) = &approved.fingerprint else { return Err(ServiceError::internal()) };
        if !self.engine.storage.is_evidence(&presented.plan.contents, sealed)? {
            let differences = compare::differences(&approved.summary, &presented.plan.summary);
            if differences.is_empty() {
                reasons.push(
                    "something that is not shown differs: a sensitive, truncated or unlisted value, or a deferred change; \
                     or the server's secret key was replaced since"
                        .to_owned(),
                );
            }
            reasons.extend(differences);
        }
        Ok(reasons)
    }
}

/// Why the step may not run now, if it may not.
fn not_released(workflow: &Workflow, step: u32) -> Option<String> {
    let status = workflow.status();
    if !matches!(status, Status::Queued | Status::Executing) {
        let words = status.as_str().replace('_', " ");
        return Some(format!("the workflow is {words}: a plan is applied after its approval, and before its end"));
    }
    let state = workflow.submission.is_plan().then(|| workflow.step(step)).flatten()?;
    let status = workflow.step_status(step, state);
    let words = status.as_str().replace('_', " ");
    (!matches!(status, StepStatus::Queued | StepStatus::Executing))
        .then(|| format!("step {step} is {words}: its turn has not come, or is over"))
}

/// The Terraform plan of a document, and the number of its step.
fn shown_in(document: &Document, wanted: Option<u32>) -> Result<(u32, &TerraformPlan), String> {
    let steps = (1..).zip(document.steps());
    let all = steps.filter_map(|(step, (_, task))| Some((step, task.evidence.as_ref()?.terraform_plan()?)));
    let mut found: Vec<(u32, &TerraformPlan)> = all.filter(|(step, _)| wanted.is_none_or(|wanted| wanted == *step)).collect();
    match (found.len(), wanted) {
        (1, _) => Ok(found.remove(0)),
        (0, None) => Err("the workflow was submitted without a Terraform plan".to_owned()),
        (0, Some(step)) => Err(format!("step {step} was submitted without a Terraform plan")),
        _ => Err("several steps show a Terraform plan: say which step is meant".to_owned()),
    }
}
