//! Whether a standing grant approves one request: it does if its giver could approve this very
//! request at this moment, alone.

use crate::domain::grant::{Asking, Grant, Micros};
use crate::domain::policy::{ApprovalTerms, Principal, PrincipalKind, Role};
use crate::domain::risk::level::Level;
use crate::domain::workflow::approval;
use crate::domain::workflow::today::Today;
use crate::domain::workflow::{Approval, GrantedApproval, Refusal, Verdict, Workflow};

/// Why a level allows no grants, whoever gives them.
fn has_none(level: Level, terms: &ApprovalTerms) -> Option<String> {
    if level == Level::Critical {
        return Some("critical requests are never granted: people decide each one".to_owned());
    }
    if terms.required > 1 {
        let required = terms.required;
        return Some(format!(
            "{level} risk needs the approval of {required} people, and a grant is given by one: each request is decided by itself"
        ));
    }
    terms.require_digest.then(|| {
        format!("at {level} risk an approval has to name the digest of what was read, which nobody can do in advance: people decide each request")
    })
}

impl Today<'_> {
    /// Whether this level allows grants.
    ///
    /// # Errors
    /// `NotPermitted`, with the reason.
    pub fn has_grants(self, level: Level) -> Result<(), Refusal> {
        let policy = self.policy.level(level);
        if policy.auto_approve {
            return Err(Refusal::NotPermitted(format!("{level} risk needs no approval, so there is nothing to grant")));
        }
        has_none(level, &policy.terms).map_or(Ok(()), |reason| Err(Refusal::NotPermitted(reason)))
    }

    /// Whether a principal may give a grant at this level to this requester, and by which roles:
    /// the principal could approve such requests alone.
    ///
    /// # Errors
    /// `NotPermitted` if the level allows no grants; otherwise as for an approval.
    pub fn may_grant(self, by: &Principal, level: Level, requester: &str) -> Result<Vec<Role>, Refusal> {
        let policy = self.policy.level(level);
        self.has_grants(level)?;
        if by.kind != PrincipalKind::Person {
            return Err(Refusal::NotAnApprover("only people give grants; an agent never decides".to_owned()));
        }
        if let Err(barred) = self.principal(&by.name) {
            return Err(Refusal::NotPermitted(format!("{} is {}", by.name, barred.as_str())));
        }
        if policy.terms.separation_of_duties {
            let person = self.policy.agents().get(requester).and_then(|agent| agent.on_behalf_of.as_deref());
            self.separate_from(requester, person, &by.name).map_err(|_| {
                let name = &by.name;
                Refusal::SelfApproval(format!(
                    "{name} is on the side of {requester}: somebody else has to give a grant for what {requester} asks"
                ))
            })?;
        }
        let roles = approval::roles_of(by, "this grant", &policy.terms.approvers.iter().collect::<Vec<_>>())?;
        // A grant is an approval in advance.
        self.has_signed_in_recently(level, by)?;
        Ok(roles)
    }

    /// A grant's approval of a newly opened request, and the amount that the request adds to the
    /// grant's sum; `None` if the grant does not cover the request, or its giver could not approve
    /// it now, alone.
    pub fn pass(self, grant: &Grant, opened: &Workflow, asking: Asking<'_>) -> Option<(GrantedApproval, Micros)> {
        let round = opened.open_round()?;
        let submission = &opened.submission;
        let cost = grant.terms.cover(asking)?;
        if submission.is_plan() || has_none(submission.assessment.level, &round.terms).is_some() {
            return None;
        }
        let giver = self.principal(&grant.given_by).ok()?;
        let roles = self.may_decide(submission, round, &giver, Verdict::Approved).ok()?;
        // A giver whose roles have changed answers only for the roles that the grant was given by.
        let roles: Vec<Role> = roles.into_iter().filter(|role| grant.roles.contains(role)).collect();
        let is_enough = !roles.is_empty() && approval::remaining(&round.terms, &[&roles]) == 0;
        is_enough.then(|| {
            let (digest, justification) = (round.subject.clone(), grant.justification.clone());
            (GrantedApproval { round: round.number, grant: grant.id, approver: grant.given_by.clone(), roles, digest, justification }, cost)
        })
    }
}

impl GrantedApproval {
    /// The approval that it represents.
    pub(super) fn as_approval(&self) -> Approval {
        let Self { round, approver, roles, digest, justification, .. } = self.clone();
        Approval {
            round,
            approver,
            roles,
            digest,
            justification: Some(justification),
            remaining: 0,
            by_groups: Vec::new(),
            cover: Vec::new(),
        }
    }
}
