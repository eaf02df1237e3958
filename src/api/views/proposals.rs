//! Proposed grants.

use super::Success;
use super::grants::Pattern;
use crate::domain::risk::level::Level;
use crate::service::proposals::{DAYS, Proposals, Proposed};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// The most ids in each list.
const NAMED: usize = 20;

/// The proposed grants.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GrantProposalPage)]
pub struct ProposalPage<'a> {
    success: Success,
    /// Those with the newest approvals first; at most 20.
    proposals: Vec<Proposal<'a>>,
    /// The number of equal approvals after which a grant is proposed.
    after: u32,
    /// The number of days whose approvals count.
    days: i64,
    /// How many requests of these days were examined, the newest first.
    looked_through: usize,
    /// Whether there were more requests than are examined: then there may be more approvals, and
    /// more other requests that a grant would have matched.
    is_cut: bool,
}

impl<'a> ProposalPage<'a> {
    /// The page for these proposals.
    pub fn of(found: &'a Proposals) -> Self {
        let proposals = found.proposals.iter().map(Proposal::from).collect();
        Self { success: Success, proposals, after: found.after, days: DAYS, looked_through: found.looked_through, is_cut: found.is_cut }
    }
}

/// A grant that somebody could give.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GrantProposal)]
struct Proposal<'a> {
    /// What it would release, in one line.
    headline: String,
    pattern: Pattern<'a>,
    /// The highest level that it would release.
    level: Level,
    /// The `like` of a `POST /grants` that gives it.
    like: Uuid,
    /// The equal requests that people approved.
    approved: Workflows<'a>,
    /// The other requests that it would have released in these days.
    others: Workflows<'a>,
    /// Whether you could give it: somebody else may have to, because of your roles or because you
    /// are on the requester's side.
    may_give: bool,
}

/// Some workflows.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GrantProposalWorkflows)]
struct Workflows<'a> {
    count: usize,
    /// The newest of them; at most 20.
    workflow_ids: &'a [Uuid],
}

impl<'a> From<&'a Vec<Uuid>> for Workflows<'a> {
    fn from(ids: &'a Vec<Uuid>) -> Self {
        Self { count: ids.len(), workflow_ids: ids.get(..NAMED).unwrap_or(ids) }
    }
}

impl<'a> From<&'a Proposed> for Proposal<'a> {
    fn from(Proposed { proposal, may_give }: &'a Proposed) -> Self {
        Self {
            headline: proposal.pattern.headline(),
            pattern: (&proposal.pattern).into(),
            level: proposal.level,
            like: proposal.like,
            approved: (&proposal.approved).into(),
            others: (&proposal.others).into(),
            may_give: *may_give,
        }
    }
}
