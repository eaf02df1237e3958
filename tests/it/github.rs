//! Deployments that wait in GitHub Actions: people decide them like other requests, and GitHub gets
//! one answer.

use crate::support::called;
use crate::support::client::events;
use crate::support::server::Services;
use crate::support::services::github::{APP_ID, PRIVATE_KEY};
use crate::support::services::http::{Mishap, Reply};
use crate::support::services::{self};
use crate::support::{Answer, Client, Config, Database, Process, TestApp, eventually};
use hmac::{Hmac, KeyInit as _, Mac as _};
use parkbrake::domain::task::digest::hex;
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Sha256;
use std::net::SocketAddr;
use std::time::Duration;

const SECRET: &str = "It's a Secret to Everybody";
const PATH: &str = "/github/deployment-protection-rule";

const PEOPLE: &str = "
people:
  alice: { roles: [team_lead] }
  tom:   { roles: [tech_lead] }
  cora:  { roles: [cto, admin] }
agents:
  other-bot: { on_behalf_of: tom }
";

fn config(github: &services::Github, policies: &str) -> Config {
    let channels = format!(
        "public_url: https://parkbrake.example.com\nchannels:\n  deployments: {{ type: github, app_id: {APP_ID}, private_key: {{ from_env: KEY }}, \
         webhook_secret: {{ from_env: HOOK }}, agent: other-bot, api_url: \"{}\" }}\n",
        github.service.url
    );
    Config::new().write("hitl/approval-policies.yaml", &format!("{PEOPLE}{policies}")).write("notifications.yaml", &channels)
}

fn secrets() -> Vec<(&'static str, String)> {
    vec![("KEY", PRIVATE_KEY.to_owned()), ("HOOK", SECRET.to_owned())]
}

/// A server, and the GitHub that calls it.
struct Harness {
    app: TestApp,
    github: services::Github,
    alice: Client,
}

impl Harness {
    async fn start(policies: &str) -> Self {
        let github = services::Github::start().await;
        let services = Services { secrets: secrets(), ..Services::default() };
        let app = TestApp::with_services(config(&github, policies), services).await;
        let alice = app.client("alice");
        Self { app, github, alice }
    }

    /// A run waits for production; returns the workflow.
    #[track_caller]
    fn asked(&self, run: u64) -> impl Future<Output = String> {
        called(async move {
            self.github.waits(run, "production");
            self.ask(&delivery(&self.github, run, 9_001)).await["workflow_id"].as_str().unwrap().to_owned()
        })
    }

    #[track_caller]
    fn ask(&self, delivery: &Value) -> impl Future<Output = Value> {
        called(async move { send(self.app.addr, delivery).await.expect(202) })
    }

    /// The one answer that GitHub received about a run.
    async fn answer(&self, run: u64) -> Value {
        answer(&self.github, run).await
    }

    /// Checks that no more notices are due.
    async fn is_quiet(&self) {
        let waiting = "select count(*) from notice where channel = 'deployments' and status = 'pending'";
        eventually("nothing to tell", || async { (self.app.database.count(waiting).await == 0).then_some(()) }).await;
    }
}

#[track_caller]
fn answer(github: &services::Github, run: u64) -> impl Future<Output = Value> {
    called(async move {
        let mut answers = eventually("an answer", || async { Some(github.answers(run)).filter(|answers| !answers.is_empty()) }).await;
        assert_eq!(answers.len(), 1, "{answers:?}");
        answers.remove(0)
    })
}

/// GitHub's delivery about a run that waits for production.
pub fn delivery(github: &services::Github, run: u64, deployment: u64) -> Value {
    let mut body: Value = serde_json::from_str(include_str!("../fixtures/github/requested.json")).unwrap();
    body["deployment_callback_url"] =
        json!(format!("{}/repos/example/shop/actions/runs/{run}/deployment_protection_rule", github.service.url));
    body["deployment"]["id"] = json!(deployment);
    body
}

pub fn sign(secret: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    format!("sha256={}", hex(&mac.finalize().into_bytes()))
}

async fn send(addr: SocketAddr, delivery: &Value) -> Answer {
    let body = delivery.to_string();
    post(addr, "deployment_protection_rule", &body, &sign(SECRET, &body)).await
}

pub async fn post(addr: SocketAddr, event: &str, body: &str, signature: &str) -> Answer {
    // Without a valid token.
    let client = Client::with_token(addr, "none");
    let request = client.request(Method::POST, PATH).header("content-type", "application/json").header("x-github-event", event);
    let request = request.header("x-github-delivery", "0b989ba4-242f-11e5-81e1-c7b6966d2516").header("x-hub-signature-256", signature);
    client.send(request.body(body.to_owned())).await
}

