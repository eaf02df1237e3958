//! Halts: while one is in force nothing that it covers starts, whoever writes at the same moment
//! and whatever crashes.

mod drills;
mod outages;

use crate::support::client::{at, events, high, low, time};
use crate::support::proxy::{Fault, Proxy};
use crate::support::server::settings;
use crate::support::{Client, Config, Database, Ledger, TestApp, eventually, keys};
use futures_util::future::join_all;
use parkbrake::domain::policy::SYSTEM;
use parkbrake::domain::via::Via;
use parkbrake::domain::workflow::transition::{self, Answer};
use parkbrake::domain::workflow::{AttemptId, Command, commit};
use parkbrake::settings::Settings;
use parkbrake::storage::{Advance, Begins, Halted, Lift, Lifted, NewHalt, Storage, Written};
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

/// The lock that starts share and halts hold alone, as migration 0028 names it.
const GATE: &str = "1885434739, 1";

fn look() -> Value {
    let mut task = low();
    task["action"] = json!({"type": "runbook", "name": "look"});
    task
}

fn deployment() -> Value {
    let mut task = high();
    task["action"] = json!({"type": "runbook", "name": "once"});
    task
}

impl Client {
    async fn halt(&self, environment: Option<&str>) -> Value {
        let mut body = json!({"reason": "INC-7"});
        if let Some(environment) = environment {
            body["environment"] = json!(environment);
        }
        self.post("/halt", body).await.expect(200)
    }

    async fn resume(&self, environment: Option<&str>) -> Value {
        let body = environment.map_or_else(|| json!({}), |environment| json!({"environment": environment}));
        self.post("/resume", body).await.expect(200)
    }
}

async fn app(ledger: &Ledger) -> TestApp {
    TestApp::with(ledger.runbooks(Config::new())).await
}

#[tokio::test]
async fn while_halted_nothing_starts_and_everything_that_waited_starts_after_resume() {
    let ledger = Ledger::new();
    let app = app(&ledger).await;
    let (bot, alice, cora) = (app.client("deploy-bot"), app.client("alice"), app.client("cora"));
    ledger.hold();
    let running = bot.submit_id(look()).await;
    eventually("its start", || async { (ledger.starts(&running) == 1).then_some(()) }).await;
    let parked = bot.submit_id(deployment()).await;
    let standing = cora.halt(None).await;
    assert_eq!((&standing["halted"], &standing["by"], &standing["changed"]), (&json!(true), &json!("cora"), &json!(true)));

    // Decisions are taken, running actions go on, and what is released says why it waits.
    assert_eq!(alice.approve(&parked).await.expect(200)["workflow_status"], "queued");
    ledger.release();
    bot.wait_for(&running, "completed").await;
    let mut waiting = vec![parked.clone()];
    for _ in 0..3 {
        waiting.push(bot.submit_id(look()).await);
    }
    let external = bot.submit(low()).await;
    assert_eq!(external["status"], "queued", "an external action is not released to its requester either");
    let external = external["workflow_id"].as_str().unwrap().to_owned();
    let mine = bot.submit_id(high()).await;
    assert_eq!(alice.approve(&mine).await.expect(200)["workflow_status"], "queued");
    for id in waiting.iter().chain([&external, &mine]) {
        let workflow = bot.workflow(id).await;
        assert_eq!(
            (&workflow["status"], &workflow["held"]["by"], &workflow["execution"]),
            (&json!("queued"), &json!("halt"), &json!(null))
        );
        assert!(workflow["held"]["detail"].as_str().unwrap().contains("cora has halted everything"), "{workflow:#}");
    }
    let listed = alice.get("/workflows?status=queued").await.expect(200);
    assert!(listed["workflows"].as_array().unwrap().iter().all(|line| line["held"].as_str().unwrap().contains("INC-7")), "{listed:#}");
    let report = bot.post(&format!("/workflows/{external}/result"), json!({"outcome": "succeeded"})).await;
    assert!(report.problem(409, "halted")["detail"].as_str().unwrap().contains("has not begun"));
    let ready = alice.get("/readyz").await.expect(200);
    assert_eq!((&ready["status"], ready["halts"].as_array().unwrap().len()), (&json!("ok"), 1));
    let metrics = || async { alice.get("/metrics").await.text };
    assert!(metrics().await.contains("parkbrake_halts 1\n"));
    eventually("the count of what is held", || async { metrics().await.contains("parkbrake_actions_held 6\n").then_some(()) }).await;
    for id in &waiting {
        assert_eq!(ledger.starts(id), 0);
    }

    let resumed = cora.resume(None).await;
    assert_eq!((&resumed["halted"], &resumed["changed"], &resumed["halts"]), (&json!(false), &json!(true), &json!([])));
    for id in &waiting {
        let workflow = bot.wait_for(id, "completed").await;
        assert!(at(&workflow, "execution_started") > time(&resumed["since"]));
        assert_eq!((ledger.starts(id), &workflow["held"]), (1, &json!(null)));
    }
    for id in [&external, &mine] {
        let workflow = bot.wait_for(id, "executing").await;
        assert_eq!(events(&workflow)[events(&workflow).len() - 2..], ["released", "execution_started"]);
        bot.post(&format!("/workflows/{id}/result"), json!({"outcome": "succeeded"})).await.expect(200);
    }
}

