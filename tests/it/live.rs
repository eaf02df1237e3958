//! The output of a running runbook, for people who watch it.

use crate::support::browser::Browser;
use crate::support::called;
use crate::support::client::{low, token};
use crate::support::server::SECRET;
use crate::support::{Client, Config, Database, Process, eventually};
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;
use tokio::process::Command;

/// A runbook that writes a line and a secret, in two pieces, and then waits at a gate.
fn config(folder: &Path) -> Config {
    let script = "#!/bin/sh\necho step 1 of 2\nprintf '%s' \"${TOKEN%????}\"\nwhile [ ! -e half ]; do sleep 0.02; done\nprintf '%s\\n' \"${TOKEN#\"${TOKEN%????}\"}\"\necho oh >&2\nwhile [ ! -e end ]; do sleep 0.02; done\necho step 2 of 2\n";
    std::fs::write(folder.join("run.sh"), script).unwrap();
    Config::new().with_runbooks(&format!(
        "runbooks:\n  talk: {{ operation: read, environment: development, command: [/bin/sh, run.sh], working_dir: '{}', env: {{ TOKEN: {{ from_env: HOOK_SECRET }} }} }}\n",
        folder.display()
    ))
}

async fn talking(bot: &Client) -> String {
    let mut task = low();
    task["action"] = json!({"type": "runbook", "name": "talk"});
    bot.submit_id(task).await
}

#[track_caller]
fn output(client: &Client, id: &str, after: Option<&Value>) -> impl Future<Output = Value> {
    called(async move {
        let after = after.map(|after| format!("?after={}", after.as_str().unwrap())).unwrap_or_default();
        client.get(&format!("/workflows/{id}/output{after}")).await.expect(200)
    })
}

/// The output once it contains a text.
async fn once(client: &Client, id: &str, stream: &str, text: &str) -> Value {
    eventually(text, || async {
        let answer = output(client, id, None).await;
        answer["output"][stream].as_str().is_some_and(|said| said.contains(text)).then_some(answer)
    })
    .await
}

#[tokio::test]
async fn live_output_is_masked_and_visible_only_to_those_with_access() {
    let folder = TempDir::new().unwrap();
    let (config, database) = (config(folder.path()), Database::migrated().await);
    let server = Process::serve(&config, &database).await;
    let (bot, alice) = (server.client("deploy-bot"), server.client("alice"));
    let id = talking(&bot).await;
    let first = once(&alice, &id, "stdout", "step 1 of 2").await;
    assert_eq!(
        (&first["running"], &first["output"]["stdout"], &first["output"]["attempt"]),
        (&json!(true), &json!("step 1 of 2\n"), &json!(1))
    );
    // The requester may see it; to another agent, the workflow does not exist.
    assert_eq!(once(&bot, &id, "stdout", "step 1 of 2").await["workflow_id"], id);
    server.client("lone-bot").get(&format!("/workflows/{id}/output")).await.problem(404, "workflow-not-found");
    assert!(!server.client("alice").get(&format!("/workflows/{id}")).await.text.contains("step 1 of 2"), "it is in no log");

    std::fs::write(folder.path().join("half"), "").unwrap();
    let second = once(&alice, &id, "stderr", "oh").await;
    assert_eq!(second["output"]["stdout"], "step 1 of 2\n[redacted]\n");
    let news = output(&alice, &id, Some(&first["output"]["after"])).await;
    assert_eq!((&news["output"]["stdout"], &news["output"]["stderr"]), (&json!("[redacted]\n"), &json!("oh\n")));
    assert!(!second.to_string().contains(&SECRET[..SECRET.len() - 4]));
    alice.get(&format!("/workflows/{id}/output?after=yesterday")).await.problem(422, "invalid-task");

    std::fs::write(folder.path().join("end"), "").unwrap();
    let ended = alice.wait_for(&id, "completed").await;
    let last = output(&alice, &id, Some(&news["output"]["after"])).await;
    assert_eq!((&last["running"], &last["output"]["stdout"]), (&json!(false), &json!("step 2 of 2\n")));
    let kept = &ended["execution"]["attempts"][0]["output"]["stdout"];
    assert_eq!(kept, &output(&alice, &id, None).await["output"]["stdout"], "it is what is recorded");
    server.kill().await;

    let server = Process::serve(&config, &database).await;
    let after = output(&server.client("alice"), &id, None).await;
    assert_eq!((&after["running"], &after["output"]), (&json!(false), &Value::Null));
    assert!(after["detail"].as_str().unwrap().contains("runs on this server"));
}

#[tokio::test]
async fn watch_and_the_page_show_live_output() {
    let folder = TempDir::new().unwrap();
    let (config, database) = (config(folder.path()), Database::migrated().await);
    let server = Process::serve(&config, &database).await;
    let id = talking(&server.client("deploy-bot")).await;
    once(&server.client("alice"), &id, "stdout", "step 1 of 2").await;
    Browser::of(server.addr, "alice").await.get(&format!("/inbox/workflows/{id}")).await.has("Output</h2>").has("step 1 of 2");
    let watch = Command::new(env!("CARGO_BIN_EXE_parkbrake"))
        .args(["watch", &id, "--url", &format!("http://{}", server.addr)])
        .env("PARKBRAKE_TOKEN", token("alice"))
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let watch = tokio::spawn(watch.wait_with_output());
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    std::fs::write(folder.path().join("half"), "").unwrap();
    std::fs::write(folder.path().join("end"), "").unwrap();
    let said = watch.await.unwrap().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    let positions: Vec<_> = ["stdout | step 1 of 2", "stderr | oh", "stdout | step 2 of 2"].iter().map(|line| said.find(line)).collect();
    assert!(positions.iter().all(Option::is_some) && positions[0] < positions[2], "{said}");
    assert_eq!(said.matches("step 1 of 2").count(), 1, "{said}");
    assert!(server.terminate().await);
}
