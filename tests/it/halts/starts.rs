//! Starts and halts at the same moment: what was recorded before a halt runs, and nothing after it.

use super::{app, deployment, look};
use crate::support::client::{at, high, time};
use crate::support::proxy::{Fault, Proxy};
use crate::support::server::settings;
use crate::support::{Config, Database, Ledger, TestApp, eventually, keys};
use futures_util::future::join_all;
use parkbrake::domain::policy::SYSTEM;
use parkbrake::domain::via::Via;
use parkbrake::domain::workflow::transition::{self, Answer};
use parkbrake::domain::workflow::{AttemptId, Command, commit};
use parkbrake::storage::{Advance, Begins, Halted, Lift, Lifted, NewHalt, Storage, Written};
use std::time::Duration;
use uuid::Uuid;

/// The lock that starts share and halts hold exclusively, as in migration 0028.
const GATE: &str = "1885434739, 1";

/// The start is decided before the halt, and reaches the database after it.
#[tokio::test]
async fn a_start_that_was_on_its_way_when_a_halt_was_committed_is_not_recorded() {
    let ledger = Ledger::new();
    let config = ledger.runbooks(Config::new());
    let database = Database::migrated().await;
    let proxy = Proxy::before(&database).await;
    let settings = settings(&config);
    let app = TestApp::launch(config, &settings, proxy.database()).await;
    let (bot, cora) = (app.client("deploy-bot"), app.client("cora"));
    // The submit is another statement, so the next one of these is the start.
    proxy.next("advance_workflows", Fault::HoldRequest, 1);
    let id = bot.submit_id(look()).await;
    eventually("the start on its way", || async { (proxy.applied() == 1).then_some(()) }).await;
    let halted = cora.halt(None).await;
    proxy.thaw();
    eventually("the halt in its way", || async { (bot.workflow(&id).await["held"]["by"] == "halt").then_some(()) }).await;
    // By now the held statement was executed, or abandoned and repeated: it is not a start.
    let hundred = join_all((0..20).map(|_| bot.submit_id(look()))).await;
    assert_eq!(database.count("select count(*) from workflow_event where kind = 'execution_started'").await, 0);
    assert_eq!(ledger.entries().len(), 0);
    cora.resume(None).await;
    for id in hundred.iter().chain([&id]) {
        let workflow = bot.wait_for(id, "completed").await;
        assert!(at(&workflow, "execution_started") > time(&halted["since"]));
        assert_eq!(ledger.starts(id), 1);
    }
}

