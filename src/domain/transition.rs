//! The state machine: `open` and `decide` say which events follow from a command, `apply` what a state becomes by an
//! event, `obligation` what has to happen next. All four are total; none knows a clock.

use crate::domain::approval;
use crate::domain::policy::{ApprovalTerms, Principal, PrincipalKind, roles};
use crate::domain::task::ActionKind;
use crate::domain::workflow::{
    Approval, ApprovalStatus, Command, Decision, Event, Outcome, Phase, Recorded, Refusal, Round, Status, Submission, Verdict, Workflow,
};
use chrono::{DateTime, TimeDelta, Utc};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// How many events a first commit holds: what was asked, and what follows from its level.
pub const OPENING_EVENTS: u32 = 2;
/// The only step of the only plan there is today.
const STEP: u32 = 1;

/// What is kept of a rejection that names no reason.
const NO_REASON: &str = "No reason provided";

/// What follows from a command that is not refused.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Write these events, in one commit, if the guard holds by the database's clock.
    Commit { events: Vec<Event>, guard: Guard },
    /// The same caller has done this very thing before; nothing is written.
    Repeat(Decision),
    /// Nothing has to happen.
    Nothing,
}

/// Between which moments, by the database's clock, a commit is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Guard {
    pub not_before: Option<DateTime<Utc>>,
    pub not_after: Option<DateTime<Utc>>,
}

/// What has to happen next, computed from the state alone, right after a commit and after a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obligation {
    /// Final, or only a human can go on.
    Nothing,
    /// Wait for people, and come back at the deadline.
    Park { deadline: Option<DateTime<Utc>> },
    /// Wait for the requester's report.
    AwaitReport,
    /// See to it that this attempt runs in this process; starting it twice is the executor's to prevent.
    Run { attempt: u32 },
    /// A process that is gone had begun this attempt.
    Recover,
}

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

/// The events that open a workflow. Without terms the level approves itself, and the action starts at once.
pub fn open(submission: Submission, terms: Option<impl Into<Arc<ApprovalTerms>>>, owner: Uuid) -> Vec<Event> {
    let next = match terms {
        Some(terms) => Event::ApprovalRequested { round: 1, terms: terms.into() },
        None => Event::ExecutionStarted { step: STEP, attempt: 1, owner },
    };
    vec![Event::Submitted(submission), next]
}

/// What follows from a command.
///
/// # Errors
/// The refusal, which changes nothing.
pub fn decide(workflow: &Workflow, command: &Command) -> Result<Answer, Refusal> {
    match command {
        Command::Approve { by, justification, digest, owner } => approve(workflow, by, justification.as_deref(), digest.as_deref(), *owner),
        Command::Reject { by, reason, digest } => reject(workflow, by, reason.as_deref(), digest.as_deref()),
        Command::Cancel { by, reason } => cancel(workflow, by, reason.as_deref()),
        Command::Report { by, outcome } => report(workflow, by, outcome),
        Command::Finish { attempt, outcome } => Ok(finish(workflow, *attempt, outcome)),
        Command::Recover { owner } => Ok(recover(workflow, *owner)),
        Command::Tick { now } => Ok(tick(workflow, *now)),
    }
}

fn approve(workflow: &Workflow, by: &Principal, justification: Option<&str>, digest: Option<&str>, owner: Uuid) -> Result<Answer, Refusal> {
    let round = decidable(workflow)?;
    let roles = approval::may_decide(&workflow.submission, round, by, Verdict::Approved)?;
    if let Some(answer) = settled(workflow, by, Verdict::Approved)? {
        return Ok(answer);
    }
    same_digest(workflow, digest, round.terms.require_digest)?;
    let justification = approval::justification(justification);
    if round.terms.require_justification && justification.is_none() {
        return Err(Refusal::JustificationRequired);
    }
    let given: Vec<&[String]> = round.approvals.iter().map(|approval| approval.roles.as_slice()).collect();
    let before = approval::remaining(round, &given);
    let remaining = approval::remaining(round, &given.into_iter().chain([roles.as_slice()]).collect::<Vec<_>>());
    if remaining == before {
        let open = approval::open_roles(round).join(", ");
        return Err(Refusal::NotAnApprover(format!(
            "somebody has approved as {} already; still needed is one of: {open}",
            roles.join(", ")
        )));
    }
    let mut events = vec![Event::Approved(Approval {
        round: round.number,
        approver: by.name.clone(),
        roles,
        digest: workflow.submission.digest.clone(),
        justification: justification.map(str::to_owned),
        remaining,
    })];
    if remaining == 0 {
        events.push(Event::ExecutionStarted { step: STEP, attempt: 1, owner });
    }
    Ok(Answer::Commit { events, guard: Guard { not_before: None, not_after: expires_at(round) } })
}

