//! Buttons in Slack: who may press them, and what they do and do not do.

use crate::support::called;
use crate::support::client::{critical, events, high, medium};
use crate::support::server::Services;
use crate::support::services::{self};
use crate::support::{Client, Config, TestApp};
use hmac::{Hmac, KeyInit as _, Mac as _};
use parkbrake::domain::task::digest::hex;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::Sha256;

const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
const APPROVE: &str = "parkbrake_approve";
const REJECT: &str = "parkbrake_reject";

/// People with their ids in Slack; two of them share one.
const PEOPLE: &str = "
people:
  alice: { roles: [team_lead], slack: U01 }
  tom:   { roles: [tech_lead], slack: U02 }
  tess:  { roles: [tech_lead], slack: U03 }
  cora:  { roles: [cto, admin], slack: U04 }
  nora:  { roles: [auditor], slack: U04 }
agents:
  deploy-bot: { on_behalf_of: tom }
policies:
  high: { required: 2 }
";

/// Rooms without routes: the test invents every button press.
const ROOMS: &str = "
public_url: https://parkbrake.example.com
channels:
  little: { type: slack, webhook_url: { from_env: ROOM }, buttons: { signing_secret: { from_env: OTHER }, levels: [low] } }
  more:   { type: slack, webhook_url: { from_env: ROOM }, buttons: { signing_secret: { from_env: SIGNING }, levels: [medium, high, critical] } }
";

/// A server, and the Slack that presses its buttons.
struct Harness {
    app: TestApp,
    slack: services::Slack,
    bot: Client,
}

impl Harness {
    async fn start() -> Self {
        let slack = services::Slack::start().await;
        // One room has buttons for more levels, another for hardly any; each is another app.
        let services = Services {
            secrets: vec![("SIGNING", SECRET.to_owned()), ("OTHER", "of another room".to_owned()), ("ROOM", slack.webhook_url())],
            slack: Some(format!("{}/actions/", slack.service.url)),
        };
        let config = Config::new().write("hitl/approval-policies.yaml", PEOPLE).write("notifications.yaml", ROOMS);
        let app = TestApp::with_services(config, services).await;
        let bot = app.client("deploy-bot");
        Self { app, slack, bot }
    }

    /// Presses a button of a message about a workflow; returns the answer in Slack.
    #[track_caller]
    fn press(&self, user: &str, action: &str, value: &str) -> impl Future<Output = Value> {
        called(async move {
            let before = self.slack.answers().len();
            let answer = self.send(&press(user, action, value, &self.slack.response_url())).await;
            assert_eq!((answer.status, answer.text.as_str()), (StatusCode::OK, ""));
            let said = self.slack.answers();
            assert_eq!(said.len(), before + 1, "{:?}", self.slack.complaints());
            said[before].clone()
        })
    }

    async fn send(&self, body: &str) -> crate::support::Answer {
        let now = chrono::Utc::now().timestamp();
        self.send_signed(body, &now.to_string(), &sign(SECRET, &now.to_string(), body)).await
    }

    async fn send_signed(&self, body: &str, timestamp: &str, signature: &str) -> crate::support::Answer {
        // Without a valid token.
        let request = Client::with_token(self.app.addr, "none").request(Method::POST, "/slack/interactions");
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let request = request.header("x-slack-request-timestamp", timestamp).header("x-slack-signature", signature);
        self.bot.send(request.body(body.to_owned())).await
    }

    /// A parked request: its id, and the value of its buttons.
    #[track_caller]
    fn parked(&self, task: Value) -> impl Future<Output = (String, String)> {
        called(async move {
            let submitted = self.bot.submit(task).await;
            let id = submitted["workflow_id"].as_str().unwrap().to_owned();
            let value = format!("{id} {}", submitted["digest"].as_str().unwrap());
            (id, value)
        })
    }

    #[track_caller]
    fn status(&self, id: &str) -> impl Future<Output = String> {
        called(async move { self.bot.workflow(id).await["status"].as_str().unwrap().to_owned() })
    }
}

pub fn sign(secret: &str, timestamp: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("v0:{timestamp}:{body}").as_bytes());
    format!("v0={}", hex(&mac.finalize().into_bytes()))
}

