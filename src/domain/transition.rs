//! The state machine: `open` and `decide` say which events follow from a command, `apply` what a state becomes by an
//! event, `obligation` what has to happen next. All four are total; none knows a clock.

use crate::domain::approval;
use crate::domain::policy::{ApprovalTerms, Principal, PrincipalKind, roles};
use crate::domain::task::ActionKind;
use crate::domain::workflow::{
    Approval, ApprovalStatus, Command, Decision, Event, Outcome, Phase, Refusal, Round, Status, Submission, Verdict, Workflow,
};
use chrono::{DateTime, TimeDelta, Utc};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

mod apply;
mod resolve;
mod start;

pub use apply::{Impossible, apply, replay};
pub use resolve::{REPORT_WITHIN, report_deadline};

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

/// What the database checks before it allows a commit: the moment by its own clock, and who holds a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Guard {
    pub not_before: Option<DateTime<Utc>>,
    pub not_after: Option<DateTime<Utc>>,
    /// This server must not hold a lease any more.
    pub lapsed: Option<Uuid>,
}

/// What has to happen next, computed from the state alone, right after a commit and after a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obligation {
    /// Final, or only a human can go on.
    Nothing,
    /// Wait for people, and come back at the deadline.
    Park { deadline: Option<DateTime<Utc>> },
    /// See to it that this process's runner has it in its queue.
    Queue,
    /// Wait for the requester's report, and come back at the deadline.
    AwaitReport { deadline: DateTime<Utc> },
    /// This process has started the attempt. Nothing is started because of it: see to it that the runner knows of it.
    Attend { attempt: u32, token: Option<Uuid> },
    /// A process that is gone had begun this attempt.
    Recover,
}

/// The events that open a workflow. Without terms the level approves itself, and the action is released at once.
pub fn open(submission: Submission, terms: Option<impl Into<Arc<ApprovalTerms>>>, owner: Uuid) -> Vec<Event> {
    let next = match terms {
        Some(terms) => Event::ApprovalRequested { round: 1, terms: terms.into(), reason: None },
        None => start::release(submission.action, 1, owner),
    };
    vec![Event::Submitted(submission), next]
}

/// What follows from a command by the workflow's own terms. Whoever acts on it asks [`Today::decide`](crate::domain::today::Today::decide),
/// which adds the rules of today.
///
/// # Errors
/// The refusal, which changes nothing.
pub fn decide(workflow: &Workflow, command: &Command) -> Result<Answer, Refusal> {
    match command {
        Command::Approve { by, justification, digest, owner } => approve(workflow, by, justification.as_deref(), digest.as_deref(), *owner),
        Command::Reject { by, reason, digest } => reject(workflow, by, reason.as_deref(), digest.as_deref()),
        Command::Cancel { by, reason } => cancel(workflow, by, reason.as_deref()),
        Command::Report { by, outcome } => report(workflow, by, outcome),
        Command::Resolve { by, outcome, justification, owner, deciders } => {
            resolve::resolve(workflow, by, *outcome, justification.as_deref(), *owner, deciders)
        }
        Command::Start { attempt, owner, token } => Ok(start::start(workflow, *attempt, *owner, *token)),
        Command::RefuseStart { attempt, reason } => Ok(start::refuse(workflow, *attempt, reason)),
        Command::AskAgain { attempt, reason, terms } => Ok(start::ask_again(workflow, *attempt, reason, terms)),
        Command::Finish { attempt, outcome } => Ok(start::finish(workflow, *attempt, outcome)),
        Command::Recover { owner } => Ok(start::recover(workflow, *owner)),
        Command::Disown { attempt, token, cause } => Ok(start::disown(workflow, *attempt, *token, *cause)),
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
    let before = approval::remaining(&round.terms, &given);
    let remaining = approval::remaining(&round.terms, &given.into_iter().chain([roles.as_slice()]).collect::<Vec<_>>());
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
        events.push(start::release(workflow.submission.action, workflow.attempts + 1, owner));
    }
    Ok(Answer::Commit { events, guard: Guard { not_after: expires_at(round), ..Guard::default() } })
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
    Ok(Answer::Commit { events: vec![event], guard: Guard { not_after: expires_at(round), ..Guard::default() } })
}

