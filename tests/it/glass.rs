//! Broken glass: in an emergency one person releases an action alone, everybody is notified, and
//! somebody else reviews it.

use crate::support::called;
use crate::support::client::{events, high, medium};
use crate::support::proxy::{Fault, Proxy};
use crate::support::server::{SECRET, Services, settings};
use crate::support::{Answer, Browser, Client, Config, Database, TestApp, eventually};
use futures_util::future::join_all;
use serde_json::{Value, json};

const POLICIES: &str = "
people:
  alice: { roles: [team_lead], email: alice@example.com }
  tom:   { roles: [sre, tech_lead], email: tom@example.com }
  tess:  { roles: [sre, team_lead], email: tess@example.com }
  cora:  { roles: [team_lead, cto, admin], email: cora@example.com }
  nora:  { roles: [auditor] }
agents:
  deploy-bot: { on_behalf_of: tom }
  lone-bot:   {}
policies: { medium: { required: 2, break_glass: [sre] } }
";

fn config() -> Config {
    Config::new().write("hitl/approval-policies.yaml", POLICIES)
}

impl Client {
    /// Breaks the glass for the document with this digest.
    async fn break_glass(&self, id: &str, digest: &Value) -> Answer {
        self.post(&format!("/workflows/{id}/approve"), json!({"break_glass": true, "digest": digest, "justification": "INC-7"})).await
    }

    async fn review(&self, id: &str) -> Answer {
        self.post(&format!("/workflows/{id}/review"), json!({"finding": "There was no time"})).await
    }
}

/// A waiting request: its id and its digest.
#[track_caller]
fn parked(app: &TestApp) -> impl Future<Output = (String, Value)> {
    called(async move {
        let parked = app.client("deploy-bot").submit(medium()).await;
        assert_eq!(parked["status"], "pending_approval");
        (parked["workflow_id"].as_str().unwrap().to_owned(), parked["digest"].clone())
    })
}

#[tokio::test]
async fn one_person_breaks_the_glass_alone_and_somebody_else_closes_the_review() {
    let app = TestApp::with(config()).await;
    let (tess, cora) = (app.client("tess"), app.client("cora"));
    let (id, digest) = parked(&app).await;
    let answer = tess.break_glass(&id, &digest).await.expect(200);
    assert_eq!((&answer["status"], &answer["approvals_remaining"]), (&json!("approved"), &json!(0)));
    assert_eq!(tess.break_glass(&id, &digest).await.expect(200), answer, "the same yes twice is one");
    let workflow = cora.workflow(&id).await;
    assert_eq!(events(&workflow), ["submitted", "approval_requested", "glass_broken", "execution_started"]);
    assert_eq!(workflow["history"][2]["detail"]["missing"], 2);
    assert_eq!((&workflow["decisions"][0]["break_glass"], &workflow["reviews"][0]["closed_by"]), (&json!(true), &json!(null)));
    let open = cora.get("/reviews").await.expect(200);
    assert_eq!((&open["reviews"][0]["workflow_id"], &open["reviews"][0]["broken_by"]), (&json!(id), &json!("tess")));
    let row = "select count(*) from approval_requests where status = 'approved' and resolved_by = 'tess' and resolution_note = 'INC-7'";
    assert_eq!(app.database.count(row).await, 1);

    // Until then that person cannot break the glass again, and the others decide as always.
    let (next, digest) = parked(&app).await;
    let refused = tess.break_glass(&next, &digest).await.problem(409, "review-open");
    assert!(refused["detail"].as_str().unwrap().contains("nobody has reviewed that yet"), "{refused}");
    assert_eq!(cora.workflow(&next).await["status"], "pending_approval");
    tess.review(&id).await.problem(403, "self-approval");
    app.client("tom").review(&id).await.problem(403, "self-approval");
    app.client("deploy-bot").review(&id).await.problem(403, "self-approval");
    cora.post(&format!("/workflows/{id}/review"), json!({"finding": " \u{200b}"})).await.problem(422, "justification-required");
    cora.review(&next).await.problem(409, "wrong-state");
    let pruning = "select coalesce(sum(workflows), 0)::bigint from prune_preview(clock_timestamp() + interval '1 day', '00000000-0000-0000-0000-000000000000', 1)";
    app.client("deploy-bot").post(&format!("/workflows/{id}/result"), json!({"outcome": "succeeded"})).await.expect(200);
    assert_eq!(app.database.count(pruning).await, 0, "what is not reviewed stays");
    let step = "select workflows::bigint from prune_step(clock_timestamp() + interval '1 day', '00000000-0000-0000-0000-000000000000', 1)";
    assert_eq!(app.database.count(step).await, 0);

    let leads = format!("/inbox/workflows/{id}#review");
    Browser::of(app.addr, "cora").await.get("/").await.expect(200).has("Needs a review:").has(&leads);

    let closed = app.client("nora").review(&id).await.expect(200);
    Browser::of(app.addr, "cora").await.get("/").await.expect(200).lacks(&leads);
    assert_eq!((&closed["review"]["closed_by"], &closed["review"]["finding"]), (&json!("nora"), &json!("There was no time")));
    app.client("nora").review(&id).await.expect(200);
    cora.review(&id).await.problem(409, "wrong-state");
    assert_eq!(cora.get("/reviews").await.expect(200)["reviews"], json!([]));
    assert_eq!(events(&cora.workflow(&id).await).last(), Some(&"reviewed"));
    tess.break_glass(&next, &digest).await.expect(200);
    assert_eq!(app.database.count(pruning).await, 1);
}