#[tokio::test]
async fn an_approved_deployment_is_let_through() {
    let harness = Harness::start("").await;
    let id = harness.asked(7_001).await;
    let workflow = harness.alice.workflow(&id).await;
    assert_eq!(
        (&workflow["status"], &workflow["requested_by"], &workflow["on_behalf_of"]),
        (&json!("pending_approval"), &json!("other-bot"), &json!("tom"))
    );
    assert_eq!((&workflow["history"][0]["via"], &workflow["history"][0]["actor"]), (&json!("github"), &json!("other-bot")));
    assert_eq!(workflow["description"], "Deploy example/shop (main, 0123456789) to production, by mona in run 7001");
    assert_eq!(workflow["task"]["metadata"]["github"]["sha"], "0123456789abcdef0123456789abcdef01234567");
    assert_eq!(harness.github.answers(7_001), [] as [Value; 0], "nobody has decided");

    let yes = json!({"justification": "checked in OPS-7", "digest": workflow["digest"]});
    harness.alice.post(&format!("/workflows/{id}/approve"), yes).await.expect(200);
    let answer = harness.answer(7_001).await;
    assert_eq!((&answer["environment_name"], &answer["state"]), (&json!("production"), &json!("approved")));
    assert_eq!(answer["comment"], format!("Approved by alice (checked in OPS-7). https://parkbrake.example.com/inbox/workflows/{id}"));
    harness.is_quiet().await;
    assert_eq!(harness.github.complaints(), [""; 0]);
}

#[tokio::test]
async fn a_rejected_deployment_is_stopped_with_the_reason() {
    let harness = Harness::start("").await;
    let id = harness.asked(7_001).await;
    harness.alice.post(&format!("/workflows/{id}/reject"), json!({"reason": "not on\na Friday"})).await.expect(200);
    let answer = harness.answer(7_001).await;
    assert_eq!(answer["state"], "rejected");
    assert!(answer["comment"].as_str().unwrap().starts_with("Rejected by alice (not on a Friday)."), "{answer}");
}

#[tokio::test]
async fn github_gets_expired_and_cancelled_not_rejected() {
    let harness = Harness::start("policies: { high: { expire_after: 1s } }\n").await;
    harness.asked(7_001).await;
    let answer = harness.answer(7_001).await;
    assert_eq!(answer["state"], "rejected");
    assert!(answer["comment"].as_str().unwrap().starts_with("Nobody decided in time"), "{answer}");

    let harness = Harness::start("").await;
    let id = harness.asked(7_002).await;
    harness.app.client("cora").post(&format!("/workflows/{id}/cancel"), json!({})).await.expect(200);
    let answer = harness.answer(7_002).await;
    assert_eq!(answer["state"], "rejected");
    assert!(answer["comment"].as_str().unwrap().starts_with("The request was cancelled by cora."), "{answer}");
}

#[tokio::test]
async fn deployments_without_approval_are_let_through_at_once() {
    let harness = Harness::start("").await;
    harness.github.waits(7_001, "development");
    let mut body = delivery(&harness.github, 7_001, 9_001);
    body["environment"] = json!("development");
    assert_eq!(harness.ask(&body).await["status"], "executing");
    let answer = harness.answer(7_001).await;
    assert_eq!((&answer["environment_name"], &answer["state"]), (&json!("development"), &json!("approved")));
    assert!(answer["comment"].as_str().unwrap().contains("Its risk is low, so nobody has to approve it"), "{answer}");
}

#[tokio::test]
async fn a_delivery_that_comes_again_and_another_job_of_the_run_find_the_same_request() {
    let harness = Harness::start("").await;
    let id = harness.asked(7_001).await;
    let (again, job) = (delivery(&harness.github, 7_001, 9_001), delivery(&harness.github, 7_001, 9_002));
    for body in [&again, &job] {
        assert_eq!(harness.ask(body).await["workflow_id"], id);
    }
    harness.alice.reject(&id).await.expect(200);
    harness.answer(7_001).await;
    // An answered run stays answered, and a later one is a new request.
    assert_eq!(harness.ask(&again).await, json!({"workflow_id": id, "status": "rejected"}));
    harness.github.waits(7_001, "production");
    let later = harness.ask(&delivery(&harness.github, 7_001, 9_003)).await;
    assert_ne!(later["workflow_id"], id);
    assert_eq!(later["status"], "pending_approval");
    harness.alice.approve(later["workflow_id"].as_str().unwrap()).await.expect(200);
    eventually("the second answer", || async { (harness.github.answers(7_001).len() == 2).then_some(()) }).await;
    assert_eq!(harness.github.answers(7_001)[1]["state"], "approved");
    assert_eq!(harness.app.database.count("select count(*) from workflow").await, 2);
}