#[tokio::test]
async fn a_halt_of_one_environment_holds_that_one_and_what_names_none() {
    let ledger = Ledger::new();
    let app = app(&ledger).await;
    let (bot, cora) = (app.client("deploy-bot"), app.client("cora"));
    // The runbook acts in development, whatever its requester claims.
    cora.halt(Some("prod")).await;
    let free = bot.submit_id(look()).await;
    bot.wait_for(&free, "completed").await;
    cora.resume(Some("production")).await;
    let standing = cora.halt(Some("development")).await;
    assert_eq!(standing["environment"], "development");
    let mut claims = look();
    claims["environment"] = json!("staging");
    let held = bot.submit_id(claims).await;
    let elsewhere = bot.submit(json!({"description": "x", "operation": "read", "environment": "staging", "resource_type": "code"})).await;
    assert_eq!(elsewhere["status"], "executing");
    let nowhere = bot.submit(json!({"description": "x", "operation": "read", "resource_type": "code"})).await;
    assert_eq!(nowhere["status"], "queued", "what names no environment may act in the halted one");
    assert_eq!(bot.workflow(&held).await["held"]["environment"], "development");
    cora.resume(Some("development")).await;
    bot.wait_for(&held, "completed").await;
    bot.wait_for(nowhere["workflow_id"].as_str().unwrap(), "executing").await;
}

#[tokio::test]
async fn only_admins_halt_with_a_reason_and_the_answers_to_repeating_and_overlapping_halts_are_clear() {
    let app = TestApp::start().await;
    let cora = app.client("cora");
    for name in ["alice", "tom", "nora", "deploy-bot"] {
        for path in ["/halt", "/resume"] {
            app.client(name).post(path, json!({"reason": "x"})).await.problem(403, "not-permitted");
        }
    }
    for reason in [json!(null), json!(" \u{200b} "), json!("x".repeat(5_000))] {
        cora.post("/halt", json!({"reason": reason})).await.problem(422, "invalid-task");
    }
    let unknown = cora.post("/halt", json!({"reason": "x", "environment": "moon"})).await.problem(422, "invalid-task");
    assert!(unknown["detail"].as_str().unwrap().contains("production, staging, development"), "{unknown}");
    app.client("deploy-bot").get("/halts").await.problem(403, "not-permitted");

    let not_halted = cora.resume(Some("staging")).await;
    assert_eq!((&not_halted["halted"], &not_halted["changed"], &not_halted["by"]), (&json!(false), &json!(false), &json!(null)));
    let first = cora.halt(Some("production")).await;
    let again = cora.halt(Some("prd")).await;
    assert_eq!((&again["since"], &again["changed"]), (&first["since"], &json!(false)), "the first halt stands");
    let all = cora.halt(None).await;
    assert_eq!(all["halts"].as_array().unwrap().len(), 2);
    let lifted = cora.resume(Some("production")).await;
    assert_eq!(
        (&lifted["changed"], &lifted["halted"], &lifted["since"]),
        (&json!(true), &json!(true), &all["since"]),
        "all is halted still"
    );
    let free = cora.resume(None).await;
    assert_eq!((&free["halted"], &free["changed"]), (&json!(false), &json!(true)));

    let page = app.client("alice").get("/halts").await.expect(200);
    let log = page["log"].as_array().unwrap();
    let told: Vec<_> = log.iter().map(|entry| (entry["what"].as_str().unwrap(), entry["environment"].as_str())).collect();
    assert_eq!(told, [("resumed", None), ("resumed", Some("production")), ("halted", None), ("halted", Some("production"))]);
    assert!(log.iter().all(|entry| entry["by"] == "cora" && entry["via"] == "rest"));
    assert_eq!((&log[3]["reason"], &page["halts"]), (&json!("INC-7"), &json!([])));

    app.database.execute("insert into suspension (name) values ('cora')").await;
    let refused = cora.post("/halt", json!({"reason": "x"})).await;
    assert!([401, 403].contains(&refused.status.as_u16()), "{refused:?}");
    assert_eq!(app.database.count("select count(*) from halt").await, 0, "a suspended admin halts nothing, from that very moment on");
    assert!(app.database.execute_refused("delete from operations_log").await, "the log is append-only");
}

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
    // The submit is another statement, so that the next one of these is the start.
    proxy.next("advance_workflows", Fault::HoldRequest, 1);
    let id = bot.submit_id(look()).await;
    eventually("the start on its way", || async { (proxy.applied() == 1).then_some(()) }).await;
    let halted = cora.halt(None).await;
    proxy.thaw();
    eventually("the halt in its way", || async { (bot.workflow(&id).await["held"]["by"] == "halt").then_some(()) }).await;
    // The statement that was held has been carried out by now, or was given up and sent again: it
    // is no start.
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
    // As a start holds it between its check and its commit.
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

    // As a halt holds it until it is committed.
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

