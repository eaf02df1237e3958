//! The start of an action and the end of an attempt: an attempt is released, then started by the
//! holder of its token, then ended.

use super::{Answer, Guard, cancel};
use crate::domain::policy::{ApprovalTerms, Principal};
use crate::domain::task::ActionKind;
use crate::domain::workflow::{AttemptId, Disowned, Event, Outcome, Plan, Refusal, Renewed, Resolution, Stage, StepState, Workflow};
use std::sync::Arc;
use uuid::Uuid;

/// The first step of a plan. If it is external, an approval lets its requester begin at once.
pub(super) const FIRST: u32 = 1;

/// The event that lets an attempt begin. Attempts that parkbrake runs wait for their turn; the
/// requester begins an external action. All later steps of a plan wait for a turn, so that the
/// start gate checks each of them.
pub(super) fn release(plan: &Plan, AttemptId { step, number: attempt }: AttemptId, owner: Uuid) -> Event {
    match plan.step(step).map(|step| step.action) {
        Some(ActionKind::External) if step == FIRST && !is_claimed(plan, step) => {
            Event::ExecutionStarted { step, attempt, owner, token: None }
        }
        Some(_) | None => Event::Released { step, attempt },
    }
}

/// Whether a step waits, once released, until a call of its requester claims it.
fn is_claimed(plan: &Plan, step: u32) -> bool {
    plan.step(step).is_some_and(|step| step.is_claimed)
}

/// The first event of a task that needs no approval. A tool call has its claim with it, and begins
/// at once.
pub(super) fn release_at_once(plan: &Plan, claim: Option<Uuid>, owner: Uuid) -> Event {
    let first = AttemptId { step: FIRST, number: 1 };
    match claim {
        Some(token) => Event::ExecutionStarted { step: first.step, attempt: first.number, owner, token: Some(token) },
        None => release(plan, first, owner),
    }
}

/// A tool call claims what was released for it. This is a commit like every other start, so that
/// it releases one call and no other. The same call may claim again, because the answer was lost.
pub(super) fn claim(workflow: &Workflow, by: &Principal, owner: Uuid, token: Uuid) -> Result<Answer, Refusal> {
    if workflow.submission.requested_by != by.name {
        return Err(Refusal::NotPermitted("only the agent that made a tool call may claim it".to_owned()));
    }
    let mut running = workflow.steps.iter().filter_map(StepState::running);
    if running.any(|attempt| attempt.token == Some(token)) {
        return Ok(Answer::Nothing);
    }
    match workflow.queued().filter(|id| is_claimed(&workflow.plan, id.step)) {
        Some(AttemptId { step, number: attempt }) => Ok(commit(vec![Event::ExecutionStarted { step, attempt, owner, token: Some(token) }])),
        None => {
            let detail = "there is nothing to claim: it has not been allowed, or another call has used the approval".to_owned();
            Err(Refusal::WrongState { current: workflow.status(), detail })
        }
    }
}

/// Releases the first waiting step that is next.
pub(super) fn release_next(workflow: &Workflow, owner: Uuid) -> Option<Event> {
    let waiting = workflow.numbered_steps().filter(|(_, _, state)| matches!(state.stage, Stage::Waiting));
    let mut waiting = waiting.filter(|(step, ..)| workflow.may_begin(*step));
    let (step, _, state) = waiting.next()?;
    Some(release(&workflow.plan, AttemptId { step, number: state.next_number() }, owner))
}

/// Whether these events start something.
pub fn begins(events: &[Event]) -> bool {
    events.iter().any(|event| matches!(event, Event::ExecutionStarted { .. }))
}

/// The same events with each external action queued instead of begun, because a halt or a freeze
/// holds it; `None` if none would begin, or only one that is queued already.
pub fn queued_instead(workflow: Option<&Workflow>, events: &[Event]) -> Option<Vec<Event>> {
    let mut is_changed = false;
    let mut instead = |event: &Event| match event {
        Event::ExecutionStarted { step, attempt, token: None, .. }
            if workflow.and_then(Workflow::queued) != Some(AttemptId { step: *step, number: *attempt }) =>
        {
            is_changed = true;
            Event::Released { step: *step, attempt: *attempt }
        }
        other => other.clone(),
    };
    let events: Vec<Event> = events.iter().map(&mut instead).collect();
    is_changed.then_some(events)
}

