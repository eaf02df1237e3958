//! Freezes: what they cover does not start until they end or somebody with a role that they name
//! approves an exception.

use crate::support::client::{at, events, high, low, time};
use crate::support::{Config, Ledger, TestApp, eventually};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

fn look() -> Value {
    let mut task = low();
    task["action"] = json!({"type": "runbook", "name": "look"});
    task
}

fn moment(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%S").to_string()
}

/// A server with one freeze, which begins and ends this many seconds from now.
async fn frozen(ledger: &Ledger, from: i64, until: i64, more: &str) -> TestApp {
    let now = Utc::now();
    let [from, until] = [from, until].map(|seconds| moment(now + TimeDelta::seconds(seconds)));
    let freeze = format!("freezes: {{ works: {{ from: {from}, until: {until}, time_zone: UTC{more} }} }}\n");
    TestApp::with(ledger.runbooks(Config::new().with_policies(&freeze))).await
}

#[tokio::test]
async fn frozen_work_shows_the_end_of_its_freeze_and_starts_then() {
    let ledger = Ledger::new();
    let app = frozen(&ledger, -60, 8, "").await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let id = bot.submit_id(look()).await;
    let external = bot.submit(low()).await;
    assert_eq!(external["status"], "queued");
    let external = external["workflow_id"].as_str().unwrap().to_owned();
    let parked = bot.submit_id(high()).await;
    assert_eq!(alice.approve(&parked).await.expect(200)["workflow_status"], "queued", "decisions are taken");
    let held = bot.workflow(&id).await["held"].clone();
    assert_eq!((&held["by"], &held["freeze"], &held["exception"]), (&json!("freeze"), &json!("works"), &json!([])));
    let until = time(&held["until"]);
    let done = bot.wait_for(&id, "completed").await;
    assert!(at(&done, "execution_started") >= until, "{done:#}");
    for id in [&external, &parked] {
        assert!(at(&bot.wait_for(id, "executing").await, "execution_started") >= until);
    }
    assert_eq!(ledger.starts(&id), 1);
}

#[tokio::test]
async fn a_freeze_holds_its_environments_and_operations_alone_and_begins_by_the_clock() {
    let ledger = Ledger::new();
    let app = frozen(&ledger, -60, 3_600, ", environments: [production], operations: [deploy]").await;
    let bot = app.client("deploy-bot");
    let free = bot.submit_id(look()).await;
    bot.wait_for(&free, "completed").await;
    let deploy = bot.submit_id(high()).await;
    app.client("alice").approve(&deploy).await.expect(200);
    assert_eq!(bot.workflow(&deploy).await["held"]["freeze"], "works");
    drop(app);

    let ledger = Ledger::new();
    let app = frozen(&ledger, 4, 3_600, "").await;
    let bot = app.client("deploy-bot");
    let before = bot.submit_id(look()).await;
    bot.wait_for(&before, "completed").await;
    let mut held = String::new();
    eventually("the beginning of the freeze", || async { (bot.submit(low()).await["status"] == "queued").then_some(()) }).await;
    held.push_str(&bot.submit_id(look()).await);
    assert_eq!(bot.workflow(&held).await["held"]["freeze"], "works");
    assert_eq!(ledger.starts(&held), 0);
}

#[tokio::test]
async fn an_exception_is_approved_by_a_role_that_the_freeze_names_with_a_justification_and_lets_one_request_start() {
    let ledger = Ledger::new();
    let mut app = frozen(&ledger, -60, 3_600, ", exception: [cto, tech_lead]").await;
    let (bot, cora) = (app.client("deploy-bot"), app.client("cora"));
    let (id, other) = (bot.submit_id(look()).await, bot.submit_id(look()).await);
    let path = format!("/workflows/{id}/approve");
    let said = json!({"exception": "works", "justification": "the fix for INC-7"});
    assert_eq!(bot.workflow(&id).await["held"]["exception"], json!(["cto", "tech_lead"]));
    app.client("alice").post(&path, said.clone()).await.problem(403, "not-an-approver");
    app.client("tom").post(&path, said.clone()).await.problem(403, "self-approval");
    bot.post(&path, said.clone()).await.problem(403, "self-approval");
    cora.post(&path, json!({"exception": "works"})).await.problem(422, "justification-required");
    cora.post(&path, json!({"exception": "moon", "justification": "x"})).await.problem(422, "invalid-task");
    let stale = json!({"exception": "works", "justification": "x", "digest": format!("sha256:{}", "0".repeat(64))});
    cora.post(&path, stale).await.problem(412, "digest-mismatch");
    cora.post(&path, json!({"justification": "no exception"})).await.problem(409, "wrong-state");
    assert_eq!(events(&bot.workflow(&id).await), ["submitted", "released"]);

    // An exception applies to a freeze, and not to a halt; it survives a restart.
    cora.post("/halt", json!({"reason": "INC-7"})).await.expect(200);
    let answer = cora.post(&path, said.clone()).await.expect(200);
    assert_eq!(
        (&answer["status"], &answer["workflow_status"], &answer["approved_by"]),
        (&json!("approved"), &json!("queued"), &json!("cora"))
    );
    assert_eq!(cora.post(&path, said.clone()).await.expect(200), answer, "the same answer again");
    app.restart().await;
    let (bot, cora) = (app.client("deploy-bot"), app.client("cora"));
    let workflow = bot.workflow(&id).await;
    assert_eq!(events(&workflow), ["submitted", "released", "freeze_excepted"]);
    let exception = &workflow["exceptions"][0];
    assert_eq!((&exception["approver"], &exception["roles"], &exception["via"]), (&json!("cora"), &json!(["cto"]), &json!("rest")));
    eventually("the halt in its way", || async { (bot.workflow(&id).await["held"]["by"] == "halt").then_some(()) }).await;

    // The exception of a suspended person no longer counts.
    app.database.execute("insert into suspension (name) values ('cora')").await;
    app.database.execute("delete from halt").await;
    eventually("the freeze in its way", || async { (bot.workflow(&id).await["held"]["by"] == "freeze").then_some(()) }).await;
    assert_eq!(ledger.starts(&id), 0);
    app.database.execute("update suspension set restored_at = clock_timestamp()").await;
    bot.wait_for(&id, "completed").await;
    assert_eq!((ledger.starts(&id), ledger.starts(&other)), (1, 0), "it is for one request");
    eventually("her rights", || async { (cora.get("/readyz").await.status == 200).then_some(()) }).await;
    cora.post(&format!("/workflows/{id}/approve"), json!({"exception": "works", "justification": "again"})).await.expect(200);
    let external = bot.submit_id(low()).await;
    eventually("an exception", || async {
        let answer = cora.post(&format!("/workflows/{external}/approve"), said.clone()).await;
        (answer.status == 200).then_some(())
    })
    .await;
    bot.wait_for(&external, "executing").await;
}
