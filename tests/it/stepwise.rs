//! Plans with `"gate": "step"`: people decide each step when its turn comes, at its own level.

use crate::support::client::{events, high, medium};
use crate::support::{Browser, Client, Config, Database, Ledger, Process, TestApp, eventually};
use parkbrake::domain::task::digest::Digest;
use parkbrake::domain::task::plan::step_digest;
use serde_json::{Value, json};

/// A step that keeps the ledger; in production it needs approval.
fn run(name: &str, environment: &str) -> Value {
    json!({"operation": "deploy", "environment": environment, "action": {"type": "runbook", "name": name}})
}

fn stepwise(steps: impl IntoIterator<Item = Value>) -> Value {
    json!({"description": "Release api 1.4.2", "gate": "step", "steps": steps.into_iter().collect::<Vec<_>>()})
}

fn statuses(workflow: &Value) -> Vec<&str> {
    workflow["steps"].as_array().unwrap().iter().map(|step| step["status"].as_str().unwrap()).collect()
}

async fn app() -> (Ledger, TestApp) {
    let ledger = Ledger::new();
    let app = TestApp::with(ledger.runbooks(Config::new())).await;
    (ledger, app)
}

/// The workflow once people are asked about this step.
async fn asked(client: &Client, id: &str, step: u64) -> Value {
    eventually("a question about the step", || async {
        let workflow = client.workflow(id).await;
        (workflow["status"] == "pending_approval" && workflow["approval"]["step"]["n"] == step).then_some(workflow)
    })
    .await
}

#[tokio::test]
async fn lists_have_a_plan_at_the_level_of_the_step_that_waits() {
    let app = TestApp::start().await;
    let id = app.client("deploy-bot").submit_id(stepwise([medium(), high()])).await;
    let alice = app.client("alice");
    let listed = || async { alice.get("/workflows/pending").await.expect(200)["workflows"][0].clone() };
    let browser = Browser::of(app.addr, "alice").await;
    for (n, level) in [(1, "medium"), (2, "high")] {
        let workflow = asked(&alice, &id, n).await;
        let waits = listed().await;
        assert_eq!((&waits["risk_level"], &waits["step"]), (&json!("high"), &json!({"n": n, "risk_level": level})));
        let list = browser.get("/?of=all").await.expect(200);
        list.has(&format!("step {n} of a high plan")).has(&format!("<span class=\"level level-{level}\">"));
        if n == 1 {
            list.lacks("<span class=\"level level-high\">");
            alice.post(&format!("/workflows/{id}/approve"), json!({"digest": workflow["approval"]["step"]["digest"]})).await.expect(200);
            app.client("deploy-bot").post(&format!("/workflows/{id}/result"), json!({"outcome": "succeeded", "step": 1})).await.expect(200);
        }
    }
    // A task, and a plan that waits as a whole, have no step.
    app.client("deploy-bot").submit_id(high()).await;
    assert_eq!(listed().await.get("step"), None);
}

#[tokio::test]
async fn low_steps_run_at_once_and_each_other_one_is_asked_about_when_its_turn_has_come() {
    let (ledger, app) = app().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let mut export = run("once", "development");
    export["operation"] = json!("data_export");
    let body = stepwise([run("again", "development"), run("once", "production"), run("once", "development"), export]);
    let assessed = bot.post("/risk/assess", body.clone()).await.expect(200);
    assert_eq!(assessed["approval"], Value::Null, "nobody is asked about the first step");
    let accepted = bot.submit(body).await;
    assert_eq!(
        (&accepted["status"], &accepted["risk_level"], &accepted["digest"]),
        (&json!("queued"), &json!("high"), &assessed["digest"])
    );
    let id = accepted["workflow_id"].as_str().unwrap();

    let workflow = asked(&alice, id, 2).await;
    assert_eq!(statuses(&workflow), ["succeeded", "pending_approval", "waiting", "waiting"]);
    assert_eq!((&workflow["task"]["gate"], &workflow["digest"]), (&json!("step"), &accepted["digest"]));
    let canonical = serde_json_canonicalizer::to_vec(&workflow["task"]).unwrap();
    let subject = step_digest(&Digest::of(&canonical), 2);
    assert_eq!(workflow["approval"]["step"]["digest"], subject.as_str());
    assert_eq!(workflow["approval"]["step"]["risk_level"], "high");
    let waits = alice.get("/workflows/pending").await.expect(200)["workflows"][0].clone();
    assert_eq!(waits["step"], json!({"n": 2, "risk_level": "high"}));
    let door = format!("/workflows/{id}/approve");
    let approve = |digest: Value| alice.post(&door, json!({"digest": digest}));
    approve(accepted["digest"].clone()).await.problem(412, "digest-mismatch");
    approve(json!(step_digest(&Digest::of(&canonical), 4))).await.problem(412, "digest-mismatch");
    let approved = approve(json!(subject)).await.expect(200);
    assert_eq!((&approved["status"], &approved["step"]), (&json!("approved"), &json!(2)));

    // The third is low risk, and its turn comes on its own; people are asked about the fourth
    // again, whatever they approved before.
    let workflow = asked(&alice, id, 4).await;
    assert_eq!(statuses(&workflow), ["succeeded", "succeeded", "succeeded", "pending_approval"]);
    assert_eq!(ledger.starts(id), 3);
    approve(json!(subject)).await.problem(412, "digest-mismatch");
    approve(workflow["approval"]["step"]["digest"].clone()).await.expect(200);
    let workflow = bot.wait_for(id, "completed").await;
    let decided: Vec<_> = workflow["decisions"].as_array().unwrap().iter().map(|one| (&one["approver"], &one["verdict"])).collect();
    assert_eq!(decided, [(&json!("alice"), &json!("approved")), (&json!("alice"), &json!("approved"))]);
    let ran = ["execution_started", "execution_succeeded"];
    let expected = [
        &["submitted", "released"][..],
        &ran,
        &["approval_requested", "approved", "released"],
        &ran,
        &["released"],
        &ran,
        &["approval_requested", "approved", "released"],
        &ran,
    ];
    assert_eq!(events(&workflow), expected.concat());
}

