//! Preconditions: the output of a runbook's own check at submission is approved with it, and has to
//! be the same right before the start.

use crate::support::called;
use crate::support::client::{events, high, low};
use crate::support::{Config, Database, Process, TestApp, eventually};
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;

/// A check that counts its runs, waits while it is told to, prints the state of the world, and ends
/// with a configured status.
const LOOK: &str = "[sh, -c, 'echo look >> looks; while [ -e wait ]; do sleep 0.05; done; cat world; cat hint >&2; exit $(cat status)']";

/// Two runbooks with this precondition, one of which needs approval, and one that changes the
/// world.
fn config(folder: &Path) -> Config {
    let folder_shown = folder.display();
    let guarded = format!("working_dir: '{folder_shown}', command: [sh, -c, 'echo ran >> ran'], precondition: {LOOK}");
    for (file, text) in [("world", "api\nreplicas: 3\n"), ("status", "0"), ("hint", "")] {
        std::fs::write(folder.join(file), text).unwrap();
    }
    Config::new().with_runbooks(&format!(
        "runbooks:\n  release: {{ operation: deploy, environment: production, {guarded} }}\n  check: {{ operation: read, environment: development, {guarded} }}\n  \
         change: {{ operation: read, environment: development, working_dir: '{folder_shown}', command: [sh, -c, 'echo other > world'] }}\n  \
         fail: {{ operation: read, environment: development, command: ['false'] }}\n"
    ))
}

#[track_caller]
fn app() -> impl Future<Output = (TempDir, TestApp)> {
    called(async move {
        let folder = tempfile::tempdir().unwrap();
        let app = TestApp::with(config(folder.path())).await;
        (folder, app)
    })
}

fn task(mut task: Value, runbook: &str) -> Value {
    task["action"] = json!({"type": "runbook", "name": runbook});
    task
}

fn step(runbook: &str) -> Value {
    json!({"operation": "read", "environment": "development", "action": {"type": "runbook", "name": runbook}})
}

fn plan(steps: impl IntoIterator<Item = Value>) -> Value {
    json!({"description": "Look twice", "steps": steps.into_iter().collect::<Vec<_>>()})
}

fn lines(folder: &TempDir, file: &str) -> usize {
    std::fs::read_to_string(folder.path().join(file)).unwrap_or_default().lines().count()
}

fn write(folder: &TempDir, file: &str, text: &str) {
    std::fs::write(folder.path().join(file), text).unwrap();
}

/// Why the last start was refused.
#[track_caller]
fn refusal(workflow: &Value) -> &str {
    let history = workflow["history"].as_array().unwrap();
    let refused = history.iter().rfind(|event| event["event"] == "start_refused");
    refused.and_then(|event| event["detail"]["reason"].as_str()).unwrap_or_else(|| panic!("nothing was refused: {workflow:#}"))
}

#[tokio::test]
async fn precondition_output_is_shown_and_approved_and_the_action_runs_if_it_is_unchanged() {
    let (folder, app) = app().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let id = bot.submit_id(task(high(), "release")).await;
    let parked = alice.workflow(&id).await;
    let shown = &parked["task"]["action"]["runs"]["precondition"];
    assert_eq!(shown["output"], "api\nreplicas: 3\n", "{parked:#}");
    assert_eq!((shown["command"][0].as_str(), lines(&folder, "looks"), lines(&folder, "ran")), (Some("sh"), 1, 0));
    write(&folder, "world", "api\nreplicas: 4\n");
    let other = bot.submit(task(high(), "release")).await;
    assert_ne!(
        parked["digest"],
        alice.workflow(other["workflow_id"].as_str().unwrap()).await["digest"],
        "another world is another document"
    );
    write(&folder, "world", "api\nreplicas: 3\n");
    alice.approve(&id).await.expect(200);
    bot.wait_for(&id, "completed").await;
    assert_eq!((lines(&folder, "looks"), lines(&folder, "ran")), (3, 1), "it looked once more, before the start");
}

#[tokio::test]
async fn an_approved_action_does_not_run_if_its_precondition_fails() {
    let (folder, app) = app().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let id = bot.submit_id(task(high(), "release")).await;
    write(&folder, "status", "7");
    alice.approve(&id).await.expect(200);
    let workflow = bot.wait_for(&id, "failed").await;
    assert_eq!(refusal(&workflow), "not started: its precondition failed: exit status 7; submit the task again");
    assert!(!events(&workflow).contains(&"execution_started"), "{workflow:#}");
    assert_eq!(lines(&folder, "ran"), 0);
}

