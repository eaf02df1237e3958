//! The end of an outcome that nobody knew, and of an external action that nobody reports.

use super::{Answer, Guard, STEP, start};
use crate::domain::approval;
use crate::domain::policy::{Principal, PrincipalKind, Role, roles};
use crate::domain::task::ActionKind;
use crate::domain::workflow::{Attempt, Event, Phase, Refusal, Resolution, Workflow};
use chrono::{DateTime, TimeDelta, Utc};
use std::time::Duration;
use uuid::Uuid;

/// How long the requester of an external action has to report, where nothing else was said.
pub const REPORT_WITHIN: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) fn resolve(
    workflow: &Workflow,
    by: &Principal,
    outcome: Resolution,
    justification: Option<&str>,
    owner: Uuid,
    deciders: &[Role],
) -> Result<Answer, Refusal> {
    let roles = may_resolve(workflow, by, deciders)?;
    let Phase::OutcomeUnknown { attempt, .. } = workflow.phase else {
        return match &workflow.resolved {
            Some((_, said, who)) if (*said, who) == (outcome, &by.name) => Ok(Answer::Nothing),
            Some((_, said, who)) => Err(wrong(workflow, &format!("{who} has resolved it already, as {}", said.as_str()))),
            None => Err(wrong(workflow, "only an unknown outcome can be resolved")),
        };
    };
    let justification = approval::justification(justification).ok_or(Refusal::JustificationRequired)?.to_owned();
    let mut events = vec![Event::Resolved { step: STEP, attempt, outcome, roles, justification }];
    if outcome == Resolution::Retry {
        events.push(start::release(workflow.submission.action, attempt + 1, owner));
    }
    Ok(Answer::Commit { events, guard: Guard::default() })
}

/// Whether this principal may resolve, and by which roles: who may approve at its level, or an admin; under separation of duties
/// neither the requester nor the person that it acts for.
fn may_resolve(workflow: &Workflow, by: &Principal, deciders: &[Role]) -> Result<Vec<Role>, Refusal> {
    let round = workflow.round();
    if round.is_none_or(|round| round.terms.separation_of_duties) {
        approval::separate(&workflow.submission, by)?;
    }
    let entitled = round.map_or_else(|| deciders.iter().collect(), approval::entitled_roles);
    let held = by.roles.iter().filter(|role| entitled.contains(role) || *role == roles::ADMIN).cloned().collect::<Vec<_>>();
    if by.kind != PrincipalKind::Person || held.is_empty() {
        let asked = entitled.into_iter().map(String::as_str).chain([roles::ADMIN]).collect::<Vec<_>>().join(", ");
        return Err(Refusal::NotAnApprover(format!("an unknown outcome is resolved by people with one of the roles: {asked}")));
    }
    Ok(held)
}

fn wrong(workflow: &Workflow, detail: &str) -> Refusal {
    Refusal::WrongState { current: workflow.status(), detail: detail.to_owned() }
}

impl Resolution {
    /// The word for it, as it is written and stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Retry => "retry",
        }
    }
}

/// When the requester of an external action is asked to report, or, if it was, when nobody knows any more how it went.
pub fn report_deadline(workflow: &Workflow) -> Option<DateTime<Utc>> {
    match &workflow.phase {
        Phase::Executing { attempt, .. } if workflow.submission.action == ActionKind::External => Some(deadline(workflow, attempt)),
        _ => None,
    }
}

fn deadline(workflow: &Workflow, attempt: &Attempt) -> DateTime<Utc> {
    let within = workflow.submission.report_within.unwrap_or(REPORT_WITHIN);
    let from = attempt.report_asked_at.unwrap_or(attempt.started_at);
    TimeDelta::from_std(within).ok().and_then(|within| from.checked_add_signed(within)).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// The requester is asked once; after as long again, nobody knows.
pub(super) fn tick(workflow: &Workflow, attempt: &Attempt, now: DateTime<Utc>) -> Answer {
    let due = deadline(workflow, attempt);
    if workflow.submission.action != ActionKind::External || due > now {
        return Answer::Nothing;
    }
    let event = match attempt.report_asked_at {
        None => Event::ReportRequested { step: STEP, attempt: attempt.number },
        Some(_) => Event::OutcomeUnknown {
            step: STEP,
            attempt: attempt.number,
            reason: "the requester has not reported how the action went, although it was asked to: find out what it did".to_owned(),
        },
    };
    Answer::Commit { events: vec![event], guard: Guard { not_before: Some(due), ..Guard::default() } }
}
