//! What has to happen next, and when: computed from the state alone, right after a commit and after
//! a restart.

use crate::domain::task::ActionKind;
use crate::domain::workflow::{Attempt, AttemptId, Disposition, Rest, Round, RoundOutcome, Step, StepState, Workflow};
use chrono::{DateTime, TimeDelta, Utc};
use std::time::Duration;
use uuid::Uuid;

/// How long the requester of an external action has to report by default.
pub const REPORT_WITHIN: Duration = Duration::from_secs(24 * 60 * 60);

/// One thing that has to happen next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obligation {
    /// Wait for people until the deadline. Then `Tick` asks more people, or expires the request.
    Park { deadline: Option<DateTime<Utc>> },
    /// Ensure that this process's runner has the attempt in its queue. When it is the attempt's
    /// turn, the runner commits `Start`, `RefuseStart` or `AskAgain`.
    Queue { attempt: AttemptId },
    /// Wait until the pause after a failure ends. Then `Tick` releases the attempt.
    Rest { attempt: AttemptId, deadline: DateTime<Utc> },
    /// Wait for the requester's report until the deadline. Then `Tick` asks for the report, or
    /// declares the outcome unknown.
    AwaitReport { attempt: AttemptId, deadline: DateTime<Utc> },
    /// This process has started the attempt. Ensure that the runner knows it; nothing is started.
    /// The runner commits `Finish`; if it does not know the attempt, `Disown` follows.
    Attend { attempt: AttemptId, token: Option<Uuid> },
    /// This process has started the attempt, and somebody has cancelled it: ensure that the runner
    /// ends it. The rest is as for `Attend`.
    End { attempt: AttemptId, token: Option<Uuid> },
    /// The outcome of this attempt is unknown, and its runbook has a probe: ensure that the runner
    /// runs it. `Probed` follows.
    Probe { attempt: AttemptId },
    /// A process that may be gone had started this attempt. `Recover` follows; the database refuses
    /// it while that process's server is alive.
    Recover { attempt: AttemptId },
    /// The same for a cancelled attempt: its remaining processes on this machine are ended before
    /// `Recover` follows.
    Clear { attempt: AttemptId },
}

/// Everything that has to happen next. Empty if the workflow is final, or if only a person can
/// continue.
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
            // An attempt that a call has to claim waits for that call.
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

/// The remaining escalation steps: number, time, roles.
pub(super) fn steps_left(round: &Round) -> impl Iterator<Item = (u32, DateTime<Utc>, &[String])> {
    let steps = round.terms.escalation.iter().zip(1..).skip(round.escalation_level as usize);
    steps.map(|(step, level)| (level, after(round, step.after), step.to.as_slice()))
}

/// The time this long after a round was opened.
pub fn after(round: &Round, delay: Duration) -> DateTime<Utc> {
    later(round.opened_at, delay)
}

/// When the request expires, if it does.
pub fn expires_at(round: &Round) -> Option<DateTime<Utc>> {
    round.terms.expire_after.map(|delay| after(round, delay))
}

/// The next time at which something is due.
pub fn deadline(round: &Round) -> Option<DateTime<Utc>> {
    steps_left(round).map(|(_, at, _)| at).next().into_iter().chain(expires_at(round)).min()
}

/// When a requester is next asked to report or, if it was asked already, when the outcome becomes
/// unknown.
pub fn report_deadline(workflow: &Workflow) -> Option<DateTime<Utc>> {
    let external = workflow.numbered_steps().filter(|(_, step, _)| step.action == ActionKind::External);
    external.filter_map(|(_, step, state)| Some(report_by(step, state.running()?))).min()
}

/// When the report of this attempt is due.
pub(super) fn report_by(step: &Step, attempt: &Attempt) -> DateTime<Utc> {
    later(attempt.report_asked_at.unwrap_or(attempt.started_at), step.report_within.unwrap_or(REPORT_WITHIN))
}

/// When a pause ends.
pub fn rests_until(rest: Rest) -> DateTime<Utc> {
    later(rest.since, rest.pause)
}

fn later(from: DateTime<Utc>, delay: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(delay).ok().and_then(|delay| from.checked_add_signed(delay)).unwrap_or(DateTime::<Utc>::MAX_UTC)
}
