//! Submitting: an accepted task is stored once and byte for byte; a refused one leaves no trace.

mod invalid;

use crate::support::client::{high, low, time};
use crate::support::{Answer, Client, Config, TestApp};
use futures_util::future::join_all;
use invalid::high_text;
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sqlx::Row as _;
use std::time::{Duration, Instant};
use uuid::Uuid;

const RUNBOOKS: &str = "
runbooks:
  show: { operation: read, command: [echo, '{{ what }}'], args: { what: { pattern: '[a-z]+' } }, timeout: 10s }
webhooks:
  ci: { url: 'https://ci.example.com/run' }
";

impl Client {
    /// Submits exactly these bytes.
    async fn submit_bytes(&self, content_type: &str, body: impl Into<reqwest::Body>, key: Option<&str>) -> Answer {
        let mut request = self.request(Method::POST, "/orchestrate").header("content-type", content_type).body(body);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        self.send(request).await
    }

    async fn submit_with_key(&self, key: &str, task: &Value) -> Answer {
        self.submit_bytes("application/json", task.to_string(), Some(key)).await
    }

    async fn submit_and_wait(&self, seconds: u32, task: &Value) -> Answer {
        self.send(self.request(Method::POST, "/orchestrate").header("prefer", format!("wait={seconds}")).json(task)).await
    }
}

/// The number of rows in each table that a submit writes to.
async fn rows(app: &TestApp) -> [i64; 5] {
    let mut counts = [0; 5];
    for (count, query) in counts.iter_mut().zip([
        "select count(*) from workflow",
        "select count(*) from workflow_event",
        "select count(*) from payload",
        "select count(*) from approval_requests",
        "select count(*) from idempotency_key",
    ]) {
        *count = app.database.count(query).await;
    }
    counts
}

fn show(what: &str) -> Value {
    json!({"description": "show it", "operation": "read", "environment": "development", "resource_type": "code",
           "action": {"type": "runbook", "name": "show", "args": {"what": what}}})
}

/// A valid task, with one more field.
fn high_with(field: &str, value: Value) -> Value {
    let mut task = high();
    task[field] = value;
    task
}

#[tokio::test]
async fn a_task_is_taken_with_its_location_and_its_own_id() {
    let app = TestApp::start().await;
    let bot = app.client("deploy-bot");
    let answer = bot.post("/orchestrate", high_with("task_id", json!("TASK-42"))).await;
    assert_eq!(answer.status.as_u16(), 202, "{}", answer.text);
    let id = answer.body["workflow_id"].as_str().unwrap();
    assert_eq!(Uuid::parse_str(id).unwrap().get_version_num(), 7);
    assert_eq!(answer.headers["location"], format!("/workflows/{id}"));
    assert_eq!((&answer.body["task_id"], &answer.body["success"]), (&json!("TASK-42"), &json!(true)));
    let at_its_location = bot.get(answer.headers["location"].to_str().unwrap()).await.expect(200);
    assert_eq!((&at_its_location["workflow"]["workflow_id"], &at_its_location["workflow"]["task_id"]), (&json!(id), &json!("TASK-42")));
    assert_eq!(bot.submit(high()).await["task_id"], json!(null));
}

#[tokio::test]
async fn a_repeated_submit_gets_its_first_answer_whatever_has_happened_since() {
    let app = TestApp::start().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let first = bot.submit_with_key("deploy-1", &high()).await;
    assert_eq!(first.status.as_u16(), 202);
    let id = first.body["workflow_id"].as_str().unwrap();
    let spaced = r#"{ "resource_type":"code",
        "environment" : "production", "operation": "deploy", "description": "deploy\u0020api" }"#;
    let again = || async {
        for answer in [
            bot.submit_with_key("deploy-1", &high()).await,
            bot.submit_with_key("\"deploy-1\"", &high()).await,
            bot.submit_bytes("application/json; charset=utf-8", spaced, Some("deploy-1")).await,
        ] {
            assert_eq!((answer.status.as_u16(), &answer.text), (202, &first.text));
            assert_eq!(answer.headers["location"], first.headers["location"]);
        }
    };
    again().await;
    alice.approve(id).await.expect(200);
    again().await;
    bot.post(&format!("/workflows/{id}/result"), json!({"outcome": "succeeded"})).await.expect(200);
    assert_eq!(bot.workflow(id).await["status"], "completed");
    again().await;
    assert_eq!(rows(&app).await, [1, 5, 1, 1, 1]);

    let ran = bot.submit_with_key("low-1", &low()).await;
    assert_eq!(ran.body["status"], "executing");
    bot.post(&format!("{}/result", ran.headers["location"].to_str().unwrap()), json!({"outcome": "succeeded"})).await.expect(200);
    assert_eq!(bot.submit_with_key("low-1", &low()).await.text, ran.text);
}