/// The round that a decision is about.
fn decidable(workflow: &Workflow) -> Result<&Round, Refusal> {
    let wrong = |detail: &str| Refusal::WrongState { current: workflow.status(), detail: detail.to_owned() };
    workflow.round().ok_or_else(|| wrong("this task needed no approval"))
}

/// What a decision finds on a request that is settled, or that this person has answered before.
fn settled(workflow: &Workflow, by: &Principal, verdict: Verdict) -> Result<Option<Answer>, Refusal> {
    // Their last word in this round counts: who took a yes back is not told that it still stands, and who was asked again answers again.
    let round = workflow.round().map(|round| round.number);
    let last = workflow.decisions.iter().rfind(|decision| decision.approver == by.name && Some(decision.round) == round);
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
        Phase::PendingApproval(_) | Phase::Queued { .. } => {
            let reason = approval::justification(reason).unwrap_or(NO_REASON).to_owned();
            let round = workflow.round().map(|round| round.number);
            Ok(Answer::Commit { events: vec![Event::Cancelled { round, reason }], guard: Guard::default() })
        }
        Phase::Cancelled(_) => Ok(Answer::Nothing),
        Phase::Assessed | Phase::Approved(_) | Phase::Executing { .. } => Err(Refusal::WrongState {
            current: workflow.status(),
            detail: "the action has been started and may have had effects, so it can no longer be cancelled".to_owned(),
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
    let ended = |attempt| Ok(Answer::Commit { events: vec![start::ended(attempt, outcome)], guard: Guard::default() });
    match (&workflow.phase, outcome) {
        (Phase::Executing { attempt, .. }, _) => ended(attempt.number),
        // A late report is the truth about what nobody knew.
        (Phase::OutcomeUnknown { attempt, .. }, _) => ended(*attempt),
        (Phase::Completed { .. }, Outcome::Succeeded { .. }) | (Phase::Failed { .. }, Outcome::Failed { .. }) => Ok(Answer::Nothing),
        (Phase::Completed { .. } | Phase::Failed { .. }, _) => wrong("the other result was reported before"),
        (Phase::PendingApproval(_) | Phase::Assessed | Phase::Approved(_) | Phase::Queued { .. }, _) => {
            wrong("the action has not been released")
        }
        (Phase::Rejected(_) | Phase::Cancelled(_) | Phase::Expired(_), _) => wrong("the action was never released"),
    }
}

/// Everything that has fallen due, in one commit: each step once, or the end of the request.
fn tick(workflow: &Workflow, now: DateTime<Utc>) -> Answer {
    let round = match &workflow.phase {
        Phase::PendingApproval(round) => round,
        Phase::Executing { attempt, .. } => return resolve::tick(workflow, attempt, now),
        _ => return Answer::Nothing,
    };
    if let Some(expires) = expires_at(round).filter(|expires| *expires <= now) {
        let guard = Guard { not_before: Some(expires), ..Guard::default() };
        return Answer::Commit { events: vec![Event::Expired { round: round.number }], guard };
    }
    let due: Vec<_> = steps_left(round).take_while(|(_, at, _)| *at <= now).collect();
    let Some((_, last, _)) = due.last() else { return Answer::Nothing };
    let guard = Guard { not_before: Some(*last), not_after: expires_at(round), lapsed: None };
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
    if let Some(deadline) = report_deadline(workflow) {
        return Obligation::AwaitReport { deadline };
    }
    match &workflow.phase {
        Phase::PendingApproval(round) => Obligation::Park { deadline: deadline(round) },
        Phase::Queued { .. } => Obligation::Queue,
        Phase::Executing { attempt, .. } if attempt.owner == owner => Obligation::Attend { attempt: attempt.number, token: attempt.token },
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

/// The status that a workflow had right after a decision: what the decision was answered with.
pub fn status_after(decision: &Decision, action: ActionKind) -> Status {
    match (decision.verdict, action) {
        (Verdict::Rejected, _) => Status::Rejected,
        (Verdict::Approved, _) if decision.remaining > 0 => Status::PendingApproval,
        (Verdict::Approved, ActionKind::External) => Status::Executing,
        (Verdict::Approved, ActionKind::Runbook | ActionKind::Webhook) => Status::Queued,
    }
}
