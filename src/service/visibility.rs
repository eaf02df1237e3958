//! Who sees which workflows.

use crate::domain::policy::{Principal, PrincipalKind};
use crate::domain::workflow::Workflow;
use crate::storage::{Decider, Visible};

/// Whether the caller may see a workflow.
pub fn may_see(by: &Principal, workflow: &Workflow) -> bool {
    by.may_see(&workflow.submission.requested_by, workflow.submission.on_behalf_of.as_deref())
}

/// What an agent is limited to; people see everything.
pub fn visible(by: &Principal) -> Option<Visible> {
    (by.kind == PrincipalKind::Agent).then(|| Visible { agent: by.name.clone(), on_behalf_of: by.on_behalf_of.clone() })
}

/// Who asks for what they may decide. An agent has no roles, and so decides nothing.
pub fn decider(by: &Principal) -> Decider {
    Decider { name: by.name.clone(), roles: by.roles.iter().cloned().collect() }
}
