//! Tests the checker itself: an honest history passes, and each lie is found.

use super::check::{Rule, check};
use super::history::{Call, History, Line, Mark, Server, Stored, Told};
use chrono::{DateTime, TimeDelta, TimeZone as _, Utc};
use parkbrake::domain::policy::ApprovalTerms;
use parkbrake::domain::risk::Assessment;
use parkbrake::domain::risk::level::Level;
use parkbrake::domain::task::ActionKind;
use parkbrake::domain::task::digest::Digest;
use parkbrake::domain::via::Via;
use parkbrake::domain::workflow::{Approval, Event, Recorded, Submission};
use std::time::Duration;
use uuid::Uuid;

const DEAD: Uuid = Uuid::from_u128(0xd);
const WELL: Uuid = Uuid::from_u128(0xe);

/// Ran once, and two people approved it.
const ONCE: Uuid = Uuid::from_u128(1);
/// Idempotent: its server died, and it ran again.
const AGAIN: Uuid = Uuid::from_u128(2);
/// Its server died, and the outcome is unknown.
const UNKNOWN: Uuid = Uuid::from_u128(3);
const REJECTED: Uuid = Uuid::from_u128(4);
/// Nobody was asked.
const HARMLESS: Uuid = Uuid::from_u128(5);
const EXPIRED: Uuid = Uuid::from_u128(6);
const EXTERNAL: Uuid = Uuid::from_u128(7);

fn at(second: i64) -> DateTime<Utc> {
    Utc.timestamp_opt(1_800_000_000, 0).unwrap() + TimeDelta::seconds(second)
}

fn terms() -> ApprovalTerms {
    ApprovalTerms {
        approvers: vec!["lead".to_owned()],
        required: 2,
        distinct_roles: false,
        require_justification: false,
        require_digest: false,
        separation_of_duties: true,
        escalation: Vec::new(),
        expire_after: Some(Duration::from_secs(100)),
    }
}

fn submitted(level: Level, action: ActionKind, idempotent: bool) -> Event {
    let submission = Submission {
        task_id: None,
        requested_by: "bot".to_owned(),
        on_behalf_of: Some("tom".to_owned()),
        digest: Digest::of(b"task"),
        assessment: Assessment { level, reasons: Vec::new(), policy_version: Digest::of(b"policy") },
        action,
        idempotent,
        report_within: None,
        retry: None,
        probe: false,
        target: None,
        supersedes: None,
        steps: Vec::new(),
        claim: None,
        gate: Default::default(),
    };
    Event::Submitted(submission.into())
}

fn asked() -> Event {
    Event::ApprovalRequested { round: 1, terms: terms().into(), reason: None, step: None }
}

fn approved(approver: &str, remaining: u32) -> Event {
    let (round, digest) = (1, Digest::of(b"task"));
    Event::Approved(Approval {
        round,
        approver: approver.to_owned(),
        roles: vec!["lead".to_owned()],
        digest,
        justification: None,
        remaining,
        by_groups: Vec::new(),
        cover: Vec::new(),
    })
}

fn released(attempt: u32) -> Event {
    Event::Released { step: 1, attempt }
}

fn started(attempt: u32, owner: Uuid) -> Event {
    Event::ExecutionStarted { step: 1, attempt, owner, token: Some(Uuid::from_u128(u128::from(attempt))) }
}

fn succeeded(attempt: u32) -> Event {
    Event::ExecutionSucceeded { step: 1, attempt, output: None }
}

fn unknown() -> Event {
    Event::OutcomeUnknown { step: 1, attempt: 1, reason: "the server stopped".to_owned() }
}

fn rejected() -> Event {
    Event::Rejected { round: 1, digest: Digest::of(b"task"), roles: vec!["lead".to_owned()], reason: "no".to_owned(), cover: Vec::new() }
}

fn stored(status: &str, events: Vec<(i64, &str, Event)>) -> Stored {
    let log: Vec<_> = events
        .into_iter()
        .zip(1..)
        .map(|((second, actor, event), version)| Recorded { version, at: at(second), actor: actor.to_owned(), via: Via::Rest, event })
        .collect();
    Stored { version: log.last().unwrap().version, log, status: status.to_owned() }
}

fn line(second: i64, mark: Mark, workflow: Uuid, attempt: u32) -> Line {
    Line { at: at(second), mark, workflow, attempt, key: workflow.to_string() }
}

fn told(by: &'static str, call: Call, workflow: Uuid, status: u16, code: &str) -> Told {
    Told { by, call, workflow: Some(workflow), status, code: code.to_owned() }
}

fn run(status: &str, idempotent: bool, rest: Vec<(i64, &str, Event)>) -> Stored {
    let mut events = vec![
        (0, "bot", submitted(Level::High, ActionKind::Runbook, idempotent)),
        (0, "bot", asked()),
        (1, "alice", approved("alice", 1)),
        (2, "tess", approved("tess", 0)),
        (2, "tess", released(1)),
    ];
    events.extend(rest);
    stored(status, events)
}

