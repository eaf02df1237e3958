//! What has to happen next, and when: computed from the state alone, right after a commit and after
//! a restart.

use crate::domain::task::ActionKind;
use crate::domain::workflow::{Attempt, AttemptId, Disposition, Rest, Round, RoundOutcome, Step, StepState, Workflow};
use chrono::{DateTime, TimeDelta, Utc};
use std::time::Duration;
use uuid::Uuid;

/// How long the requester of an external action has to report, where nothing else was said.
pub const REPORT_WITHIN: Duration = Duration::from_secs(24 * 60 * 60);

/// One thing that has to happen next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obligation {
    /// Wait for people, and come back at the deadline. Then `Tick` asks more people, or ends the
    /// request.
    Park { deadline: Option<DateTime<Utc>> },
    /// See to it that this process's runner has the attempt in its queue. When the attempt has a
    /// turn, the runner commits `Start`, `RefuseStart` or `AskAgain`.
    Queue { attempt: AttemptId },
    /// Wait for the end of the pause after a failure, and come back then. Then `Tick` releases the
    /// attempt.
    Rest { attempt: AttemptId, deadline: DateTime<Utc> },
    /// Wait for the requester's report, and come back at the deadline. Then `Tick` asks for the
    /// report, or says that nobody knows.
    AwaitReport { attempt: AttemptId, deadline: DateTime<Utc> },
    /// This process has started the attempt. Nothing is started because of it: see to it that the
    /// runner knows of it. The runner commits `Finish`; where it knows nothing of the attempt,
    /// `Disown` follows.
    Attend { attempt: AttemptId, token: Option<Uuid> },
    /// This process has started the attempt, and somebody has cancelled it: see to it that the
    /// runner ends it. The rest is as for `Attend`.
    End { attempt: AttemptId, token: Option<Uuid> },
    /// Nobody knows how this attempt ended, and its runbook has a probe: see to it that the runner
    /// has it look. `Probed` follows.
    Probe { attempt: AttemptId },
    /// A process that may be gone had begun this attempt. `Recover` follows; the database refuses
    /// it while that process's server lives.
    Recover { attempt: AttemptId },
    /// The same of an attempt that somebody has cancelled: what is left of it on this machine is
    /// ended before `Recover` follows.
    Clear { attempt: AttemptId },
}

/// Everything that has to happen next. Empty where the workflow is final, or where only a person
/// can go on.
pub fn obligations(workflow: &Workflow, owner: Uuid) -> Vec<Obligation> {
    if workflow.disposition != Disposition::Active {
        return Vec::new();
    }
    match workflow.round() {
        Some(round) if round.is_open() => vec![Obligation::Park { deadline: deadline(round) }],
        Some(Round { outcome: Some(RoundOutcome::Approved), .. }) | None => of_steps(workflow, owner),
        Some(_) => Vec::new(),
    }
}

fn of_steps(workflow: &Workflow, owner: Uuid) -> Vec<Obligation> {
    let of_step = |number, step: &Step, state: &StepState| {
        let id = |attempt| AttemptId { step: number, number: attempt };
        if let Some(queued) = state.queued() {
            // What a call has to claim waits for the call.
            if step.is_claimed {
                return None;
            }
            return Some(Obligation::Queue { attempt: id(queued) });
        }
        if let Some((resting, rest)) = state.resting() {
            return Some(Obligation::Rest { attempt: id(resting), deadline: rests_until(rest) });
        }
        if let Some(unknown) = state.unknown().filter(|unknown| step.probe && !unknown.probed) {
            return Some(Obligation::Probe { attempt: id(unknown.number) });
        }
        let running = state.running()?;
        let attempt = id(running.number);
        Some(match step.action {
            ActionKind::External => Obligation::AwaitReport { attempt, deadline: report_by(step, running) },
            ActionKind::Runbook | ActionKind::Webhook => match (running.owner == owner, running.cancel_requested.is_some()) {
                (true, false) => Obligation::Attend { attempt, token: running.token },
                (true, true) => Obligation::End { attempt, token: running.token },
                (false, false) => Obligation::Recover { attempt },
                (false, true) => Obligation::Clear { attempt },
            },
        })
    };
    workflow.numbered_steps().filter_map(|(number, step, state)| of_step(number, step, state)).collect()
}

/// The steps that have not been taken: number, time, roles.
pub(super) fn steps_left(round: &Round) -> impl Iterator<Item = (u32, DateTime<Utc>, &[String])> {
    let steps = round.terms.escalation.iter().zip(1..).skip(round.escalation_level as usize);
    steps.map(|(step, level)| (level, after(round, step.after), step.to.as_slice()))
}

/// A moment counted from when a round was opened.
pub fn after(round: &Round, delay: Duration) -> DateTime<Utc> {
    later(round.opened_at, delay)
}

/// When the request expires, if it does.
pub fn expires_at(round: &Round) -> Option<DateTime<Utc>> {
    round.terms.expire_after.map(|delay| after(round, delay))
}

/// The next moment at which something falls due.
pub fn deadline(round: &Round) -> Option<DateTime<Utc>> {
    steps_left(round).map(|(_, at, _)| at).next().into_iter().chain(expires_at(round)).min()
}

/// When a requester is next asked to report, or, if it was, when nobody knows any more how its
/// action went.
pub fn report_deadline(workflow: &Workflow) -> Option<DateTime<Utc>> {
    let external = workflow.numbered_steps().filter(|(_, step, _)| step.action == ActionKind::External);
    external.filter_map(|(_, step, state)| Some(report_by(step, state.running()?))).min()
}

/// When the report of this attempt falls due.
pub(super) fn report_by(step: &Step, attempt: &Attempt) -> DateTime<Utc> {
    later(attempt.report_asked_at.unwrap_or(attempt.started_at), step.report_within.unwrap_or(REPORT_WITHIN))
}

/// When a pause is over.
pub fn rests_until(rest: Rest) -> DateTime<Utc> {
    later(rest.since, rest.pause)
}

fn later(from: DateTime<Utc>, delay: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(delay).ok().and_then(|delay| from.checked_add_signed(delay)).unwrap_or(DateTime::<Utc>::MAX_UTC)
}
