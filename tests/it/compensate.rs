//! Steps that undo others: when a later step fails, the steps that succeeded are undone in reverse
//! order, by steps of their own.

use crate::support::called;
use crate::support::{Client, Config, Database, Ledger, Process, TestApp, eventually};
use serde_json::{Value, json};

/// A step that keeps the ledger, and is undone by the same runbook or another one.
fn run(name: &str, undo: Option<&str>) -> Value {
    let mut step = json!({"operation": "deploy", "environment": "development", "action": {"type": "runbook", "name": name}});
    if let Some(undo) = undo {
        step["compensate"] = json!({"type": "runbook", "name": undo});
    }
    step
}

/// A step that its requester performs and reports.
fn external(name: &str) -> Value {
    json!({"name": name, "operation": "read", "environment": "development", "resource_type": "code"})
}

fn plan(steps: impl IntoIterator<Item = Value>) -> Value {
    json!({"description": "Release api 1.4.2", "steps": steps.into_iter().collect::<Vec<_>>()})
}

fn statuses(workflow: &Value) -> Vec<&str> {
    workflow["steps"].as_array().unwrap().iter().map(|step| step["status"].as_str().unwrap()).collect()
}

/// The started steps, in the order of the ledger: each with its attempt.
fn started(ledger: &Ledger, id: &str) -> Vec<(usize, u32)> {
    let entries = ledger.of(id).into_iter().filter(|entry| entry.what == "start");
    entries.map(|entry| (entry.key.get(37..).map_or(1, |step| step.parse().unwrap()), entry.attempt)).collect()
}

async fn its_turn(client: &Client, id: &str, step: usize) {
    eventually("its turn", || async { (statuses(&client.workflow(id).await)[step - 1] == "executing").then_some(()) }).await;
}

#[track_caller]
fn report(client: &Client, id: &str, step: Value, outcome: &str) -> impl Future<Output = ()> {
    called(async move {
        client.post(&format!("/workflows/{id}/result"), json!({"step": step, "outcome": outcome})).await.expect(200);
    })
}

