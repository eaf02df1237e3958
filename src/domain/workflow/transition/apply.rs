//! Folds a log of events.

use crate::domain::workflow::{
    AfterReview, Attempt, AttemptId, CancelRequest, ClosedReview, Decision, Disposition, Ended, Event, Exception, Recorded, Renewal,
    Resolution, Rest, Round, RoundOutcome, Stage, StepState, Verdict, Workflow, add,
};
use std::sync::Arc;
use uuid::Uuid;

/// The error for a log that breaks the rules, because something else wrote to it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("event {version} `{event}` cannot follow here")]
pub struct Impossible {
    version: u32,
    event: &'static str,
}

impl Impossible {
    /// A commit that writes nothing.
    pub fn without_events() -> Self {
        Self { version: 0, event: "nothing" }
    }
}

/// The state that a log folds to; `None` for an empty one.
///
/// # Errors
/// An event cannot follow the ones before it.
pub fn replay<'a>(id: Uuid, log: impl IntoIterator<Item = &'a Recorded>) -> Result<Option<Workflow>, Impossible> {
    log.into_iter().try_fold(None, |workflow, recorded| apply(id, workflow, recorded).map(Some))
}

/// The state after one more event.
///
/// # Errors
/// The event cannot follow this state, or its version is not the next.
pub fn apply(id: Uuid, workflow: Option<Workflow>, recorded: &Recorded) -> Result<Workflow, Impossible> {
    let impossible = || Impossible { version: recorded.version, event: recorded.event.name() };
    let Some(mut workflow) = workflow else {
        let Event::Submitted(submission) = &recorded.event else { return Err(impossible()) };
        if recorded.version != 1 {
            return Err(impossible());
        }
        return Ok(Workflow::submitted(id, Arc::clone(submission), recorded.at));
    };
    // People may comment on a workflow in any state.
    let is_comment = matches!(recorded.event, Event::Commented { .. } | Event::Reviewed { .. });
    if recorded.version != workflow.version + 1 || (workflow.disposition != Disposition::Active && !is_comment) {
        return Err(impossible());
    }
    change(&mut workflow, recorded).ok_or_else(impossible)?;
    if let Some(decision) = decision(recorded) {
        add(&mut workflow.decisions, decision);
    }
    workflow.version = recorded.version;
    workflow.updated_at = recorded.at;
    Ok(workflow)
}

