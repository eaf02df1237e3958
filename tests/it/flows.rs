//! The five flows that parkbrake is for.

use crate::support::client::{high, low};
use crate::support::{Config, TestApp};
use serde_json::json;

#[tokio::test]
async fn low_risk_runs_at_once() {
    let app = TestApp::with(Config::new().with_runbooks(
        "runbooks: { show: { operation: read, command: [echo, '{{ what }}'], args: { what: { pattern: '[a-z]+' } }, timeout: 10s } }",
    ))
    .await;
    let bot = app.client("deploy-bot");
    let mut task = low();
    task["action"] = json!({"type": "runbook", "name": "show", "args": {"what": "logs"}});
    let accepted = bot.submit(task).await;
    assert_eq!(
        (&accepted["risk_level"], &accepted["requires_approval"], &accepted["approval"]),
        (&json!("low"), &json!(false), &json!(null))
    );
    let workflow = bot.wait_for(accepted["workflow_id"].as_str().unwrap(), "completed").await;
    assert_eq!(workflow["approval_status"], "not_required");
    assert_eq!(workflow["execution"]["attempts"][0]["output"]["stdout"], "logs\n");
}

#[tokio::test]
async fn high_risk_waits_for_a_human() {
    let app = TestApp::start().await;
    let accepted = app.client("deploy-bot").submit(high()).await;
    assert_eq!((&accepted["status"], &accepted["risk_level"]), (&json!("pending_approval"), &json!("high")));
    assert_eq!(accepted["approval"]["approvers"], json!(["team_lead", "tech_lead"]));
    let waiting = app.client("alice").get("/workflows/pending").await.expect(200);
    assert_eq!(waiting["workflows"][0]["workflow_id"], accepted["workflow_id"]);
    assert_eq!(waiting["workflows"][0]["digest"], accepted["digest"]);
}

#[tokio::test]
async fn an_approval_resumes_the_workflow() {
    let app = TestApp::start().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let id = bot.submit_id(high()).await;
    let answer = alice.approve(&id).await.expect(200);
    assert_eq!(
        answer,
        json!({"success": true, "workflow_id": id, "status": "approved", "approved_by": "alice", "approvals_remaining": 0, "workflow_status": "executing"})
    );
    let reported = bot.post(&format!("/workflows/{id}/result"), json!({"outcome": "succeeded", "output": {"version": "1.4.2"}})).await;
    assert_eq!(reported.expect(200)["status"], "completed");
    let workflow = alice.workflow(&id).await;
    assert_eq!(workflow["execution"]["attempts"][0]["output"], json!({"version": "1.4.2"}));
    let events: Vec<_> = workflow["history"].as_array().unwrap().iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["submitted", "approval_requested", "approved", "execution_started", "execution_succeeded"]);
}

#[tokio::test]
async fn a_rejection_ends_the_workflow() {
    let app = TestApp::start().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let id = bot.submit_id(high()).await;
    let answer = alice.reject(&id).await.expect(200);
    assert_eq!(answer, json!({"success": true, "workflow_id": id, "status": "rejected", "rejected_by": "alice"}));
    let workflow = bot.workflow(&id).await;
    assert_eq!((&workflow["status"], &workflow["approval_status"]), (&json!("rejected"), &json!("rejected")));
    assert_eq!(workflow["execution"], json!(null));
    assert_eq!(workflow["decisions"][0]["justification"], "not today");
    bot.post(&format!("/workflows/{id}/result"), json!({"outcome": "succeeded"})).await.problem(409, "wrong-state");
    assert_eq!(alice.get("/workflows/pending").await.expect(200)["workflows"], json!([]));
}

#[tokio::test]
async fn a_request_escalates_if_nobody_decides() {
    let app = TestApp::with(Config::new().with_policies("escalation: { high: [ { after: 1s, to: [cto] } ] }")).await;
    let (bot, cora) = (app.client("deploy-bot"), app.client("cora"));
    let id = bot.submit_id(high()).await;
    cora.approve(&id).await.problem(403, "not-an-approver");
    let answer = bot.get(&format!("/workflows/{id}/wait?since=2&timeout=10s")).await.expect(200);
    assert_eq!(answer["workflow"]["history"][2]["event"], "escalated");
    assert_eq!(answer["workflow"]["approval"]["approvers"], json!(["team_lead", "tech_lead", "cto"]));
    cora.approve(&id).await.expect(200);
}
