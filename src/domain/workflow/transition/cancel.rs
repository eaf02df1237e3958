//! Cancelling a task: before anything runs it ends at once; a running attempt is ended first.

use super::{Answer, Guard, NO_REASON};
use crate::domain::policy::{Principal, roles};
use crate::domain::task::ActionKind;
use crate::domain::workflow::approval;
use crate::domain::workflow::{CancelRequest, Disposition, Event, Refusal, Status, Workflow};

/// Decides a cancellation by the requester or an admin.
pub(super) fn cancel(workflow: &Workflow, by: &Principal, reason: Option<&str>) -> Result<Answer, Refusal> {
    if !workflow.submission.is_from(by) && !by.has_role(roles::ADMIN) {
        return Err(Refusal::NotPermitted("a task is cancelled by its requester or by an admin".to_owned()));
    }
    if workflow.disposition == Disposition::Cancelled || workflow.is_being_cancelled() {
        return Ok(Answer::Nothing);
    }
    let wrong = |detail: &str| Err(Refusal::WrongState { current: workflow.status(), detail: detail.to_owned() });
    let reason = approval::justification(reason).unwrap_or(NO_REASON).to_owned();
    let commit = |event: Event| Ok(Answer::Commit { events: vec![event], guard: Guard::default() });
    let mut running = workflow.numbered_steps().filter_map(|(number, step, state)| Some((number, step.action, state.running()?.number)));
    match (running.next(), workflow.status()) {
        (Some((_, ActionKind::External, _)), _) => {
            wrong("its requester carries the action out, so parkbrake cannot end it: stop it there, then report its result")
        }
        (Some((step, ActionKind::Runbook | ActionKind::Webhook, attempt)), _) => commit(Event::CancelRequested { step, attempt, reason }),
        (None, Status::PendingApproval | Status::Queued)
            if workflow.open_round().is_some() || workflow.queued().or(workflow.resting().map(|(attempt, _)| attempt)).is_some() =>
        {
            commit(Event::Cancelled { round: workflow.round().map(|round| round.number), reason })
        }
        (None, Status::OutcomeUnknown) => {
            wrong("nothing runs that could be ended, and nobody knows how the action ended: find out what it did, then resolve it")
        }
        (None, _) => wrong("there is nothing left to cancel"),
    }
}

/// Ends a plan whose running step succeeded although somebody had cancelled it: the later steps
/// never start.
pub(super) fn end_of_plan(workflow: &Workflow, step: u32, request: &CancelRequest) -> Event {
    let title = workflow.submission.step_title(step);
    let CancelRequest { by, reason } = request;
    Event::Cancelled {
        round: workflow.round().map(|round| round.number),
        reason: format!("{by} cancelled it while {title} was running, and that step succeeded: {reason}"),
    }
}
