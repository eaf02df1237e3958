//! Somebody covers for a person who is away: what people read of it, whom notices reach, and what
//! is checked at the start.

use crate::notices::told_to;
use crate::support::client::high;
use crate::support::hook::Hook;
use crate::support::{Browser, Config, TestApp, eventually};
use serde_json::{Value, json};

/// Nora, who decides nothing, covers for alice; tess is the other one who may decide.
fn policies(away: &str) -> String {
    format!(
        "
people:
  alice: {{ roles: [team_lead]{away} }}
  tom:   {{ roles: [tech_lead] }}
  tess:  {{ roles: [tech_lead] }}
  cora:  {{ roles: [cto, admin] }}
  nora:  {{ roles: [auditor] }}
agents:
  deploy-bot: {{ on_behalf_of: tom }}
allow_cover: true
"
    )
}

const AWAY: &str = ", away: { until: \"2099-01-02T08:00\", cover: nora }";

fn away(hook: &Hook) -> Config {
    told_to(&[hook.channel("audit")]).write("hitl/approval-policies.yaml", &policies(AWAY))
}

#[tokio::test]
async fn decisions_show_whom_the_approver_covered() {
    let hook = Hook::start().await;
    let app = TestApp::with(away(&hook)).await;
    let (bot, nora) = (app.client("deploy-bot"), app.client("nora"));
    let id = bot.submit_id(high()).await;
    hook.hears(&id, &["approval.requested"]).await;
    assert_eq!(hook.taken()[0].body["data"]["asked"], json!(["nora", "tess"]), "in the place of alice");
    let cover = json!([{"person": "alice", "until": "2099-01-02T08:00:00.000000Z", "roles": ["team_lead"]}]);
    assert_eq!(nora.get("/whoami").await.expect(200)["covers"], cover);
    let mine = nora.get("/workflows/pending?mine=true").await.expect(200);
    assert_eq!(mine["workflows"][0]["workflow_id"], json!(id), "{mine:#}");

    nora.approve(&id).await.expect(200);
    let workflow = bot.workflow(&id).await;
    let decision = &workflow["decisions"][0];
    assert_eq!(
        (&decision["approver"], &decision["role"], &decision["cover"]),
        (&json!("nora"), &json!("team_lead"), &cover),
        "{workflow:#}"
    );
    let event = workflow["history"].as_array().unwrap().iter().find(|event| event["event"] == "approved").unwrap().to_string();
    assert!(event.contains(&cover.to_string()), "{event}");
    let page = Browser::of(app.addr, "tess").await.get(&format!("/inbox/workflows/{id}")).await.expect(200);
    page.has("for alice (away until 2099-01-02 08:00 UTC)");
    let policy = Browser::of(app.addr, "tess").await.get("/inbox/policy").await.expect(200);
    policy.has("away until 2099-01-02 08:00 UTC; nora covers");
}

#[tokio::test]
async fn a_covers_approval_lapses_at_the_start_if_the_person_is_back() {
    let hook = Hook::start().await;
    let mut app = TestApp::with(away(&hook)).await;
    let id = app.client("deploy-bot").submit_id(high()).await;
    app.client("cora").post("/halt", json!({"reason": "to look"})).await.expect(200);
    assert_eq!(app.client("nora").approve(&id).await.expect(200)["workflow_status"], "queued");
    std::fs::write(app.config.path().join("hitl/approval-policies.yaml"), policies("")).unwrap();
    app.restart().await;
    app.client("cora").post("/resume", json!({"reason": "looked"})).await.expect(200);
    let bot = app.client("deploy-bot");
    let asked_again = || async { Some(bot.workflow(&id).await).filter(|workflow| workflow["status"] == "pending_approval") };
    let workflow = eventually("people to be asked again", asked_again).await;
    let again = workflow["history"].as_array().unwrap().iter().rfind(|event| event["event"] == "approval_requested").map(Value::to_string);
    assert!(again.unwrap().contains("the approval of nora no longer counts"), "{workflow:#}");
    app.client("nora").approve(&id).await.problem(403, "not-an-approver");
    assert_eq!(app.client("alice").approve(&id).await.expect(200)["status"], "approved");
}

/// The commit of a decision asks the database: whose roles it rests on may have been suspended.
#[tokio::test]
async fn nobody_decides_for_a_person_who_is_suspended() {
    let hook = Hook::start().await;
    let app = TestApp::with(away(&hook)).await;
    let id = app.client("deploy-bot").submit_id(high()).await;
    app.database.execute("insert into suspension (name) values ('alice')").await;
    app.client("nora").approve(&id).await.problem(403, "not-an-approver");
    app.client("nora").reject(&id).await.problem(403, "not-an-approver");
}
