//! `support/docs/STATE_MACHINE.md` and `STATE_MACHINE_CASES.md` describe the core. Every table of
//! them is parsed here and compared with `domain::transition`, cell by cell, so that neither can
//! change without the other.

#[path = "state_machine/cases.rs"]
mod cases;
#[path = "state_machine/logs.rs"]
mod logs;
#[path = "state_machine/samples.rs"]
mod samples;
#[path = "state_machine/tables.rs"]
mod tables;
#[path = "state_machine/today.rs"]
mod today;

use chrono::{DateTime, TimeDelta, Utc};
use parkbrake::domain::policy::{ApprovalTerms, EscalationStep, Principal, PrincipalKind, SignedIn};
use parkbrake::domain::risk::Assessment;
use parkbrake::domain::risk::level::Level;
use parkbrake::domain::risk::target::Target;
use parkbrake::domain::task::ActionKind;
use parkbrake::domain::task::digest::Digest;
use parkbrake::domain::task::retry::Retry;
use parkbrake::domain::via::Via;
use parkbrake::domain::workflow::transition::{self, Answer};
use parkbrake::domain::workflow::{
    Approval, AttemptId, Command, Disowned, Event, FreezeException, Outcome, ProbeAnswer, Recorded, Refusal, Renewed, Resolution,
    Submission, Workflow,
};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const PAGES: &str = concat!(include_str!("../support/docs/STATE_MACHINE.md"), "\n", include_str!("../support/docs/STATE_MACHINE_CASES.md"));

const ID: Uuid = Uuid::from_u128(1);
/// The acting process.
const HERE: Uuid = Uuid::from_u128(2);
/// A process that has ended.
const THERE: Uuid = Uuid::from_u128(3);
/// The token of a start.
const TOKEN: Uuid = Uuid::from_u128(4);

/// The escalation steps, and the expiry, counted from the request.
const FIRST: Duration = Duration::from_secs(600);
const SECOND: Duration = Duration::from_secs(1_200);
/// How long the requester of an external action has to report, counted from the start.
const REPORT: Duration = Duration::from_secs(7_200);
const EXPIRY: Duration = Duration::from_secs(3_600);

/// The result of a command, in the words of the page.
fn said(workflow: &Workflow, command: &Command) -> String {
    let actor = command.caller().map_or(parkbrake::domain::policy::SYSTEM, |by| &by.name);
    cell(workflow, transition::decide(workflow, command), actor)
}

/// The workflow after these events.
fn follow(workflow: &Workflow, events: Vec<Event>, actor: &str) -> Workflow {
    events.into_iter().fold(workflow.clone(), |workflow, event| {
        let recorded = Recorded { version: workflow.version + 1, at: at(FIRST), actor: actor.to_owned(), via: Via::Rest, event };
        transition::apply(ID, Some(workflow), &recorded).expect("what is decided can be applied")
    })
}

/// An answer, in the words of the page.
fn cell(workflow: &Workflow, answer: Result<Answer, Refusal>, actor: &str) -> String {
    match answer {
        Ok(Answer::Nothing) => "nothing".to_owned(),
        Ok(Answer::Repeat(_)) => "same answer".to_owned(),
        Ok(Answer::Commit { events, .. }) => {
            let names: Vec<&str> = events.iter().map(Event::name).collect();
            format!("{} → {}", names.join(" + "), follow(workflow, events, actor).status())
        }
        Err(refusal) => match refusal {
            Refusal::NotPermitted(_) => "not-permitted",
            Refusal::NotAnApprover(_) => "not-an-approver",
            Refusal::SelfApproval(_) => "self-approval",
            Refusal::SignInAgain(_) => "sign-in-again",
            Refusal::JustificationRequired => "justification-required",
            Refusal::DigestMismatch(_) => "digest-mismatch",
            Refusal::AlreadyDecided(_) => "already-decided",
            Refusal::Expired => "expired",
            Refusal::ReviewOpen => "review-open",
            Refusal::WrongState { .. } => "wrong-state",
        }
        .to_owned(),
    }
}

fn terms() -> ApprovalTerms {
    let step = |after, role: &str| EscalationStep { after, to: vec![role.to_owned()] };
    ApprovalTerms {
        approvers: vec!["team_lead".to_owned(), "tech_lead".to_owned()],
        required: 1,
        distinct_roles: false,
        require_justification: false,
        require_digest: false,
        separation_of_duties: true,
        escalation: vec![step(FIRST, "cto"), step(SECOND, "admin")],
        expire_after: Some(EXPIRY),
    }
}