#[tokio::test]
async fn breaking_the_glass_replaces_the_quorum_and_the_roles_and_nothing_else() {
    let app = TestApp::with(config()).await;
    let (id, digest) = parked(&app).await;
    let path = format!("/workflows/{id}/approve");
    let tess = app.client("tess");
    tess.post(&path, json!({"break_glass": true, "justification": "INC-7"})).await.problem(412, "digest-mismatch");
    tess.break_glass(&id, &json!(format!("sha256:{}", "0".repeat(64)))).await.problem(412, "digest-mismatch");
    tess.post(&path, json!({"break_glass": true, "digest": digest})).await.problem(422, "justification-required");
    tess.post(&path, json!({"break_glass": true, "digest": digest, "justification": "x", "exception": "works"}))
        .await
        .problem(422, "invalid-task");
    app.client("alice").break_glass(&id, &digest).await.problem(403, "not-an-approver");
    app.client("tom").break_glass(&id, &digest).await.problem(403, "self-approval");
    app.client("deploy-bot").break_glass(&id, &digest).await.problem(403, "self-approval");
    app.client("lone-bot").break_glass(&id, &digest).await.problem(404, "workflow-not-found");
    let parked = app.client("deploy-bot").submit(high()).await;
    tess.break_glass(parked["workflow_id"].as_str().unwrap(), &parked["digest"]).await.problem(403, "not-an-approver");
    assert_eq!(app.database.count("select count(*) from glass_review").await, 0);

    // A person who has already approved may still release it alone; what is settled stays settled.
    tess.approve(&id).await.expect(200);
    tess.break_glass(&id, &digest).await.expect(200);
    app.client("cora").approve(&id).await.problem(409, "already-decided");
    let rejected = app.client("deploy-bot").submit(medium()).await;
    let id = rejected["workflow_id"].as_str().unwrap();
    app.client("alice").reject(id).await.expect(200);
    tess.break_glass(id, &rejected["digest"]).await.problem(409, "already-decided");
}