/// The events that follow an event of an attempt in the same commit. After a success, the next step
/// is released, unless somebody has cancelled the plan. After a failure, the compensation of the
/// last earlier step that has one is released. Compensations continue in the same way, and stop at
/// a failure.
pub(super) fn and_then(workflow: &Workflow, id: AttemptId, event: Event) -> Vec<Event> {
    let (succeeded, failed) = match &event {
        Event::ExecutionSucceeded { .. } | Event::Resolved { outcome: Resolution::Succeeded, .. } => {
            (after_success(workflow, id.step), None)
        }
        Event::ExecutionFailed { .. } | Event::StartRefused { .. } | Event::Resolved { outcome: Resolution::Failed, .. } => {
            (None, after_failure(workflow, id.step))
        }
        _ => (None, None),
    };
    let cancelled = workflow.step(id.step).and_then(|state| state.cancel_requested());
    let next = match (succeeded, failed, cancelled) {
        (Some(_), _, Some(request)) => Some(cancel::end_of_plan(workflow, id.step, request)),
        // Cancelling a plan undoes nothing.
        (None, _, Some(_)) => None,
        (succeeded, failed, None) => succeeded.or(failed).map(|step| Event::Released { step, attempt: 1 }),
    };
    [event].into_iter().chain(next).collect()
}

/// The next step after this one has succeeded. A compensation is followed by that of the step
/// before.
fn after_success(workflow: &Workflow, step: u32) -> Option<u32> {
    let is_undoing = |step: u32| workflow.plan.step(step).map(|step| step.compensates.is_some());
    (is_undoing(step + 1)? == is_undoing(step)?).then_some(step + 1)
}

/// The first compensation after this step has failed; `None` if the step was a compensation itself.
fn after_failure(workflow: &Workflow, step: u32) -> Option<u32> {
    workflow.plan.step(step).filter(|step| step.compensates.is_none())?;
    workflow.numbered_steps().find(|(_, undo, _)| undo.compensates.is_some_and(|of| of < step)).map(|(number, ..)| number)
}

/// The one commit that starts an attempt. If it is written already, its token says whose it was. An
/// external action, which is queued only while it is held or as a later step of a plan, has no
/// token: its requester performs it. An action that a call has to claim is never started here.
///
/// If an exception from a freeze covers the old document, only the new document is recorded: the
/// exception does not cover it.
pub(super) fn start(workflow: &Workflow, id: AttemptId, (owner, token): (Uuid, Uuid), renewed: Option<&Renewed>) -> Answer {
    let AttemptId { step, number: attempt } = id;
    if is_claimed(&workflow.plan, step) {
        return Answer::Nothing;
    }
    let is_ours = workflow.plan.step(step).is_none_or(|step| step.action != ActionKind::External);
    let is_excepted = workflow.exceptions.iter().any(|exception| exception.given.digest == *workflow.document());
    let started = Event::ExecutionStarted { step, attempt, owner, token: is_ours.then_some(token) };
    let starts = renewed.is_none() || !is_excepted;
    from_queue(workflow, id, || renewed.map(|renewed| renewed.event(step, attempt)).into_iter().chain(starts.then_some(started)).collect())
}

pub(super) fn refuse(workflow: &Workflow, id: AttemptId, reason: &str) -> Answer {
    let AttemptId { step, number: attempt } = id;
    match from_queue(workflow, id, || vec![Event::StartRefused { step, attempt, reason: reason.to_owned() }]) {
        Answer::Commit { events, guard } => {
            Answer::Commit { events: events.into_iter().flat_map(|event| and_then(workflow, id, event)).collect(), guard }
        }
        other => other,
    }
}

pub(super) fn ask_again(workflow: &Workflow, id: AttemptId, reason: &str, terms: &Arc<ApprovalTerms>, renewed: Option<&Renewed>) -> Answer {
    let (round, step) = (workflow.next_round(), workflow.submission.asked_about(id.step));
    let asked = Event::ApprovalRequested { round, terms: Arc::clone(terms), reason: Some(reason.to_owned()), step };
    from_queue(workflow, id, || renewed.map(|renewed| renewed.event(id.step, id.number)).into_iter().chain([asked]).collect())
}

pub(super) fn renew(workflow: &Workflow, id: AttemptId, renewed: &Renewed) -> Answer {
    from_queue(workflow, id, || vec![renewed.event(id.step, id.number)])
}

/// Returns the events if this attempt still waits in the queue.
fn from_queue(workflow: &Workflow, id: AttemptId, events: impl FnOnce() -> Vec<Event>) -> Answer {
    if workflow.queued() == Some(id) { commit(events()) } else { Answer::Nothing }
}

fn commit(events: Vec<Event>) -> Answer {
    Answer::Commit { events, guard: Guard::default() }
}