fn reject(workflow: &Workflow, by: &Principal, reason: Option<&str>, digest: Option<&str>) -> Result<Answer, Refusal> {
    let round = decidable(workflow)?;
    let roles = approval::may_decide(&workflow.submission, round, by, Verdict::Rejected)?;
    if let Some(answer) = settled(workflow, by, Verdict::Rejected)? {
        return Ok(answer);
    }
    same_digest(workflow, digest, false)?;
    let reason = approval::justification(reason).unwrap_or(NO_REASON).to_owned();
    let event = Event::Rejected { round: round.number, digest: workflow.submission.digest.clone(), roles, reason };
    Ok(Answer::Commit { events: vec![event], guard: Guard { not_before: None, not_after: expires_at(round) } })
}

/// The round that a decision is about.
fn decidable(workflow: &Workflow) -> Result<&Round, Refusal> {
    let wrong = |detail: &str| Refusal::WrongState { current: workflow.status(), detail: detail.to_owned() };
    workflow.round().ok_or_else(|| wrong("this task needed no approval"))
}

/// What a decision finds on a request that is settled, or that this person has answered before.
fn settled(workflow: &Workflow, by: &Principal, verdict: Verdict) -> Result<Option<Answer>, Refusal> {
    // Their last word counts: who took a yes back is not told that it still stands.
    let last = workflow.decisions.iter().rfind(|decision| decision.approver == by.name);
    if let Some(before) = last.filter(|decision| decision.verdict == verdict) {
        return Ok(Some(Answer::Repeat(before.clone())));
    }
    match workflow.approval_status() {
        ApprovalStatus::Pending => Ok(None),
        ApprovalStatus::Expired => Err(Refusal::Expired),
        ApprovalStatus::Approved | ApprovalStatus::Rejected => Err(match workflow.deciding() {
            Some(decision) => Refusal::AlreadyDecided(Box::new(decision.clone())),
            None => Refusal::WrongState { current: workflow.status(), detail: "the request is settled".to_owned() },
        }),
        ApprovalStatus::Cancelled | ApprovalStatus::NotRequired => {
            Err(Refusal::WrongState { current: workflow.status(), detail: "the request no longer waits for a decision".to_owned() })
        }
    }
}

fn same_digest(workflow: &Workflow, given: Option<&str>, required: bool) -> Result<(), Refusal> {
    let digest = &workflow.submission.digest;
    match given {
        Some(given) if given != digest.as_str() => Err(Refusal::DigestMismatch(format!(
            "the decision is about another document: this workflow's digest is {digest}; read it again, then decide"
        ))),
        None if required => Err(Refusal::DigestMismatch("this level needs the digest of what you read: send it as `digest`".to_owned())),
        _ => Ok(()),
    }
}

fn cancel(workflow: &Workflow, by: &Principal, reason: Option<&str>) -> Result<Answer, Refusal> {
    if !is_requester(workflow, by) && !by.has_role(roles::ADMIN) {
        return Err(Refusal::NotPermitted("a task is cancelled by its requester or by an admin".to_owned()));
    }
    match &workflow.phase {
        Phase::PendingApproval(round) => {
            let reason = approval::justification(reason).unwrap_or(NO_REASON).to_owned();
            Ok(Answer::Commit { events: vec![Event::Cancelled { round: round.number, reason }], guard: Guard::default() })
        }
        Phase::Cancelled(_) => Ok(Answer::Nothing),
        Phase::Assessed | Phase::Approved(_) | Phase::Executing { .. } => Err(Refusal::WrongState {
            current: workflow.status(),
            detail: "the action has been released and may have begun, so it can no longer be cancelled".to_owned(),
        }),
        Phase::OutcomeUnknown { .. } | Phase::Completed { .. } | Phase::Failed { .. } | Phase::Rejected(_) | Phase::Expired(_) => {
            Err(Refusal::WrongState { current: workflow.status(), detail: "there is nothing left to cancel".to_owned() })
        }
    }
}

/// The principal that submitted, or the person it did so for.
fn is_requester(workflow: &Workflow, by: &Principal) -> bool {
    let submission = &workflow.submission;
    by.name == submission.requested_by || (by.kind == PrincipalKind::Person && submission.on_behalf_of.as_deref() == Some(&by.name))
}

