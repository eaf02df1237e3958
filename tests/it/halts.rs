//! Halts: while one is in force nothing that it covers starts, whoever writes at the same moment
//! and whatever crashes.

mod drills;
mod outages;
mod starts;

use crate::support::called;
use crate::support::client::{at, events, high, low, time};
use crate::support::server::settings;
use crate::support::{Client, Config, Database, Ledger, TestApp, eventually};
use futures_util::future::join_all;
use parkbrake::settings::Settings;
use serde_json::{Value, json};

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
    #[track_caller]
    fn halt(&self, environment: Option<&str>) -> impl Future<Output = Value> {
        called(async move {
            let mut body = json!({"reason": "INC-7"});
            if let Some(environment) = environment {
                body["environment"] = json!(environment);
            }
            self.post("/halt", body).await.expect(200)
        })
    }

    #[track_caller]
    fn resume(&self, environment: Option<&str>) -> impl Future<Output = Value> {
        called(async move {
            let body = environment.map_or_else(|| json!({}), |environment| json!({"environment": environment}));
            self.post("/resume", body).await.expect(200)
        })
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

    // Decisions are made, running actions go on, and released ones say why they wait.
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
async fn only_admins_halt_and_repeated_halts_are_idempotent() {
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

#[tokio::test]
async fn a_halt_in_the_midst_of_many_starts_holds_the_rest_and_all_of_them_run_once() {
    let ledger = Ledger::new();
    let config = ledger.runbooks(Config::new());
    let settings = Settings { turns: 8, turns_per_requester: 4, ..settings(&config) };
    let app = TestApp::launch(config, &settings, Database::migrated().await).await;
    let (bots, cora) = (["deploy-bot", "other-bot"].map(|name| app.client(name)), app.client("cora"));
    let submits = (0..60).map(|index| bots[index % 2].submit_id(look()));
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
async fn after_a_halt_requesters_take_turns() {
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
    let position = |id: &String| order.iter().position(|started| started == id).unwrap();
    assert!(position(&theirs[1]) < position(&first[4]), "they waited for their turns alone, not for everything before them: {order:?}");
    let own: Vec<usize> = first.iter().map(position).collect();
    assert!(own.is_sorted(), "one requester's start in their order: {own:?}");
}