#[tokio::test]
async fn nothing_is_read_that_github_has_not_signed() {
    let harness = Harness::start("").await;
    let (addr, body) = (harness.app.addr, delivery(&harness.github, 7_001, 9_001).to_string());
    let event = "deployment_protection_rule";
    let signature = sign(SECRET, &body);
    let (other, upper) = (sign("another secret", &body), signature.to_uppercase());
    for wrong in
        ["", "sha256=", &signature[7..], &signature[..70], other.as_str(), upper.as_str(), "sha1=da39a3ee5e6b4b0d3255bfef95601890afd80709"]
    {
        assert_eq!(post(addr, event, &body, wrong).await.status, 401, "{wrong}");
    }
    assert_eq!(post(addr, event, &body.replace("mona", "lisa"), &signature).await.status, 401, "another body");
    assert_eq!(post(addr, event, "no json", "sha256=00").await.status, 401, "it is not even looked at");
    assert_eq!(post(addr, event, "no json", &sign(SECRET, "no json")).await.status, 400);
    assert_eq!(harness.app.database.count("select count(*) from workflow").await, 0);
    let without = TestApp::start().await;
    assert_eq!(post(without.addr, event, &body, &signature).await.status, 404, "no App is configured");
}

#[tokio::test]
async fn nothing_that_github_sends_decides() {
    let harness = Harness::start("").await;
    let id = harness.asked(7_001).await;
    let before = harness.alice.workflow(&id).await;
    let mut body = delivery(&harness.github, 7_001, 9_001);
    for action in ["approved", "rejected", "completed"] {
        body["action"] = json!(action);
        send(harness.app.addr, &body).await.problem(422, "invalid-task");
        for event in ["deployment_review", "workflow_run", "ping"] {
            let body = body.to_string();
            assert_eq!(post(harness.app.addr, event, &body, &sign(SECRET, &body)).await.expect(200)["workflow_id"], Value::Null);
        }
    }
    assert_eq!(events(&harness.alice.workflow(&id).await), events(&before));
    assert_eq!(harness.github.answers(7_001), [] as [Value; 0]);
}

#[tokio::test]
async fn github_reports_the_outcome_of_a_deployment() {
    let harness = Harness::start("").await;
    let told = |run: u64, deployment: u64, state: &str| {
        json!({"action": "created", "deployment_status": {"id": 1, "state": state, "environment": "production", "target_url": "https://github.com/x"},
            "deployment": {"id": deployment}, "repository": {"id": 5_001, "full_name": "example/shop"}, "workflow_run": {"id": run}, "sender": {"login": "mona"}})
    };
    let tell = async |body: Value| {
        let body = body.to_string();
        post(harness.app.addr, "deployment_status", &body, &sign(SECRET, &body)).await.expect(200)
    };
    let nothing = json!({"workflow_id": null, "status": null});
    for (run, state, status) in [(7_001, "success", "completed"), (7_002, "failure", "failed")] {
        let id = harness.asked(run).await;
        assert_eq!(tell(told(run, 9_001, state)).await, nothing, "nobody has let it through");
        harness.alice.approve(&id).await.expect(200);
        harness.answer(run).await;
        for other in [told(run, 9_001, "in_progress"), told(run, 9_002, state), told(7_009, 9_001, state)] {
            assert_eq!(tell(other).await, nothing);
        }
        assert_eq!(harness.alice.workflow(&id).await["status"], "executing");
        assert_eq!(tell(told(run, 9_001, state)).await, json!({"workflow_id": id, "status": status}));
        assert_eq!(tell(told(run, 9_001, state)).await, nothing, "it is known");
        let workflow = harness.alice.workflow(&id).await;
        assert_eq!(
            (&workflow["status"], &workflow["history"].as_array().unwrap().last().unwrap()["via"]),
            (&json!(status), &json!("github"))
        );
        assert_eq!(workflow["execution"]["attempts"][0]["output"]["state"], state);
    }
    harness.is_quiet().await;
    assert_eq!(harness.github.complaints(), [""; 0], "what ended was let through before, and GitHub is told once");
}

