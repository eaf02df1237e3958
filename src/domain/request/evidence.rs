//! Evidence in a request: a whole plan, which is read and dropped at once, or the summary that the
//! sender made of it.

use super::Fault;
use crate::domain::task::digest::Digest;
use crate::domain::task::evidence::{Evidence, Fingerprint, TerraformPlan};
use crate::domain::task::terraform::{self, Plan, Summary};
use serde::Deserialize;
use serde_json::{Value, json};

/// The field of a task with the evidence.
pub const FIELD: &str = "evidence";
/// The only kind of evidence.
const TERRAFORM_PLAN: &str = "terraform_plan";
/// The most characters in the name of a workspace.
const LONGEST_WORKSPACE: usize = 128;

/// Evidence after [`reduce`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvidenceRequest {
    r#type: String,
    #[serde(default)]
    summary: Option<Box<Summary>>,
    #[serde(default)]
    contents: Option<Contents>,
}

/// The digest of everything that a plan would do. It is never shown, because secrets could be
/// guessed from it.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
struct Contents(String);

impl std::fmt::Debug for Contents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(hidden)")
    }
}

/// Replaces a whole plan in a task by its summary, before anything else is done with the task. An
/// unreadable plan is removed.
pub fn reduce(task: &mut Value, at: &str, faults: &mut Vec<Fault>) {
    let Some(evidence) = task.get_mut(FIELD).and_then(Value::as_object_mut) else { return };
    let Some(plan) = evidence.remove("plan") else { return };
    if evidence.get("type").and_then(Value::as_str) != Some(TERRAFORM_PLAN) {
        return;
    }
    let mut wrong = |pointer: &str, detail: String| faults.push(Fault::new(format!("{at}/{FIELD}{pointer}"), detail));
    let workspace = match evidence.remove("workspace") {
        None | Some(Value::Null) => None,
        Some(Value::String(name)) => Some(name),
        Some(_) => return wrong("/workspace", "has to be a text".to_owned()),
    };
    if let Some(field) = evidence.keys().find(|field| *field != "type") {
        return wrong(
            "",
            format!(
                "holds a `plan` and `{}`: send a plan with its type and its workspace, or its summary",
                crate::domain::text::shown(field)
            ),
        );
    }
    match terraform::read(&plan, workspace) {
        Ok(plan) => evidence.extend(of_plan(&plan)),
        Err(unreadable) => wrong(&format!("/plan{}", unreadable.pointer), unreadable.detail),
    }
}

/// A plan as evidence, without the plan.
pub fn of_plan(plan: &Plan) -> serde_json::Map<String, Value> {
    let fields = json!({"type": TERRAFORM_PLAN, "summary": plan.summary, "contents": plan.contents});
    fields.as_object().cloned().unwrap_or_default()
}

/// The same task without the digest that secrets could be guessed from.
#[must_use]
pub fn without_contents(mut task: Value) -> Value {
    let evidence = task.get_mut(FIELD).and_then(Value::as_object_mut);
    evidence.map(|evidence| evidence.remove("contents"));
    task
}

impl EvidenceRequest {
    /// The evidence of a task. Its fingerprint still has to be sealed.
    ///
    /// # Errors
    /// The fault of the evidence.
    pub fn admit(self) -> Result<Evidence, Fault> {
        let Plan { summary, contents } = self.plan()?;
        Ok(Evidence::TerraformPlan(TerraformPlan { fingerprint: Fingerprint::Bare(contents), summary }))
    }

    /// The plan of the evidence.
    ///
    /// # Errors
    /// The fault of the evidence.
    pub fn plan(self) -> Result<Plan, Fault> {
        let wrong = |pointer: &str, detail: &str| Err(Fault::new(format!("/{FIELD}{pointer}"), detail));
        if self.r#type != TERRAFORM_PLAN {
            return wrong("/type", "has to be `terraform_plan`, the only kind of evidence that there is");
        }
        let (Some(summary), Some(Contents(contents))) = (self.summary, self.contents) else {
            return wrong(
                "",
                "needs a `plan`, as `terraform show -json` writes it; or the `summary` and the `contents` of one, as `parkbrake submit --terraform-plan` sends them",
            );
        };
        let Some(contents) = Digest::parse(&contents) else {
            return wrong("/contents", "has to be a digest: `sha256:` and 64 hexadecimal digits");
        };
        if let Some(workspace) = &summary.workspace
            && (workspace.is_empty() || workspace.len() > LONGEST_WORKSPACE || !workspace.bytes().all(|byte| byte.is_ascii_graphic()))
        {
            return wrong("/workspace", "has to be 1 to 128 visible ASCII characters");
        }
        summary.check().map_err(|(pointer, detail)| Fault::new(format!("/{FIELD}/summary{pointer}"), detail))?;
        Ok(Plan { summary: *summary, contents })
    }
}
