//! Plans: several steps that are approved together and run one after the other, each once, whatever
//! happens in between.

use crate::support::client::{events, high, low};
use crate::support::{Client, Config, Database, Ledger, Process, TestApp, eventually};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// A step that keeps the ledger.
fn run(name: &str) -> Value {
    json!({"operation": "deploy", "environment": "development", "action": {"type": "runbook", "name": name}})
}

/// A step that its requester performs.
fn external(name: &str) -> Value {
    json!({"name": name, "operation": "deploy", "environment": "production", "resource_type": "code"})
}

fn plan(steps: impl IntoIterator<Item = Value>) -> Value {
    json!({"description": "Release api 1.4.2", "task_id": "TASK-43", "steps": steps.into_iter().collect::<Vec<_>>()})
}

fn statuses(workflow: &Value) -> Vec<&str> {
    workflow["steps"].as_array().unwrap().iter().map(|step| step["status"].as_str().unwrap()).collect()
}

/// The started steps, in the order of the ledger: each with its attempt.
fn started(ledger: &Ledger, id: &str) -> Vec<(usize, u32)> {
    let entries = ledger.of(id).into_iter().filter(|entry| entry.what == "start");
    entries.map(|entry| (step_of(&entry.key), entry.attempt)).collect()
}

/// The step of an idempotency key.
fn step_of(key: &str) -> usize {
    let of_later_steps = key.get(37..).map(|step| step.parse().unwrap());
    of_later_steps.unwrap_or(1)
}

async fn app() -> (Ledger, TestApp) {
    let ledger = Ledger::new();
    let config = ledger.runbooks(Config::new());
    let app = TestApp::with(config).await;
    (ledger, app)
}

impl Client {
    async fn report_step(&self, id: &str, body: Value) -> crate::support::Answer {
        self.post(&format!("/workflows/{id}/result"), body).await
    }
}

#[tokio::test]
async fn the_steps_of_a_plan_run_in_their_order_each_once() {
    let (ledger, app) = app().await;
    let bot = app.client("deploy-bot");
    let accepted = bot.submit(plan([run("once"), run("again"), run("once")])).await;
    let id = accepted["workflow_id"].as_str().unwrap();
    assert_eq!((&accepted["risk_level"], &accepted["steps"][2]["n"]), (&json!("low"), &json!(3)));
    let workflow = bot.wait_for(id, "completed").await;
    assert_eq!(started(&ledger, id), [(1, 1), (2, 1), (3, 1)]);
    let what: Vec<_> = ledger.of(id).into_iter().map(|entry| entry.what).collect();
    assert_eq!(what, ["start", "end", "start", "end", "start", "end"], "one after the other");
    assert_eq!(statuses(&workflow), ["succeeded", "succeeded", "succeeded"]);
    let of_a_step = ["released", "execution_started", "execution_succeeded"];
    assert_eq!(events(&workflow), [&["submitted"][..], &of_a_step, &of_a_step, &of_a_step].concat());
    let attempts = workflow["execution"]["attempts"].as_array().unwrap();
    let attempts: Vec<_> = attempts.iter().map(|attempt| (attempt["step"].as_u64(), attempt["n"].as_u64())).collect();
    assert_eq!(attempts, [(Some(1), Some(1)), (Some(2), Some(1)), (Some(3), Some(1))]);
}

