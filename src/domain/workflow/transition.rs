//! The state machine: `open` and `decide` return the events that follow from a command, `apply` the
//! state after an event, `obligations` what has to happen next. All four are total functions and
//! know no clock.

use crate::domain::policy::{ApprovalTerms, Cover, Principal, Role};
use crate::domain::task::digest::Digest;
use crate::domain::workflow::approval;
use crate::domain::workflow::{
    Approval, ApprovalStatus, Command, Decision, Event, GrantedApproval, Plan, Refusal, Round, Status, Submission, Verdict, Workflow,
};
use chrono::{DateTime, Utc};
use std::sync::Arc;
use uuid::Uuid;

mod apply;
mod break_glass;
mod cancel;
mod comment;
mod except;
mod obligations;
mod probe;
mod report;
mod resolve;
mod start;
mod supersede;
mod withdraw;

pub use apply::{Impossible, apply, replay};
pub use except::Exception;
pub use obligations::{Obligation, REPORT_WITHIN, after, deadline, expires_at, obligations, report_deadline, rests_until};

pub use start::{begins, queued_instead};

/// The most events in a first commit: the submission, the result of its level and, if a grant
/// releases it, the grant and the release.
pub const OPENING_EVENTS: u32 = 4;

/// Stored for a rejection, a cancellation or a withdrawal without a reason.
const NO_REASON: &str = "No reason provided";

/// The result of a command that is not refused.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Write these events, in one commit, if the guard holds by the database's clock.
    Commit { events: Vec<Event>, guard: Guard },
    /// The same caller did exactly this before; nothing is written.
    Repeat(Decision),
    /// Nothing has to happen.
    Nothing,
}

/// What the database checks before it allows a commit: the time by its own clock, and the lease of
/// a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Guard {
    pub not_before: Option<DateTime<Utc>>,
    pub not_after: Option<DateTime<Utc>>,
    /// This server must no longer hold a lease.
    pub lapsed: Option<Uuid>,
}

/// The events that open a workflow. Without terms, the level needs no approval and the action is
/// released at once.
pub fn open(submission: Submission, terms: Option<impl Into<Arc<ApprovalTerms>>>, owner: Uuid) -> Vec<Event> {
    let next = match terms {
        Some(terms) => Event::ApprovalRequested { round: 1, terms: terms.into(), reason: None, step: submission.asked_about(start::FIRST) },
        None => start::release_at_once(&Plan::of(&submission), submission.claim, owner),
    };
    vec![Event::Submitted(Arc::new(submission)), next]
}

/// The events that follow when a grant approves a newly opened request, which is released.
pub fn pass(opened: &Workflow, granted: GrantedApproval, owner: Uuid) -> Vec<Event> {
    let released = start::release_next(opened, owner);
    [Event::Granted(granted)].into_iter().chain(released).collect()
}

