//! Withdrawing an approval, while the quorum is still open.

use super::obligations::expires_at;
use super::{Answer, Guard, NO_REASON, decidable, prior_decision};
use crate::domain::policy::{Principal, PrincipalKind};
use crate::domain::workflow::approval;
use crate::domain::workflow::{Event, Refusal, Verdict, Workflow};

/// A person who has approved may withdraw the approval, whatever roles they have today: that is
/// always safe.
pub(super) fn withdraw(workflow: &Workflow, by: &Principal, reason: Option<&str>) -> Result<Answer, Refusal> {
    let round = decidable(workflow)?;
    if by.kind == PrincipalKind::Agent {
        return Err(Refusal::NotAnApprover("an agent never decides, so it has no approval to withdraw".to_owned()));
    }
    if let Some(answer) = prior_decision(workflow, round, by, Verdict::Withdrawn, None)? {
        return Ok(answer);
    }
    let (own, others): (Vec<_>, Vec<_>) = round.approvals.iter().partition(|approval| approval.approver == by.name);
    let Some(own) = own.first() else {
        let detail = "you have not approved this request as it is asked now, so there is nothing to withdraw".to_owned();
        return Err(Refusal::WrongState { current: workflow.status(), detail });
    };
    let remaining = approval::remaining(&round.terms, &others.iter().map(|approval| approval.roles.as_slice()).collect::<Vec<_>>());
    let reason = approval::justification(reason).unwrap_or(NO_REASON).to_owned();
    let event = Event::Withdrawn { round: round.number, roles: own.roles.clone(), reason, remaining };
    Ok(Answer::Commit { events: vec![event], guard: Guard { not_after: expires_at(round), ..Guard::default() } })
}
