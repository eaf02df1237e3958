//! The real program, killed with SIGKILL at critical points, and started again on the same
//! database.

use crate::support::called;
use crate::support::client::high;
use crate::support::{Config, Database, Ledger, Process, eventually};
use serde_json::{Value, json};
use std::time::Duration;

/// A server with a ledger, and its database.
async fn world() -> (Ledger, Config, Database) {
    let ledger = Ledger::new();
    let config = ledger.runbooks(Config::new());
    let database = Database::migrated().await;
    (ledger, config, database)
}

fn runbook(name: &str) -> Value {
    let mut task = high();
    task["action"] = json!({"type": "runbook", "name": name});
    task
}

#[tokio::test]
async fn a_parked_request_survives_a_kill_and_runs_once_after_approval() {
    let (ledger, config, database) = world().await;
    let server = Process::serve(&config, &database).await;
    let accepted = server.client("deploy-bot").submit(runbook("once")).await;
    let id = accepted["workflow_id"].as_str().unwrap();
    server.kill().await;

    let server = Process::serve(&config, &database).await;
    let alice = server.client("alice");
    let waiting = alice.get("/workflows/pending").await.expect(200);
    assert_eq!(waiting["workflows"][0]["workflow_id"], id);
    assert_eq!(waiting["workflows"][0]["digest"], accepted["digest"], "what is shown has not changed");
    alice.approve(id).await.expect(200);
    alice.wait_for(id, "completed").await;
    assert_eq!(ledger.starts(id), 1);
}

#[tokio::test]
async fn a_submit_whose_commit_was_cut_off_happens_once() {
    let (_, config, database) = world().await;
    let server = Process::serve(&config, &database).await;
    let send = |server: &Process| {
        let bot = server.client("deploy-bot");
        async move { bot.try_send(bot.request(reqwest::Method::POST, "/orchestrate").header("idempotency-key", "k1").json(&high())).await }
    };
    // The database holds the commit: the server dies while it waits for the answer.
    let hold = database.hold("lock table workflow_event in access exclusive mode").await;
    let cut_off = tokio::spawn(send(&server));
    waits_for_a_lock(&database).await;
    server.kill().await;
    assert!(cut_off.await.unwrap().is_err(), "nobody was told that it was stored");
    hold.release().await;

    let server = Process::serve(&config, &database).await;
    let accepted = send(&server).await.unwrap().expect(202);
    let again = send(&server).await.unwrap().expect(202);
    assert_eq!(accepted, again);
    assert_eq!(database.count("select count(*) from workflow").await, 1);
    assert_eq!(database.count("select count(*) from approval_requests").await, 1);
}

#[tokio::test]
async fn an_approval_whose_commit_was_cut_off_runs_once() {
    let (ledger, config, database) = world().await;
    let server = Process::serve(&config, &database).await;
    let id = server.client("deploy-bot").submit_id(runbook("once")).await;
    let hold = database.hold("lock table workflow_event in access exclusive mode").await;
    let alice = server.client("alice");
    let path = format!("/workflows/{id}/approve");
    let cut_off = tokio::spawn(async move { alice.try_send(alice.request(reqwest::Method::POST, &path).json(&json!({}))).await });
    waits_for_a_lock(&database).await;
    server.kill().await;
    assert!(cut_off.await.unwrap().is_err());
    hold.release().await;

    // The database may or may not have executed the commit after its client died. In both cases
    // repeating the call is right.
    let server = Process::serve(&config, &database).await;
    let alice = server.client("alice");
    alice.approve(&id).await.expect(200);
    let settled = eventually("its end", || async {
        let workflow = alice.workflow(&id).await;
        ["completed", "outcome_unknown"].iter().any(|status| workflow["status"] == *status).then_some(workflow)
    })
    .await;
    // If the dead server's start was committed, nobody can know that nothing ran, so the outcome is
    // unknown.
    let expected = usize::from(settled["status"] == "completed");
    assert_eq!(ledger.starts(&id), expected, "{settled:#}");
}

#[tokio::test]
async fn an_interrupted_action_is_not_run_again_by_itself() {
    let (ledger, config, database) = world().await;
    let server = Process::serve(&config, &database).await;
    let id = running(&server, &ledger, "once").await;
    server.kill().await;

    let server = Process::serve(&config, &database).await;
    let alice = server.client("alice");
    let workflow = alice.wait_for(&id, "outcome_unknown").await;
    ledger.release();
    assert_eq!(workflow["execution"]["attempts"][0]["outcome"], "unknown");
    assert_eq!(workflow["approval_status"], "approved");
    alice.approve(&id).await.expect(200);
    assert_eq!(ledger.starts(&id), 1);
    assert!(server.terminate().await);
}

