//! Playbooks: the requester names one, and parkbrake makes the plan.

use crate::support::{Config, Ledger, TestApp};
use parkbrake::domain::task::digest::Digest;
use serde_json::json;

const PLAYBOOKS: &str = r#"playbooks:
  release:
    args: { service: { pattern: "[a-z]{1,9}" } }
    steps:
      - { name: save, runbook: look }
      - { name: deploy, operation: deploy, environment: production, resource: "{{ service }}", runbook: once }
"#;

#[tokio::test]
async fn an_intent_becomes_the_plan_that_is_shown_approved_and_run() {
    let ledger = Ledger::new();
    let app = TestApp::with(ledger.runbooks(Config::new()).write("playbooks.yaml", PLAYBOOKS)).await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let intent = json!({"description": "Release api", "task_id": "T-1", "playbook": "release", "args": {"service": "api"}});
    let assessed = bot.post("/risk/assess", intent.clone()).await.expect(200);
    let accepted = bot.submit(intent).await;
    assert_eq!((&assessed["digest"], &assessed["steps"][1]["target"]), (&accepted["digest"], &accepted["steps"][1]["target"]));
    assert_eq!((&accepted["risk_level"], &accepted["status"]), (&json!("high"), &json!("pending_approval")));
    let id = accepted["workflow_id"].as_str().unwrap();
    let shown = alice.workflow(id).await;
    assert_eq!(shown["task"]["playbook"]["name"], "release");
    assert_eq!(shown["task"]["playbook"]["args"], json!({"service": "api"}));
    assert!(shown["task"]["playbook"]["digest"].as_str().unwrap().starts_with("sha256:"));
    let steps: Vec<_> = shown["steps"].as_array().unwrap().iter().map(|step| (&step["name"], &step["risk_level"])).collect();
    assert_eq!(steps, [(&json!("save"), &json!("low")), (&json!("deploy"), &json!("high"))]);
    let canonical = serde_json_canonicalizer::to_vec(&shown["task"]).unwrap();
    assert_eq!(Digest::of(&canonical).as_str(), shown["digest"], "the digest covers the playbook and what it was made into");
    alice.post(&format!("/workflows/{id}/approve"), json!({"digest": shown["digest"]})).await.expect(200);
    bot.wait_for(id, "completed").await;
    assert_eq!(ledger.starts(id), 2);
}

#[tokio::test]
async fn compensations_of_a_playbook_run_when_a_later_step_fails() {
    let ledger = Ledger::new();
    let playbook = r#"playbooks:
  release:
    steps:
      - { name: save, runbook: look, compensate: { runbook: again } }
      - { name: check, operation: read, environment: development, resource_type: code }
"#;
    let app = TestApp::with(ledger.runbooks(Config::new()).write("playbooks.yaml", playbook)).await;
    let bot = app.client("deploy-bot");
    let accepted = bot.submit(json!({"description": "Release api", "playbook": "release"})).await;
    let id = accepted["workflow_id"].as_str().unwrap();
    assert_eq!(accepted["steps"][2]["compensates"], 1, "part of the plan that is shown: {accepted:#}");
    bot.wait_for(id, "executing").await;
    crate::support::eventually("the turn of the step that is reported", || async {
        (bot.workflow(id).await["steps"][1]["status"] == "executing").then_some(())
    })
    .await;
    bot.post(&format!("/workflows/{id}/result"), json!({"step": "check", "outcome": "failed"})).await.expect(200);
    let failed = bot.wait_for(id, "failed").await;
    let statuses: Vec<_> = failed["steps"].as_array().unwrap().iter().map(|step| step["status"].as_str().unwrap()).collect();
    assert_eq!((statuses, ledger.starts(id)), (vec!["succeeded", "failed", "succeeded"], 2));
}

#[tokio::test]
async fn an_intent_that_does_not_fit_is_refused_with_its_pointer_and_stores_nothing() {
    let ledger = Ledger::new();
    let app = TestApp::with(ledger.runbooks(Config::new()).write("playbooks.yaml", PLAYBOOKS)).await;
    let bot = app.client("deploy-bot");
    for (playbook, args, pointer) in [
        ("nothing", json!({}), "/playbook"),
        ("release", json!({}), "/args/service"),
        ("release", json!({"service": "Api"}), "/args/service"),
        ("release", json!({"service": "api", "force": true}), "/args/force"),
    ] {
        let intent = json!({"description": "d", "playbook": playbook, "args": args});
        let problem = bot.post("/orchestrate", intent).await.problem(422, "invalid-task");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
    let both = json!({"description": "d", "playbook": "release", "args": {"service": "api"}, "operation": "read"});
    let problem = bot.post("/orchestrate", both).await.problem(422, "invalid-task");
    assert_eq!(problem["errors"][0]["pointer"], "/operation", "a requester cannot claim what a playbook does");
    assert_eq!(app.database.count("select count(*) from workflow").await, 0);
}