fn submitted(action: ActionKind, idempotent: bool) -> Event {
    let submission = Submission {
        task_id: Some("TASK-1".to_owned()),
        requested_by: "deploy-bot".to_owned(),
        on_behalf_of: Some("tom".to_owned()),
        digest: Digest::of(b"the document"),
        assessment: Assessment { level: Level::High, reasons: Vec::new(), policy_version: Digest::of(b"the policy") },
        action,
        idempotent,
        report_within: Some(REPORT),
        retry: None,
        probe: false,
        target: Some(Target::default()),
        supersedes: Some(Uuid::from_u128(9)),
        gate: Default::default(),
        steps: Vec::new(),
        claim: None,
    };
    Event::Submitted(submission.into())
}

/// An attempt at the only step.
fn of(number: u32) -> AttemptId {
    AttemptId { step: 1, number }
}

fn started(attempt: u32) -> Event {
    Event::ExecutionStarted { step: 1, attempt, owner: THERE, token: None }
}

fn released(attempt: u32) -> Event {
    Event::Released { step: 1, attempt }
}

fn parked(terms: &ApprovalTerms) -> Workflow {
    parked_of(ActionKind::External, terms)
}

fn parked_of(action: ActionKind, terms: &ApprovalTerms) -> Workflow {
    fold(&[
        ("deploy-bot", submitted(action, false)),
        ("deploy-bot", Event::ApprovalRequested { round: 1, terms: terms.clone().into(), reason: None, step: None }),
    ])
}

/// Approved by tess, and waiting for its turn.
fn queued(idempotent: bool) -> Workflow {
    let mut log = approved_log(ActionKind::Runbook, idempotent);
    log.push(("tess", released(1)));
    fold(&log)
}

/// Approved by tess; the event that starts the action is still missing.
fn approved_log(action: ActionKind, idempotent: bool) -> Vec<(&'static str, Event)> {
    let approval = Approval {
        round: 1,
        approver: "tess".to_owned(),
        roles: vec!["team_lead".to_owned()],
        digest: Digest::of(b"the document"),
        justification: None,
        remaining: 0,
        by_groups: Vec::new(),
        cover: Vec::new(),
    };
    let requested = Event::ApprovalRequested { round: 1, terms: terms().into(), reason: None, step: None };
    vec![("deploy-bot", submitted(action, idempotent)), ("deploy-bot", requested), ("tess", Event::Approved(approval))]
}

/// Approved by tess, and begun by the process that has ended.
fn executing(action: ActionKind, idempotent: bool) -> Workflow {
    let mut log = approved_log(action, idempotent);
    log.push(("tess", started(1)));
    fold(&log)
}

fn fold(log: &[(&str, Event)]) -> Workflow {
    let recorded = |(index, (actor, event)): (usize, &(&str, Event))| Recorded {
        version: u32::try_from(index + 1).expect("a short log"),
        at: at(Duration::ZERO),
        actor: (*actor).to_owned(),
        via: Via::Rest,
        event: event.clone(),
    };
    let log: Vec<Recorded> = log.iter().enumerate().map(recorded).collect();
    transition::replay(ID, &log).expect("a log that can be").expect("a workflow")
}

/// The workflow after a command that is accepted.
#[track_caller]
fn answered(workflow: &Workflow, command: &Command) -> Workflow {
    let Ok(Answer::Commit { events, .. }) = transition::decide(workflow, command) else { panic!("{command:?} writes nothing") };
    let actor = command.caller().map_or(parkbrake::domain::policy::SYSTEM, |by| &by.name);
    events.into_iter().fold(workflow.clone(), |workflow, event| {
        let recorded = Recorded { version: workflow.version + 1, at: at(FIRST), actor: actor.to_owned(), via: Via::Rest, event };
        transition::apply(ID, Some(workflow), &recorded).expect("what is decided can be applied")
    })
}

fn at(delay: Duration) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::from_std(delay).expect("a short delay")
}

fn person(name: &str, roles: &[&str]) -> Principal {
    let roles = roles.iter().map(|role| (*role).to_owned()).collect();
    Principal {
        name: name.to_owned(),
        kind: PrincipalKind::Person,
        roles,
        on_behalf_of: None,
        via: Via::Rest,
        signed_in: SignedIn::now(),
        covers: Vec::new(),
    }
}

fn approve(name: &str) -> Command {
    approve_as(name, &["team_lead"])
}

fn approve_as(name: &str, roles: &[&str]) -> Command {
    Command::Approve { by: person(name, roles), justification: None, digest: None, owner: HERE }
}

fn reject(name: &str) -> Command {
    reject_as(name, &["team_lead"])
}

fn reject_as(name: &str, roles: &[&str]) -> Command {
    Command::Reject { by: person(name, roles), reason: None, digest: None }
}

fn cancel(name: &str) -> Command {
    Command::Cancel { by: person(name, &[]), reason: None }
}

fn comment(name: &str, ask: bool) -> Command {
    Command::Comment { by: person(name, &[]), text: "why now?".to_owned(), ask }
}

fn supersede(name: &str, successor: Uuid) -> Command {
    Command::Supersede { by: person(name, &[]), successor }
}