fn honest() -> History {
    let mut history = History::default();
    let low = |action| submitted(Level::Low, action, false);
    let high = || submitted(Level::High, ActionKind::Runbook, false);
    let mut store = |id, workflow| history.stored.insert(id, workflow);
    store(ONCE, run("completed", false, vec![(3, "parkbrake", started(1, WELL)), (5, "parkbrake", succeeded(1))]));
    let again = vec![
        (3, "parkbrake", started(1, DEAD)),
        (12, "parkbrake", released(2)),
        (13, "parkbrake", started(2, WELL)),
        (15, "parkbrake", succeeded(2)),
    ];
    store(AGAIN, run("completed", true, again));
    store(UNKNOWN, run("outcome_unknown", false, vec![(3, "parkbrake", started(1, DEAD)), (12, "parkbrake", unknown())]));
    store(REJECTED, stored("rejected", vec![(0, "bot", high()), (0, "bot", asked()), (4, "alice", rejected())]));
    store(EXPIRED, stored("expired", vec![(0, "bot", high()), (0, "bot", asked()), (100, "parkbrake", Event::Expired { round: 1 })]));
    let harmless = vec![
        (0, "bot", low(ActionKind::Runbook)),
        (0, "bot", released(1)),
        (1, "parkbrake", started(1, WELL)),
        (2, "parkbrake", succeeded(1)),
    ];
    store(HARMLESS, stored("completed", harmless));
    let external = vec![
        (0, "bot", low(ActionKind::External)),
        (0, "bot", Event::ExecutionStarted { step: 1, attempt: 1, owner: DEAD, token: None }),
        (3, "bot", succeeded(1)),
    ];
    store(EXTERNAL, stored("completed", external));
    history.ledger = vec![
        line(1, Mark::Start, HARMLESS, 1),
        line(2, Mark::End, HARMLESS, 1),
        line(3, Mark::Start, ONCE, 1),
        line(3, Mark::Start, AGAIN, 1),
        line(3, Mark::Start, UNKNOWN, 1),
        line(4, Mark::Step, AGAIN, 1),
        line(5, Mark::End, ONCE, 1),
        line(13, Mark::Start, AGAIN, 2),
        line(15, Mark::End, AGAIN, 2),
        // The runbook outlived its server, which is why the outcome is unknown.
        line(20, Mark::End, UNKNOWN, 1),
    ];
    history.servers.insert(DEAD, Server { ended_at: Some(at(11)), ..Server::default() });
    history.servers.insert(WELL, Server::default());
    let submit = |key: &str| Call::Submit { key: key.to_owned() };
    history.told = vec![
        told("bot", submit("a"), ONCE, 202, ""),
        told("bot", submit("a"), ONCE, 202, ""),
        told("bot", submit("b"), REJECTED, 202, ""),
        told("alice", Call::Approve, ONCE, 200, ""),
        told("tess", Call::Approve, ONCE, 503, "unavailable"),
        told("tess", Call::Approve, ONCE, 200, ""),
        told("alice", Call::Reject, REJECTED, 200, ""),
        told("bot", Call::Cancel, REJECTED, 409, "wrong-state"),
        told("bot", Call::Report { succeeded: true }, EXTERNAL, 200, ""),
        told("nora", Call::Read, ONCE, 200, ""),
    ];
    let all = |stored: &Stored, id: &Uuid| stored.log.iter().map(|one| (*id, one.version)).collect::<Vec<_>>();
    let mut heard: Vec<_> = history.stored.iter().flat_map(|(id, stored)| all(stored, id)).collect();
    // It reconnected, and received some of it again.
    heard.extend_from_within(heard.len() - 4..);
    history.heard = vec![heard];
    history
}

#[test]
fn the_checker_accepts_an_honest_history() {
    let found = check(&honest());
    assert!(found.is_empty(), "{found:#?}");
}

/// Each lie is found, and for the right reason.
#[track_caller]
fn is_found(rule: Rule, lie: impl FnOnce(&mut History)) {
    let mut history = honest();
    lie(&mut history);
    let found = check(&history);
    assert!(found.iter().any(|violation| violation.rule == rule), "not found: {rule:?}, but {found:#?}");
}

/// Changes what is stored about one workflow.
fn log(history: &mut History, id: Uuid) -> &mut Stored {
    history.stored.get_mut(&id).unwrap()
}

#[test]
fn the_checker_finds_a_second_start() {
    is_found(Rule::StartedTwice, |history| history.ledger.push(line(30, Mark::Start, ONCE, 1)));
    is_found(Rule::StartedTwice, |history| history.ledger.insert(4, line(4, Mark::Start, AGAIN, 1)));
    is_found(Rule::StartedTwice, |history| history.ledger.push(line(30, Mark::Start, UNKNOWN, 2)));
    is_found(Rule::StartedTwice, |history| history.ledger[8].key = "another".to_owned());
}

