//! The start of an action, and the end of an attempt: released, then started by whoever holds its token, then ended.

use super::{Answer, Guard, STEP};
use crate::domain::policy::ApprovalTerms;
use crate::domain::task::ActionKind;
use crate::domain::workflow::{Disowned, Event, Outcome, Phase, Workflow};
use std::sync::Arc;
use uuid::Uuid;

/// The event by which an attempt may begin. What parkbrake itself runs waits for its turn; an external action is its
/// requester's to begin.
pub(super) fn release(action: ActionKind, attempt: u32, owner: Uuid) -> Event {
    match action {
        ActionKind::External => Event::ExecutionStarted { step: STEP, attempt, owner, token: None },
        ActionKind::Runbook | ActionKind::Webhook => Event::Released { step: STEP, attempt },
    }
}

/// The one commit that starts an attempt. Where it is written already, its token says whose it was.
pub(super) fn start(workflow: &Workflow, attempt: u32, owner: Uuid, token: Uuid) -> Answer {
    from_queue(workflow, attempt, || Event::ExecutionStarted { step: STEP, attempt, owner, token: Some(token) })
}

pub(super) fn refuse(workflow: &Workflow, attempt: u32, reason: &str) -> Answer {
    from_queue(workflow, attempt, || Event::StartRefused { step: STEP, attempt, reason: reason.to_owned() })
}

pub(super) fn ask_again(workflow: &Workflow, attempt: u32, reason: &str, terms: &Arc<ApprovalTerms>) -> Answer {
    let round = workflow.round().map_or(0, |round| round.number) + 1;
    from_queue(workflow, attempt, || Event::ApprovalRequested { round, terms: Arc::clone(terms), reason: Some(reason.to_owned()) })
}

/// What follows where this very attempt still waits in the queue.
fn from_queue(workflow: &Workflow, attempt: u32, event: impl FnOnce() -> Event) -> Answer {
    match workflow.phase {
        Phase::Queued { attempt: queued, .. } if queued == attempt => commit(event()),
        _ => Answer::Nothing,
    }
}

fn commit(event: Event) -> Answer {
    Answer::Commit { events: vec![event], guard: Guard::default() }
}

/// The outcome of an attempt. One that comes late settles what nobody knew.
pub(super) fn finish(workflow: &Workflow, finished: u32, outcome: &Outcome) -> Answer {
    match workflow.phase {
        Phase::Executing { attempt, .. } if attempt.number == finished => commit(ended(finished, outcome)),
        Phase::OutcomeUnknown { attempt, .. } if attempt == finished && !matches!(outcome, Outcome::Unknown { .. }) => {
            commit(ended(finished, outcome))
        }
        _ => Answer::Nothing,
    }
}

pub(super) fn ended(attempt: u32, outcome: &Outcome) -> Event {
    // An output of null is no output: in the log, which is JSON, the two are one.
    let some = |output: Option<serde_json::Value>| output.filter(|output| !output.is_null());
    match outcome.clone() {
        Outcome::Succeeded { output } => Event::ExecutionSucceeded { step: STEP, attempt, output: some(output) },
        Outcome::Failed { error, output } => Event::ExecutionFailed { step: STEP, attempt, output: some(output), error },
        Outcome::Unknown { reason } => Event::OutcomeUnknown { step: STEP, attempt, reason },
    }
}

/// What becomes of an attempt whose process is gone. The database refuses it while that process's server holds its lease.
pub(super) fn recover(workflow: &Workflow, owner: Uuid) -> Answer {
    match workflow.phase {
        Phase::Executing { attempt, .. } if attempt.owner != owner => {
            let reason = "the server stopped while the action was running, and the action is not declared idempotent: \
                          find out what it did before anything is done again";
            interrupted(workflow, attempt.number, reason, Guard { lapsed: Some(attempt.owner), ..Guard::default() })
        }
        _ => Answer::Nothing,
    }
}

/// What becomes of an attempt that this process is said to run and does not, or no longer.
pub(super) fn disown(workflow: &Workflow, disowned: u32, token: Option<Uuid>, cause: Disowned) -> Answer {
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
    match workflow.phase {
        Phase::Executing { attempt, .. } if attempt.number == disowned && attempt.token == token => {
            interrupted(workflow, disowned, reason, Guard::default())
        }
        _ => Answer::Nothing,
    }
}

fn interrupted(workflow: &Workflow, attempt: u32, reason: &str, guard: Guard) -> Answer {
    if workflow.submission.action == ActionKind::External {
        return Answer::Nothing;
    }
    let event = if workflow.submission.idempotent {
        Event::Released { step: STEP, attempt: attempt + 1 }
    } else {
        Event::OutcomeUnknown { step: STEP, attempt, reason: reason.to_owned() }
    };
    Answer::Commit { events: vec![event], guard }
}
