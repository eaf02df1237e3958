//! A machine that runs out of file descriptors: released actions start once there are some again,
//! and nothing is recorded before.

use crate::support::client::events;
use crate::support::{Config, Database, Process, eventually};
use serde_json::{Value, json};
use std::time::Duration;

/// Runbooks that are released at once; each uses two or three descriptors of the server while it
/// runs.
const RUNS: usize = 40;
/// The server's limit of descriptors: enough for itself, its database and its clients, but not for
/// that many runbooks.
const LIMIT: &str = "ulimit -n 128";

#[tokio::test]
async fn without_file_descriptors_an_action_stays_queued() {
    let folder = tempfile::tempdir().unwrap();
    let (go, ran) = (folder.path().join("go"), folder.path().join("ran"));
    let script = format!("echo \"$PARKBRAKE_WORKFLOW_ID\" >> {}; while [ ! -e {} ]; do sleep 1; done", ran.display(), go.display());
    let config = Config::new().with_runbooks(&format!(
        "runbooks:\n  look: {{ operation: read, environment: development, resource_type: code, timeout: 10m, command: [/bin/sh, -c, '{script}'] }}"
    ));
    let database = Database::migrated().await;
    let server =
        Process::serve_from_shell(&config, &database, LIMIT, &["--connections", "3", "--turns", "128", "--turns-per-requester", "128"])
            .await;
    let bot = server.client("deploy-bot");
    let task =
        json!({"description": "look", "operation": "read", "environment": "development", "action": {"type": "runbook", "name": "look"}});
    let mut ids = Vec::new();
    for _ in 0..RUNS {
        ids.push(bot.submit_id(task.clone()).await);
    }
    let started = || std::fs::read_to_string(&ran).unwrap_or_default().lines().map(str::to_owned).collect::<Vec<_>>();
    // No more are started, although all are released.
    eventually("the descriptors to be used up", || async {
        let before = started().len();
        tokio::time::sleep(Duration::from_secs(3)).await;
        (before > 0 && started().len() == before).then_some(())
    })
    .await;
    assert!(started().len() < RUNS, "there were descriptors for all of them");
    // New clients are still answered: runbooks do not use up the descriptors that callers and the
    // database need.
    server.client("alice").get("/workflows").await.expect(200);
    for id in &ids {
        let workflow: Value = bot.workflow(id).await;
        assert!(["executing", "queued"].iter().any(|status| workflow["status"] == *status), "{workflow:#}");
    }
    std::fs::write(&go, "").unwrap();
    for id in &ids {
        let workflow = bot.wait_for(id, "completed").await;
        assert_eq!(events(&workflow), ["submitted", "released", "execution_started", "execution_succeeded"], "{workflow:#}");
    }
    let mut started = started();
    started.sort_unstable();
    ids.sort_unstable();
    assert_eq!(started, ids, "each once");
    let log = server.log().await;
    assert!(log.iter().any(|line| line.contains("retrying the start of an action")), "nothing was ever short");
}
