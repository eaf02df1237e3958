//! Exceptions from a freeze: a further decision about a released action, by somebody with a role
//! that the freeze names.

use super::{Answer, Guard, same_digest_as};
use crate::domain::hold::Freeze;
use crate::domain::policy::{Principal, Role};
use crate::domain::workflow::approval;
use crate::domain::workflow::{Decision, Event, FreezeException, Refusal, Verdict, Workflow};
use chrono::{DateTime, Utc};

/// Decides an exception from a freeze that holds a workflow. `until` is when the freeze ends;
/// `None` if it does not hold the workflow now.
pub(super) fn except(
    workflow: &Workflow,
    by: &Principal,
    freeze: &Freeze,
    until: Option<DateTime<Utc>>,
    justification: Option<&str>,
    digest: Option<&str>,
) -> Result<Answer, Refusal> {
    let roles = roles_of(by, freeze)?;
    let wrong = |detail: String| Err(Refusal::WrongState { current: workflow.status(), detail });
    let name = &freeze.name;
    let given = |exception: &&FreezeException| exception.freeze == *name && exception.approver == by.name && until == Some(exception.until);
    if let Some(before) = workflow.exceptions.iter().find(|exception| given(&&exception.given)) {
        return Ok(Answer::Repeat(before.as_decision(workflow)));
    }
    if workflow.queued().is_none() {
        return wrong(format!("only what is released and has not started is held by the freeze {name}"));
    }
    let Some(until) = until else { return wrong(format!("the freeze {name} does not hold it now")) };
    let round = workflow.round();
    same_digest_as(workflow.document(), digest, round.is_some_and(|round| round.terms.require_digest))?;
    let justification = approval::justification(justification).ok_or(Refusal::JustificationRequired)?.to_owned();
    let exception = FreezeException {
        freeze: name.clone(),
        until,
        approver: by.name.clone(),
        roles,
        digest: workflow.document().clone(),
        justification,
    };
    // The guard keeps it from being written for a period that has ended by the database's clock.
    Ok(Answer::Commit { events: vec![Event::FreezeExcepted(exception)], guard: Guard { not_after: Some(until), ..Guard::default() } })
}

/// The roles by which a principal may approve an exception.
fn roles_of(by: &Principal, freeze: &Freeze) -> Result<Vec<Role>, Refusal> {
    let name = &freeze.name;
    if freeze.exception.is_empty() {
        return Err(Refusal::NotAnApprover(format!("the freeze {name} has no exceptions")));
    }
    approval::roles_of(by, &format!("an exception from the freeze {name}"), &freeze.exception.iter().collect::<Vec<_>>())
}

/// An exception in the state of a workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exception {
    pub given: FreezeException,
    pub at: DateTime<Utc>,
    /// The way in by which it came.
    pub via: crate::domain::via::Via,
}

impl Exception {
    /// The answer to the person who gave it.
    pub fn as_decision(&self, workflow: &Workflow) -> Decision {
        let FreezeException { approver, roles, justification, .. } = self.given.clone();
        Decision {
            round: workflow.round().map_or(0, |round| round.number),
            approver,
            roles,
            verdict: Verdict::Approved,
            justification: Some(justification),
            remaining: 0,
            at: self.at,
            via: self.via,
            grant: None,
            break_glass: false,
            cover: Vec::new(),
        }
    }
}
