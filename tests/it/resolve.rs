//! No dead ends: an authorized person resolves an unknown outcome, and a missing report is
//! requested.

use crate::support::client::{events, high, low};
use crate::support::{Answer, Client, Config, Database, Ledger, Process, TestApp, eventually};
use serde_json::{Value, json};

impl Client {
    async fn resolve(&self, id: &str, outcome: &str) -> Answer {
        self.post(&format!("/workflows/{id}/resolve"), json!({"outcome": outcome, "justification": "I looked at the machine"})).await
    }
}

fn deployment() -> Value {
    let mut task = high();
    task["action"] = json!({"type": "runbook", "name": "once"});
    task
}

/// A server, and this many workflows with an unknown outcome.
async fn unknown(count: usize) -> (Ledger, Process, Vec<String>) {
    let ledger = Ledger::new();
    let config = ledger.runbooks(Config::new());
    let database = Database::migrated().await;
    let server = Process::serve(&config, &database).await;
    ledger.hold();
    let mut ids = Vec::new();
    for _ in 0..count {
        let id = server.client("deploy-bot").submit_id(deployment()).await;
        server.client("alice").approve(&id).await.expect(200);
        eventually("its start", || async { (ledger.starts(&id) == 1).then_some(()) }).await;
        ids.push(id);
    }
    server.kill().await;
    let server = Process::serve(&config, &database).await;
    for id in &ids {
        server.client("alice").wait_for(id, "outcome_unknown").await;
    }
    ledger.release();
    (ledger, server, ids)
}

#[tokio::test]
async fn an_unknown_outcome_is_resolved_by_who_may_approve_and_by_nobody_else() {
    let (ledger, server, ids) = unknown(3).await;
    let (alice, tess, cora) = (server.client("alice"), server.client("tess"), server.client("cora"));
    let [happened, did_not, again] = &ids[..] else { panic!("three workflows") };
    server.client("nora").resolve(happened, "succeeded").await.problem(403, "not-an-approver");
    server.client("deploy-bot").resolve(happened, "succeeded").await.problem(403, "self-approval");
    server.client("tom").resolve(happened, "succeeded").await.problem(403, "self-approval");
    server.client("lone-bot").resolve(happened, "succeeded").await.problem(404, "workflow-not-found");
    let path = format!("/workflows/{happened}/resolve");
    alice.post(&path, json!({"outcome": "succeeded", "justification": " "})).await.problem(422, "justification-required");
    for wrong in
        [json!({}), json!({"outcome": "maybe", "justification": "x"}), json!({"outcome": "failed", "by": "x", "justification": "x"})]
    {
        alice.post(&path, wrong).await.problem(422, "invalid-task");
    }

    assert_eq!(alice.resolve(happened, "succeeded").await.expect(200)["status"], "completed");
    assert_eq!(alice.resolve(happened, "succeeded").await.expect(200)["status"], "completed", "the same again");
    tess.resolve(happened, "failed").await.problem(409, "wrong-state");
    let workflow = alice.workflow(happened).await;
    assert_eq!(events(&workflow)[5..], ["outcome_unknown", "resolved"]);
    assert_eq!(
        (&workflow["history"][6]["actor"], &workflow["execution"]["attempts"][0]["outcome"]),
        (&json!("alice"), &json!("succeeded"))
    );

    assert_eq!(cora.resolve(did_not, "failed").await.expect(200)["status"], "failed", "an admin may");
    assert_eq!(tess.resolve(again, "retry").await.expect(200)["status"], "queued");
    let workflow = tess.wait_for(again, "completed").await;
    let outcomes: Vec<_> = workflow["execution"]["attempts"].as_array().unwrap().iter().map(|attempt| attempt["outcome"].clone()).collect();
    assert_eq!(outcomes, ["unknown", "succeeded"]);
    assert_eq!((ledger.starts(happened), ledger.starts(did_not), ledger.starts(again)), (1, 1, 2));
    assert!(server.terminate().await);
}

#[tokio::test]
async fn only_an_unknown_outcome_can_be_resolved() {
    let app = TestApp::start().await;
    let (bot, alice) = (app.client("lone-bot"), app.client("alice"));
    let parked = bot.submit_id(high()).await;
    assert_eq!(alice.resolve(&parked, "succeeded").await.problem(409, "wrong-state")["current_status"], "pending_approval");
    let executing = bot.submit_id(low()).await;
    assert_eq!(alice.resolve(&executing, "failed").await.problem(409, "wrong-state")["current_status"], "executing");
}

#[tokio::test]
async fn a_missing_report_is_requested_and_then_the_outcome_is_unknown() {
    let config = Config::new().with_policies("policies: { low: { report_within: 1s }, high: { report_within: 1s } }");
    let app = TestApp::with(config).await;
    let (bot, alice) = (app.client("lone-bot"), app.client("alice"));
    let id = bot.submit_id(high()).await;
    alice.approve(&id).await.expect(200);
    let alone = bot.submit_id(low()).await;
    let reported = bot.submit_id(low()).await;
    let report = async |id: &str| bot.post(&format!("/workflows/{id}/result"), json!({"outcome": "succeeded"})).await;
    report(&reported).await.expect(200);
    for id in [&id, &alone] {
        let workflow = bot.wait_for(id, "outcome_unknown").await;
        let names = events(&workflow);
        assert_eq!(names[names.len() - 3..], ["execution_started", "report_requested", "outcome_unknown"]);
    }
    assert_eq!(bot.workflow(&reported).await["status"], "completed");
    let waits = "select count(*) from workflow where report_due_at is not null";
    assert_eq!(app.database.count(waits).await, 0, "nothing falls due any more");
    // A late report is believed; if there is none, a person has to resolve the outcome.
    assert_eq!(report(&id).await.expect(200)["status"], "completed");
    assert_eq!(alice.resolve(&alone, "retry").await.expect(200)["status"], "executing");
    assert_eq!(app.database.count(waits).await, 1);
    assert_eq!(report(&alone).await.expect(200)["status"], "completed");
}