/// Applies one event; `None` if it cannot follow.
fn change(workflow: &mut Workflow, recorded: &Recorded) -> Option<()> {
    match &recorded.event {
        Event::Submitted(_) => None,
        Event::ApprovalRequested { round, terms, reason, step } => {
            let next = Round::open(*round, (workflow.subject_of(*step), *step), Arc::clone(terms), recorded.at);
            ask(workflow, Round { document: workflow.document_number(), ..next }, reason.is_some())
        }
        Event::Approved(approval) => {
            let round = open_round(workflow, approval.round).filter(|round| round.subject == approval.digest)?;
            add(&mut round.approvals, approval.clone());
            round.outcome = (approval.remaining == 0).then_some(RoundOutcome::Approved);
            Some(())
        }
        Event::Granted(granted) => {
            let round =
                open_round(workflow, granted.round).filter(|round| round.subject == granted.digest && round.approvals.is_empty())?;
            add(&mut round.approvals, granted.as_approval());
            round.grant = Some(granted.grant);
            round.outcome = Some(RoundOutcome::Approved);
            Some(())
        }
        Event::GlassBroken(broken) => {
            let has_open_review = workflow.open_review().is_some();
            let round = open_round(workflow, broken.round).filter(|round| round.subject == broken.digest && !has_open_review)?;
            // Other approvals are not needed any more, and nothing depends on them.
            round.approvals = vec![broken.as_approval()];
            round.broken_by = Some(broken.approver.clone());
            round.outcome = Some(RoundOutcome::Approved);
            workflow.reviews.push(AfterReview { broken_by: broken.approver.clone(), opened_at: recorded.at, closed: None });
            Some(())
        }
        Event::Reviewed { broken_by, finding, .. } => {
            let review = workflow.reviews.last_mut().filter(|review| review.closed.is_none() && review.broken_by == *broken_by)?;
            let by = Some(recorded.actor.clone()).filter(|by| by != broken_by)?;
            review.closed = Some(ClosedReview { by, finding: finding.clone(), at: recorded.at });
            Some(())
        }
        Event::Rejected { round, digest, .. } => {
            let round = open_round(workflow, *round).filter(|round| round.subject == *digest)?;
            round.outcome = Some(RoundOutcome::Rejected);
            Some(())
        }
        Event::Withdrawn { round, .. } => {
            let round = open_round(workflow, *round)?;
            let index = round.approvals.iter().position(|approval| approval.approver == recorded.actor)?;
            round.approvals.remove(index);
            Some(())
        }
        Event::Escalated { round, level, .. } => {
            let round = open_round(workflow, *round).filter(|round| *level == round.escalation_level + 1)?;
            round.escalation_level = *level;
            Some(())
        }
        Event::Expired { round } => {
            open_round(workflow, *round)?.outcome = Some(RoundOutcome::Expired);
            Some(())
        }
        Event::Cancelled { round, .. } => cancel(workflow, *round),
        Event::ExecutionCancelled { .. } => {
            change_step(workflow, recorded.event.attempt()?, recorded)?;
            workflow.disposition = Disposition::Cancelled;
            Some(())
        }
        Event::Commented { text, ask } => {
            let submission = Arc::clone(&workflow.submission);
            workflow.discussion.add(&submission, &recorded.actor, text, *ask, recorded.version, recorded.at);
            Some(())
        }
        Event::Superseded { round, by } => {
            open_round(workflow, *round)?.outcome = Some(RoundOutcome::Cancelled);
            workflow.disposition = Disposition::Superseded { by: *by };
            Some(())
        }
        Event::FreezeExcepted(given) => {
            let fits = has_queued(workflow) && given.digest == *workflow.document();
            fits.then(|| workflow.exceptions.push(Exception { given: given.clone(), at: recorded.at, via: recorded.via }))
        }
        Event::DocumentRenewed { step, attempt, digest, reason, changes } => {
            let is_next = workflow.queued() == Some(AttemptId { step: *step, number: *attempt }) && digest != workflow.document();
            let (digest, reason, changes) = (digest.clone(), reason.clone(), changes.clone());
            is_next.then(|| workflow.renewals.push(Renewal { step: *step, digest, reason, changes }))
        }
        Event::Released { .. }
        | Event::RetryScheduled { .. }
        | Event::Probed { .. }
        | Event::StartRefused { .. }
        | Event::ExecutionStarted { .. }
        | Event::ExecutionSucceeded { .. }
        | Event::ExecutionFailed { .. }
        | Event::CancelRequested { .. }
        | Event::ReportRequested { .. }
        | Event::OutcomeUnknown { .. }
        | Event::Resolved { .. } => change_step(workflow, recorded.event.attempt()?, recorded),
    }
}

/// Opens a round: the first one, one because a released action may no longer start, one because
/// terms became stricter, or one about the next step of a plan.
fn ask(workflow: &mut Workflow, next: Round, has_reason: bool) -> Option<()> {
    let index = next.step.map_or(Some(0), |step| usize::try_from(step).ok()?.checked_sub(1))?;
    let is_untouched = workflow.steps.iter().skip(index).all(|step| step.stage == Stage::Waiting);
    let are_done = next.step.is_none_or(|step| workflow.may_begin(step));
    let is_queued = || next.step.map_or_else(|| has_queued(workflow), |step| workflow.queued().is_some_and(|queued| queued.step == step));
    // In a plan, people are asked about each step separately, or about none.
    let is_about =
        next.step.is_none_or(|step| workflow.plan.step(step).is_some()) && next.step.is_none() == workflow.submission.gate.is_plan();
    let may_follow = match workflow.round().map(|round| (round.outcome, round.step == next.step)) {
        None if is_untouched => true,
        Some((None, is_the_same)) => has_reason && is_the_same,
        Some((Some(RoundOutcome::Approved), false)) if is_untouched => true,
        None | Some((Some(RoundOutcome::Approved), _)) => is_queued() && !has_running(workflow),
        Some((Some(_), _)) => false,
    };
    if !(may_follow && are_done && is_about) || next.number != workflow.next_round() {
        return None;
    }
    workflow.open_next(next);
    Some(())
}

