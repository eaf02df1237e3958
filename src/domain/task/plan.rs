//! Plans: several tasks that are submitted, shown, approved and executed together, in order.

use crate::domain::task::Task;
use crate::domain::task::digest::{self, Digest};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The most steps of a plan.
pub const MOST_STEPS: usize = 50;

/// The most characters in a step's name.
pub const LONGEST_NAME: usize = 63;

/// Whether this can be the name of a step or of an output.
pub fn is_name(text: &str) -> bool {
    text.len() <= LONGEST_NAME
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-')
}

/// A plan as it is stored. Its canonical bytes contain every step in order, so a decision about its
/// digest covers all of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanDocument {
    /// The requester's own name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<String>,
    /// In the requester's words; shown as a claim, never trusted.
    pub description: String,
    /// The requester's metadata for all steps.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
    /// The playbook that made the steps; `None` if the requester sent them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub playbook: Option<Box<PlaybookUse>>,
    /// Whether people approve the whole plan at once or each step. It is not written for the whole
    /// plan.
    #[serde(default, skip_serializing_if = "Gate::is_plan")]
    pub gate: Gate,
    pub steps: Vec<StepDocument>,
}

/// Whether people approve the whole plan at once or each step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Gate {
    /// The whole plan, before anything starts.
    #[default]
    Plan,
    /// Each step separately, when it is next.
    Step,
}

impl Gate {
    /// The gate with this name.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Plan, Self::Step].into_iter().find(|gate| gate.as_str() == word)
    }

    /// The word for it, as in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Step => "step",
        }
    }

    /// Whether the whole is approved at once.
    pub fn is_plan(&self) -> bool {
        *self == Self::Plan
    }
}

/// Identifies one step of exactly this plan.
#[derive(Serialize)]
struct OfStep<'a> {
    plan: &'a Digest,
    step: u32,
}

/// The subject of a decision about one step: the SHA-256 of `{"plan": …, "step": …}` in RFC 8785
/// form, with the digest of the whole plan and the number of the step. So it covers every byte of
/// the step, and is worth nothing for another step or in another plan.
pub fn step_digest(plan: &Digest, step: u32) -> Digest {
    Digest::of(&digest::canonical(&OfStep { plan, step }))
}

/// A playbook and the arguments it was used with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlaybookUse {
    pub name: String,
    /// The digest of the playbook's entry in the configuration.
    pub digest: Digest,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub args: Map<String, Value>,
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepDocument {
    /// The requester's name for the step, which is unique within the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The task that undoes it if a later step fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compensate: Option<Box<Task>>,
    #[serde(flatten)]
    pub task: Task,
}

impl PlanDocument {
    /// The compensations, in the order in which they run, which is the reverse of the order of the
    /// steps. Each has the number of its step. Compensations are numbered after the steps.
    pub fn compensations(&self) -> impl Iterator<Item = (u32, &Task)> {
        let numbered = (1..).zip(&self.steps).collect::<Vec<_>>().into_iter().rev();
        numbered.filter_map(|(number, step)| Some((number, &**step.compensate.as_ref()?)))
    }

    /// The bytes that are shown, hashed, stored and executed (RFC 8785).
    pub fn canonical(&self) -> Vec<u8> {
        digest::canonical(self)
    }
}

/// The document of a workflow: one task, or a plan of several.
#[derive(Debug, Clone, PartialEq)]
pub enum Document {
    Task(Box<Task>),
    Plan(PlanDocument),
}

impl From<Task> for Document {
    fn from(task: Task) -> Self {
        Self::Task(Box::new(task))
    }
}

/// The fields that distinguish a plan from a task.
#[derive(Deserialize)]
struct Shape {
    #[serde(default)]
    steps: Option<IgnoredAny>,
}

impl Document {
    /// Parses a stored document.
    ///
    /// # Errors
    /// It is neither a task nor a plan.
    pub fn read(bytes: &[u8]) -> serde_json::Result<Self> {
        let Shape { steps } = serde_json::from_slice(bytes)?;
        if steps.is_some() { serde_json::from_slice(bytes).map(Self::Plan) } else { serde_json::from_slice::<Task>(bytes).map(Self::from) }
    }

    /// The bytes that are shown, hashed, stored and executed (RFC 8785).
    pub fn canonical(&self) -> Vec<u8> {
        match self {
            Self::Task(task) => task.canonical(),
            Self::Plan(plan) => plan.canonical(),
        }
    }