/// Decides a command by the workflow's own terms. Callers use
/// [`Today::decide`](crate::domain::workflow::today::Today::decide), which adds today's rules.
///
/// # Errors
/// The refusal, which changes nothing.
pub fn decide(workflow: &Workflow, command: &Command) -> Result<Answer, Refusal> {
    match command {
        Command::Approve { by, justification, digest, owner } => approve(workflow, by, justification.as_deref(), digest.as_deref(), *owner),
        Command::BreakGlass { by, justification, digest, roles, owner } => {
            break_glass::break_glass(workflow, by, justification.as_deref(), digest.as_deref(), roles, *owner)
        }
        Command::Review { by, finding, deciders } => break_glass::review(workflow, by, finding.as_deref(), deciders),
        Command::Reject { by, reason, digest } => reject(workflow, by, reason.as_deref(), digest.as_deref()),
        Command::Except { by, freeze, until, justification, digest } => {
            except::except(workflow, by, freeze, *until, justification.as_deref(), digest.as_deref())
        }
        Command::Cancel { by, reason } => cancel::cancel(workflow, by, reason.as_deref()),
        Command::Supersede { by, successor } => supersede::supersede(workflow, by, *successor),
        Command::Withdraw { by, reason } => withdraw::withdraw(workflow, by, reason.as_deref()),
        Command::Comment { by, text, ask } => comment::comment(workflow, by, text, *ask),
        Command::Report { by, step, outcome } => report::report(workflow, by, step.as_ref(), outcome),
        Command::Resolve { by, outcome, justification, owner, deciders } => {
            resolve::resolve(workflow, by, *outcome, justification.as_deref(), *owner, deciders)
        }
        Command::Claim { by, owner, token } => start::claim(workflow, by, *owner, *token),
        Command::Start { attempt, owner, token, renewed } => Ok(start::start(workflow, *attempt, (*owner, *token), renewed.as_deref())),
        Command::RefuseStart { attempt, reason } => Ok(start::refuse(workflow, *attempt, reason)),
        Command::AskAgain { attempt, reason, terms, renewed } => {
            Ok(start::ask_again(workflow, *attempt, reason, terms, renewed.as_deref()))
        }
        Command::Renew { attempt, renewed } => Ok(start::renew(workflow, *attempt, renewed)),
        Command::Finish { attempt, outcome } => Ok(start::finish(workflow, *attempt, outcome)),
        Command::Probed { attempt, answer, output, reason } => {
            Ok(probe::probed(workflow, *attempt, *answer, output.as_ref(), reason.as_deref()))
        }
        Command::Recover { attempt, owner } => Ok(start::recover(workflow, *attempt, *owner)),
        Command::Disown { attempt, token, cause } => Ok(start::disown(workflow, *attempt, *token, *cause)),
        Command::Tick { now } => Ok(tick(workflow, *now)),
    }
}

fn approve(workflow: &Workflow, by: &Principal, justification: Option<&str>, digest: Option<&str>, owner: Uuid) -> Result<Answer, Refusal> {
    let round = decidable(workflow)?;
    let roles = approval::may_decide(&workflow.submission, round, by, Verdict::Approved)?;
    if let Some(answer) = prior_decision(workflow, round, by, Verdict::Approved, digest)? {
        return Ok(answer);
    }
    // A person who was asked before confirms with the digest that they have read the changes.
    same_digest(round, digest, round.terms.require_digest || workflow.renewal_of(round).is_some())?;
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
    let cover = covering(by, &roles);
    let by_groups = by.signed_in.roles.iter().filter(|given| roles.contains(&given.role)).cloned().collect();
    let mut events = vec![Event::Approved(Approval {
        round: round.number,
        approver: by.name.clone(),
        roles,
        digest: round.subject.clone(),
        justification: justification.map(str::to_owned),
        remaining,
        by_groups,
        cover,
    })];
    if remaining == 0 {
        events.extend(start::release_next(workflow, owner));
    }
    Ok(Answer::Commit { events, guard: Guard { not_after: expires_at(round), ..Guard::default() } })
}

fn reject(workflow: &Workflow, by: &Principal, reason: Option<&str>, digest: Option<&str>) -> Result<Answer, Refusal> {
    let round = decidable(workflow)?;
    let roles = approval::may_decide(&workflow.submission, round, by, Verdict::Rejected)?;
    if let Some(answer) = prior_decision(workflow, round, by, Verdict::Rejected, digest)? {
        return Ok(answer);
    }
    same_digest(round, digest, false)?;
    let reason = approval::justification(reason).unwrap_or(NO_REASON).to_owned();
    let cover = covering(by, &roles);
    let event = Event::Rejected { round: round.number, digest: round.subject.clone(), roles, reason, cover };
    Ok(Answer::Commit { events: vec![event], guard: Guard { not_after: expires_at(round), ..Guard::default() } })
}

/// The people for whom the author of a decision by these roles covers.
fn covering(by: &Principal, roles: &[Role]) -> Vec<Cover> {
    let counts = |cover: &&Cover| cover.roles.iter().any(|role| roles.contains(role));
    let counted =
        |cover: &Cover| Cover { roles: cover.roles.iter().filter(|role| roles.contains(role)).cloned().collect(), ..cover.clone() };
    by.covers.iter().filter(counts).map(counted).collect()
}

/// The round that a decision is about.
fn decidable(workflow: &Workflow) -> Result<&Round, Refusal> {
    let wrong = |detail: &str| Refusal::WrongState { current: workflow.status(), detail: detail.to_owned() };
    workflow.round().ok_or_else(|| wrong("this task needed no approval"))
}

