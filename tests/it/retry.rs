//! Retrying failed attempts: as often as the runbook says, each time after a pause that survives
//! restarts.

use crate::support::client::{events, low};
use crate::support::hook::{Hook, Reply};
use crate::support::{Client, Config, Database, Process, TestApp, eventually};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A folder in which a runbook counts its attempts. It succeeds from the third one on.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn config(&self, backoff: &str) -> Config {
        let script = "echo \"$PARKBRAKE_ATTEMPT $PARKBRAKE_IDEMPOTENCY_KEY\" >> tries; [ $(wc -l < tries) -ge 3 ]";
        let folder = self.0.path().display();
        Config::new().with_runbooks(&format!(
            "runbooks:\n  shaky: {{ operation: read, environment: development, working_dir: '{folder}', timeout: 1m, idempotent: true, \
             retry: {{ attempts: 3, backoff: {backoff} }}, command: [sh, -c, '{script}'] }}\n"
        ))
    }

    /// Attempt number and key of each try.
    fn tries(&self) -> Vec<(u32, String)> {
        let text = std::fs::read_to_string(self.0.path().join("tries")).unwrap_or_default();
        let words = |line: &str| line.split_once(' ').map(|(attempt, key)| (attempt.parse().expect("a number"), key.to_owned()));
        text.lines().filter_map(words).collect()
    }
}

fn task() -> Value {
    let mut task = low();
    task["action"] = json!({"type": "runbook", "name": "shaky"});
    task
}

impl Client {
    /// Waits until an attempt has failed and the next one is pending.
    async fn rests(&self, id: &str) -> Value {
        eventually("a pause", || async {
            let workflow = self.workflow(id).await;
            (events(&workflow).last() == Some(&"retry_scheduled")).then_some(workflow)
        })
        .await
    }
}

#[tokio::test]
async fn failed_attempts_are_retried_with_the_same_key_and_recorded() {
    let folder = Folder::new();
    let mut app = TestApp::with(folder.config("1s")).await;
    let bot = app.client("deploy-bot");
    let accepted = bot.submit(task()).await;
    let id = accepted["workflow_id"].as_str().unwrap();
    let workflow = bot.wait_for(id, "completed").await;
    assert_eq!(workflow["task"]["action"]["runs"]["retry"], json!({"attempts": 3, "backoff": "1s"}), "people see what they approve");
    let attempts: Vec<_> = workflow["execution"]["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|attempt| (attempt["n"].clone(), attempt["outcome"].clone()))
        .collect();
    assert_eq!(attempts, [(json!(1), json!("failed")), (json!(2), json!("failed")), (json!(3), json!("succeeded"))]);
    assert_eq!(folder.tries(), [1, 2, 3].map(|attempt| (attempt, id.to_owned())));
    let pauses: Vec<&Value> = workflow["history"].as_array().unwrap().iter().filter_map(|event| event["detail"].get("after")).collect();
    assert_eq!(pauses, ["1s", "2s"]);
    let one_try = ["execution_started", "execution_failed", "retry_scheduled", "released"];
    assert_eq!(events(&workflow)[2..6], one_try);
    assert_eq!(events(&workflow)[6..10], one_try);
    app.stop().await;
}

#[tokio::test]
async fn the_last_attempt_decides() {
    let folder = Folder::new();
    let config = folder.config("1s");
    let file = config.path().join("runbooks.yaml");
    let text = std::fs::read_to_string(&file).unwrap().replace("attempts: 3", "attempts: 2");
    std::fs::write(file, text).unwrap();
    let mut app = TestApp::with(config).await;
    let bot = app.client("deploy-bot");
    let id = bot.submit_id(task()).await;
    let workflow = bot.wait_for(&id, "failed").await;
    assert_eq!(events(&workflow).last(), Some(&"execution_failed"));
    assert_eq!(folder.tries().len(), 2);
    app.stop().await;
}

#[tokio::test]
async fn an_action_waiting_for_its_retry_is_queued_and_can_be_cancelled() {
    let folder = Folder::new();
    let mut app = TestApp::with(folder.config("1h")).await;
    let bot = app.client("deploy-bot");
    let id = bot.submit_id(task()).await;
    assert_eq!(bot.rests(&id).await["status"], "queued");
    let answer = bot.post(&format!("/workflows/{id}/cancel"), json!({})).await.expect(200);
    assert_eq!((&answer["status"], &answer["cancel_requested"]), (&json!("cancelled"), &serde_json::Value::Null));
    assert_eq!(folder.tries().len(), 1);
    app.stop().await;
}

#[tokio::test]
async fn a_server_that_is_killed_during_the_pause_forgets_neither_the_attempt_nor_its_time() {
    let folder = Folder::new();
    let config = folder.config("3s");
    let database = Database::migrated().await;
    let server = Process::serve(&config, &database).await;
    let bot = server.client("deploy-bot");
    let id = bot.submit_id(task()).await;
    bot.rests(&id).await;
    server.kill().await;
    let server = Process::serve(&config, &database).await;
    let workflow = server.client("deploy-bot").wait_for(&id, "completed").await;
    assert_eq!(folder.tries().len(), 3, "{workflow}");
    let at = |index: usize| crate::support::client::time(&workflow["history"][index]["at"]);
    let (scheduled, released) = (4, 5);
    assert_eq!(events(&workflow)[scheduled..=released], ["retry_scheduled", "released"]);
    assert!((at(released) - at(scheduled)).num_milliseconds() >= 3_000, "the database's clock says when: {workflow}");
    assert!(server.terminate().await);
}

#[tokio::test]
async fn a_halt_holds_what_is_to_be_tried_again() {
    let folder = Folder::new();
    let mut app = TestApp::with(folder.config("1s")).await;
    let (bot, cora) = (app.client("deploy-bot"), app.client("cora"));
    let id = bot.submit_id(task()).await;
    bot.rests(&id).await;
    cora.post("/halt", json!({"reason": "to look at it"})).await.expect(200);
    let held = eventually("the end of the pause", || async {
        let workflow = bot.workflow(&id).await;
        (events(&workflow).last() == Some(&"released")).then_some(workflow)
    })
    .await;
    assert!(held["status"] == "queued" && held["held"].is_object(), "{held}");
    let tries = folder.tries().len();
    cora.post("/resume", json!({"reason": "looked at it"})).await.expect(200);
    bot.wait_for(&id, "completed").await;
    assert_eq!((tries, folder.tries().len()), (tries.min(2), 3), "nothing was tried while it was halted");
    app.stop().await;
}

#[tokio::test]
async fn a_refused_call_is_made_again_under_the_same_id() {
    let hook = Hook::start().await;
    hook.then([Reply::Status(500)]);
    let webhooks = format!(
        "webhooks:\n  ci: {{ url: 'http://{}/hook', secret: {{ from_env: HOOK_SECRET }}, allow_private: true, operation: deploy, \
         environment: staging, resource_type: code, idempotent: true, retry: {{ attempts: 2, backoff: 1s }} }}\n",
        hook.addr
    );
    let mut app = TestApp::with(Config::new().with_runbooks(&webhooks)).await;
    let bot = app.client("deploy-bot");
    let call = json!({"description": "run the pipeline", "operation": "deploy", "environment": "staging", "resource_type": "code",
                      "action": {"type": "webhook", "name": "ci"}});
    let id = bot.submit_id(call).await;
    bot.wait_for(&id, "completed").await;
    let sent = hook.attempts();
    assert_eq!((sent.len(), &sent[0].id), (2, &sent[1].id));
    app.stop().await;
}
