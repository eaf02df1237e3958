//! Actions that call a configured URL: what is sent, once, and what the response means.

use crate::support::client::{events, high, low};
use crate::support::hook::{Hook, Reply};
use crate::support::{Config, Database, Process, TestApp};
use serde_json::{Value, json};

fn webhook(hook: &Hook, more: &str) -> String {
    format!(
        "webhooks:\n  ci: {{ url: 'http://{}/hook', secret: {{ from_env: HOOK_SECRET }}, allow_private: true, operation: deploy, environment: staging, \
         resource_type: code{more} }}\n",
        hook.addr
    )
}

fn task(name: &str, args: Value) -> Value {
    json!({"description": "run the pipeline", "operation": "deploy", "environment": "staging", "resource_type": "code",
           "action": {"type": "webhook", "name": name, "args": args}})
}

/// A task that waits for approval.
fn parked(args: Value) -> Value {
    let mut task = high();
    task["action"] = json!({"type": "webhook", "name": "ci", "args": args});
    task
}

#[tokio::test]
async fn an_approved_call_is_sent_once_and_signed() {
    let hook = Hook::start().await;
    hook.then([Reply::With(200, "content-type", "text/plain")]);
    let mut app = TestApp::with(Config::new().with_runbooks(&webhook(&hook, ""))).await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let args = json!({"ref": "main", "inputs": {"deep": [1, null, "x"]}});
    let accepted = bot.submit(parked(args.clone())).await;
    let id = accepted["workflow_id"].as_str().unwrap();
    let shown = alice.workflow(id).await;
    let calls = &shown["task"]["action"]["calls"];
    assert_eq!(
        (&calls["url"], &calls["secret"]),
        (&json!(format!("http://{}/hook", hook.addr)), &json!("HOOK_SECRET")),
        "people see where it goes, and the name of the secret alone"
    );
    assert!(hook.attempts().is_empty(), "nothing is sent before it is approved");
    alice.approve(id).await.expect(200);
    let done = alice.wait_for(id, "completed").await;
    let sent = hook.attempts();
    assert_eq!(sent.len(), 1);
    let data = &sent[0].body["data"];
    assert_eq!((&sent[0].body["type"], &data["args"]), (&json!("parkbrake.action"), &args));
    assert_eq!((&data["workflow_id"], &data["digest"]), (&json!(id), &accepted["digest"]));
    assert_eq!(done["execution"]["attempts"][0]["output"]["status"], 200);
    app.stop().await;
}

#[tokio::test]
async fn a_refusal_has_failed_and_a_lost_answer_is_unknown_until_somebody_finds_out() {
    let hook = Hook::start().await;
    let mut app = TestApp::with(Config::new().with_runbooks(&webhook(&hook, ", timeout: 1s"))).await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    hook.then([Reply::Status(403)]);
    let refused = bot.submit_id(task("ci", json!({}))).await;
    let refused = alice.wait_for(&refused, "failed").await;
    assert!(refused["execution"]["attempts"][0]["error"].as_str().unwrap().contains("403 Forbidden"), "{refused}");

    hook.then([Reply::Silence]);
    let lost = bot.submit_id(task("ci", json!({}))).await;
    let unknown = alice.wait_for(&lost, "outcome_unknown").await;
    assert!(events(&unknown).ends_with(&["execution_started", "outcome_unknown"]), "{unknown}");
    assert_eq!(hook.attempts().len(), 2, "nobody called it again");
    let retry = json!({"outcome": "retry", "justification": "the log of the other side has no such call"});
    app.client("cora").post(&format!("/workflows/{lost}/resolve"), retry).await.expect(200);
    alice.wait_for(&lost, "completed").await;
    let sent = hook.attempts();
    assert_eq!((sent.len(), &sent[1].id), (3, &sent[2].id), "the key stays the same");
    app.stop().await;
}

#[tokio::test]
async fn a_call_that_no_longer_is_what_was_approved_is_not_made() {
    let (hook, other) = (Hook::start().await, Hook::start().await);
    let mut app = TestApp::with(Config::new().with_runbooks(&webhook(&hook, ""))).await;
    let bot = app.client("deploy-bot");
    let id = bot.submit_id(parked(json!({}))).await;
    std::fs::write(app.config.path().join("runbooks.yaml"), webhook(&other, "")).unwrap();
    app.restart().await;
    let alice = app.client("alice");
    alice.approve(&id).await.expect(200);
    let failed = alice.wait_for(&id, "failed").await;
    let detail = failed["history"].to_string();
    assert!(detail.contains("the webhook `ci` is no longer what was approved: its url is"), "{detail}");
    assert!(hook.attempts().is_empty() && other.attempts().is_empty());
    app.stop().await;
}

#[tokio::test]
async fn a_webhook_that_states_nothing_is_assessed_for_everything_that_it_could_do() {
    let hook = Hook::start().await;
    let bare = format!("webhooks:\n  bare: {{ url: 'http://{}/', allow_private: true }}\n", hook.addr);
    let mut app = TestApp::with(Config::new().with_runbooks(&bare)).await;
    let bot = app.client("deploy-bot");
    let mut calm = low();
    calm["action"] = json!({"type": "webhook", "name": "bare"});
    let parked = bot.submit(calm).await;
    assert_eq!((&parked["risk_level"], &parked["status"]), (&json!("critical"), &json!("pending_approval")), "{parked}");
    let reasons = parked["assessment"]["reasons"].to_string();
    assert!(reasons.contains("webhook `bare` does not state its operation"), "{reasons}");
    app.stop().await;
}

#[tokio::test]
async fn invalid_calls_are_refused_with_their_pointer() {
    let hook = Hook::start().await;
    let mut app = TestApp::with(Config::new().with_runbooks(&webhook(&hook, ", args: { ref: { pattern: '[a-z]+' } }"))).await;
    let bot = app.client("deploy-bot");
    for (name, args, pointer) in [
        ("ci", json!({}), "/action/args/ref"),
        ("ci", json!({"ref": "MAIN"}), "/action/args/ref"),
        ("ci", json!({"ref": "main", "more": 1}), "/action/args/more"),
        ("other", json!({}), "/action/name"),
    ] {
        let problem = bot.post("/orchestrate", task(name, args)).await.problem(422, "invalid-task");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_server_that_is_killed_during_a_call_repeats_it_only_where_that_does_no_harm() {
    for (idempotent, status, calls) in [(false, "outcome_unknown", 1), (true, "completed", 2)] {
        let hook = Hook::start().await;
        hook.then([Reply::Silence]);
        let config = Config::new().with_runbooks(&webhook(&hook, &format!(", idempotent: {idempotent}")));
        let database = Database::migrated().await;
        let server = Process::serve(&config, &database).await;
        let id = server.client("deploy-bot").submit_id(task("ci", json!({}))).await;
        hook.attempted(1).await;
        server.kill().await;
        let server = Process::serve(&config, &database).await;
        server.client("alice").wait_for(&id, status).await;
        let sent = hook.attempts();
        assert_eq!(sent.len(), calls, "idempotent: {idempotent}");
        assert!(sent.iter().all(|call| call.id == sent[0].id), "a receiver can tell that it is the same order");
        server.kill().await;
    }
}