#[tokio::test]
async fn one_approval_at_the_highest_level_is_about_the_whole_plan_as_shown() {
    let (ledger, app) = app().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let mut worst = run("once");
    worst["environment"] = json!("production");
    let steps = [run("again"), worst];
    let assessed = bot.post("/risk/assess", plan(steps.clone())).await.expect(200);
    let accepted = bot.submit(plan(steps)).await;
    let id = accepted["workflow_id"].as_str().unwrap();
    assert_eq!((&accepted["risk_level"], &accepted["status"]), (&json!("high"), &json!("pending_approval")));
    assert_eq!((&assessed["digest"], &assessed["assessment"]), (&accepted["digest"], &accepted["assessment"]));
    let levels: Vec<_> = assessed["steps"].as_array().unwrap().iter().map(|step| step["risk_level"].clone()).collect();
    assert_eq!(levels, ["low", "high"]);
    let reasons = accepted["assessment"]["reasons"].as_array().unwrap();
    assert!(reasons[0]["detail"].as_str().unwrap().starts_with("step 2: "), "{reasons:?}");
    assert_eq!(accepted["target"], accepted["steps"][1]["target"], "it is about its most dangerous step");
    assert_ne!(accepted["target"], accepted["steps"][0]["target"]);

    let shown = alice.workflow(id).await;
    assert_eq!(shown["task"]["steps"].as_array().unwrap().len(), 2);
    assert_eq!(statuses(&shown), ["waiting", "waiting"]);
    let canonical = serde_json_canonicalizer::to_vec(&shown["task"]).unwrap();
    assert_eq!(parkbrake::domain::task::digest::Digest::of(&canonical).as_str(), shown["digest"], "the digest covers every step");
    let body = json!({"digest": parkbrake::domain::task::digest::Digest::of(b"one step").as_str()});
    alice.post(&format!("/workflows/{id}/approve"), body).await.problem(412, "digest-mismatch");
    assert_eq!(started(&ledger, id), [], "nothing runs before");
    let approved = alice.post(&format!("/workflows/{id}/approve"), json!({"digest": shown["digest"]})).await.expect(200);
    assert_eq!(approved["workflow_status"], "queued");
    let workflow = alice.wait_for(id, "completed").await;
    assert_eq!(started(&ledger, id), [(1, 1), (2, 1)]);
    assert_eq!(workflow["decisions"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_step_that_fails_ends_the_plan_and_the_later_ones_never_start() {
    let ledger = Ledger::new();
    let app = TestApp::with(ledger.runbooks(Config::new())).await;
    let bot = app.client("deploy-bot");
    let id = bot.submit_id(plan([run("once"), external("by-hand"), run("once")])).await;
    app.client("alice").approve(&id).await.expect(200);
    eventually("its turn", || async { (statuses(&bot.workflow(&id).await) == ["succeeded", "executing", "waiting"]).then_some(()) }).await;
    bot.report_step(&id, json!({"outcome": "failed", "error": "no space"})).await.expect(200);
    let workflow = bot.workflow(&id).await;
    assert_eq!(workflow["status"], "failed");
    assert_eq!(statuses(&workflow), ["succeeded", "failed", "skipped"]);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(started(&ledger, &id), [(1, 1)]);
    bot.report_step(&id, json!({"outcome": "succeeded"})).await.problem(409, "wrong-state");
}

#[tokio::test]
async fn external_steps_are_reported_by_their_name_and_a_report_that_comes_twice_counts_once() {
    let (_ledger, app) = app().await;
    let bot = app.client("deploy-bot");
    let id = bot.submit_id(plan([external("first"), external("second"), external("third")])).await;
    app.client("alice").approve(&id).await.expect(200);
    assert_eq!(statuses(&bot.workflow(&id).await), ["executing", "waiting", "waiting"]);
    let problem = bot.report_step(&id, json!({"outcome": "succeeded"})).await.problem(409, "wrong-state");
    assert!(problem["detail"].as_str().unwrap().contains("say in `step`"), "{problem}");
    bot.report_step(&id, json!({"step": "second", "outcome": "succeeded"})).await.problem(409, "wrong-state");
    bot.report_step(&id, json!({"step": "nothing", "outcome": "succeeded"})).await.problem(409, "wrong-state");
    bot.report_step(&id, json!({"step": true, "outcome": "succeeded"})).await.problem(422, "invalid-task");
    for step in [json!("first"), json!(2)] {
        let say = || bot.report_step(&id, json!({"step": step, "outcome": "succeeded", "output": {"from": step}}));
        say().await.expect(200);
        eventually("the next turn", || async { (bot.workflow(&id).await["status"] == "executing").then_some(()) }).await;
        say().await.expect(200);
    }
    assert_eq!(statuses(&bot.workflow(&id).await), ["succeeded", "succeeded", "executing"]);
    bot.report_step(&id, json!({"step": "third", "outcome": "succeeded"})).await.expect(200);
    let workflow = bot.wait_for(&id, "completed").await;
    let outputs: Vec<_> = workflow["execution"]["attempts"].as_array().unwrap().iter().map(|one| one["output"]["from"].clone()).collect();
    assert_eq!(outputs, [json!("first"), json!(2), json!(null)]);
}

#[tokio::test]
async fn a_plan_cancelled_between_two_steps_shows_which_steps_ran() {
    let (_ledger, app) = app().await;
    let bot = app.client("deploy-bot");
    // Its turn never comes: this server runs nothing.
    let id = bot.submit_id(plan([external("first"), run("once")])).await;
    app.client("alice").approve(&id).await.expect(200);
    bot.post(&format!("/workflows/{id}/cancel"), json!({})).await.problem(409, "wrong-state");
    app.database.execute("insert into suspension (name) values ('alice')").await;
    bot.report_step(&id, json!({"outcome": "succeeded"})).await.expect(200);
    // The approval no longer counts, and the gate checks before each step: people are asked again.
    let workflow = bot.wait_for(&id, "pending_approval").await;
    assert_eq!(statuses(&workflow), ["succeeded", "waiting"]);
    bot.post(&format!("/workflows/{id}/cancel"), json!({"reason": "enough"})).await.expect(200);
    let workflow = bot.workflow(&id).await;
    assert_eq!((&workflow["status"], statuses(&workflow)), (&json!("cancelled"), vec!["succeeded", "skipped"]));
}

#[tokio::test]
async fn faults_of_a_plan_point_to_their_step() {
    let (_ledger, app) = app().await;
    let bot = app.client("deploy-bot");
    let mut named = run("once");
    named["name"] = json!("a");
    let body = plan([
        named.clone(),
        named,
        json!({"operation": "read", "action": {"type": "runbook", "name": "once", "args": {"x": "1"}}}),
        json!({"operation": "read", "environment": "pr\u{43e}d"}),
    ]);
    let problem = bot.post("/orchestrate", body).await.problem(422, "invalid-task");
    let pointers: Vec<_> =
        problem["errors"].as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap().to_owned()).collect();
    assert_eq!(pointers, ["/steps/1/name", "/steps/2/action/args/x", "/steps/3/environment"]);
    let problem = bot.post("/orchestrate", plan([low(), json!({"operation": "read", "unknown": 1})])).await.problem(422, "invalid-task");
    assert_eq!(problem["errors"][0]["pointer"], "/steps/1/unknown");
    let mut both = high();
    both["steps"] = json!([low()]);
    bot.post("/orchestrate", both).await.problem(422, "invalid-task");
    bot.post("/orchestrate", plan((0..51).map(|_| low()))).await.problem(422, "invalid-task");
    assert_eq!(app.database.count("select count(*) from workflow").await, 0);
}

#[tokio::test]
async fn the_cost_of_a_plan_is_that_of_all_its_steps() {
    let (_ledger, app) = app().await;
    let bot = app.client("deploy-bot");
    let step = |cost: f64| json!({"operation": "read", "environment": "development", "resource_type": "code", "estimated_cost": cost});
    let alone = bot.post("/risk/assess", plan([step(30.0)])).await.expect(200);
    let split = bot.post("/risk/assess", plan((0..40).map(|_| step(30.0)))).await.expect(200);
    assert_eq!((&alone["assessment"]["level"], &split["assessment"]["level"]), (&json!("low"), &json!("high")));
}

#[tokio::test]
async fn an_unknown_step_stops_the_plan_until_somebody_resolves_it() {
    let ledger = Ledger::new();
    let config = ledger.runbooks(Config::new());
    let database = Database::migrated().await;
    let server = Process::serve(&config, &database).await;
    ledger.hold();
    let mut steps = [run("once"), run("once")];
    steps[0]["environment"] = json!("production");
    let id = server.client("deploy-bot").submit_id(plan(steps)).await;
    server.client("alice").approve(&id).await.expect(200);
    eventually("its start", || async { (ledger.starts(&id) == 1).then_some(()) }).await;
    server.kill().await;
    let server = Process::serve(&config, &database).await;
    let alice = server.client("alice");
    let workflow = alice.wait_for(&id, "outcome_unknown").await;
    assert_eq!(statuses(&workflow), ["outcome_unknown", "waiting"]);
    ledger.release();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(started(&ledger, &id), [(1, 1)], "nothing goes on by itself");
    let body = json!({"outcome": "succeeded", "justification": "the ledger says that it began"});
    alice.post(&format!("/workflows/{id}/resolve"), body).await.expect(200);
    let workflow = alice.wait_for(&id, "completed").await;
    assert_eq!(statuses(&workflow), ["succeeded", "succeeded"]);
    assert_eq!(started(&ledger, &id), [(1, 1), (2, 1)]);
}

/// Some steps may run again after a crash, the others may not. The server is killed again and again
/// at any point.
#[tokio::test]
async fn a_plan_of_50_steps_over_crashes_loses_nothing_and_starts_nothing_twice() {
    let ledger = Ledger::new();
    let config = ledger.runbooks(Config::new());
    let database = Database::migrated().await;
    let may_run_again = |step: usize| !step.is_multiple_of(5);
    let steps = (1..=50).map(|step| run(if may_run_again(step) { "again" } else { "once" }));
    let mut server = Process::serve(&config, &database).await;
    let id = server.client("deploy-bot").submit_id(plan(steps)).await;
    let mut resolved = BTreeMap::new();
    let mut kills = 0;
    loop {
        // This many more starts and ends, and a delay that differs from kill to kill, so that the
        // boundary does too.
        let seen = ledger.entries().len() + 1 + kills % 3;
        let workflow = wait_a_while(&server.client("alice"), &id, || ledger.entries().len() >= seen).await;
        tokio::time::sleep(Duration::from_millis((kills as u64 * 13) % 40)).await;
        match workflow["status"].as_str().unwrap() {
            "completed" => break,
            "outcome_unknown" => {
                // The ledger shows whether it ended.
                let step = 1 + statuses(&workflow).iter().position(|status| *status == "outcome_unknown").unwrap();
                assert!(!may_run_again(step), "step {step} is run again by itself");
                let ended = ledger.of(&id).iter().any(|entry| entry.what == "end" && step_of(&entry.key) == step);
                let outcome = if ended { "succeeded" } else { "retry" };
                *resolved.entry(step).or_insert(0) += u32::from(!ended);
                let body = json!({"outcome": outcome, "justification": "by the ledger"});
                server.client("cora").post(&format!("/workflows/{id}/resolve"), body).await.expect(200);
            }
            "queued" | "executing" if kills < 20 => {
                server.kill().await;
                kills += 1;
                server = Process::serve(&config, &database).await;
            }
            "queued" | "executing" => {}
            other => panic!("{other}: {workflow:#}"),
        }
    }
    assert!(kills >= 8, "it was over before it was killed often: {kills}");
    let workflow = server.client("alice").workflow(&id).await;
    assert!(statuses(&workflow).iter().all(|status| *status == "succeeded"));
    let mut starts: BTreeMap<usize, u32> = BTreeMap::new();
    let mut last = 0;
    for (step, _) in started(&ledger, &id) {
        assert!(step == last || step == last + 1, "step {step} began after step {last}");
        last = step;
        *starts.entry(step).or_default() += 1;
    }
    assert_eq!(starts.len(), 50, "every step began");
    let recorded = workflow["execution"]["attempts"].as_array().unwrap();
    for (step, starts) in starts {
        let attempts = recorded.iter().filter(|attempt| attempt["step"] == step).count();
        assert!(starts as usize <= attempts, "step {step} began {starts} times, and the log has {attempts} attempts");
        if !may_run_again(step) {
            let allowed = 1 + resolved.get(&step).copied().unwrap_or_default();
            assert!(starts <= allowed, "step {step} began {starts} times, and people released it {allowed} times");
        }
    }
}

/// The workflow once this is so, or as soon as it waits for somebody or has ended.
async fn wait_a_while(client: &Client, id: &str, is_so: impl Fn() -> bool) -> Value {
    loop {
        let is_enough = is_so();
        let workflow = client.workflow(id).await;
        let goes_on = ["queued", "executing"].iter().any(|status| workflow["status"] == *status);
        if !goes_on || is_enough {
            return workflow;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