#[tokio::test]
async fn an_interrupted_idempotent_action_is_run_again_with_the_same_key() {
    let (ledger, config, database) = world().await;
    let server = Process::serve(&config, &database).await;
    let id = running(&server, &ledger, "again").await;
    server.kill().await;

    let server = Process::serve(&config, &database).await;
    eventually("the second attempt", || async { (ledger.starts(&id) == 2).then_some(()) }).await;
    ledger.release();
    let workflow = server.client("alice").wait_for(&id, "completed").await;
    let outcomes: Vec<_> = workflow["execution"]["attempts"].as_array().unwrap().iter().map(|attempt| attempt["outcome"].clone()).collect();
    assert_eq!(outcomes, ["interrupted", "succeeded"]);
    let entries = ledger.of(&id);
    assert!(entries.iter().all(|entry| entry.key == id), "one key for all attempts: {entries:?}");
    // The first attempt died with its server.
    let ends: Vec<_> = entries.iter().filter(|entry| entry.what == "end").map(|entry| entry.attempt).collect();
    assert_eq!(ends, [2]);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_runbook_dies_with_the_server_that_started_it() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config::new().with_runbooks(&format!(
        "runbooks:\n  wait: {{ operation: read, environment: development, working_dir: '{}', command: [/bin/sh, -c, \"echo $$ > pid.new; mv pid.new pid; exec sleep 600\"] }}\n",
        folder.path().display()
    ));
    let database = Database::migrated().await;
    let server = Process::serve(&config, &database).await;
    let mut task = crate::support::client::low();
    task["action"] = json!({"type": "runbook", "name": "wait"});
    server.client("deploy-bot").submit_id(task).await;
    let pid = eventually("its start", || async { std::fs::read_to_string(folder.path().join("pid")).ok() }).await;
    let runs = || std::fs::read_to_string(format!("/proc/{}/cmdline", pid.trim())).is_ok_and(|words| words.contains("sleep"));
    assert!(runs());
    server.kill().await;
    eventually("its end, without another server", || async { (!runs()).then_some(()) }).await;
}

#[tokio::test]
async fn a_released_external_action_can_be_reported_after_a_restart() {
    let (_, config, database) = world().await;
    let server = Process::serve(&config, &database).await;
    let id = server.client("deploy-bot").submit_id(high()).await;
    server.client("alice").approve(&id).await.expect(200);
    server.kill().await;

    let server = Process::serve(&config, &database).await;
    let bot = server.client("deploy-bot");
    assert_eq!(bot.workflow(&id).await["status"], "executing");
    bot.post(&format!("/workflows/{id}/result"), json!({"outcome": "failed", "error": "no space"})).await.expect(200);
    assert_eq!(bot.workflow(&id).await["execution"]["attempts"][0]["error"], "no space");
}

#[tokio::test]
async fn a_deploy_of_the_server_lets_a_running_action_end() {
    let (ledger, config, database) = world().await;
    let server = Process::serve(&config, &database).await;
    let id = running(&server, &ledger, "once").await;
    let stopping = tokio::spawn(server.terminate());
    ledger.release();
    assert!(stopping.await.unwrap(), "it ends well");

    let server = Process::serve(&config, &database).await;
    assert_eq!(server.client("alice").workflow(&id).await["status"], "completed");
    assert_eq!(ledger.starts(&id), 1);
}

/// An approved action, held in the middle of its run.
#[track_caller]
fn running(server: &Process, ledger: &Ledger, name: &str) -> impl Future<Output = String> {
    called(async move {
        ledger.hold();
        let id = server.client("deploy-bot").submit_id(runbook(name)).await;
        server.client("alice").approve(&id).await.expect(200);
        eventually("its start", || async { (ledger.starts(&id) == 1).then_some(()) }).await;
        id
    })
}

async fn waits_for_a_lock(database: &Database) {
    eventually("a commit that waits", || async {
        let waiting = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
        (database.count(waiting).await > 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_second_server_waits_until_the_first_has_stopped() {
    let (ledger, config, database) = world().await;
    let first = Process::serve(&config, &database).await;
    let id = running(&first, &ledger, "once").await;
    let (addr, waiting) = (first.addr, Process::serve(&config, &database));
    let (second, ()) = futures_util::future::join(waiting, async {
        // It has asked for the database, and has not touched the first server's work.
        eventually("the second server", || async {
            let leases = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
                            and (query like '%from claim_server(%' or query like 'update server set lease_until%')";
            (database.count(leases).await == 2).then_some(())
        })
        .await;
        let alice = crate::support::Client::new(addr, "alice");
        assert_eq!(alice.workflow(&id).await["status"], "executing");
        ledger.release();
        alice.wait_for(&id, "completed").await;
        first.kill().await;
    })
    .await;
    assert_eq!(second.client("alice").workflow(&id).await["status"], "completed");
    assert_eq!(ledger.starts(&id), 1);
}

#[tokio::test]
async fn a_server_that_has_lost_its_database_to_another_one_ends() {
    let (ledger, config, database) = world().await;
    // If it stopped on its own, it would wait ten minutes for what it runs.
    let server = Process::serve_with(&config, &database, &["--drain", "10m"]).await;
    ledger.hold();
    let id = server.client("deploy-bot").submit_id(runbook("once")).await;
    server.client("alice").approve(&id).await.expect(200);
    eventually("its start", || async { (ledger.starts(&id) == 1).then_some(()) }).await;
    // Another server has claimed the database, which it may do only after the lease has lapsed.
    database.execute("update server set acts = false, ended_at = clock_timestamp() where acts").await;
    let ended = tokio::time::timeout(Duration::from_secs(120), server.ended()).await.expect("it waits for what it runs");
    assert_eq!(ended, Some(1));
    ledger.release();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(ledger.of(&id).len(), 1, "what it ran was ended before it: {:?}", ledger.entries());
}