fn report(workflow: &Workflow, by: &Principal, outcome: &Outcome) -> Result<Answer, Refusal> {
    if !is_requester(workflow, by) {
        return Err(Refusal::NotPermitted("the result of an external action is reported by its requester".to_owned()));
    }
    let wrong = |detail: &str| Err(Refusal::WrongState { current: workflow.status(), detail: detail.to_owned() });
    if workflow.submission.action != ActionKind::External {
        return wrong("parkbrake itself runs this action and knows its result");
    }
    match (&workflow.phase, outcome) {
        (Phase::Executing { attempt, .. }, _) => Ok(Answer::Commit { events: vec![ended(*attempt, outcome)], guard: Guard::default() }),
        (Phase::Completed { .. }, Outcome::Succeeded { .. }) | (Phase::Failed { .. }, Outcome::Failed { .. }) => Ok(Answer::Nothing),
        (Phase::Completed { .. } | Phase::Failed { .. }, _) => wrong("the other result was reported before"),
        (Phase::PendingApproval(_) | Phase::Assessed | Phase::Approved(_), _) => wrong("the action has not been released"),
        (Phase::Rejected(_) | Phase::Cancelled(_) | Phase::Expired(_), _) => wrong("the action was never released"),
        (Phase::OutcomeUnknown { .. }, _) => wrong("the outcome has to be resolved by an approver"),
    }
}

fn ended(attempt: u32, outcome: &Outcome) -> Event {
    // An output of null is no output: in the log, which is JSON, the two are one.
    let some = |output: Option<serde_json::Value>| output.filter(|output| !output.is_null());
    match outcome.clone() {
        Outcome::Succeeded { output } => Event::ExecutionSucceeded { step: STEP, attempt, output: some(output) },
        Outcome::Failed { error, output } => Event::ExecutionFailed { step: STEP, attempt, output: some(output), error },
        Outcome::Unknown { reason } => Event::OutcomeUnknown { step: STEP, attempt, reason },
    }
}

fn finish(workflow: &Workflow, finished: u32, outcome: &Outcome) -> Answer {
    match workflow.phase {
        Phase::Executing { attempt, .. } if attempt == finished => {
            Answer::Commit { events: vec![ended(attempt, outcome)], guard: Guard::default() }
        }
        _ => Answer::Nothing,
    }
}

fn recover(workflow: &Workflow, owner: Uuid) -> Answer {
    let Phase::Executing { attempt, owner: began, .. } = workflow.phase else { return Answer::Nothing };
    if began == owner || workflow.submission.action == ActionKind::External {
        return Answer::Nothing;
    }
    let event = if workflow.submission.idempotent {
        Event::ExecutionStarted { step: STEP, attempt: attempt + 1, owner }
    } else {
        let reason = "the server stopped while the action was running, and the action is not declared idempotent: \
                      find out what it did before anything is done again"
            .to_owned();
        Event::OutcomeUnknown { step: STEP, attempt, reason }
    };
    Answer::Commit { events: vec![event], guard: Guard::default() }
}

/// Everything that has fallen due, in one commit: each step once, or the end of the request.
fn tick(workflow: &Workflow, now: DateTime<Utc>) -> Answer {
    let Phase::PendingApproval(round) = &workflow.phase else { return Answer::Nothing };
    if let Some(expires) = expires_at(round).filter(|expires| *expires <= now) {
        let guard = Guard { not_before: Some(expires), not_after: None };
        return Answer::Commit { events: vec![Event::Expired { round: round.number }], guard };
    }
    let due: Vec<_> = steps_left(round).take_while(|(_, at, _)| *at <= now).collect();
    let Some((_, last, _)) = due.last() else { return Answer::Nothing };
    let guard = Guard { not_before: Some(*last), not_after: expires_at(round) };
    let events = due.iter().map(|(level, _, to)| Event::Escalated { round: round.number, level: *level, to: to.to_vec() }).collect();
    Answer::Commit { events, guard }
}

/// The steps that have not been taken: number, time, roles.
fn steps_left(round: &Round) -> impl Iterator<Item = (u32, DateTime<Utc>, &[String])> {
    let steps = round.terms.escalation.iter().zip(1..).skip(round.escalation_level as usize);
    steps.map(|(step, level)| (level, after(round, step.after), step.to.as_slice()))
}

