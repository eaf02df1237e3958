//! The tables about commands, events, guards and obligations.

use crate::samples::{events, states};
use crate::*;
use chrono::{DateTime, Utc};
use parkbrake::domain::policy::ApprovalTerms;
use parkbrake::domain::task::ActionKind;
use parkbrake::domain::workflow::transition::{self, Answer, Guard, Obligation};
use parkbrake::domain::workflow::{Command, Event, Resolution};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

#[test]
fn every_command_in_every_status_matches_the_table() {
    let page = table("What follows from a command");
    let commands: [(&str, Command); 9] = [
        ("approve", approve("alice")),
        ("reject", reject("alice")),
        ("cancel", cancel("deploy-bot")),
        ("result", report("deploy-bot", succeeded())),
        ("resolve", resolve("alice", Resolution::Succeeded)),
        ("start", start(1)),
        ("finish", Command::Finish { attempt: of(1), outcome: succeeded() }),
        ("recover", Command::Recover { attempt: of(1), owner: HERE }),
        ("tick", tick(FIRST)),
    ];
    let header: Vec<&str> = std::iter::once("status").chain(commands.iter().map(|(name, _)| *name)).collect();
    assert_eq!(page.header, header, "the columns of the table are the commands");
    let mut states = states();
    for row in &page.rows {
        let workflow = states.remove(row[0].as_str()).unwrap_or_else(|| panic!("the page has a status `{}` that no test builds", row[0]));
        let word = row[0].trim_matches('`').split(['`', ' ']).next().unwrap_or_default().to_owned();
        if !row[0].contains("inside a commit") {
            assert_eq!(workflow.status().as_str(), word, "the row `{}` is built in another status", row[0]);
        }
        for ((name, command), cell) in commands.iter().zip(&row[1..]) {
            assert_eq!(said(&workflow, command), *cell, "{name} on {}", row[0]);
        }
    }
    assert!(states.is_empty(), "these have no row: {:?}", states.keys());
}

#[test]
fn events_have_the_documented_fields() {
    let page = table("Events");
    let mut written: BTreeMap<String, BTreeSet<String>> = events()
        .into_iter()
        .map(|event| {
            let Value::Object(mut fields) = serde_json::to_value(&event).expect("events are JSON") else { panic!("events are objects") };
            assert_eq!(fields.remove("event"), Some(json!(event.name())), "an event has one name");
            (event.name().to_owned(), fields.into_iter().map(|(field, _)| field).collect())
        })
        .collect();
    for row in &page.rows {
        let event = row[0].trim_matches('`');
        let fields: BTreeSet<String> = row[1].split(", ").map(str::to_owned).collect();
        assert_eq!(written.remove(event), Some(fields), "the fields of {event}");
    }
    assert!(written.is_empty(), "these have no row: {:?}", written.keys());
}

#[test]
fn guards_are_those_of_the_page() {
    let page = table("Guards");
    let parked = parked(&terms());
    let unknown = answered(&executing(ActionKind::Runbook, false), &Command::Recover { attempt: of(1), owner: HERE });
    let by_alice = answered(&self::parked(&ApprovalTerms { required: 2, ..terms() }), &approve("alice"));
    let commits = [
        (&parked, approve("alice")),
        (&parked, reject("alice")),
        (&by_alice, withdraw("alice")),
        (&parked, tick(SECOND)),
        (&parked, tick(EXPIRY)),
        (&parked, cancel("deploy-bot")),
        (&executing(ActionKind::Runbook, false), cancel("deploy-bot")),
        (&parked, supersede("deploy-bot", HERE)),
        (&parked, comment("nora", true)),
        (&executing(ActionKind::External, false), report("deploy-bot", succeeded())),
        (&executing(ActionKind::Runbook, false), Command::Recover { attempt: of(1), owner: HERE }),
        (&executing(ActionKind::External, false), tick(REPORT)),
        (&unknown, resolve("alice", Resolution::Failed)),
    ];
    let found: Vec<Vec<String>> = commits
        .into_iter()
        .map(|(workflow, command)| {
            let Ok(Answer::Commit { events, guard }) = transition::decide(workflow, &command) else { panic!("{command:?} writes nothing") };
            let Guard { not_before, not_after, lapsed } = guard;
            let event = events.first().map(Event::name).unwrap_or_default();
            let lapsed = lapsed.map_or("none", |server| if server == HERE { "this server" } else { "the server whose attempt it was" });
            vec![event.to_owned(), moment(not_before), moment(not_after), lapsed.to_owned()]
        })
        .collect();
    // The commit that opens the next round has its own row;
    // `stricter_rules_of_today_match_the_table` checks its guard.
    let further = ["approval_requested, with the approval that opens the next round", "none", "the expiry", "none"].map(str::to_owned);
    let (all, mut rows) = (page.rows.len(), page.rows);
    rows.retain(|row| *row != further);
    assert_eq!((found.len() + 1, found), (all, rows));
}