#[tokio::test]
async fn a_halt_waits_for_a_start_that_is_being_written_and_nothing_else_waits_for_a_halt() {
    let ledger = Ledger::new();
    let app = app(&ledger).await;
    let (bot, cora) = (app.client("deploy-bot"), app.client("cora"));
    // A start holds the lock like this between its check and its commit.
    let start = app.database.hold_text(format!("select pg_advisory_xact_lock_shared({GATE})")).await;
    let halting = tokio::spawn({
        let cora = cora.clone();
        async move { cora.halt(None).await }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!halting.is_finished(), "it was answered while a start could still commit");
    assert_eq!(app.database.count("select count(*) from halt").await, 0);
    start.release().await;
    halting.await.unwrap();
    cora.resume(None).await;

    // A halt holds the lock like this until it is committed.
    let halt = app.database.hold_text(format!("select pg_advisory_xact_lock({GATE})")).await;
    let id = bot.submit_id(look()).await;
    let parked = bot.submit_id(deployment()).await;
    app.client("alice").approve(&parked).await.expect(200);
    for _ in 0..5 {
        bot.submit_id(high()).await;
    }
    assert_eq!(app.database.count("select count(*) from workflow_event where kind = 'execution_started'").await, 0);
    halt.release().await;
    for id in [&id, &parked] {
        bot.wait_for(id, "completed").await;
        assert_eq!(ledger.starts(id), 1);
    }
}

/// Two servers' connections write 200 starts while a third one halts in the middle of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_hundred_starts_of_two_servers_none_is_recorded_after_a_halt_was_committed() {
    let database = Database::migrated().await;
    let ledger = Ledger::new();
    let config = ledger.runbooks(Config::new());
    let settings = settings(&config);
    let mut app = TestApp::launch(config, &settings, Database::at(database.url.clone())).await;
    let (bot, cora) = (app.client("deploy-bot"), app.client("cora"));
    cora.halt(None).await;
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.extend(join_all((0..10).map(|_| bot.submit_id(look()))).await);
    }
    cora.resume(None).await;
    let halts = app.client("cora");
    halts.halt(None).await;
    app.stop().await;
    // The server is gone, and so is its lease: this test acts, and writes its starts over two sets
    // of connections.
    let owner = Uuid::new_v4();
    database
        .execute(&format!(
            "delete from halt; update server set acts = false, ended_at = now() where acts;
             insert into server (server_id, address, host, version, lease_until, acts)
             values ('{owner}', '192.0.2.1:1', 'here', '0', now() + interval '1 hour', true)"
        ))
        .await;
    let servers = [0, 1].map(|_| Storage::connect(&database.url, 4).unwrap().with_keys(keys()));
    let third = Storage::connect(&database.url, 4).unwrap().with_keys(keys());
    let first = AttemptId { step: 1, number: 1 };
    let mut starts = Vec::new();
    for id in &ids {
        let id = Uuid::try_parse(id).unwrap();
        let log = third.log(id).await.unwrap();
        let workflow = transition::replay(id, &log).unwrap().unwrap();
        if workflow.queued().is_none() {
            continue;
        }
        let command = Command::Start { attempt: first, owner, token: Uuid::new_v4(), renewed: None };
        let Ok(Answer::Commit { events, guard }) = transition::decide(&workflow, &command) else { panic!("it is queued") };
        let next = commit::follow(id, Some(workflow.clone()), &events, SYSTEM, Via::System).unwrap();
        let begins = Some(Begins { environment: Some("development".to_owned()), before: None });
        let (actor, via) = (SYSTEM.to_owned(), Via::System);
        let now = workflow.updated_at;
        starts.push(Advance {
            expected: workflow.version,
            workflow: next,
            actor,
            via,
            events,
            document: None,
            guard,
            now,
            begins,
            notices: Vec::new(),
        });
    }
    let started = "select count(*) from workflow_event where kind = 'execution_started'";
    // Those that the server started itself between the two halts.
    let already = database.count(started).await;
    assert!(starts.len() > 100, "enough of them wait for this to mean something: {}", starts.len());
    let writers = starts.iter().cloned().enumerate().map(|(index, start)| {
        let storage = servers[index % 2].clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_micros(300 * u64::try_from(index).unwrap())).await;
            loop {
                match storage.advance(std::slice::from_ref(&start)).await {
                    Ok(answers) if answers == [Written::Busy] => tokio::time::sleep(Duration::from_millis(1)).await,
                    Ok(answers) => return answers[0],
                    Err(error) => panic!("{error}"),
                }
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    while database.count(started).await < already + 20 {}
    let new = NewHalt {
        id: Uuid::new_v4(),
        environment: None,
        by: "cora".to_owned(),
        via: Via::Rest,
        reason: "race".to_owned(),
        drill_for: None,
    };
    let Halted::Now(halt) = third.halt(&new).await.unwrap() else { panic!("it was not halted") };
    let before = database.count(started).await;
    let answers: Vec<Written> = join_all(writers).await.into_iter().map(Result::unwrap).collect();
    let (written, held): (Vec<Written>, Vec<Written>) =
        answers.iter().copied().partition(|answer| matches!(answer, Written::Committed { .. }));
    assert!(held.iter().all(|answer| *answer == Written::Held), "{held:?}");
    assert!(!held.is_empty() && !written.is_empty(), "the halt came in their midst: {} and {}", written.len(), held.len());
    assert_eq!(database.count(started).await, before, "after the halt was committed nothing was recorded as started");
    assert!(written.iter().all(|answer| matches!(answer, Written::Committed { at } if *at < halt.since)));
    // Called again, because the answer was lost: the same halt, once in the log.
    assert_eq!(third.halt(&new).await.unwrap(), Halted::Now(halt));
    assert_eq!(database.count("select count(*) from operations_log where reason = 'race'").await, 1);
    let lift = Lift { environment: None, drill: None, by: "cora".to_owned(), via: Via::Rest, reason: None };
    assert!(matches!(third.lift(&lift).await.unwrap(), Lifted::Now(_)));
    let last = starts.iter().zip(&answers).find(|(_, answer)| **answer == Written::Held).unwrap().0;
    assert!(matches!(third.advance(std::slice::from_ref(last)).await.unwrap()[..], [Written::Committed { .. }]));
}
