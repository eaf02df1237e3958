//! The current people, roles and rules apply to requests that were parked under earlier ones.

use super::{PEOPLE, done, parkbrake, restart_with};
use crate::support::client::{critical, events, high, token};
use crate::support::{Browser, Config, Database, TestApp, eventually};
use serde_json::json;
use std::time::Duration;
use tokio::process::Command;

/// The current rules, if a server was restarted with new ones while something was parked.
#[tokio::test]
async fn lost_roles_and_stricter_terms_apply_to_parked_requests() {
    let policies = "agents: { deploy-bot: {} }\npolicies: { critical: { required: 2 }, high: { required: 1 } }";
    let everybody = "people:\n  tess: { roles: [tech_lead] }\n  tom: { roles: [tech_lead] }\n  cora: { roles: [cto, admin] }\n  alice: { roles: [team_lead] }\n";
    let mut app = TestApp::with(Config::new().write("hitl/approval-policies.yaml", &format!("{everybody}{policies}"))).await;
    let bot = app.client("deploy-bot");
    let (dismissed, stricter) = (bot.submit_id(critical()).await, bot.submit_id(high()).await);
    assert_eq!(app.client("tess").approve(&dismissed).await.expect(200)["approvals_remaining"], 1);

    let without = everybody.replace("  tess: { roles: [tech_lead] }\n", "");
    let policies = policies.replace("high: { required: 1 }", "high: { required: 2 }");
    restart_with(&mut app, &format!("{without}{policies}")).await;
    let (alice, tom, cora) = (app.client("alice"), app.client("tom"), app.client("cora"));
    let answer = cora.approve(&dismissed).await.expect(200);
    assert_eq!((&answer["status"], &answer["approvals_remaining"]), (&json!("pending"), &json!(1)), "{answer}");
    assert_eq!(tom.approve(&dismissed).await.expect(200)["approvals_remaining"], 0);
    assert_eq!(events(&cora.workflow(&dismissed).await)[1..5], ["approval_requested", "approved", "approval_requested", "approved"]);

    let answer = alice.approve(&stricter).await.expect(200);
    assert_eq!((&answer["status"], &answer["approvals_remaining"]), (&json!("pending"), &json!(1)), "{answer}");
    let again = alice.approve(&stricter).await.expect(200);
    assert_eq!(again["approvals_remaining"], 1, "the same yes again is the same answer");
    let pending = alice.get("/workflows/pending").await.expect(200);
    assert_eq!((&pending["workflows"][0]["required"], &pending["workflows"][0]["approvals"]), (&json!(2), &json!(1)), "{pending}");
    assert_eq!(tom.approve(&stricter).await.expect(200)["approvals_remaining"], 0);
}

#[tokio::test]
async fn an_owner_who_is_declared_later_does_not_approve() {
    let mut app = TestApp::start().await;
    restart_with(&mut app, &format!("{PEOPLE}agents: {{ deploy-bot: {{}} }}")).await;
    let id = app.client("deploy-bot").submit_id(high()).await;
    restart_with(&mut app, &format!("{PEOPLE}agents: {{ deploy-bot: {{ on_behalf_of: tom }} }}")).await;
    app.client("tom").approve(&id).await.problem(403, "self-approval");
    app.client("alice").approve(&id).await.expect(200);
}