#[tokio::test]
async fn rejecting_expiring_or_cancelling_a_step_ends_the_plan_and_keeps_its_history() {
    let ledger = Ledger::new();
    let config = ledger.runbooks(Config::new().with_policies("policies: { medium: { expire_after: 2s } }\n"));
    let app = TestApp::with(config).await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    for (end, status) in [("reject", "rejected"), ("cancel", "cancelled"), ("expire", "expired")] {
        let mut second = run("once", if end == "expire" { "development" } else { "production" });
        if end == "expire" {
            second["estimated_cost"] = json!(200);
        }
        let id = bot.submit_id(stepwise([run("once", "development"), second, run("once", "development")])).await;
        if end != "expire" {
            asked(&alice, &id, 2).await;
        }
        match end {
            "reject" => drop(alice.post(&format!("/workflows/{id}/reject"), json!({"reason": "not today"})).await.expect(200)),
            "cancel" => drop(bot.post(&format!("/workflows/{id}/cancel"), json!({})).await.expect(200)),
            _ => {}
        }
        let workflow = bot.wait_for(&id, status).await;
        assert_eq!(statuses(&workflow), ["succeeded", "skipped", "skipped"], "{end}");
        assert_eq!(workflow["execution"]["attempts"].as_array().unwrap().len(), 1, "{end}");
        assert_eq!(ledger.starts(&id), 1, "{end}");
    }
}

#[tokio::test]
async fn an_external_step_is_asked_about_after_the_report_of_the_one_before() {
    let (_ledger, app) = app().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let external = |name: &str| json!({"name": name, "operation": "deploy", "environment": "production", "resource_type": "code"});
    let id = bot.submit_id(stepwise([external("first"), external("second")])).await;
    let workflow = asked(&alice, &id, 1).await;
    assert_eq!((&workflow["approval"]["step"]["name"], statuses(&workflow)), (&json!("first"), vec!["pending_approval", "waiting"]));
    alice.approve(&id).await.expect(200);
    assert_eq!(statuses(&bot.workflow(&id).await), ["executing", "waiting"]);
    let door = format!("/workflows/{id}/result");
    let report = |step: &str| bot.post(&door, json!({"step": step, "outcome": "succeeded"}));
    report("first").await.expect(200);
    let workflow = bot.workflow(&id).await;
    assert_eq!(
        (&workflow["status"], statuses(&workflow)),
        (&json!("pending_approval"), vec!["succeeded", "pending_approval"]),
        "in one commit"
    );
    report("second").await.problem(409, "wrong-state");
    report("first").await.expect(200);
    alice.approve(&id).await.expect(200);
    eventually("its turn", || async { (statuses(&bot.workflow(&id).await)[1] == "executing").then_some(()) }).await;
    report("second").await.expect(200);
    bot.wait_for(&id, "completed").await;
}

#[tokio::test]
async fn a_step_rests_on_those_who_approved_it_and_on_nobody_who_approved_another() {
    let (ledger, app) = app().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let id = bot.submit_id(stepwise([run("once", "production"), run("once", "production")])).await;
    asked(&alice, &id, 1).await;
    alice.approve(&id).await.expect(200);
    asked(&alice, &id, 2).await;
    app.database.execute("insert into suspension (name) values ('alice')").await;
    app.client("tess").approve(&id).await.expect(200);
    bot.wait_for(&id, "completed").await;
    assert_eq!(ledger.starts(&id), 2);
}

#[tokio::test]
async fn a_server_that_is_killed_between_two_steps_asks_once_and_starts_nothing_twice() {
    let ledger = Ledger::new();
    let config = ledger.runbooks(Config::new());
    let database = Database::migrated().await;
    let mut server = Process::serve(&config, &database).await;
    let steps = (1..=6).map(|step| run("again", if step % 2 == 0 { "production" } else { "development" }));
    let id = server.client("deploy-bot").submit_id(stepwise(steps)).await;
    for step in [2, 4, 6] {
        asked(&server.client("alice"), &id, step).await;
        server.kill().await;
        server = Process::serve(&config, &database).await;
        asked(&server.client("alice"), &id, step).await;
        server.client("alice").approve(&id).await.expect(200);
        if step == 4 {
            server.kill().await;
            server = Process::serve(&config, &database).await;
        }
    }
    let workflow = server.client("alice").wait_for(&id, "completed").await;
    let asked = events(&workflow).into_iter().filter(|event| *event == "approval_requested").count();
    assert_eq!(asked, 3);
    // An interrupted step is idempotent, and runs again with the same key; no step that had ended
    // does.
    let ends = ledger.of(&id).into_iter().filter(|entry| entry.what == "end").map(|entry| entry.key);
    let distinct: std::collections::BTreeSet<_> = ends.collect();
    assert_eq!(distinct.len(), 6);
    assert!(statuses(&workflow).iter().all(|status| *status == "succeeded"));
}
