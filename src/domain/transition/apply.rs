//! What a log of events folds to.

use crate::domain::policy::ApprovalTerms;
use crate::domain::workflow::{Attempt, Decision, Event, Phase, Recorded, Resolution, Round, Verdict, Workflow};
use std::sync::Arc;
use uuid::Uuid;

/// A log that does not follow the rules: somebody else wrote to it.
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

/// What a log folds to; `None` for an empty one.
///
/// # Errors
/// An event that cannot follow the ones before it.
pub fn replay<'a>(id: Uuid, log: impl IntoIterator<Item = &'a Recorded>) -> Result<Option<Workflow>, Impossible> {
    log.into_iter().try_fold(None, |workflow, recorded| apply(id, workflow, recorded).map(Some))
}

/// The state after one more event.
///
/// # Errors
/// An event that cannot follow this state, or whose version is not the next.
pub fn apply(id: Uuid, workflow: Option<Workflow>, recorded: &Recorded) -> Result<Workflow, Impossible> {
    let impossible = || Impossible { version: recorded.version, event: recorded.event.name() };
    let Some(mut workflow) = workflow else {
        let Event::Submitted(submission) = &recorded.event else { return Err(impossible()) };
        if recorded.version != 1 {
            return Err(impossible());
        }
        return Ok(Workflow {
            id,
            version: 1,
            submission: submission.clone(),
            phase: Phase::Assessed,
            decisions: Vec::new(),
            attempts: 0,
            resolved: None,
            created_at: recorded.at,
            updated_at: recorded.at,
        });
    };
    if recorded.version != workflow.version + 1 {
        return Err(impossible());
    }
    let phase = std::mem::replace(&mut workflow.phase, Phase::Assessed);
    workflow.phase = next_phase(phase, recorded).ok_or_else(impossible)?;
    workflow.decisions.extend(decision(recorded));
    if let Phase::Executing { attempt, .. } = &workflow.phase {
        workflow.attempts = attempt.number;
    }
    if let Event::Resolved { attempt, outcome, .. } = &recorded.event {
        workflow.resolved = Some((*attempt, *outcome, recorded.actor.clone()));
    }
    workflow.version = recorded.version;
    workflow.updated_at = recorded.at;
    Ok(workflow)
}

fn next_phase(phase: Phase, recorded: &Recorded) -> Option<Phase> {
    match phase {
        Phase::Assessed => from_assessed(recorded),
        Phase::PendingApproval(round) => from_pending(round, recorded),
        Phase::Approved(round) => from_approved(round, recorded),
        Phase::Queued { round, attempt } => from_queued(round, attempt, recorded),
        Phase::Executing { round, attempt } => from_executing(round, attempt, recorded),
        Phase::OutcomeUnknown { round, attempt } => from_unknown(round, attempt, &recorded.event),
        Phase::Completed { .. } | Phase::Failed { .. } | Phase::Rejected(_) | Phase::Cancelled(_) | Phase::Expired(_) => None,
    }
}

fn from_assessed(recorded: &Recorded) -> Option<Phase> {
    match &recorded.event {
        Event::ApprovalRequested { round, terms, .. } => Some(Phase::PendingApproval(asked(*round, terms, recorded))),
        _ => from_approved(None, recorded),
    }
}

fn from_pending(mut round: Round, recorded: &Recorded) -> Option<Phase> {
    match &recorded.event {
        // What became stricter, or an approval that no longer counts, asks people again.
        Event::ApprovalRequested { round: next, terms, reason: Some(_) } if *next == round.number + 1 => {
            Some(Phase::PendingApproval(asked(*next, terms, recorded)))
        }
        Event::Approved(approval) if approval.round == round.number => {
            round.approvals.push(approval.clone());
            Some(if approval.remaining == 0 { Phase::Approved(Some(round)) } else { Phase::PendingApproval(round) })
        }
        Event::Rejected { round: number, .. } if *number == round.number => Some(Phase::Rejected(round)),
        Event::Escalated { round: number, level, .. } if *number == round.number && *level == round.escalation_level + 1 => {
            round.escalation_level = *level;
            Some(Phase::PendingApproval(round))
        }
        Event::Expired { round: number } if *number == round.number => Some(Phase::Expired(round)),
        Event::Cancelled { round: number, .. } if *number == Some(round.number) => Some(Phase::Cancelled(Some(round))),
        _ => None,
    }
}