/// The body of a button press, with many irrelevant fields, as Slack sends it.
pub fn press(user: &str, action: &str, value: &str, response_url: &str) -> String {
    form(&json!({
        "type": "block_actions", "user": {"id": user, "username": "whoever", "name": "whoever", "team_id": "T0"},
        "api_app_id": "A0", "token": "legacy", "container": {"type": "message", "message_ts": "1548261231.000200"},
        "trigger_id": "12321423423.333649436676", "team": {"id": "T0", "domain": "example"}, "enterprise": null,
        "channel": {"id": "C0", "name": "ops"}, "message": {"bot_id": "B0", "type": "message", "text": "ü & = % + 🚀"},
        "response_url": response_url,
        "actions": [{"action_id": action, "block_id": "=qXel", "text": {"type": "plain_text", "text": "Approve", "emoji": false},
            "value": value, "type": "button", "action_ts": "1548426417.840180"}],
    }))
}

fn form(payload: &Value) -> String {
    let mut url = reqwest::Url::parse("http://x/").unwrap();
    url.query_pairs_mut().append_pair("payload", &payload.to_string());
    url.query().unwrap().to_owned()
}

#[tokio::test]
async fn a_press_is_a_decision_of_the_person_who_pressed() {
    let harness = Harness::start().await;
    let (id, value) = harness.parked(medium()).await;
    let said = harness.press("U01", APPROVE, &value).await;
    assert_eq!(said["replace_original"], true, "the buttons are gone for everybody");
    assert_eq!(said["text"], format!("Workflow `{id}`, medium risk: approved by alice."));
    let workflow = harness.bot.workflow(&id).await;
    assert_eq!((&workflow["decisions"][0]["approver"], &workflow["decisions"][0]["verdict"]), (&json!("alice"), &json!("approved")));
    assert_eq!(workflow["status"], "executing");
    // Twice, as if Slack did not receive the answer: the same answer, and no further effect.
    assert_eq!(harness.press("U01", APPROVE, &value).await["text"], said["text"]);
    assert_eq!(events(&harness.bot.workflow(&id).await).len(), events(&workflow).len());
    let (id, value) = harness.parked(medium()).await;
    assert_eq!(harness.press("U01", REJECT, &value).await["text"], format!("Workflow `{id}`, medium risk: rejected by alice."));
    assert_eq!(harness.status(&id).await, "rejected");
    let late = harness.press("U01", APPROVE, &value).await;
    assert_eq!((&late["response_type"], &late["replace_original"]), (&json!("ephemeral"), &json!(false)));
    assert!(late["text"].as_str().unwrap().contains("rejected by alice already"), "{late}");
}

#[tokio::test]
async fn the_buttons_stay_while_more_people_are_needed() {
    let harness = Harness::start().await;
    let (id, value) = harness.parked(high()).await;
    let first = harness.press("U01", APPROVE, &value).await;
    assert_eq!((&first["replace_original"], &first["response_type"]), (&json!(false), &json!("in_channel")));
    assert!(first["text"].as_str().unwrap().ends_with("approved by alice, 1 more needed."), "{first}");
    assert_eq!(harness.press("U03", APPROVE, &value).await["replace_original"], true);
    assert_eq!(harness.status(&id).await, "executing");
}

#[tokio::test]
async fn a_press_without_the_right_to_decide_is_refused_with_the_reason() {
    let harness = Harness::start().await;
    let (id, value) = harness.parked(high()).await;
    let (plain, other) = harness.parked(medium()).await;
    let (_, other_digest) = other.split_once(' ').unwrap();
    let (serious, serious_value) = harness.parked(critical()).await;
    for (user, value, why) in [
        ("U99", &value, "does not know you: ask an operator to add `slack: U99`"),
        ("<!channel>", &value, "&lt;!channel&gt;"),
        ("U04", &value, "have your Slack id"),
        ("U02", &value, "on behalf of tom; somebody else has to approve it"),
        ("U03", &other, "it needs team_lead; you are tech_lead"),
        ("U03", &format!("{id} {other_digest}"), "about another document"),
        ("U03", &format!("{} {other_digest}", uuid::Uuid::now_v7()), "no workflow with this id"),
        ("U03", &serious_value, "needs a justification"),
    ] {
        let said = harness.press(user, APPROVE, value).await;
        assert_eq!((&said["response_type"], &said["replace_original"]), (&json!("ephemeral"), &json!(false)), "{why}");
        let text = said["text"].as_str().unwrap();
        assert!(text.contains(why) && text.ends_with("The inbox is at https://parkbrake.example.com."), "`{why}` is not in: {text}");
    }
    for id in [&id, &plain, &serious] {
        assert_eq!(harness.status(id).await, "pending_approval");
    }
}

#[tokio::test]
async fn a_button_cannot_decide_at_a_level_without_buttons() {
    let harness = Harness::start().await;
    let (id, value) = harness.parked(medium()).await;
    // Signed by the app of the room whose messages have no buttons.
    let body = press("U01", APPROVE, &value, &harness.slack.response_url());
    let now = chrono::Utc::now().timestamp().to_string();
    harness.send_signed(&body, &now, &sign("of another room", &now, &body)).await;
    let said = harness.slack.answers().pop().expect("an answer");
    assert!(said["text"].as_str().unwrap().starts_with("A button cannot decide a request of medium risk"), "{said}");
    assert_eq!(harness.status(&id).await, "pending_approval");
}