#[tokio::test]
async fn a_failed_precondition_refuses_the_submit_and_assessing_runs_nothing() {
    let (folder, app) = app().await;
    let bot = app.client("deploy-bot");
    bot.post("/risk/assess", task(low(), "check")).await.expect(200);
    assert_eq!(lines(&folder, "looks"), 0);
    write(&folder, "hint", "no such service\n");
    write(&folder, "status", "1");
    let problem = bot.post("/orchestrate", task(low(), "check")).await.problem(422, "invalid-task");
    assert_eq!(problem["errors"][0]["pointer"], "/action/name", "{problem:#}");
    assert!(problem.to_string().contains("its precondition failed: exit status 1, and said `no such service`"), "{problem:#}");
    write(&folder, "status", "0");
    write(&folder, "world", &"x".repeat(16 * 1024 + 1));
    let problem = bot.post("/orchestrate", plan([step("change"), step("check")])).await.problem(422, "invalid-task");
    assert_eq!(problem["errors"][0]["pointer"], "/steps/1/action/name", "{problem:#}");
    assert!(problem.to_string().contains("printed more than 16 KiB"), "{problem:#}");
    assert_eq!(bot.get("/workflows").await.expect(200)["workflows"], json!([]));
    assert_eq!((lines(&folder, "looks"), lines(&folder, "ran")), (2, 0));
}

#[tokio::test]
async fn a_look_that_was_cut_off_by_a_kill_is_repeated_by_the_next_server_and_others_start_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let database = Database::migrated().await;
    let server = Process::serve(&config, &database).await;
    let (bot, alice) = (server.client("deploy-bot"), server.client("alice"));
    let id = bot.submit_id(task(high(), "release")).await;
    write(&folder, "wait", "");
    alice.approve(&id).await.expect(200);
    eventually("its look before the start", || async { (lines(&folder, "looks") == 2).then_some(()) }).await;
    let other = bot.submit_id(task(low(), "change")).await;
    bot.wait_for(&other, "completed").await;
    write(&folder, "world", "api\nreplicas: 3\n");
    assert_eq!(bot.workflow(&id).await["status"], "queued");
    server.kill().await;
    std::fs::remove_file(folder.path().join("wait")).unwrap();
    let server = Process::serve(&config, &database).await;
    let workflow = server.client("deploy-bot").wait_for(&id, "completed").await;
    assert_eq!((lines(&folder, "looks"), lines(&folder, "ran")), (3, 1), "{workflow:#}");
    assert!(server.terminate().await);
}

#[tokio::test]
async fn an_action_cancelled_during_its_precondition_does_not_start() {
    let (folder, app) = app().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let id = bot.submit_id(task(high(), "release")).await;
    write(&folder, "wait", "");
    alice.approve(&id).await.expect(200);
    eventually("its look before the start", || async { (lines(&folder, "looks") == 2).then_some(()) }).await;
    bot.post(&format!("/workflows/{id}/cancel"), json!({})).await.expect(200);
    std::fs::remove_file(folder.path().join("wait")).unwrap();
    let after = bot.submit_id(task(low(), "change")).await;
    bot.wait_for(&after, "completed").await;
    let workflow = bot.wait_for(&id, "cancelled").await;
    assert!(!events(&workflow).contains(&"start_refused") && lines(&folder, "ran") == 0, "{workflow:#}");
}

#[tokio::test]
async fn each_step_checks_its_precondition_before_it_starts_and_compensations_check_none() {
    let (folder, app) = app().await;
    let bot = app.client("deploy-bot");
    let id = bot.submit_id(plan([step("check"), step("check")])).await;
    bot.wait_for(&id, "completed").await;
    assert_eq!((lines(&folder, "looks"), lines(&folder, "ran")), (4, 2), "at submit and at the start, each step");
    let mut changing = step("change");
    changing["compensate"] = json!({"type": "runbook", "name": "check"});
    let id = bot.submit_id(plan([changing, step("check"), step("fail")])).await;
    let workflow = bot.wait_for(&id, "failed").await;
    let statuses: Vec<_> = workflow["steps"].as_array().unwrap().iter().map(|step| step["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["succeeded", "succeeded", "failed", "succeeded"], "{workflow:#}");
    assert_eq!((lines(&folder, "looks"), lines(&folder, "ran")), (6, 4), "nothing looks before what undoes");
}