#[tokio::test]
async fn concurrent_breaks_of_the_glass_write_one() {
    let app = TestApp::with(config()).await;
    let mut requests = Vec::new();
    for _ in 0..8 {
        requests.push(parked(&app).await);
    }
    let tess = app.client("tess");
    let answers = join_all(requests.iter().map(|(id, digest)| tess.break_glass(id, digest))).await;
    let done = answers.iter().filter(|answer| answer.status == 200).count();
    let refused = answers.iter().filter(|answer| answer.body["code"] == "review-open").count();
    assert_eq!((done, refused), (1, 7));
    assert_eq!(app.database.count("select count(*) from workflow_event where kind = 'glass_broken'").await, 1);
    assert_eq!(app.database.count("select count(*) from glass_review").await, 1);
}

/// It is decided before another server writes, and reaches the database after it.
#[tokio::test]
async fn a_review_that_another_server_opened_meanwhile_is_seen_by_the_commit() {
    let config = config();
    let database = Database::migrated().await;
    let proxy = Proxy::before(&database).await;
    let settings = settings(&config);
    let app = TestApp::launch(config, &settings, proxy.database()).await;
    let (id, digest) = parked(&app).await;
    proxy.next("advance_workflows", Fault::HoldRequest, 1);
    let tess = app.client("tess");
    let breaking = tess.break_glass(&id, &digest);
    let meanwhile = async {
        eventually("the commit on its way", || async { (proxy.applied() == 1).then_some(()) }).await;
        database.execute("insert into glass_review values (gen_random_uuid(), 3, 'TESS', clock_timestamp())").await;
        proxy.thaw();
    };
    let (answer, ()) = futures_util::future::join(breaking, meanwhile).await;
    answer.problem(409, "review-open");
    assert_eq!(tess.workflow(&id).await["status"], "pending_approval");
    database.execute("delete from glass_review").await;
    // The same if the answer is lost: it is written once.
    proxy.next("advance_workflows", Fault::LoseAnswer, 1);
    tess.break_glass(&id, &digest).await.expect(200);
    assert_eq!(database.count("select count(*) from glass_review where closed_at is null").await, 1);
}

#[tokio::test]
async fn every_channel_and_every_skipped_person_is_notified_of_broken_glass() {
    let notifications = "
channels:
  hook: { type: webhook, url: 'http://127.0.0.1:9/', secret: { from_env: HOOK }, allow_private: true }
  mail: { type: email, smtp_url: { from_env: MAIL }, from: parkbrake@example.com }
routes: [ { levels: [critical], channels: [hook] } ]
";
    let services = Services { secrets: vec![("HOOK", SECRET.to_owned()), ("MAIL", "smtp://127.0.0.1:9".to_owned())], slack: None };
    let app = TestApp::with_services(config().write("notifications.yaml", notifications), services).await;
    let (id, digest) = parked(&app).await;
    app.client("alice").approve(&id).await.expect(200);
    assert_eq!(app.database.count("select count(*) from notice").await, 0, "the level is routed to no channel");
    app.client("tess").break_glass(&id, &digest).await.expect(200);
    let of = "select count(*) from notice where kind = 'approval.glass_broken' and version = 4 and coalesce(channel || ' ' || recipient, channel) in ('hook', 'mail cora')";
    assert_eq!((app.database.count(of).await, app.database.count("select count(*) from notice").await), (2, 2));
}

#[tokio::test]
async fn the_rights_of_who_broke_the_glass_are_checked_again_before_the_start() {
    let app = TestApp::with(config()).await;
    let (id, digest) = parked(&app).await;
    app.client("cora").post("/halt", json!({"reason": "a moment"})).await.expect(200);
    app.client("tess").break_glass(&id, &digest).await.expect(200);
    app.database.execute("insert into suspension (name) values ('tess')").await;
    app.client("cora").post("/resume", json!({})).await.expect(200);
    let workflow = app.client("cora").wait_for(&id, "pending_approval").await;
    let asked = workflow["history"].as_array().unwrap().last().unwrap()["detail"].clone();
    assert!(asked["reason"].as_str().unwrap().contains("tess is suspended"), "{asked}");
}
