//! Breaking the glass: in an emergency one person releases an action alone, and somebody else
//! reviews it afterwards.
//!
//! It replaces the quorum and the roles, and nothing else: it names the digest of what was read,
//! needs a justification, and is not allowed for one's own request. The commit checks whether the
//! same person has an open review elsewhere.

use super::obligations::expires_at;
use super::start;
use super::{Answer, Guard, decidable, same_digest, undecided};
use crate::domain::policy::{Principal, PrincipalKind, Role, roles};
use crate::domain::workflow::approval;
use crate::domain::workflow::{Event, GlassBroken, Refusal, Workflow};
use uuid::Uuid;

pub(super) fn break_glass(
    workflow: &Workflow,
    by: &Principal,
    justification: Option<&str>,
    digest: Option<&str>,
    held: &[Role],
    owner: Uuid,
) -> Result<Answer, Refusal> {
    let round = decidable(workflow)?;
    if by.kind != PrincipalKind::Person || held.is_empty() {
        let level = workflow.submission.level_of(round.step);
        return Err(Refusal::NotAnApprover(format!(
            "you have no role that may break the glass at {level} risk: see `break_glass` in the policies"
        )));
    }
    approval::separate(&workflow.submission, by)?;
    let is_own = |digest: &str| digest == round.subject.as_str();
    let before =
        workflow.decisions.iter().rfind(|decision| decision.break_glass && decision.approver == by.name && decision.round == round.number);
    if let Some(before) = before.filter(|_| digest.is_none_or(is_own)) {
        return Ok(Answer::Repeat(before.clone()));
    }
    undecided(workflow)?;
    same_digest(round, digest, true)?;
    let justification = approval::justification(justification).ok_or(Refusal::JustificationRequired)?.to_owned();
    if workflow.open_review().is_some() {
        let detail = "the glass was broken for it before, and nobody has reviewed that yet".to_owned();
        return Err(Refusal::WrongState { current: workflow.status(), detail });
    }
    let given: Vec<&[Role]> = round.approvals.iter().map(|approval| approval.roles.as_slice()).collect();
    let broken = GlassBroken {
        round: round.number,
        approver: by.name.clone(),
        roles: held.to_vec(),
        digest: round.subject.clone(),
        justification,
        missing: approval::remaining(&round.terms, &given),
    };
    let events = [Event::GlassBroken(broken)].into_iter().chain(start::release_next(workflow, owner)).collect();
    Ok(Answer::Commit { events, guard: Guard { not_after: expires_at(round), ..Guard::default() } })
}

/// Another person closes the review. This is possible in every state of the workflow.
pub(super) fn review(workflow: &Workflow, by: &Principal, finding: Option<&str>, deciders: &[Role]) -> Result<Answer, Refusal> {
    let wrong = |detail: String| Err(Refusal::WrongState { current: workflow.status(), detail });
    let Some(review) = workflow.reviews.last() else {
        return wrong("nobody has broken the glass for it, so there is nothing to review".to_owned());
    };
    if review.broken_by == by.name {
        return Err(Refusal::SelfApproval(format!("{} broke the glass; somebody else has to review that", by.name)));
    }
    approval::separate(&workflow.submission, by)?;
    let others = [roles::ADMIN, roles::AUDITOR].map(str::to_owned);
    let others = others.iter().filter(|role| !deciders.contains(role));
    let held = approval::roles_of(by, "reviewing broken glass", &deciders.iter().chain(others).collect::<Vec<_>>())?;
    if let Some(closed) = &review.closed {
        return if closed.by == by.name { Ok(Answer::Nothing) } else { wrong(format!("{} has already closed the review", closed.by)) };
    }
    let finding = approval::justification(finding).ok_or(Refusal::JustificationRequired)?.to_owned();
    let event = Event::Reviewed { broken_by: review.broken_by.clone(), roles: held, finding };
    Ok(Answer::Commit { events: vec![event], guard: Guard::default() })
}
