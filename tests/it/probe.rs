//! Probes: if the outcome of an attempt is unknown, the runbook's own probe checks it, and people
//! are asked only if the probe cannot tell.

use crate::support::called;
use crate::support::client::{events, low};
use crate::support::{Config, Database, Process, eventually};
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;

/// A runbook that leaves a mark when it begins, and whose probe ends with a configured status.
fn config(folder: &Path) -> Config {
    let folder = folder.display();
    Config::new().with_runbooks(&format!(
        "runbooks:\n  careful: {{ operation: read, environment: development, working_dir: '{folder}', timeout: 10m, \
         command: [sh, -c, 'echo $$ >> began; exec sleep 600'], \
         probe: [sh, -c, 'echo \"$PARKBRAKE_ATTEMPT\" >> probes; echo looked; exit $(cat answer)'] }}\n"
    ))
}

fn task() -> Value {
    let mut task = low();
    task["action"] = json!({"type": "runbook", "name": "careful"});
    task
}

fn lines(folder: &TempDir, file: &str) -> usize {
    std::fs::read_to_string(folder.path().join(file)).unwrap_or_default().lines().count()
}

/// Kills a server while the runbook runs; the next server gets this answer from the probe.
#[track_caller]
fn in_doubt(folder: &TempDir, answer: &str) -> impl Future<Output = (Config, Database, Process, String)> {
    called(async move {
        std::fs::write(folder.path().join("answer"), answer).unwrap();
        let config = config(folder.path());
        let database = Database::migrated().await;
        let server = Process::serve(&config, &database).await;
        let id = server.client("deploy-bot").submit_id(task()).await;
        eventually("its start", || async { (lines(folder, "began") == 1).then_some(()) }).await;
        server.kill().await;
        let server = Process::serve(&config, &database).await;
        (config, database, server, id)
    })
}

#[tokio::test]
async fn a_probe_settles_what_a_killed_server_left_in_doubt_without_a_human() {
    for (answer, status, said, last) in
        [("0", "completed", "happened", "execution_succeeded"), ("1", "failed", "did_not_happen", "execution_failed")]
    {
        let folder = tempfile::tempdir().unwrap();
        let (_config, _database, server, id) = in_doubt(&folder, answer).await;
        let workflow = server.client("deploy-bot").wait_for(&id, status).await;
        assert!(events(&workflow).ends_with(&["outcome_unknown", "probed", last]), "{workflow}");
        let history = workflow["history"].as_array().unwrap();
        let probed = &history[history.len() - 2];
        assert_eq!((&probed["detail"]["answer"], &probed["detail"]["output"]["stdout"]), (&json!(said), &json!("looked\n")));
        assert_eq!((lines(&folder, "probes"), lines(&folder, "began")), (1, 1), "it looked once, and nothing ran again");
        assert!(server.terminate().await);
    }
}

#[tokio::test]
async fn an_undecided_probe_runs_once_and_leaves_the_outcome_to_people() {
    let folder = tempfile::tempdir().unwrap();
    let (config, database, server, id) = in_doubt(&folder, "2").await;
    let bot = server.client("deploy-bot");
    let probed = || async {
        let workflow = bot.workflow(&id).await;
        (events(&workflow).last() == Some(&"probed")).then_some(workflow)
    };
    let workflow = eventually("its probe", probed).await;
    assert_eq!(workflow["status"], "outcome_unknown");
    let history = workflow["history"].as_array().unwrap();
    let detail = &history[history.len() - 1]["detail"];
    assert_eq!((&detail["answer"], &detail["reason"]), (&json!("cannot_tell"), &json!("the probe: exit status 2")));
    server.kill().await;
    let server = Process::serve(&config, &database).await;
    let resolve = json!({"outcome": "succeeded", "justification": "it is there"});
    let cora = server.client("cora");
    assert_eq!(cora.post(&format!("/workflows/{id}/resolve"), resolve).await.expect(200)["status"], "completed");
    assert_eq!(lines(&folder, "probes"), 1, "another server does not ask it again");
    assert!(server.terminate().await);
}

#[tokio::test]
async fn a_probe_is_not_asked_where_its_runbook_is_no_longer_what_was_approved() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("answer"), "0").unwrap();
    let config = config(folder.path());
    let database = Database::migrated().await;
    let server = Process::serve(&config, &database).await;
    let id = server.client("deploy-bot").submit_id(task()).await;
    eventually("its start", || async { (lines(&folder, "began") == 1).then_some(()) }).await;
    server.kill().await;
    let file = config.path().join("runbooks.yaml");
    let text = std::fs::read_to_string(&file).unwrap().replace("echo looked", "echo otherwise");
    std::fs::write(file, text).unwrap();
    let server = Process::serve(&config, &database).await;
    let bot = server.client("deploy-bot");
    let workflow = eventually("its probe", || async {
        let workflow = bot.workflow(&id).await;
        (events(&workflow).last() == Some(&"probed")).then_some(workflow)
    })
    .await;
    assert!(
        workflow["status"] == "outcome_unknown" && workflow["history"].to_string().contains("is no longer what was approved: `probe`"),
        "{workflow}"
    );
    assert_eq!(lines(&folder, "probes"), 0);
    assert!(server.terminate().await);
}