#[tokio::test]
async fn unsigned_or_old_slack_calls_are_refused() {
    let harness = Harness::start().await;
    let (id, value) = harness.parked(medium()).await;
    let body = press("U01", APPROVE, &value, &harness.slack.response_url());
    let tampered = press("U01", REJECT, &value, &harness.slack.response_url());
    let now = chrono::Utc::now().timestamp();
    let at = |seconds: i64| (now + seconds).to_string();
    let signed = |seconds: i64| sign(SECRET, &at(seconds), &body);
    for (timestamp, signature, body) in [
        (at(0), sign("another secret", &at(0), &body), &body),
        (at(0), signed(0), &tampered),
        (at(1), signed(0), &body),
        (at(-310), signed(-310), &body),
        (at(60), signed(60), &body),
        (i64::MIN.to_string(), sign(SECRET, &i64::MIN.to_string(), &body), &body),
        (i64::MAX.to_string(), sign(SECRET, &i64::MAX.to_string(), &body), &body),
        (at(0), signed(0).replace("v0=", "v1="), &body),
        (at(0), signed(0)[..40].to_owned(), &body),
        (at(0), signed(0).replace("v0=", ""), &body),
        (at(0), "v0=".to_owned(), &body),
        (at(0), format!("{}00", signed(0)), &body),
        (at(0), format!("v0={}", "z".repeat(64)), &body),
        ("soon".to_owned(), sign(SECRET, "soon", &body), &body),
        (String::new(), sign(SECRET, "", &body), &body),
    ] {
        let answer = harness.send_signed(body, &timestamp, &signature).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{timestamp} {signature}");
    }
    let bare = harness.bot.request(Method::POST, "/slack/interactions").body(body.clone());
    assert_eq!(harness.bot.send(bare).await.status, StatusCode::UNAUTHORIZED, "a token of ours is no signature of Slack's");
    assert_eq!(harness.status(&id).await, "pending_approval");
    assert!(harness.slack.answers().is_empty());
    // At the edge of the permitted age, a signed press is valid.
    let answer = harness.send_signed(&body, &at(-290), &signed(-290)).await;
    assert_eq!((answer.status, harness.status(&id).await.as_str()), (StatusCode::OK, "executing"));
}

#[tokio::test]
async fn slack_calls_with_a_future_timestamp_are_refused() {
    let harness = Harness::start().await;
    let (id, value) = harness.parked(medium()).await;
    let body = press("U01", APPROVE, &value, &harness.slack.response_url());
    for seconds in [15, 120, 299] {
        let at = (chrono::Utc::now().timestamp() + seconds).to_string();
        assert_eq!(harness.send_signed(&body, &at, &sign(SECRET, &at, &body)).await.status, StatusCode::UNAUTHORIZED, "{seconds}");
    }
    assert_eq!(harness.status(&id).await, "pending_approval");
}

#[tokio::test]
async fn a_decision_by_a_button_records_slack_as_its_way_in() {
    let harness = Harness::start().await;
    let (id, value) = harness.parked(medium()).await;
    harness.press("U01", APPROVE, &value).await;
    let workflow = harness.bot.workflow(&id).await;
    assert_eq!(workflow["decisions"][0]["via"], "slack");
    let approved = workflow["history"].as_array().unwrap().iter().find(|event| event["event"] == "approved").unwrap();
    assert_eq!(approved["via"], "slack");
}

#[tokio::test]
async fn requests_too_long_for_a_message_have_no_buttons() {
    let harness = Harness::start().await;
    let mut task = medium();
    task["metadata"] = json!({"plan": "x".repeat(3_000)});
    let (id, value) = harness.parked(task).await;
    let said = harness.press("U01", APPROVE, &value).await;
    assert!(said["text"].as_str().unwrap().starts_with("A message cannot show all of this request"), "{said}");
    assert_eq!(harness.status(&id).await, "pending_approval");
    harness.press("U01", REJECT, &value).await;
    assert_eq!(harness.status(&id).await, "rejected", "a no is always safe");
}

