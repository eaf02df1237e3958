//! Grants that are proposed.

use super::Success;
use super::grants::Pattern;
use crate::domain::risk::level::Level;
use crate::service::proposals::{DAYS, Proposals, Proposed};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// Ids that are named of each.
const NAMED: usize = 20;

/// The grants that are proposed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GrantProposalPage)]
pub struct ProposalPage<'a> {
    success: Success,
    /// Those with the newest approvals first; at most 20.
    proposals: Vec<Proposal<'a>>,
    /// After how many equal approvals a grant is proposed.
    after: u32,
    /// Approvals of so many days count.
    days: i64,
    /// How many requests of these days were looked through, the newest.
    looked_through: usize,
    /// Whether there were more than are looked through: then there may be more approvals, and more
    /// that would have been matched.
    is_cut: bool,
}

impl<'a> ProposalPage<'a> {
    /// What is proposed to somebody.
    pub fn of(found: &'a Proposals) -> Self {
        let proposals = found.proposals.iter().map(Proposal::from).collect();
        Self { success: Success, proposals, after: found.after, days: DAYS, looked_through: found.looked_through, is_cut: found.is_cut }
    }
}

/// A grant that somebody could give.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GrantProposal)]
struct Proposal<'a> {
    /// What it would let pass, in a line.
    headline: String,
    pattern: Pattern<'a>,
    /// The highest level that it would let pass.
    level: Level,
    /// The `like` of a `POST /grants` that gives it.
    like: Uuid,
    /// The equal requests that people approved.
    approved: Workflows<'a>,
    /// What else it would have let pass in these days.
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