/// A moment counted from the request.
pub fn after(round: &Round, delay: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(delay).ok().and_then(|delay| round.requested_at.checked_add_signed(delay)).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// When the request expires, if it does.
pub fn expires_at(round: &Round) -> Option<DateTime<Utc>> {
    round.terms.expire_after.map(|delay| after(round, delay))
}

/// The next moment at which something falls due.
pub fn deadline(round: &Round) -> Option<DateTime<Utc>> {
    steps_left(round).map(|(_, at, _)| at).next().into_iter().chain(expires_at(round)).min()
}

/// What has to happen next.
pub fn obligation(workflow: &Workflow, owner: Uuid) -> Obligation {
    match &workflow.phase {
        Phase::PendingApproval(round) => Obligation::Park { deadline: deadline(round) },
        Phase::Executing { .. } if workflow.submission.action == ActionKind::External => Obligation::AwaitReport,
        Phase::Executing { attempt, owner: began, .. } if *began == owner => Obligation::Run { attempt: *attempt },
        Phase::Executing { .. } => Obligation::Recover,
        // Between two events of one commit; no whole commit ends here.
        Phase::Assessed | Phase::Approved(_) => Obligation::Nothing,
        Phase::OutcomeUnknown { .. }
        | Phase::Completed { .. }
        | Phase::Failed { .. }
        | Phase::Rejected(_)
        | Phase::Cancelled(_)
        | Phase::Expired(_) => Obligation::Nothing,
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
    workflow.version = recorded.version;
    workflow.updated_at = recorded.at;
    Ok(workflow)
}

fn next_phase(phase: Phase, recorded: &Recorded) -> Option<Phase> {
    Some(match (phase, &recorded.event) {
        // From assessed
        (Phase::Assessed, Event::ApprovalRequested { round, terms }) => Phase::PendingApproval(Round {
            number: *round,
            requested_at: recorded.at,
            terms: terms.clone(),
            escalation_level: 0,
            approvals: Vec::new(),
        }),
        (Phase::Assessed, Event::ExecutionStarted { attempt, owner, .. }) => {
            Phase::Executing { round: None, attempt: *attempt, owner: *owner }
        }

        // From pending
        (Phase::PendingApproval(mut round), Event::Approved(approval)) if approval.round == round.number => {
            round.approvals.push(approval.clone());
            if approval.remaining == 0 { Phase::Approved(Some(round)) } else { Phase::PendingApproval(round) }
        }
        (Phase::PendingApproval(round), Event::Rejected { round: number, .. }) if *number == round.number => Phase::Rejected(round),
        (Phase::PendingApproval(mut round), Event::Escalated { round: number, level, .. })
            if *number == round.number && *level == round.escalation_level + 1 =>
        {
            round.escalation_level = *level;
            Phase::PendingApproval(round)
        }
        (Phase::PendingApproval(round), Event::Expired { round: number }) if *number == round.number => Phase::Expired(round),
        (Phase::PendingApproval(round), Event::Cancelled { round: number, .. }) if *number == round.number => Phase::Cancelled(round),

        // From approved
        (Phase::Approved(round), Event::ExecutionStarted { attempt, owner, .. }) => {
            Phase::Executing { round, attempt: *attempt, owner: *owner }
        }

        // From executing
        (Phase::Executing { round, attempt, .. }, Event::ExecutionStarted { attempt: next, owner, .. }) if *next == attempt + 1 => {
            Phase::Executing { round, attempt: *next, owner: *owner }
        }
        (Phase::Executing { round, attempt, .. }, Event::ExecutionSucceeded { attempt: ended, .. }) if *ended == attempt => {
            Phase::Completed { round }
        }
        (Phase::Executing { round, attempt, .. }, Event::ExecutionFailed { attempt: ended, .. }) if *ended == attempt => {
            Phase::Failed { round }
        }
        (Phase::Executing { round, attempt, .. }, Event::OutcomeUnknown { attempt: ended, .. }) if *ended == attempt => {
            Phase::OutcomeUnknown { round, attempt }
        }

        _ => return None,
    })
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
        }),
        Event::Rejected { round, roles, reason, .. } => Some(Decision {
            round: *round,
            approver: recorded.actor.clone(),
            roles: roles.clone(),
            verdict: Verdict::Rejected,
            justification: Some(reason.clone()),
            remaining: 0,
            at: recorded.at,
        }),
        _ => None,
    }
}

/// The status that a workflow had right after a decision: what the decision was answered with.
pub fn status_after(decision: &Decision) -> Status {
    match decision.verdict {
        Verdict::Rejected => Status::Rejected,
        Verdict::Approved if decision.remaining == 0 => Status::Executing,
        Verdict::Approved => Status::PendingApproval,
    }
}