/// The round with this number, if it is open.
fn open_round(workflow: &mut Workflow, number: u32) -> Option<&mut Round> {
    workflow.rounds.last_mut().filter(|round| round.is_open() && round.number == number)
}

/// Cancels while nothing runs: people are asked, it waits for its turn, or a step of a plan
/// succeeded although the plan was cancelled.
fn cancel(workflow: &mut Workflow, number: Option<u32>) -> Option<()> {
    if workflow.round().map(|round| round.number) != number {
        return None;
    }
    let is_cut_short = |step: &StepState| step.cancel_requested().is_some() && step.ended() == Some(Ended::Succeeded);
    let has_steps_left = || workflow.steps.iter().any(|step| step.stage == Stage::Waiting);
    let was_cut_short = || workflow.steps.iter().any(is_cut_short) && has_steps_left();
    let may_follow = (has_queued(workflow) || has_resting(workflow) || was_cut_short()) && !has_running(workflow);
    match workflow.rounds.last_mut().filter(|round| round.is_open()) {
        Some(round) => round.outcome = Some(RoundOutcome::Cancelled),
        None if may_follow => {}
        None => return None,
    }
    workflow.disposition = Disposition::Cancelled;
    Some(())
}

fn has_queued(workflow: &Workflow) -> bool {
    workflow.steps.iter().any(|step| step.stage == Stage::Queued)
}

fn has_resting(workflow: &Workflow) -> bool {
    workflow.steps.iter().any(|step| step.stage == Stage::Resting)
}

fn has_running(workflow: &Workflow) -> bool {
    workflow.steps.iter().any(|step| step.running().is_some())
}

/// Applies an event of an attempt. Nothing is released or started while people are asked, or after
/// they have rejected it.
fn change_step(workflow: &mut Workflow, id: AttemptId, recorded: &Recorded) -> Option<()> {
    let is_approved = workflow.round().is_none_or(|round| round.outcome == Some(RoundOutcome::Approved));
    let index = usize::try_from(id.step).ok()?.checked_sub(1)?;
    let is_in_order = workflow.may_begin(id.step);
    let retry = workflow.plan.step(id.step).filter(|step| step.idempotent).and_then(|step| step.retry);
    let step = workflow.steps.get_mut(index).filter(|_| is_approved && is_in_order)?;
    let is_next = id.number == step.next_number();
    let is_running = step.running().is_some();
    let is_last = !is_next && id.number + 1 == step.next_number();
    match &recorded.event {
        Event::Released { .. } if is_next && (matches!(step.stage, Stage::Waiting | Stage::Resting) || is_running) => {
            end(step, Ended::Interrupted);
            step.rest = None;
            step.stage = Stage::Queued;
        }
        // Logs from before there was a queue start an action right away, and also the next attempt
        // after an interrupted one.
        Event::ExecutionStarted { owner, token, .. } if is_next && (matches!(step.stage, Stage::Waiting | Stage::Queued) || is_running) => {
            end(step, Ended::Interrupted);
            step.stage = Stage::Started;
            let attempt = Attempt {
                number: id.number,
                owner: *owner,
                token: *token,
                started_at: recorded.at,
                report_asked_at: None,
                cancel_requested: None,
                probed: false,
                outcome: None,
                resolved: None,
            };
            add(&mut step.attempts, attempt);
        }
        Event::RetryScheduled { after, .. }
            if is_next
                && (step.stage, step.ended()) == (Stage::Started, Some(Ended::Failed))
                && step.cancel_requested().is_none()
                && retry.and_then(|retry| retry.pause_after(step.failures())) == Some(*after) =>
        {
            step.stage = Stage::Resting;
            step.rest = Some(Rest { since: recorded.at, pause: *after });
        }
        Event::StartRefused { .. } if is_next && step.stage == Stage::Queued => step.stage = Stage::Refused,
        Event::ReportRequested { .. } if is_last && is_running => {
            let attempt = step.attempts.last_mut().filter(|attempt| attempt.report_asked_at.is_none())?;
            attempt.report_asked_at = Some(recorded.at);
        }
        Event::CancelRequested { reason, .. } if is_last && is_running => {
            let attempt = step.attempts.last_mut().filter(|attempt| attempt.cancel_requested.is_none())?;
            attempt.cancel_requested = Some(CancelRequest { by: recorded.actor.clone(), reason: reason.clone() });
        }
        Event::OutcomeUnknown { .. } if is_last && is_running => end(step, Ended::Unknown),
        // How an attempt ended, even if its outcome was unknown at first.
        Event::ExecutionSucceeded { .. } if is_last && (is_running || step.unknown().is_some()) => end(step, Ended::Succeeded),
        Event::ExecutionFailed { .. } if is_last && (is_running || step.unknown().is_some()) => end(step, Ended::Failed),
        Event::ExecutionCancelled { .. } if is_last && (is_running || step.unknown().is_some()) && step.cancel_requested().is_some() => {
            end(step, Ended::Cancelled);
        }
        Event::Probed { .. } if is_last && step.unknown().is_some() => {
            step.attempts.last_mut().filter(|attempt| !attempt.probed)?.probed = true;
        }
        Event::Resolved { outcome, .. } if is_last && step.unknown().is_some() => {
            step.attempts.last_mut()?.resolved = Some((*outcome, recorded.actor.clone()));
            match outcome {
                Resolution::Succeeded => end(step, Ended::Succeeded),
                Resolution::Failed => end(step, Ended::Failed),
                // The event that releases it again is in the same commit.
                Resolution::Retry => step.stage = Stage::Waiting,
            }
        }
        _ => return None,
    }
    Some(())
}