#[test]
fn the_checker_finds_a_start_without_a_valid_release() {
    is_found(Rule::StartedUnapproved, |history| history.ledger.push(line(30, Mark::Start, REJECTED, 1)));
    is_found(Rule::StartedAfterItsEnd, |history| history.ledger.push(line(130, Mark::Start, EXPIRED, 1)));
    is_found(Rule::StartedAfterItsEnd, |history| history.ledger[4].at = at(16));
    is_found(Rule::StartedUnapproved, |history| history.ledger.push(line(30, Mark::Start, Uuid::from_u128(99), 1)));
}

#[test]
fn the_checker_finds_a_start_without_enough_valid_approvals() {
    is_found(Rule::StartedUnapproved, |history| log(history, ONCE).log[3].actor = "alice".to_owned());
    is_found(Rule::StartedUnapproved, |history| log(history, ONCE).log[3].actor = "tom".to_owned());
    is_found(Rule::StartedUnapproved, |history| {
        log(history, HARMLESS).log[0].event = submitted(Level::Medium, ActionKind::Runbook, false);
    });
}

#[test]
fn the_checker_finds_lost_submits_and_decisions() {
    is_found(Rule::SubmitIsLost, |history| drop(history.stored.remove(&ONCE)));
    is_found(Rule::DecisionIsLost, |history| log(history, ONCE).log[3].actor = "cora".to_owned());
    is_found(Rule::DecisionIsLost, |history| history.told.push(told("bot", Call::Cancel, REJECTED, 200, "")));
    is_found(Rule::DecisionIsLost, |history| {
        history.told.push(told("bot", Call::Report { succeeded: false }, EXTERNAL, 200, ""));
    });
    is_found(Rule::KeyHasTwoWorkflows, |history| {
        history.told.push(told("bot", Call::Submit { key: "a".to_owned() }, HARMLESS, 202, ""));
    });
}

#[test]
fn the_checker_finds_a_lost_start() {
    for last in [1, 2] {
        is_found(Rule::StartIsLost, |history| {
            let stored = log(history, ONCE);
            stored.log.truncate(stored.log.len() - last);
            (stored.version, stored.status) = (stored.log.last().unwrap().version, ["executing", "queued"][last - 1].to_owned());
        });
    }
}

#[test]
fn the_checker_finds_log_gaps_and_rows_that_differ_from_the_log() {
    is_found(Rule::LogIsBroken, |history| drop(log(history, ONCE).log.remove(2)));
    is_found(Rule::LogIsBroken, |history| log(history, ONCE).log.swap(2, 3));
    is_found(Rule::LogIsBroken, |history| log(history, REJECTED).status = "pending_approval".to_owned());
    is_found(Rule::LogIsBroken, |history| log(history, REJECTED).version = 2);
}

#[test]
fn the_checker_finds_missed_and_premature_events() {
    is_found(Rule::HeardWrongly, |history| {
        history.heard[0].remove(3);
    });
    is_found(Rule::HeardWrongly, |history| {
        let last = history.heard[0].iter().rposition(|(id, _)| *id == ONCE).unwrap();
        history.heard[0].remove(last);
    });
    is_found(Rule::HeardWrongly, |history| history.heard[0].swap(1, 2));
    is_found(Rule::HeardWrongly, |history| history.heard[0].push((Uuid::from_u128(99), 1)));
    is_found(Rule::HeardWrongly, |history| history.heard[0].clear());
}

#[test]
fn the_checker_finds_a_wrong_unknown_outcome() {
    is_found(Rule::UnknownIsWrong, |history| history.servers.get_mut(&DEAD).unwrap().ended_at = None);
    is_found(Rule::UnknownIsWrong, |history| history.servers.get_mut(&DEAD).unwrap().ended_at = Some(at(13)));
    is_found(Rule::UnknownIsWrong, |history| drop(log(history, UNKNOWN).log.remove(5)));
}

#[test]
fn the_checker_finds_overlapping_attempts() {
    is_found(Rule::AttemptsOverlap, |history| history.ledger.insert(8, line(14, Mark::Step, AGAIN, 1)));
    is_found(Rule::AttemptsOverlap, |history| history.ledger.push(line(16, Mark::End, AGAIN, 1)));
}

#[test]
fn the_checker_finds_an_invented_success() {
    is_found(Rule::SuccessIsInvented, |history| history.ledger.retain(|line| line.workflow != ONCE || line.mark != Mark::End));
}

#[test]
fn the_checker_finds_early_and_late_events() {
    is_found(Rule::TimeIsWrong, |history| log(history, EXPIRED).log[2].at = at(99));
    is_found(Rule::TimeIsWrong, |history| log(history, REJECTED).log[2].at = at(100));
}

#[test]
fn the_checker_finds_an_impossible_answer() {
    for (status, code) in [(404, "workflow-not-found"), (500, "internal"), (401, "unauthenticated"), (502, "")] {
        is_found(Rule::AnswerIsWrong, |history| history.told.push(told("alice", Call::Approve, ONCE, status, code)));
    }
    is_found(Rule::Alarm, |history| history.alarms.push("it panicked".to_owned()));
}