    /// The digest of the canonical bytes.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.canonical())
    }

    /// The requester's own name for it.
    pub fn task_id(&self) -> Option<&str> {
        match self {
            Self::Task(task) => task.task_id.as_deref(),
            Self::Plan(plan) => plan.task_id.as_deref(),
        }
    }

    /// The requester's words.
    pub fn description(&self) -> &str {
        match self {
            Self::Task(task) => &task.description,
            Self::Plan(plan) => &plan.description,
        }
    }

    /// The task, if the document is not a plan.
    pub fn single(&self) -> Option<&Task> {
        match self {
            Self::Task(task) => Some(task),
            Self::Plan(_) => None,
        }
    }

    /// The steps in order, each with its name if it has one; then the compensations.
    pub fn steps(&self) -> Vec<(Option<&str>, &Task)> {
        match self {
            Self::Task(task) => vec![(None, task)],
            Self::Plan(plan) => {
                let steps = plan.steps.iter().map(|step| (step.name.as_deref(), &step.task));
                steps.chain(plan.compensations().map(|(_, task)| (None, task))).collect()
            }
        }
    }

    /// The task of a step, counted from 1.
    pub fn task(&self, step: u32) -> Option<&Task> {
        let index = usize::try_from(step).ok()?.checked_sub(1)?;
        match self {
            Self::Task(task) => (index == 0).then_some(&**task),
            Self::Plan(plan) => match plan.steps.get(index) {
                Some(step) => Some(&step.task),
                None => plan.compensations().nth(index - plan.steps.len()).map(|(_, task)| task),
            },
        }
    }

    /// The task of a step, mutable.
    pub fn task_mut(&mut self, step: u32) -> Option<&mut Task> {
        let index = usize::try_from(step).ok()?.checked_sub(1)?;
        let plan = match self {
            Self::Task(task) => return (index == 0).then_some(&mut **task),
            Self::Plan(plan) => plan,
        };
        let count = plan.steps.len();
        if index < count {
            return plan.steps.get_mut(index).map(|step| &mut step.task);
        }
        let of = plan.compensations().nth(index - count).map(|(of, _)| of)?;
        plan.steps.get_mut(usize::try_from(of).ok()?.checked_sub(1)?)?.compensate.as_deref_mut()
    }

    /// The sum of the requester's cost estimates; `None` if there are none.
    pub fn estimated_cost(&self) -> Option<f64> {
        self.steps().into_iter().filter_map(|(_, task)| task.estimated_cost).reduce(|sum, cost| sum + cost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn plan() -> Value {
        json!({
            "description": "release", "task_id": "T", "metadata": {"ticket": 7},
            "steps": [
                {"name": "backup", "description": "d", "operation": "read", "estimated_cost": 2.5, "action": {"type": "external"}},
                {"description": "d", "operation": "deploy", "estimated_cost": 4.0, "action": {"type": "runbook", "name": "deploy", "args": {"b": 1, "a": "x"}}}
            ]
        })
    }

    #[test]
    fn plans_and_tasks_are_distinguished_and_keep_their_bytes() {
        let bytes = digest::canonical(&plan());
        let read = Document::read(&bytes).unwrap();
        assert_eq!(read.canonical(), bytes, "what was read is written as it was");
        assert_eq!(read.digest(), Digest::of(&bytes));
        let names: Vec<_> = read.steps().into_iter().map(|(name, task)| (name, task.operation.as_str())).collect();
        assert_eq!(names, [(Some("backup"), "read"), (None, "deploy")]);
        assert_eq!(read.task(2).unwrap().operation, "deploy");
        assert_eq!((read.task(0), read.task(3), read.single()), (None, None, None));
        assert_eq!((read.task_id(), read.description(), read.estimated_cost()), (Some("T"), "release", Some(6.5)));

        let task = digest::canonical(&plan()["steps"][1]);
        let read = Document::read(&task).unwrap();
        assert_eq!(read.canonical(), task);
        assert_eq!(read.single(), read.task(1));
        assert!(Document::read(b"{}").is_err() && Document::read(br#"{"description":"d","steps":7}"#).is_err());
    }

    #[test]
    fn the_digest_of_a_step_is_that_of_no_other_step_and_of_no_other_plan() {
        let plan = Digest::of(b"plan");
        assert_eq!(step_digest(&plan, 2), Digest::of(format!(r#"{{"plan":"{plan}","step":2}}"#).as_bytes()));
        assert_ne!(step_digest(&plan, 2), step_digest(&plan, 1));
        assert_ne!(step_digest(&plan, 2), step_digest(&Digest::of(b"other"), 2));
    }

    #[test]
    fn a_plan_that_is_approved_as_one_has_the_bytes_that_it_always_had() {
        let mut value = plan();
        let Document::Plan(whole) = Document::read(&digest::canonical(&value)).unwrap() else { panic!("a plan") };
        assert_eq!(whole.gate, Gate::Plan);
        assert!(!String::from_utf8(whole.canonical()).unwrap().contains("gate"));
        value["gate"] = json!("step");
        let stepwise = Document::read(&digest::canonical(&value)).unwrap();
        assert_eq!(stepwise.canonical(), digest::canonical(&value));
        assert_ne!(stepwise.digest(), Digest::of(&whole.canonical()), "the gate is part of what is approved");
        value["gate"] = json!("none");
        assert!(Document::read(&digest::canonical(&value)).is_err());
    }

    #[test]
    fn compensations_are_numbered_after_the_steps_in_reverse() {
        let mut value = plan();
        for (index, operation) in [(0, "delete"), (1, "restart")] {
            value["steps"][index]["compensate"] = json!({"description": "d", "operation": operation, "action": {"type": "external"}});
        }
        let read = Document::read(&digest::canonical(&value)).unwrap();
        assert_eq!(read.canonical(), digest::canonical(&value));
        let tasks: Vec<_> = (1..=5).map(|step| read.task(step).map(|task| task.operation.as_str())).collect();
        assert_eq!(tasks, [Some("read"), Some("deploy"), Some("restart"), Some("delete"), None]);
        assert_eq!(read.steps().len(), 4);
    }

    #[test]
    fn the_digest_of_a_plan_covers_every_step_and_their_order() {
        let whole = Document::read(&digest::canonical(&plan())).unwrap().digest();
        let mut other = plan();
        other["steps"].as_array_mut().unwrap().swap(0, 1);
        assert_ne!(Document::read(&digest::canonical(&other)).unwrap().digest(), whole);
        let mut other = plan();
        other["steps"][1]["action"]["args"]["b"] = json!(2);
        assert_ne!(Document::read(&digest::canonical(&other)).unwrap().digest(), whole);
    }
}