#[test]
fn obligations_are_those_of_the_page() {
    let page = table("Obligations");
    let states = states();
    let own = |action| {
        let mut log = approved_log(action, true);
        log.push(("parkbrake", Event::ExecutionStarted { step: 1, attempt: 1, owner: HERE, token: Some(TOKEN) }));
        fold(&log)
    };
    for row in &page.rows {
        let workflow = match row[0].as_str() {
            "`executing` (runbook, begun by this process)" => own(ActionKind::Runbook),
            "`executing` (runbook, begun by this process, cancelled)" => answered(&own(ActionKind::Runbook), &cancel("deploy-bot")),
            "`executing` (runbook, begun by another process, cancelled)" => {
                answered(&executing(ActionKind::Runbook, true), &cancel("deploy-bot"))
            }
            "`queued` (it failed, and pauses before a retry)" => resting(),
            "`outcome_unknown` (its runbook has a probe)" => in_doubt(false),
            "`executing` (runbook, begun by another process)" => executing(ActionKind::Runbook, true),
            state => states.get(state).unwrap_or_else(|| panic!("the page has a status `{state}` that no test builds")).clone(),
        };
        let expected = match transition::obligations(&workflow, HERE).as_slice() {
            [] => "nothing",
            [Obligation::Park { deadline: Some(deadline) }] if *deadline == at(FIRST) => "park: wait for people, arm the next deadline",
            [Obligation::AwaitReport { attempt, deadline }] if (*attempt, *deadline) == (of(1), at(REPORT)) => {
                "wait for the report, arm its deadline"
            }
            [Obligation::Rest { attempt, deadline }] if (*attempt, *deadline) == (of(2), at(FIRST * 2)) => {
                "wait for the end of the pause, arm its deadline"
            }
            [Obligation::Queue { attempt }] if *attempt == of(1) => "ensure that the runner has it in its queue",
            [Obligation::Attend { attempt, token: Some(TOKEN) }] if *attempt == of(1) => "ensure that the runner knows it; start nothing",
            [Obligation::End { attempt, token: Some(TOKEN) }] if *attempt == of(1) => "ensure that the runner ends it",
            [Obligation::Probe { attempt }] if *attempt == of(1) => "ensure that the probe runs",
            [Obligation::Recover { attempt }] if *attempt == of(1) => "recover",
            [Obligation::Clear { attempt }] if *attempt == of(1) => "end what is left of it on this machine, then recover",
            others => panic!("{} obliges to {others:?}", row[0]),
        };
        assert_eq!(row[1], expected, "{}", row[0]);
    }
    let statuses: BTreeSet<&str> = page.rows.iter().filter_map(|row| row[0].split('`').nth(1)).collect();
    let all = parkbrake::domain::workflow::Status::ALL;
    assert_eq!(statuses, all.iter().map(|status| status.as_str()).collect(), "every status has its obligation");
}

#[track_caller]
fn moment(guard: Option<DateTime<Utc>>) -> String {
    match guard {
        None => "none",
        Some(moment) if moment == at(EXPIRY) => "the expiry",
        Some(moment) if moment == at(REPORT) => "when the report is due",
        Some(moment) if moment == at(SECOND) => "the last escalation step that is due",
        Some(moment) => panic!("{moment} is no moment of the timetable"),
    }
    .to_owned()
}
