//! Standing grants: a request that would park is released if one of them covers it. The use of the
//! grant is counted in the commit that opens the request.

use super::WorkflowActor;
use crate::actors::protocol::Failure;
use crate::domain::grant::{Asking, Micros};
use crate::domain::request::plan::Admitted;
use crate::domain::workflow::today::Today;
use crate::domain::workflow::{GrantedApproval, commit, transition};
use crate::storage::Opening;

/// The most grants that are tried, in case each has just been used up.
const MOST_TRIED: usize = 8;

impl WorkflowActor {
    /// The approvals by grants of a request that would park, oldest grant first, each with the
    /// amount that it adds to the grant's sum.
    ///
    /// If the grants cannot be read, people are asked: this costs only their time.
    pub(super) async fn passes(&self, opening: &Opening, work: &Admitted) -> Vec<(GrantedApproval, Micros)> {
        let submission = &opening.workflow.submission;
        let asked = opening.workflow.open_round().and(work.document.single()).zip(submission.target.as_ref());
        // A grant covers what a task says, and the task of a tool call describes only one part of
        // the call.
        let may_pass = submission.supersedes.is_none() && submission.claim.is_none();
        let Some((task, target)) = asked.filter(|_| may_pass) else { return Vec::new() };
        let found = async {
            let grants = self.deps.grants.live().await?;
            if grants.iter().all(|grant| grant.terms.pattern.requester != submission.requested_by) {
                return Ok((grants, None));
            }
            Ok((grants, Some(self.deps.suspensions.current().await?)))
        };
        let (grants, suspended) = match found.await {
            Ok((grants, Some(suspended))) => (grants, suspended),
            Ok((_, None)) => return Vec::new(),
            Err::<_, crate::storage::Error>(error) => {
                tracing::warn!(%error, "cannot read the live grants, so people are asked");
                return Vec::new();
            }
        };
        let today = Today { policy: &self.deps.configuration.policy, suspended: &suspended, now: self.deps.clock.now() };
        let binding = self.deps.configuration.actions().binding(&task.action);
        let asking =
            Asking { requester: &submission.requested_by, level: submission.assessment.level, task, target, binding: binding.as_ref() };
        grants.iter().filter_map(|grant| today.pass(grant, &opening.workflow, asking)).take(MOST_TRIED).collect()
    }

    /// The same opening, approved by a grant.
    pub(super) fn passed(&self, parked: &Opening, granted: GrantedApproval, cost: Micros) -> Result<Box<Opening>, Failure> {
        let actor = parked.workflow.submission.requested_by.as_str();
        let mut events = parked.events.clone();
        events.extend(transition::pass(&parked.workflow, granted, self.deps.owner));
        let workflow = commit::follow(self.id, None, &events, actor, parked.via).map_err(|error| Failure::Internal(error.to_string()))?;
        let notices = self.notices(None, &workflow, &events);
        let instead = transition::queued_instead(None, &events);
        let begins = transition::begins(&events).then(|| self.deps.holds.begins(&workflow));
        let opening = Box::new(Opening { workflow, events, begins, notices, granted: Some(cost), ..parked.clone() });
        match instead {
            Some(queued) if self.deps.holds.would_hold(&opening.workflow).is_some() => self.queued(opening, queued),
            _ => Ok(opening),
        }
    }
}