#[tokio::test]
async fn when_a_step_fails_those_before_it_are_undone_in_reverse_and_the_plan_has_failed() {
    let ledger = Ledger::new();
    let app = TestApp::with(ledger.runbooks(Config::new())).await;
    let bot = app.client("deploy-bot");
    let steps = [run("once", Some("once")), run("once", None), run("once", Some("again")), external("check"), run("once", Some("once"))];
    let accepted = bot.submit(plan(steps)).await;
    let id = accepted["workflow_id"].as_str().unwrap();
    let undone: Vec<_> = accepted["steps"].as_array().unwrap().iter().map(|step| step["compensates"].as_u64()).collect();
    assert_eq!(undone, [None, None, None, None, None, Some(5), Some(3), Some(1)], "part of the plan, in the order of undoing");
    its_turn(&bot, id, 4).await;
    report(&bot, id, json!("check"), "failed").await;
    let workflow = bot.wait_for(id, "failed").await;
    let expected = ["succeeded", "succeeded", "succeeded", "failed", "skipped", "skipped", "succeeded", "succeeded"];
    assert_eq!(statuses(&workflow), expected);
    assert_eq!(started(&ledger, id), [(1, 1), (2, 1), (3, 1), (7, 1), (8, 1)]);
    let attempts = workflow["execution"]["attempts"].as_array().unwrap();
    assert_eq!(attempts.iter().map(|attempt| attempt["step"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3, 4, 7, 8]);
}

#[tokio::test]
async fn a_plan_that_succeeds_undoes_nothing_and_its_approval_covers_what_would_undo_it() {
    let ledger = Ledger::new();
    let app = TestApp::with(ledger.runbooks(Config::new())).await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let steps = |undo: &str| {
        let mut last = run("once", None);
        last["environment"] = json!("production");
        [run("once", Some(undo)), last]
    };
    let assessed = bot.post("/risk/assess", plan(steps("once"))).await.expect(200);
    let other = bot.post("/risk/assess", plan(steps("again"))).await.expect(200);
    assert_ne!(assessed["digest"], other["digest"], "the digest covers what would undo it");
    let id = bot.submit_id(plan(steps("once"))).await;
    let shown = alice.workflow(&id).await;
    assert_eq!(shown["task"]["steps"][0]["compensate"]["action"]["runs"]["command"], json!(["/bin/sh", "run.sh"]));
    alice.approve(&id).await.expect(200);
    let workflow = bot.wait_for(&id, "completed").await;
    assert_eq!(statuses(&workflow), ["succeeded", "succeeded", "skipped"]);
    assert_eq!(started(&ledger, &id), [(1, 1), (2, 1)]);

    // A compensation is assessed like a step: a dangerous one makes the plan dangerous.
    let mut first = run("once", Some("look"));
    first["compensate"] = json!({"type": "external"});
    first["operation"] = json!("delete");
    first["environment"] = json!("production");
    let assessed = bot.post("/risk/assess", plan([first, external("check")])).await.expect(200);
    assert_eq!(assessed["steps"][2]["risk_level"], "critical");
    let mut wrong = run("once", Some("nothing"));
    wrong["compensate"]["args"] = json!({"x": 1});
    let problem = bot.post("/orchestrate", plan([wrong])).await.problem(422, "invalid-task");
    assert_eq!(problem["errors"][0]["pointer"], "/steps/0/compensate/name");
}

#[tokio::test]
async fn a_failed_compensation_stops_the_undoing() {
    let ledger = Ledger::new();
    let app = TestApp::with(ledger.runbooks(Config::new())).await;
    let bot = app.client("deploy-bot");
    let mut second = run("once", None);
    second["compensate"] = json!({"type": "external", "name": "by hand"});
    second["operation"] = json!("read");
    let id = bot.submit_id(plan([run("once", Some("once")), second, external("check")])).await;
    let workflow = bot.workflow(&id).await;
    if workflow["status"] == "pending_approval" {
        app.client("alice").approve(&id).await.expect(200);
    }
    its_turn(&bot, &id, 3).await;
    report(&bot, &id, json!("check"), "failed").await;
    its_turn(&bot, &id, 4).await;
    report(&bot, &id, json!(4), "failed").await;
    let workflow = bot.wait_for(&id, "failed").await;
    assert_eq!(statuses(&workflow), ["succeeded", "succeeded", "failed", "failed", "skipped"]);
    assert_eq!(started(&ledger, &id), [(1, 1), (2, 1)], "the first step is not undone, because the second was not");
}

#[tokio::test]
async fn a_server_that_is_killed_while_it_undoes_undoes_each_step_once() {
    let ledger = Ledger::new();
    let config = ledger.runbooks(Config::new());
    let database = Database::migrated().await;
    let mut server = Process::serve(&config, &database).await;
    let steps = (0..6).map(|_| run("once", Some("again"))).chain([external("check")]);
    let id = server.client("deploy-bot").submit_id(plan(steps)).await;
    its_turn(&server.client("deploy-bot"), &id, 7).await;
    ledger.hold();
    report(&server.client("deploy-bot"), &id, json!("check"), "failed").await;
    for kill in 1..=3 {
        eventually("the next start", || async { (ledger.starts(&id) >= 6 + kill).then_some(()) }).await;
        server.kill().await;
        server = Process::serve(&config, &database).await;
    }
    ledger.release();
    let workflow = server.client("alice").wait_for(&id, "failed").await;
    assert!(statuses(&workflow)[7..].iter().all(|status| *status == "succeeded"), "{:?}", statuses(&workflow));
    // A step starts again only if an attempt was cut off, with the next number; each ends once.
    let ends = ledger.of(&id).into_iter().filter(|entry| entry.what == "end" && entry.key.len() > 37);
    let mut undone: Vec<usize> = ends.map(|entry| entry.key[37..].parse().unwrap()).filter(|step| *step > 7).collect();
    undone.dedup();
    assert_eq!(undone, [8, 9, 10, 11, 12, 13]);
    let undoing: Vec<_> = started(&ledger, &id).into_iter().filter(|(step, _)| *step > 7).collect();
    let distinct: std::collections::BTreeSet<_> = undoing.iter().collect();
    assert_eq!(distinct.len(), undoing.len(), "no attempt is started twice: {undoing:?}");
}