fn withdraw(name: &str) -> Command {
    // Whatever roles they have now.
    Command::Withdraw { by: person(name, &[]), reason: None }
}

fn report(name: &str, outcome: Outcome) -> Command {
    Command::Report { by: person(name, &[]), step: None, outcome }
}

fn resolve(name: &str, outcome: Resolution) -> Command {
    resolve_as(name, &["team_lead"], outcome)
}

fn resolve_as(name: &str, roles: &[&str], outcome: Resolution) -> Command {
    let deciders = vec!["team_lead".to_owned(), "cto".to_owned()];
    Command::Resolve { by: person(name, roles), outcome, justification: Some("I looked".to_owned()), owner: HERE, deciders }
}

fn start(attempt: u32) -> Command {
    Command::Start { attempt: of(attempt), owner: HERE, token: TOKEN, renewed: None }
}

fn refuse() -> Command {
    Command::RefuseStart { attempt: of(1), reason: "the runbook was changed".to_owned() }
}

fn ask_again() -> Command {
    Command::AskAgain { attempt: of(1), reason: "the terms are stricter now".to_owned(), terms: terms().into(), renewed: None }
}

/// A document that replaces the previous one.
fn another() -> Renewed {
    Renewed::of(b"{}", br#"{"a":1}"#.to_vec(), "it drifted".to_owned())
}

fn ask_about_another() -> Command {
    let renewed = Some(another().into());
    Command::AskAgain { attempt: of(1), reason: "it drifted".to_owned(), terms: terms().into(), renewed }
}

fn renew() -> Command {
    Command::Renew { attempt: of(1), renewed: another().into() }
}

fn start_by_another() -> Command {
    Command::Start { attempt: of(1), owner: HERE, token: TOKEN, renewed: Some(another().into()) }
}

/// Approved by tess, and cora has approved an exception from a freeze.
fn excepted() -> Workflow {
    let mut log = approved_log(ActionKind::Runbook, false);
    log.push(("tess", released(1)));
    let exception = FreezeException {
        freeze: "weekend".to_owned(),
        until: at(FIRST),
        approver: "cora".to_owned(),
        roles: vec!["cto".to_owned()],
        digest: Digest::of(b"the document"),
        justification: "an outage".to_owned(),
    };
    log.push(("cora", Event::FreezeExcepted(exception)));
    fold(&log)
}

fn disown(token: Uuid) -> Command {
    Command::Disown { attempt: of(1), token: Some(token), cause: Disowned::NotHere }
}

fn tick(after: Duration) -> Command {
    Command::Tick { now: at(after) }
}

fn succeeded() -> Outcome {
    Outcome::Succeeded { output: None }
}

fn failed() -> Outcome {
    Outcome::Failed { error: "broken".to_owned(), output: None }
}

/// It runs, it is idempotent, and two attempts are permitted.
fn may_retry() -> Workflow {
    let mut workflow = answered(&queued(true), &start(1));
    workflow.plan.steps[0].retry = Some(Retry { attempts: 2, backoff: FIRST });
    workflow
}

/// Its first attempt has failed.
fn resting() -> Workflow {
    answered(&may_retry(), &finish_as(failed()))
}

/// Its outcome is unknown, and its runbook has a probe.
fn in_doubt(may_retry: bool) -> Workflow {
    let mut workflow = if may_retry { self::may_retry() } else { answered(&queued(false), &start(1)) };
    workflow.plan.steps[0].probe = true;
    answered(&workflow, &finish_as(Outcome::Unknown { reason: "?".to_owned() }))
}

fn probed(answer: ProbeAnswer) -> Command {
    Command::Probed { attempt: of(1), answer, output: None, reason: None }
}

/// The pause is over.
fn released_again() -> Workflow {
    answered(&resting(), &tick(FIRST * 2))
}

fn second_attempt() -> Workflow {
    answered(&released_again(), &start(2))
}

/// Parkbrake stopped it, because somebody had cancelled it.
fn ended_early() -> Outcome {
    Outcome::Cancelled { error: "ended".to_owned(), output: None }
}

fn finish_as(outcome: Outcome) -> Command {
    Command::Finish { attempt: of(1), outcome }
}

/// A table of the page.
struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// The first table under a heading.
#[track_caller]
fn table(heading: &str) -> Table {
    let (_, section) = PAGES.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no page has the heading `{heading}`"));
    let section = section.split("\n## ").next().unwrap_or_default();
    let cells = |line: &str| -> Vec<String> { line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect() };
    let mut lines = section.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|')).map(cells);
    let header = lines.next().unwrap_or_else(|| panic!("there is no table under `{heading}`"));
    let rows: Vec<_> = lines.skip(1).collect();
    assert!(!rows.is_empty() && rows.iter().all(|row| row.len() == header.len()), "the table under `{heading}` is not whole");
    Table { header, rows }
}