/// What releases an action. Logs from before there was a queue start it right away.
fn from_approved(round: Option<Round>, recorded: &Recorded) -> Option<Phase> {
    match &recorded.event {
        Event::Released { attempt, .. } => Some(Phase::Queued { round, attempt: *attempt }),
        Event::ExecutionStarted { .. } => started(round, recorded),
        _ => None,
    }
}

fn from_queued(round: Option<Round>, attempt: u32, recorded: &Recorded) -> Option<Phase> {
    let number = round.as_ref().map(|round| round.number);
    match &recorded.event {
        Event::ExecutionStarted { attempt: begun, .. } if *begun == attempt => started(round, recorded),
        Event::StartRefused { attempt: refused, .. } if *refused == attempt => Some(Phase::Failed { round }),
        Event::Cancelled { round: of, .. } if *of == number => Some(Phase::Cancelled(round)),
        Event::ApprovalRequested { round: next, terms, .. } if *next == number.unwrap_or_default() + 1 => {
            Some(Phase::PendingApproval(asked(*next, terms, recorded)))
        }
        _ => None,
    }
}

fn from_executing(round: Option<Round>, attempt: Attempt, recorded: &Recorded) -> Option<Phase> {
    match &recorded.event {
        Event::Released { attempt: next, .. } if *next == attempt.number + 1 => Some(Phase::Queued { round, attempt: *next }),
        // In logs from before there was a queue, an attempt that was interrupted is followed by the next one.
        Event::ExecutionStarted { attempt: next, .. } if *next == attempt.number + 1 => started(round, recorded),
        Event::OutcomeUnknown { attempt: of, .. } if *of == attempt.number => {
            Some(Phase::OutcomeUnknown { round, attempt: attempt.number })
        }
        Event::ReportRequested { attempt: of, .. } if *of == attempt.number && attempt.report_asked_at.is_none() => {
            Some(Phase::Executing { round, attempt: Attempt { report_asked_at: Some(recorded.at), ..attempt } })
        }
        event => ended(round, attempt.number, event),
    }
}

fn from_unknown(round: Option<Round>, attempt: u32, event: &Event) -> Option<Phase> {
    match event {
        Event::Resolved { attempt: of, outcome, .. } if *of == attempt => Some(match outcome {
            Resolution::Succeeded => Phase::Completed { round },
            Resolution::Failed => Phase::Failed { round },
            // The event that releases it once more is in the same commit.
            Resolution::Retry => Phase::Approved(round),
        }),
        event => ended(round, attempt, event),
    }
}

/// How an attempt ended, also where nobody knew at first.
fn ended(round: Option<Round>, attempt: u32, event: &Event) -> Option<Phase> {
    match event {
        Event::ExecutionSucceeded { attempt: of, .. } if *of == attempt => Some(Phase::Completed { round }),
        Event::ExecutionFailed { attempt: of, .. } if *of == attempt => Some(Phase::Failed { round }),
        _ => None,
    }
}

fn started(round: Option<Round>, recorded: &Recorded) -> Option<Phase> {
    let Event::ExecutionStarted { attempt, owner, token, .. } = &recorded.event else { return None };
    let attempt = Attempt { number: *attempt, owner: *owner, token: *token, started_at: recorded.at, report_asked_at: None };
    Some(Phase::Executing { round, attempt })
}

fn asked(number: u32, terms: &Arc<ApprovalTerms>, recorded: &Recorded) -> Round {
    Round { number, requested_at: recorded.at, terms: Arc::clone(terms), escalation_level: 0, approvals: Vec::new() }
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
        }),
        Event::Rejected { round, roles, reason, .. } => Some(Decision {
            round: *round,
            approver: recorded.actor.clone(),
            roles: roles.clone(),
            verdict: Verdict::Rejected,
            justification: Some(reason.clone()),
            remaining: 0,
            at: recorded.at,
            via: recorded.via,
        }),
        _ => None,
    }
}