/// The last attempt has ended, or its unknown outcome is now known.
fn end(step: &mut StepState, outcome: Ended) {
    let is_open =
        |attempt: &&mut Attempt| attempt.outcome.is_none() || (attempt.outcome == Some(Ended::Unknown) && outcome != Ended::Interrupted);
    if let Some(attempt) = step.attempts.last_mut().filter(is_open) {
        attempt.outcome = Some(outcome);
    }
}

fn decision(recorded: &Recorded) -> Option<Decision> {
    match &recorded.event {
        Event::Approved(approval) => Some(Decision {
            round: approval.round,
            approver: approval.approver.clone(),
            roles: approval.roles.clone(),
            verdict: Verdict::Approved,
            justification: approval.justification.clone(),
            remaining: approval.remaining,
            at: recorded.at,
            via: recorded.via,
            grant: None,
            break_glass: false,
            cover: approval.cover.clone(),
        }),
        Event::Granted(granted) => Some(Decision {
            round: granted.round,
            approver: granted.approver.clone(),
            roles: granted.roles.clone(),
            verdict: Verdict::Approved,
            justification: Some(granted.justification.clone()),
            remaining: 0,
            at: recorded.at,
            via: recorded.via,
            grant: Some(granted.grant),
            break_glass: false,
            cover: Vec::new(),
        }),
        Event::GlassBroken(broken) => Some(Decision {
            round: broken.round,
            approver: broken.approver.clone(),
            roles: broken.roles.clone(),
            verdict: Verdict::Approved,
            justification: Some(broken.justification.clone()),
            remaining: 0,
            at: recorded.at,
            via: recorded.via,
            grant: None,
            break_glass: true,
            cover: Vec::new(),
        }),
        Event::Rejected { round, roles, reason, cover, .. } => Some(Decision {
            round: *round,
            approver: recorded.actor.clone(),
            roles: roles.clone(),
            verdict: Verdict::Rejected,
            justification: Some(reason.clone()),
            remaining: 0,
            at: recorded.at,
            via: recorded.via,
            grant: None,
            break_glass: false,
            cover: cover.clone(),
        }),
        Event::Withdrawn { round, roles, reason, remaining } => Some(Decision {
            round: *round,
            approver: recorded.actor.clone(),
            roles: roles.clone(),
            verdict: Verdict::Withdrawn,
            justification: Some(reason.clone()),
            remaining: *remaining,
            at: recorded.at,
            via: recorded.via,
            grant: None,
            break_glass: false,
            cover: Vec::new(),
        }),
        _ => None,
    }
}
