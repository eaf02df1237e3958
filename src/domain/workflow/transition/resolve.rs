//! Resolving unknown outcomes, and external actions that nobody reports.

use super::obligations::report_by;
use super::{Answer, Guard, start};
use crate::domain::policy::{Principal, Role, roles};
use crate::domain::task::ActionKind;
use crate::domain::workflow::approval;
use crate::domain::workflow::{AttemptId, Event, Refusal, Resolution, Round, Workflow};
use chrono::{DateTime, Utc};
use uuid::Uuid;

pub(super) fn resolve(
    workflow: &Workflow,
    by: &Principal,
    outcome: Resolution,
    justification: Option<&str>,
    owner: Uuid,
    deciders: &[Role],
) -> Result<Answer, Refusal> {
    let unknown = workflow.numbered_steps().find_map(|(step, _, state)| Some(AttemptId { step, number: state.unknown()?.number }));
    let round = unknown.map_or_else(|| workflow.round(), |id| workflow.round_of(id.step));
    let roles = may_resolve(workflow, round, by, deciders)?;
    let Some(id) = unknown else {
        return match last_resolved(workflow) {
            Some((said, who)) if (said, who) == (outcome, by.name.as_str()) => Ok(Answer::Nothing),
            Some((said, who)) => Err(wrong(workflow, &format!("{who} has already resolved it, as {}", said.as_str()))),
            None => Err(wrong(workflow, "only an unknown outcome can be resolved")),
        };
    };
    if outcome == Resolution::Retry && workflow.step(id.step).is_some_and(|step| step.cancel_requested().is_some()) {
        let detail =
            "it was cancelled, so it cannot run again: resolve it as succeeded or failed, and submit the task again if you still want it";
        return Err(wrong(workflow, detail));
    }
    let justification = approval::justification(justification).ok_or(Refusal::JustificationRequired)?.to_owned();
    let resolved = Event::Resolved { step: id.step, attempt: id.number, outcome, roles, justification };
    let mut events = start::and_then(workflow, id, resolved);
    if outcome == Resolution::Retry {
        events.push(start::release(&workflow.plan, id.next(), owner));
    }
    Ok(Answer::Commit { events, guard: Guard::default() })
}

/// How the last unknown outcome was resolved, and by whom.
fn last_resolved(workflow: &Workflow) -> Option<(Resolution, &str)> {
    let attempts = workflow.steps.iter().rev().flat_map(|step| step.attempts.iter().rev());
    attempts.filter_map(|attempt| attempt.resolved.as_ref()).map(|(resolution, who)| (*resolution, who.as_str())).next()
}

/// Whether this principal may resolve, and by which roles: people who may approve at its level, and
/// admins; with separation of duties neither the requester nor the person it acts for.
fn may_resolve(workflow: &Workflow, round: Option<&Round>, by: &Principal, deciders: &[Role]) -> Result<Vec<Role>, Refusal> {
    if round.is_none_or(|round| round.terms.separation_of_duties) {
        approval::separate(&workflow.submission, by)?;
    }
    let admin = roles::ADMIN.to_owned();
    let mut entitled = round.map_or_else(|| deciders.iter().collect(), approval::entitled_roles);
    if !entitled.contains(&&admin) {
        entitled.push(&admin);
    }
    approval::roles_of(by, "resolving an unknown outcome", &entitled)
}

fn wrong(workflow: &Workflow, detail: &str) -> Refusal {
    Refusal::WrongState { current: workflow.status(), detail: detail.to_owned() }
}

impl Resolution {
    /// Every one of them.
    pub const ALL: [Self; 3] = [Self::Succeeded, Self::Failed, Self::Retry];

    /// The word for it, as it is written and stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Retry => "retry",
        }
    }
}

/// Releases attempts whose pause is over. The requester of an external action is asked to report
/// once; after the same time again, the outcome is unknown.
pub(super) fn tick(workflow: &Workflow, now: DateTime<Utc>) -> Answer {
    if let Some((AttemptId { step, number: attempt }, due)) = workflow.resting() {
        let guard = Guard { not_before: Some(due), ..Guard::default() };
        return if due <= now { Answer::Commit { events: vec![Event::Released { step, attempt }], guard } } else { Answer::Nothing };
    }
    let external = workflow.numbered_steps().filter(|(_, step, _)| step.action == ActionKind::External);
    let due = external.filter_map(|(number, step, state)| {
        let attempt = state.running()?;
        let due = report_by(step, attempt);
        let (step, asked, attempt) = (number, attempt.report_asked_at, attempt.number);
        let event = match asked {
            None => Event::ReportRequested { step, attempt },
            Some(_) => Event::OutcomeUnknown {
                step,
                attempt,
                reason: "the requester has not reported how the action went, although it was asked to: find out what it did".to_owned(),
            },
        };
        (due <= now).then_some((due, event))
    });
    let (due, events): (Vec<_>, Vec<_>) = due.unzip();
    match due.into_iter().max() {
        None => Answer::Nothing,
        last => Answer::Commit { events, guard: Guard { not_before: last, ..Guard::default() } },
    }
}
