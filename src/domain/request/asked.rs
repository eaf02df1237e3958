//! The request of a submit: one task, a plan of several, or an intent that a playbook turns into a
//! plan.

use super::plan::{Admitted, PlanRequest};
use super::playbook::PlaybookRequest;
use super::{Actions, Fault, TaskRequest};
use crate::domain::policy::PrincipalKind;
use uuid::Uuid;

/// The request of a submit.
#[derive(Debug, Clone)]
pub enum Request {
    Task(Box<TaskRequest>),
    Plan(PlanRequest),
    Playbook(PlaybookRequest),
}

impl From<TaskRequest> for Request {
    fn from(task: TaskRequest) -> Self {
        Self::Task(Box::new(task))
    }
}

impl Request {
    /// The workflow that it supersedes.
    pub fn supersedes(&self) -> Option<Uuid> {
        match self {
            Self::Task(task) => task.supersedes,
            Self::Plan(plan) => plan.supersedes,
            Self::Playbook(intent) => intent.supersedes,
        }
    }

    /// The work, and the facts known about it besides the claim, with each runbook resolved to the
    /// command that would run.
    ///
    /// # Errors
    /// Every fault of the request.
    pub fn admit(self, actions: Actions<'_>, by: PrincipalKind) -> Result<Admitted, Vec<Fault>> {
        match self {
            Self::Task(task) => task.admit(actions, by).map(Admitted::from),
            Self::Plan(plan) => plan.admit(actions, by),
            Self::Playbook(intent) => intent.admit(actions, by),
        }
    }
}