#[tokio::test]
async fn only_members_of_the_workspace_that_is_named_decide() {
    let slack = services::Slack::start().await;
    let services = Services {
        secrets: vec![("SIGNING", SECRET.to_owned()), ("ROOM", slack.webhook_url())],
        slack: Some(format!("{}/actions/", slack.service.url)),
    };
    // Two channels of one app: a level that either of them allows is allowed.
    let rooms = "
channels:
  one: { type: slack, webhook_url: { from_env: ROOM }, buttons: { signing_secret: { from_env: SIGNING }, levels: [low], team_id: T0 } }
  two: { type: slack, webhook_url: { from_env: ROOM }, buttons: { signing_secret: { from_env: SIGNING }, levels: [medium], team_id: T0 } }
";
    let config = Config::new().write("hitl/approval-policies.yaml", PEOPLE).write("notifications.yaml", rooms);
    let app = TestApp::with_services(config, services).await;
    let bot = app.client("deploy-bot");
    let harness = Harness { app, slack, bot };
    let (id, value) = harness.parked(medium()).await;
    let body = press("U01", APPROVE, &value, &harness.slack.response_url());
    let strangers =
        [body.replace("%22team_id%22%3A%22T0%22", "%22team_id%22%3A%22T9%22"), body.replace("%22id%22%3A%22T0%22", "%22id%22%3A%22T9%22")];
    for stranger in strangers {
        assert_ne!(stranger, body);
        harness.send(&stranger).await;
        let said = harness.slack.answers().pop().expect("an answer");
        assert!(said["text"].as_str().unwrap().starts_with("You belong to a different Slack workspace"), "{said}");
    }
    assert_eq!(harness.status(&id).await, "pending_approval");
    harness.send(&body).await;
    assert_eq!(harness.status(&id).await, "executing", "{:?}", harness.slack.answers());
}

#[tokio::test]
async fn slack_payloads_other_than_button_presses_decide_nothing() {
    let harness = Harness::start().await;
    let (id, value) = harness.parked(medium()).await;
    for body in [
        "nonsense".to_owned(),
        "payload=nonsense".to_owned(),
        form(&json!({"type": "view_submission", "user": {"id": "U01"}})),
        form(&json!({"type": "block_actions"})),
        String::new(),
    ] {
        assert_eq!(harness.send(&body).await.status, StatusCode::BAD_REQUEST, "{body}");
    }
    for (action, value) in [("parkbrake_open", value.as_str()), (APPROVE, ""), (APPROVE, &id), (APPROVE, "a b"), ("delete", &value)] {
        assert_eq!(harness.send(&press("U01", action, value, &harness.slack.response_url())).await.status, StatusCode::OK);
    }
    assert_eq!(harness.status(&id).await, "pending_approval");
    assert!(harness.slack.answers().is_empty());
    let get = harness.bot.get("/slack/interactions").await;
    assert_eq!(get.status, StatusCode::METHOD_NOT_ALLOWED, "nothing decides on GET");
}

#[tokio::test]
async fn answers_go_only_to_slack_and_the_decision_holds() {
    let harness = Harness::start().await;
    let elsewhere = services::Slack::start().await;
    for url in [elsewhere.response_url(), String::new(), harness.slack.response_url().replace("/actions/", "/services/")] {
        let (id, value) = harness.parked(medium()).await;
        assert_eq!(harness.send(&press("U01", APPROVE, &value, &url)).await.status, StatusCode::OK);
        assert_eq!(harness.status(&id).await, "executing");
    }
    assert!(elsewhere.service.calls().is_empty() && harness.slack.service.calls().is_empty());
}

#[tokio::test]
async fn without_buttons_the_address_does_not_exist() {
    let app = TestApp::start().await;
    let client = app.client("alice");
    assert_eq!(client.post("/slack/interactions", json!({})).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_button_still_works_after_a_restart() {
    let mut harness = Harness::start().await;
    let (id, value) = harness.parked(medium()).await;
    harness.app.restart().await;
    harness.bot = harness.app.client("deploy-bot");
    harness.press("U01", APPROVE, &value).await;
    assert_eq!(harness.status(&id).await, "executing");
}

#[tokio::test]
async fn a_suspended_person_decides_nothing_by_a_button() {
    let harness = Harness::start().await;
    let (id, value) = harness.parked(medium()).await;
    // Revoking tokens does not affect button presses, so only a suspension takes the buttons away.
    harness.app.database.execute("insert into suspension (name) values ('alice')").await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    for action in [APPROVE, REJECT] {
        let said = harness.press("U01", action, &value).await;
        assert!(said["text"].as_str().unwrap().contains("your name is suspended"), "{said}");
    }
    assert_eq!(harness.status(&id).await, "pending_approval");
    harness.app.database.execute("update suspension set restored_at = clock_timestamp()").await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    harness.press("U01", APPROVE, &value).await;
    assert_ne!(harness.status(&id).await, "pending_approval");
}