/// Records the outcome of an attempt. A late outcome settles an unknown one.
pub(super) fn finish(workflow: &Workflow, id: AttemptId, outcome: &Outcome) -> Answer {
    let is_unknown = || workflow.step(id.step).and_then(|step| step.unknown()).is_some_and(|attempt| attempt.number == id.number);
    let says_something = !matches!(outcome, Outcome::Unknown { .. });
    if workflow.running(id).is_some() || (says_something && is_unknown()) {
        // A late outcome is not retried: somebody may be investigating it.
        let is_running = workflow.running(id).is_some();
        let was_asked = workflow.step(id.step).is_some_and(|step| step.cancel_requested().is_some());
        let event = match (ended(id, outcome), was_asked) {
            // Something ended it, but nobody had cancelled it.
            (Event::ExecutionCancelled { step, attempt, output, error }, false) => Event::ExecutionFailed { step, attempt, output, error },
            (event, _) => event,
        };
        // An attempt that is retried is not the final failure, so nothing is undone.
        let events = match retry(workflow, id).filter(|_| is_running && matches!(event, Event::ExecutionFailed { .. })) {
            Some(retry) => vec![event, retry],
            None => and_then(workflow, id, event),
        };
        Answer::Commit { events, guard: Guard::default() }
    } else {
        Answer::Nothing
    }
}

/// The next attempt after a failure, if it may be retried. A cancelled action is not retried.
pub(super) fn retry(workflow: &Workflow, id: AttemptId) -> Option<Event> {
    let state = workflow.step(id.step).filter(|state| state.cancel_requested().is_none())?;
    let planned = workflow.plan.step(id.step).filter(|step| step.idempotent)?;
    let after = planned.retry?.pause_after(state.failures() + 1)?;
    Some(Event::RetryScheduled { step: id.step, attempt: id.number + 1, after })
}

pub(super) fn ended(AttemptId { step, number: attempt }: AttemptId, outcome: &Outcome) -> Event {
    // A null output is no output: in the log, which is JSON, the two are the same.
    let some = |output: Option<serde_json::Value>| output.filter(|output| !output.is_null());
    match outcome.clone() {
        Outcome::Succeeded { output } => Event::ExecutionSucceeded { step, attempt, output: some(output) },
        Outcome::Failed { error, output } => Event::ExecutionFailed { step, attempt, output: some(output), error },
        Outcome::Cancelled { error, output } => Event::ExecutionCancelled { step, attempt, output: some(output), error },
        Outcome::Unknown { reason } => Event::OutcomeUnknown { step, attempt, reason },
    }
}

/// Decides what happens to an attempt whose process is gone. The database refuses the commit while
/// that process's server holds its lease.
pub(super) fn recover(workflow: &Workflow, id: AttemptId, owner: Uuid) -> Answer {
    match workflow.running(id) {
        Some(attempt) if attempt.owner != owner => {
            let reason = "the server stopped while the action was running, and the action is not declared idempotent: \
                          find out what it did before anything is done again";
            interrupted(workflow, id, reason, Guard { lapsed: Some(attempt.owner), ..Guard::default() })
        }
        _ => Answer::Nothing,
    }
}

/// Decides what happens to an attempt that this process should be running and is not.
pub(super) fn disown(workflow: &Workflow, id: AttemptId, token: Option<Uuid>, cause: Disowned) -> Answer {
    let reason = match cause {
        Disowned::NotHere => {
            "the log says that this server runs the action, and the server knows nothing of it: whether it ran is not known; \
             find out what it did before anything is done again"
        }
        Disowned::LeaseLapsing => {
            "the server could not renew its lease on the database in time and ended the action while it was running: \
             find out what it did before anything is done again"
        }
    };
    match workflow.running(id) {
        Some(attempt) if attempt.token == token => interrupted(workflow, id, reason, Guard::default()),
        _ => Answer::Nothing,
    }
}

fn interrupted(workflow: &Workflow, id: AttemptId, reason: &str, guard: Guard) -> Answer {
    let Some(step) = workflow.plan.step(id.step).filter(|step| step.action != ActionKind::External) else { return Answer::Nothing };
    let is_cancelled = workflow.step(id.step).is_some_and(|state| state.cancel_requested().is_some());
    let event = if is_cancelled {
        let reason = "the action was cancelled, and its server stopped watching it before it ended; it is not run again: find out how far \
                      it got";
        Event::OutcomeUnknown { step: id.step, attempt: id.number, reason: reason.to_owned() }
    } else if step.idempotent {
        Event::Released { step: id.step, attempt: id.number + 1 }
    } else {
        Event::OutcomeUnknown { step: id.step, attempt: id.number, reason: reason.to_owned() }
    };
    Answer::Commit { events: vec![event], guard }
}