#[tokio::test]
async fn queued_work_is_parked_if_its_level_now_needs_approval() {
    let folder = tempfile::tempdir().unwrap();
    let (go, ran) = (folder.path().join("go"), folder.path().join("ran"));
    let script = format!("echo \"$PARKBRAKE_WORKFLOW_ID\" >> {}; while [ ! -e {} ]; do sleep 0.05; done", ran.display(), go.display());
    let runbook = format!(
        "runbooks:\n  slow: {{ operation: read, environment: development, resource_type: code, command: [/bin/sh, -c, '{script}'] }}"
    );
    let config = Config::new().with_runbooks(&runbook);
    let settings = parkbrake::settings::Settings {
        turns: 1,
        turns_per_requester: 1,
        drain: Duration::from_millis(1),
        ..crate::support::server::settings(&config)
    };
    let mut app = TestApp::launch(config, &settings, Database::migrated().await).await;
    let bot = app.client("deploy-bot");
    let task =
        json!({"description": "look", "operation": "read", "environment": "development", "action": {"type": "runbook", "name": "slow"}});
    let (first, second) = (bot.submit_id(task.clone()).await, bot.submit_id(task).await);
    eventually("the first start", || async { ran.exists().then_some(()) }).await;
    assert_eq!(bot.workflow(&second).await["status"], "queued");
    // From now on low risk needs an approval, too.
    let rules = app.config.path().join("hitl/risk-assessment-rules.yaml");
    let stricter = std::fs::read_to_string(&rules).unwrap();
    let stricter =
        stricter.replace("{ auto_approve: true,  notify: false }", "{ auto_approve: false, notify: true, approvers: [team_lead] }");
    std::fs::write(&rules, stricter).unwrap();
    app.restart().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let asked = bot.wait_for(&second, "pending_approval").await;
    assert_eq!((&asked["risk_level"], &asked["approval"]["approvers"]), (&json!("low"), &json!(["team_lead"])), "{asked:#}");
    std::fs::write(&go, "").unwrap();
    alice.approve(&second).await.expect(200);
    bot.wait_for(&second, "completed").await;
    let ran = std::fs::read_to_string(ran).unwrap();
    assert_eq!(ran.lines().collect::<Vec<_>>(), [first.as_str(), second.as_str()]);
}

#[tokio::test]
async fn undecidable_requests_are_counted() {
    let mut app = TestApp::start().await;
    let undecidable = async |app: &TestApp, count: u32| {
        let line = format!("parkbrake_requests_undecidable {count}");
        let alice = app.client("alice");
        eventually("the count", || async { alice.get("/metrics").await.text.contains(&line).then_some(()) }).await;
    };
    app.client("deploy-bot").submit_id(high()).await;
    app.client("deploy-bot").submit_id(critical()).await;
    app.restart().await;
    undecidable(&app, 0).await;
    // Both roles of high are renamed now; those of critical still exist.
    let rules = std::fs::read_to_string(app.config.path().join("hitl/risk-assessment-rules.yaml")).unwrap();
    let rules = rules
        .replace("approvers: [team_lead, tech_lead]", "approvers: [lead]")
        .replace("[team_lead]", "[lead]")
        .replace("[tech_lead, cto]", "[cto]");
    std::fs::write(app.config.path().join("hitl/risk-assessment-rules.yaml"), rules).unwrap();
    let people = "people: { alice: { roles: [lead] }, tom: { roles: [lead] }, cora: { roles: [cto] } }\nagents: { deploy-bot: {} }";
    restart_with(&mut app, people).await;
    undecidable(&app, 1).await;

    // Each request says so wherever it is listed.
    let url = format!("http://{}", app.addr);
    let pending = app.client("alice").get("/workflows/pending").await.expect(200);
    let said = pending["workflows"].as_array().unwrap().iter().map(|one| (one["risk_level"].as_str().unwrap(), one["undecidable"] == true));
    assert_eq!(said.collect::<Vec<_>>(), [("critical", false), ("high", true)]);
    let page = Browser::of(app.addr, "alice").await.get("/?of=all").await.expect(200);
    assert_eq!(page.html.matches("nobody can decide").count(), 1, "{}", page.html);
    let mut command = Command::new(env!("CARGO_BIN_EXE_parkbrake"));
    command.arg("pending").env("PARKBRAKE_URL", url).env("PARKBRAKE_TOKEN", token("alice"));
    let printed = done(command.output().await.unwrap());
    assert_eq!(printed.matches("nobody can decide").count(), 1, "{printed}");
    // A suspended person does not count.
    done(parkbrake(&app, &["person", "suspend", "cora"]).await);
    eventually("no chief any more", || async {
        let pending = app.client("alice").get("/workflows/pending").await.expect(200);
        pending["workflows"].as_array().unwrap().iter().all(|one| one["undecidable"] == true).then_some(())
    })
    .await;
}
