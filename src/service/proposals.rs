//! Proposals of grants for requests that people approve again and again. Only grants that somebody
//! could give at this moment are proposed.

use crate::domain::grant::Grant;
use crate::domain::grant::proposal::{self, Proposal};
use crate::domain::risk::level::Level;
use crate::domain::task::Action;
use crate::domain::workflow::today::Today;
use crate::identity::Caller;
use crate::service::grants::{FOR_PEOPLE, WantedGrant};
use crate::service::lists::only_people;
use crate::service::{Service, ServiceError};
use chrono::TimeDelta;
use std::collections::HashMap;
use uuid::Uuid;

/// How many days of approvals are considered.
pub const DAYS: i64 = 30;
/// The most proposals in a list.
const LISTED: usize = 20;
/// The most proposals that are checked to find those that could be given.
const TRIED: usize = 50;

/// The proposals for one person.
#[derive(Debug)]
pub struct Proposals {
    pub proposals: Vec<Proposed>,
    /// The number of equal approvals after which a grant is proposed.
    pub after: u32,
    /// The number of recent requests that were examined.
    pub looked_through: usize,
    /// Whether there were more requests than that.
    pub is_cut: bool,
}

/// One proposal.
#[derive(Debug)]
pub struct Proposed {
    pub proposal: Proposal,
    /// Whether the caller could give it.
    pub may_give: bool,
}

impl Service {
    /// The proposed grants, those with the newest approvals first. Kinds of requests that a grant
    /// covers already are left out.
    ///
    /// # Errors
    /// The caller is an agent, or the database is unavailable.
    pub async fn grant_proposals(&self, by: &Caller) -> Result<Proposals, ServiceError> {
        only_people(by, FOR_PEOPLE)?;
        let limits = &self.engine.configuration.grants;
        let suspended = self.engine.suspensions.refresh().await?;
        let today = Today { policy: &self.engine.configuration.policy, suspended: &suspended, now: self.now() };
        let levels: Vec<Level> = limits.levels.iter().copied().filter(|level| today.has_grants(*level).is_ok()).collect();
        let found = self.engine.storage.past_requests(self.now() - TimeDelta::days(DAYS), limits.propose_after).await?;
        let actions: HashMap<Uuid, Action> = found.past.iter().map(|past| (past.workflow_id, past.task.action.clone())).collect();
        let live = self.engine.storage.live_grants().await?;
        let mut proposals = Vec::new();
        for proposal in proposal::propose(found.past, limits.propose_after, &levels).into_iter().take(TRIED) {
            let is_granted = |grant: &Grant| grant.terms.pattern == proposal.pattern && grant.terms.level >= proposal.level;
            let Some(action) = actions.get(&proposal.like) else { continue };
            if proposals.len() >= LISTED || live.iter().any(is_granted) || !self.could_be_given(by, &proposal, action).await? {
                continue;
            }
            let may_give = today.may_grant(&by.principal(), proposal.level, &proposal.pattern.requester).is_ok();
            proposals.push(Proposed { proposal, may_give });
        }
        Ok(Proposals { proposals, after: limits.propose_after, looked_through: found.looked_through, is_cut: found.is_cut })
    }

    /// Whether a grant like the proposal's request would be the proposed one, bound to what people
    /// approved: by its sealed history, and by the present configuration.
    async fn could_be_given(&self, by: &Caller, proposal: &Proposal, action: &Action) -> Result<bool, ServiceError> {
        let wanted = WantedGrant { like: Some(proposal.like), ..WantedGrant::default() };
        let (pattern, level) = match self.pattern(by, &wanted).await {
            Ok(found) => found,
            Err(error @ (ServiceError::Unavailable(_) | ServiceError::Busy(_) | ServiceError::RateLimited { .. })) => return Err(error),
            // Its history cannot be trusted, or the configuration no longer has its words.
            Err(_) => return Ok(false),
        };
        let is_the_same = pattern == proposal.pattern && level == Some(proposal.level);
        let bound = self.engine.configuration.actions().binding(action);
        Ok(is_the_same && self.bind(&pattern.action).await.is_ok_and(|now| now == bound))
    }
}
