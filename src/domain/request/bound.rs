//! The binding of a grant to the actions of the configuration.

use super::Actions;
use crate::domain::grant::binding;
use crate::domain::task::digest::Digest;
use crate::domain::task::{Action, ActionKind};

impl Actions<'_> {
    /// What parkbrake itself would run or call for a request, as a grant binds to it; `None` for
    /// what the requester does itself, and if it cannot be determined.
    pub fn binding(&self, action: &Action) -> Option<Digest> {
        match action.kind {
            ActionKind::External => None,
            ActionKind::Runbook => {
                let unfilled = self.runbooks.get(action.name.as_deref()?)?.unfilled().ok()?;
                Some(binding::of_request(&unfilled, action.runs.as_ref()?))
            }
            ActionKind::Webhook => action.calls.as_ref().map(binding::of_call),
        }
    }
}
