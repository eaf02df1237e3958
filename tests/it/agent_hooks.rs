//! The hooks of coding agents, with the real binary and a real server: from a parked call to the
//! one call that runs.

use crate::support::client::{events, token};
use crate::support::{TestApp, called, eventually};
use serde_json::{Value, json};
use std::process::Stdio;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// The answer of a client's hook to an event: `allow`, `deny` or nothing, and the reason.
async fn hook(app: &TestApp, client: &str, event: &str, tool_use_id: &str, call: (&str, Value)) -> (String, String) {
    hook_with(app, &[client], &[], event, ("session", tool_use_id), call).await
}

#[track_caller]
fn hook_with(
    app: &TestApp,
    args: &[&str],
    variables: &[(&str, &str)],
    event: &str,
    (session, tool_use_id): (&str, &str),
    (tool, mut input): (&str, Value),
) -> impl Future<Output = (String, String)> {
    called(async move {
        input["description"] = json!(format!("As {tool_use_id} has it"));
        let sent = json!({
            "session_id": session, "cwd": "/srv/api", "permission_mode": "bypassPermissions", "hook_event_name": event, "tool_name": tool,
            "tool_input": input, "tool_use_id": tool_use_id, "tool_response": ""
        });
        let mut child = Command::new(env!("CARGO_BIN_EXE_parkbrake"))
            .arg("hook")
            .args(args)
            .args(["--url", &format!("http://{}", app.addr), "--deadline", "60s"])
            .env_remove("CLAUDE_CODE_ENTRYPOINT")
            .envs(variables.iter().copied())
            .env("PARKBRAKE_TOKEN", token("deploy-bot"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program");
        child.stdin.take().expect("its input").write_all(sent.to_string().as_bytes()).await.expect("an input");
        let output = child.wait_with_output().await.expect("an end");
        assert!(output.status.success(), "{output:?}");
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let said = &answer["hookSpecificOutput"];
        let text = |name: &str| said[name].as_str().unwrap_or_default().to_owned();
        // Codex gets an empty answer if there is no objection.
        let word = if answer == json!({}) { "allow".to_owned() } else { text("permissionDecision") };
        (word, text("permissionDecisionReason"))
    })
}

/// A call that needs no approval, and one that people have to approve.
fn harmless() -> (&'static str, Value) {
    ("Read", json!({"file_path": "/srv/api/src/main.rs"}))
}

fn dangerous() -> (&'static str, Value) {
    ("Bash", json!({"command": "terraform apply"}))
}

#[tokio::test]
async fn an_approved_call_passes_the_hook_once_and_is_settled_by_it() {
    for client in ["claude-code", "codex"] {
        let app = TestApp::start().await;
        let ask = async |id: &str| hook(&app, client, "PreToolUse", id, dangerous()).await;
        assert_eq!(hook(&app, client, "PreToolUse", "one", harmless()).await.0, "allow");
        let (word, why) = ask("two").await;
        assert_eq!(word, "deny", "{why}");
        assert!(why.starts_with("parkbrake: parked as "), "{why}");
        let alice = app.client("alice");
        let listed = alice.get("/workflows/pending").await.expect(200);
        let waiting = listed["workflows"][0]["workflow_id"].as_str().expect("an id").to_owned();
        alice.approve(&waiting).await.expect(200);
        assert_eq!(ask("three").await.0, "allow");
        let (word, why) = ask("four").await;
        assert_eq!(word, "deny", "an approval is for one call: {why}");

        hook(&app, client, "PostToolUse", "three", dangerous()).await;
        let workflow = alice.workflow(&waiting).await;
        assert_eq!(
            events(&workflow),
            ["submitted", "approval_requested", "approved", "released", "execution_started", "execution_succeeded"]
        );
        let doors: Vec<&str> = workflow["history"].as_array().unwrap().iter().map(|event| event["via"].as_str().unwrap()).collect();
        let door = client.replace('-', "_");
        assert_eq!(doors, [&door, &door, "rest", "rest", &door, &door]);

        let asked_again = alice.get("/workflows/pending").await.expect(200)["workflows"][0]["workflow_id"].clone();
        alice.post(&format!("/workflows/{}/reject", asked_again.as_str().unwrap()), json!({"reason": "Once is enough"})).await.expect(200);
        let (word, why) = ask("five").await;
        assert!(word == "deny" && why.contains("Once is enough"), "{why}");
    }
}

#[tokio::test]
async fn without_a_server_no_call_passes_and_the_next_server_finds_the_request() {
    let mut app = TestApp::start().await;
    hook(&app, "claude-code", "PreToolUse", "one", dangerous()).await;
    let hold = app.database.hold("lock table workflow_event in exclusive mode").await;
    let asked = tokio::time::timeout(std::time::Duration::from_secs(120), hook(&app, "claude-code", "PreToolUse", "two", harmless()));
    let (word, why) = asked.await.expect("an answer while the database is locked");
    assert_eq!(word, "deny", "{why}");
    hold.release().await;
    app.restart().await;
    eventually("the same request is found", || async {
        let (word, why) = hook(&app, "claude-code", "PreToolUse", "three", dangerous()).await;
        assert_eq!(word, "deny");
        why.contains("parked as").then_some(())
    })
    .await;
    assert_eq!(app.database.count("select count(*) from workflow where status = 'pending_approval'").await, 1);
}

#[tokio::test]
async fn one_parked_call_of_a_turn_is_deferred_and_passes_once_it_is_approved() {
    let app = TestApp::start().await;
    let session = uuid::Uuid::new_v4().to_string();
    let printing = [("CLAUDE_CODE_ENTRYPOINT", "sdk-cli")];
    let other = || ("Bash", json!({"command": "helm upgrade api charts/api"}));
    let ask = async |variables: &[(&str, &str)], id: &str, call: (&str, Value)| {
        hook_with(&app, &["claude-code", "--defer"], variables, "PreToolUse", (&session, id), call).await
    };
    let (word, why) = ask(&[], "one", dangerous()).await;
    assert_eq!(word, "deny", "only `claude -p` goes on with a deferred call: {why}");
    let (word, why) = ask(&printing, "one", dangerous()).await;
    assert!(word == "defer" && why.starts_with("parkbrake: parked as "), "{word}: {why}");
    assert_eq!(ask(&printing, "two", other()).await.0, "deny", "the client keeps one deferred call of a turn");
    assert_eq!(ask(&printing, "three", harmless()).await.0, "allow");
    assert_eq!(ask(&printing, "one", dangerous()).await.0, "defer", "it was resumed too early");

    let listed = app.client("alice").get("/workflows/pending").await.expect(200);
    for workflow in listed["workflows"].as_array().unwrap() {
        app.client("alice").approve(workflow["workflow_id"].as_str().unwrap()).await.expect(200);
    }
    assert_eq!(ask(&printing, "one", dangerous()).await.0, "allow");
    let (word, why) = ask(&printing, "four", dangerous()).await;
    assert_eq!(word, "defer", "an approval is for one call, and the session defers again: {why}");
}