#[tokio::test]
async fn a_key_is_for_one_body_of_one_principal() {
    let app = TestApp::start().await;
    let bot = app.client("deploy-bot");
    let first = bot.submit_with_key("k", &high()).await;
    for other in [low(), high_with("task_id", json!("T")), high_with("estimated_cost", json!(0))] {
        bot.submit_with_key("k", &other).await.problem(422, "idempotency-key-reused");
    }
    bot.submit_with_key("k", &high_with("estimated_cost", json!(-1))).await.problem(422, "idempotency-key-reused");
    let others = app.client("other-bot").submit_with_key("k", &high()).await;
    assert_eq!(others.status.as_u16(), 202);
    assert_ne!(others.body["workflow_id"], first.body["workflow_id"]);
    assert_eq!(bot.submit_with_key("k", &high()).await.text, first.text);
    assert_eq!(rows(&app).await, [2, 4, 2, 2, 2]);
}

#[tokio::test]
async fn invalid_idempotency_keys_are_refused() {
    let app = TestApp::start().await;
    let bot = app.client("deploy-bot");
    for key in ["", "\"\"", "two words", "ключ", &"k".repeat(256)] {
        bot.submit_with_key(key, &high()).await.problem(422, "invalid-task");
    }
    assert_eq!(rows(&app).await, [0; 5]);
    assert_eq!(bot.submit_with_key(&"k".repeat(255), &high()).await.status.as_u16(), 202);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_thirty_two_submits_with_one_key_at_once_one_workflow_comes() {
    let app = TestApp::start().await;
    let bot = app.client("deploy-bot");
    for round in 1..=4 {
        let (key, task) = (format!("round-{round}"), high());
        let answers = join_all((0..32).map(|_| bot.submit_with_key(&key, &task))).await;
        for answer in &answers {
            assert_eq!((answer.status.as_u16(), &answer.text), (202, &answers[0].text));
        }
        assert_eq!(rows(&app).await, [round, 2 * round, round, round, round]);
    }
}

#[tokio::test]
async fn prefer_wait_returns_the_outcome_of_a_runbook() {
    let app = TestApp::with(Config::new().with_runbooks(RUNBOOKS)).await;
    let answer = app.client("deploy-bot").submit_and_wait(20, &show("logs")).await;
    assert_eq!((answer.status.as_u16(), &answer.body["status"]), (202, &json!("completed")), "{}", answer.text);
    assert_eq!(answer.headers["preference-applied"], "wait=20");
}

#[tokio::test]
async fn prefer_wait_ends_when_the_task_parks_or_times_out() {
    let app = TestApp::start().await;
    let bot = app.client("deploy-bot");
    let began = Instant::now();
    assert_eq!(bot.submit_and_wait(50, &high()).await.expect(202)["status"], "pending_approval");
    assert!(began.elapsed() < Duration::from_secs(20), "nothing was to be waited for");
    let began = Instant::now();
    assert_eq!(bot.submit_and_wait(1, &low()).await.expect(202)["status"], "executing");
    assert!(began.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_wait_ends_as_soon_as_the_requester_has_reported() {
    let app = TestApp::start().await;
    let bot = app.client("deploy-bot");
    let waiting = tokio::spawn({
        let bot = bot.clone();
        async move { bot.submit_and_wait(50, &low()).await }
    });
    let id = crate::support::eventually("the task is there", || async {
        let list = bot.get("/workflows").await.expect(200);
        list["workflows"][0]["workflow_id"].as_str().map(str::to_owned)
    })
    .await;
    let began = Instant::now();
    bot.post(&format!("/workflows/{id}/result"), json!({"outcome": "succeeded"})).await.expect(200);
    assert_eq!(waiting.await.unwrap().expect(202)["status"], "completed");
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn a_description_has_at_most_four_kibibytes_of_whatever_characters() {
    let app = TestApp::start().await;
    let bot = app.client("deploy-bot");
    for fits in ["d".repeat(4096), "é".repeat(2048)] {
        let id = bot.submit_id(high_with("description", json!(fits))).await;
        assert_eq!(bot.workflow(&id).await["description"], fits);
    }
    for too_long in ["d".repeat(4097), "é".repeat(2049)] {
        let problem = bot.post("/orchestrate", high_with("description", json!(too_long))).await.problem(422, "invalid-task");
        assert_eq!(problem["errors"], json!([{"pointer": "/description", "detail": "is longer than 4096 bytes"}]));
    }
}

#[tokio::test]
async fn strange_characters_are_data_and_come_back_as_they_were() {
    let app = TestApp::start().await;
    let bot = app.client("deploy-bot");
    let strange = "\u{1}\u{1b}[31mred\u{7f}\u{85}\u{202e}dorp\u{2066}\u{2069}\u{200b}\u{feff}\u{2028}\u{e0041}é e\u{301} 🦀 <b>&amp;\"'\\ <!channel> ${x} {{ y }} %00";
    let mut task = high_with("metadata", json!({strange: [strange, {strange: null}]}));
    for field in ["description", "task_id"] {
        task[field] = json!(strange);
    }
    task["action"] = json!({"type": "external", "name": strange, "args": {strange: strange}});
    let accepted = bot.submit(task.clone()).await;
    assert_eq!(accepted["task_id"], strange);
    let workflow = bot.workflow(accepted["workflow_id"].as_str().unwrap()).await;
    for field in ["description", "task_id", "resource", "action", "metadata", "operation", "environment"] {
        assert_eq!(workflow["task"][field], task[field]);
    }
    assert_eq!((&workflow["description"], &workflow["task_id"]), (&json!(strange), &json!(strange)));
    for list in ["/workflows", "/workflows/pending"] {
        let listed = app.client("alice").get(list).await.expect(200)["workflows"][0].clone();
        assert_eq!((&listed["description"], &listed["task_id"]), (&json!(strange), &json!(strange)), "{list}");
    }
}

#[tokio::test]
async fn the_digest_is_that_of_the_canonical_bytes_of_what_is_shown() {
    let app = TestApp::with(Config::new().with_runbooks(RUNBOOKS)).await;
    let bot = app.client("deploy-bot");
    let numbers = r#"{"a": 250.50, "b": 1e-7, "c": 0.1, "d": -0.0, "e": 9007199254740991, "f": 1E5, "g": 123456.789e-2, "h": 5e-324}"#;
    let keys = "{\"\u{fb33}\": 1, \"\u{1f600}\": 2, \"\u{20ac}\": 3, \"\\r\": 4, \"1\": 5, \"\u{80}\": 6, \"\u{f6}\": 7, \"\": 8}";
    let mut tasks: Vec<String> = [high(), show("logs"), high_with("estimated_cost", json!(250.0))].iter().map(Value::to_string).collect();
    tasks.extend([high_text("metadata", numbers), high_text("metadata", keys), high_text("task_id", r#""\u0061\/\u20ac\"\\\u001f""#)]);
    for task in tasks {
        let accepted = bot.submit_bytes("application/json", task, None).await.expect(202);
        let id = accepted["workflow_id"].as_str().unwrap();
        let workflow = bot.workflow(id).await;
        let shown = serde_json_canonicalizer::to_vec(&workflow["task"]).unwrap();
        let row = sqlx::query("select p.document, w.digest from payload p join workflow w using (workflow_id) where workflow_id = $1")
            .bind(id.parse::<Uuid>().unwrap())
            .fetch_one(&mut app.database.connect().await)
            .await
            .unwrap();
        let (stored, column): (Vec<u8>, String) = (row.get(0), row.get(1));
        assert_eq!(String::from_utf8(stored).unwrap(), String::from_utf8(shown.clone()).unwrap());
        let digits: String = Sha256::digest(&shown).iter().map(|byte| format!("{byte:02x}")).collect();
        let digest = format!("sha256:{digits}");
        assert_eq!([accepted["digest"].as_str().unwrap(), workflow["digest"].as_str().unwrap(), &column], [&digest; 3]);
    }
}

#[tokio::test]
async fn assessing_gives_the_answer_of_a_submit_and_stores_nothing() {
    let policies = "
policies: { critical: { required: 2, distinct_roles: true, expire_after: 24h } }
escalation: { high: [ { after: 30m, to: [cto] } ], critical: [ { after: 15m, to: [admin] } ]}
";
    let app = TestApp::with(Config::new().with_runbooks(RUNBOOKS).with_policies(policies)).await;
    let bot = app.client("deploy-bot");
    let understated = json!({"description": "just looking", "operation": "look", "resource": "db-prod-1"});
    // The one that runs comes last: its own events can come at any time after its submit.
    for task in [low(), high(), crate::support::client::critical(), crate::support::client::medium(), understated, show("logs")] {
        let before = rows(&app).await;
        let foreseen = bot.post("/risk/assess", task.clone()).await.expect(200);
        assert_eq!(rows(&app).await, before, "nothing is stored");
        let accepted = bot.submit(task).await;
        assert_eq!((&foreseen["assessment"], &foreseen["digest"]), (&accepted["assessment"], &accepted["digest"]));
        assert_eq!(foreseen["approval"].is_null(), accepted["approval"].is_null());
        assert_eq!(from_the_request(&foreseen["approval"]), from_the_request(&accepted["approval"]));
        let listed = app.client("alice").get("/workflows/pending").await.expect(200)["workflows"][0].clone();
        assert!(accepted["approval"].is_null() || listed["approvers"] == accepted["approval"]["approvers"], "{listed}");
    }
    assert!(bot.post("/risk/assess", json!({"description": "d"})).await.problem(422, "invalid-task")["errors"].is_array());
}

/// The terms of an approval, with times counted from the request.
#[track_caller]
fn from_the_request(approval: &Value) -> Value {
    if approval.is_null() {
        return Value::Null;
    }
    let requested = time(&approval["requested_at"]);
    let after = |at: &Value| (!at.is_null()).then(|| (time(at) - requested).num_microseconds());
    let steps: Vec<_> =
        approval["timetable"].as_array().unwrap().iter().map(|step| json!([after(&step["at"]), step["what"], step["to"]])).collect();
    let terms = ["approvers", "required", "distinct_roles", "require_justification", "require_digest"].map(|term| approval[term].clone());
    assert!(terms.iter().all(|term| !term.is_null()), "{approval}");
    json!([terms, steps, after(&approval["expires_at"])])
}