/// The earlier answer, if the request is settled or this person has answered before.
fn prior_decision(
    workflow: &Workflow,
    round: &Round,
    by: &Principal,
    verdict: Verdict,
    digest: Option<&str>,
) -> Result<Option<Answer>, Refusal> {
    // Only their last decision in this round and about its subject counts: a person who withdrew an
    // approval is not told that it still counts, one who is asked again answers again, and one who
    // names another document has not decided about it.
    let last = workflow.decisions.iter().rfind(|decision| decision.approver == by.name && decision.round == round.number);
    let is_about_it = digest.is_none_or(|digest| digest == round.subject.as_str());
    if let Some(before) = last.filter(|decision| decision.verdict == verdict && is_about_it) {
        return Ok(Some(Answer::Repeat(before.clone())));
    }
    undecided(workflow).map(|()| None)
}

/// Refuses a command for a settled request.
fn undecided(workflow: &Workflow) -> Result<(), Refusal> {
    match workflow.approval_status() {
        ApprovalStatus::Pending => Ok(()),
        ApprovalStatus::Expired => Err(Refusal::Expired),
        ApprovalStatus::Approved | ApprovalStatus::Rejected => Err(match workflow.deciding() {
            Some(decision) => Refusal::AlreadyDecided(Box::new(decision.clone())),
            None => Refusal::WrongState { current: workflow.status(), detail: "the request is settled".to_owned() },
        }),
        ApprovalStatus::Cancelled | ApprovalStatus::NotRequired => {
            let detail = match workflow.superseded_by() {
                Some(by) => format!("workflow {by} of the same requester has superseded it: decide that one"),
                None => "the request no longer waits for a decision".to_owned(),
            };
            Err(Refusal::WrongState { current: workflow.status(), detail })
        }
    }
}

/// A decision is about the subject of its round and nothing else.
fn same_digest(round: &Round, given: Option<&str>, required: bool) -> Result<(), Refusal> {
    same_digest_as(&round.subject, given, required)
}

fn same_digest_as(digest: &Digest, given: Option<&str>, required: bool) -> Result<(), Refusal> {
    match given {
        Some(given) if given != digest.as_str() => Err(Refusal::DigestMismatch(format!(
            "the decision is about another document: this workflow's digest is {digest}; read it again, then decide"
        ))),
        None if required => {
            Err(Refusal::DigestMismatch("an approval of this has to name the digest of what you read: send it as `digest`".to_owned()))
        }
        _ => Ok(()),
    }
}

/// Everything that is due, in one commit: each escalation step once, or the expiry.
fn tick(workflow: &Workflow, now: DateTime<Utc>) -> Answer {
    let Some(round) = workflow.open_round() else { return resolve::tick(workflow, now) };
    if let Some(expires) = expires_at(round).filter(|expires| *expires <= now) {
        let guard = Guard { not_before: Some(expires), ..Guard::default() };
        return Answer::Commit { events: vec![Event::Expired { round: round.number }], guard };
    }
    let due: Vec<_> = obligations::steps_left(round).take_while(|(_, at, _)| *at <= now).collect();
    let Some((_, last, _)) = due.last() else { return Answer::Nothing };
    let guard = Guard { not_before: Some(*last), not_after: expires_at(round), lapsed: None };
    let events = due.iter().map(|(level, _, to)| Event::Escalated { round: round.number, level: *level, to: to.to_vec() }).collect();
    Answer::Commit { events, guard }
}

/// The status of a workflow right after a decision, which was the answer to the decision.
pub fn status_after(workflow: &Workflow, decision: &Decision) -> Status {
    // An external action begins with the commit that releases it, unless a halt or a freeze holds
    // it.
    let began_at_once = || {
        let attempts = workflow.steps.iter().flat_map(|step| &step.attempts);
        attempts.filter(|attempt| attempt.token.is_none()).any(|attempt| attempt.started_at == decision.at)
    };
    match decision.verdict {
        Verdict::Rejected => Status::Rejected,
        Verdict::Withdrawn => Status::PendingApproval,
        Verdict::Approved if decision.remaining > 0 => Status::PendingApproval,
        Verdict::Approved if began_at_once() => Status::Executing,
        Verdict::Approved => Status::Queued,
    }
}