#[tokio::test]
async fn a_task_that_only_names_a_run_answers_for_no_deployment() {
    let harness = Harness::start("").await;
    harness.github.waits(7_001, "production");
    // With the same metadata, in the name of the same agent, and at a level that needs nobody; but
    // not from GitHub.
    let github = json!({"repository": "example/shop", "run_id": 7_001, "environment": "production", "installation_id": 3_001});
    let task = json!({"description": "read", "operation": "read", "environment": "development", "resource_type": "code", "metadata": {"github": github}});
    assert_eq!(harness.app.client("other-bot").submit(task).await["status"], "executing");
    harness.is_quiet().await;
    assert_eq!(harness.github.tokens_made(), 0, "GitHub was not even asked for a token");
}

#[tokio::test]
async fn a_deployment_waits_until_the_halt_ends() {
    let harness = Harness::start("").await;
    let id = harness.asked(7_001).await;
    let cora = harness.app.client("cora");
    cora.post("/halt", json!({"reason": "an incident"})).await.expect(200);
    harness.alice.approve(&id).await.expect(200);
    assert_eq!(harness.alice.workflow(&id).await["status"], "queued");
    harness.is_quiet().await;
    assert_eq!(harness.github.answers(7_001), [] as [Value; 0], "it is approved, and may not begin");
    cora.post("/resume", json!({"reason": "it is over"})).await.expect(200);
    assert_eq!(harness.answer(7_001).await["state"], "approved");
}

#[tokio::test]
async fn an_answer_is_tried_again_with_a_fresh_token() {
    let harness = Harness::start("").await;
    let id = harness.asked(7_001).await;
    // First no token, then a token that is no longer valid when it is used, then a GitHub that is
    // down, and then one that answers.
    for mishap in [Reply::new(500, ""), Reply::new(401, "{}")] {
        harness.github.service.next(Mishap::Instead(mishap));
    }
    harness.alice.approve(&id).await.expect(200);
    assert_eq!(harness.answer(7_001).await["state"], "approved");
    harness.is_quiet().await;
    assert_eq!(harness.app.database.count("select count(*) from notice where status = 'dead'").await, 0);

    // A run that no longer waits: the notice is sent once, and operators see the error.
    let gone = harness.ask(&delivery(&harness.github, 7_005, 9_005)).await;
    harness.alice.approve(gone["workflow_id"].as_str().unwrap()).await.expect(200);
    let dead = eventually("a dead notice", || async {
        let page = harness.app.client("cora").get("/notices?status=dead").await.expect(200);
        page["notices"].as_array().unwrap().first().cloned()
    })
    .await;
    assert!(dead["error"].as_str().unwrap().contains("No pending deployment requests"), "{dead}");
}

#[tokio::test]
async fn a_server_killed_before_github_answered_sends_the_answer_again() {
    let github = services::Github::start().await;
    let (config, database) = (config(&github, ""), Database::migrated().await);
    let secrets = secrets();
    let variables: Vec<(&str, &str)> = secrets.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let server = Process::serve_with_variables(&config, &database, &variables).await;
    github.waits(7_001, "production");
    let asked = send(server.addr, &delivery(&github, 7_001, 9_001)).await.expect(202);
    let id = asked["workflow_id"].as_str().unwrap();
    github.service.next(Mishap::Silent(Duration::from_secs(60)));
    server.client("alice").approve(id).await.expect(200);
    eventually("a call", || async { (!github.service.calls().is_empty()).then_some(()) }).await;
    server.kill().await;
    assert_eq!(github.answers(7_001), [] as [Value; 0]);
    let server = Process::serve_with_variables(&config, &database, &variables).await;
    assert_eq!(answer(&github, 7_001).await["state"], "approved");
    let log = server.log().await.join("\n");
    assert!(!log.contains("PRIVATE KEY") && !log.contains(SECRET) && !log.contains("ghs_"), "{log}");
}

#[tokio::test]
async fn an_agent_without_rights_asks_for_nothing() {
    let harness = Harness::start("").await;
    let suspended = crate::identity::parkbrake(&harness.app, &["person", "suspend", "other-bot", "--reason", "a key has leaked"]).await;
    assert!(suspended.status.success(), "{suspended:?}");
    let refused = eventually("a refusal", || async {
        let answer = send(harness.app.addr, &delivery(&harness.github, 7_001, 9_001)).await;
        (answer.status == 403).then_some(answer)
    })
    .await;
    assert!(refused.problem(403, "not-permitted")["detail"].as_str().unwrap().contains("suspended"));
}