/// Two servers' connections write 200 starts while a third one halts in their midst.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_hundred_starts_of_two_servers_none_is_recorded_after_a_halt_was_committed() {
    let database = Database::migrated().await;
    let ledger = Ledger::new();
    let config = ledger.runbooks(Config::new());
    let settings = settings(&config);
    let mut app = TestApp::launch(config, &settings, Database { url: database.url.clone() }).await;
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
    // The server is gone, and its lease with it: this one acts, and its starts are written over two
    // sets of connections.
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
    assert!(starts.len() > 100, "enough of them wait for this to mean something: {}", starts.len());
    let writers = starts.iter().cloned().enumerate().map(|(place, start)| {
        let storage = servers[place % 2].clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_micros(300 * u64::try_from(place).unwrap())).await;
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
    let started = "select count(*) from workflow_event where kind = 'execution_started'";
    while database.count(started).await < 20 {}
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
    // Asked once more, because the answer was lost: the same halt, once in the log.
    assert_eq!(third.halt(&new).await.unwrap(), Halted::Now(halt));
    assert_eq!(database.count("select count(*) from operations_log where reason = 'race'").await, 1);
    let lift = Lift { environment: None, drill: None, by: "cora".to_owned(), via: Via::Rest, reason: None };
    assert!(matches!(third.lift(&lift).await.unwrap(), Lifted::Now(_)));
    let last = starts.iter().zip(&answers).find(|(_, answer)| **answer == Written::Held).unwrap().0;
    assert!(matches!(third.advance(std::slice::from_ref(last)).await.unwrap()[..], [Written::Committed { .. }]));
}

#[tokio::test]
async fn a_halt_in_the_midst_of_many_starts_holds_the_rest_and_all_of_them_run_once() {
    let ledger = Ledger::new();
    let config = ledger.runbooks(Config::new());
    let settings = Settings { turns: 8, turns_per_requester: 4, ..settings(&config) };
    let app = TestApp::launch(config, &settings, Database::migrated().await).await;
    let (bots, cora) = (["deploy-bot", "other-bot"].map(|name| app.client(name)), app.client("cora"));
    let submits = (0..60).map(|place| bots[place % 2].submit_id(look()));
    let halting = async {
        eventually("some starts", || async { (ledger.entries().len() > 4).then_some(()) }).await;
        cora.halt(None).await
    };
    let (ids, halted) = tokio::join!(join_all(submits), halting);
    let since = time(&halted["since"]);
    // What was running has ended; from here on nothing changes.
    let running = "select count(*) from workflow where running";
    eventually("the end of what ran", || async { (app.database.count(running).await == 0).then_some(()) }).await;
    let queued = app.database.count("select count(*) from workflow where queued").await;
    assert!(queued > 0, "some of them were held");
    let resumed = time(&cora.resume(None).await["since"]);
    for id in &ids {
        let workflow = app.client("alice").wait_for(id, "completed").await;
        let started = at(&workflow, "execution_started");
        assert!(started < since || started > resumed, "{started} is between {since} and {resumed}");
        assert_eq!(ledger.starts(id), 1);
    }
}

#[tokio::test]
async fn what_requesters_have_waiting_starts_in_turns_after_a_halt() {
    let ledger = Ledger::new();
    let config = ledger.runbooks(Config::new());
    let settings = Settings { turns: 1, turns_per_requester: 1, ..settings(&config) };
    let app = TestApp::launch(config, &settings, Database::migrated().await).await;
    let (one, other, cora) = (app.client("deploy-bot"), app.client("lone-bot"), app.client("cora"));
    cora.halt(None).await;
    let mut first = Vec::new();
    for _ in 0..6 {
        first.push(one.submit_id(look()).await);
    }
    let theirs = [other.submit_id(look()).await, other.submit_id(look()).await];
    cora.resume(None).await;
    for id in first.iter().chain(&theirs) {
        app.client("alice").wait_for(id, "completed").await;
    }
    let order: Vec<String> = ledger.entries().into_iter().filter(|entry| entry.what == "start").map(|entry| entry.workflow).collect();
    let place = |id: &String| order.iter().position(|started| started == id).unwrap();
    assert!(place(&theirs[1]) < place(&first[4]), "they waited for their turns alone, not for everything before them: {order:?}");
    let own: Vec<usize> = first.iter().map(place).collect();
    assert!(own.is_sorted(), "one requester's start in their order: {own:?}");
}
