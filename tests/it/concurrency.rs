//! Runbooks that may not run at the same time.

use crate::support::client::{events, high};
use crate::support::{Config, Database, Ledger, Process, TestApp, eventually};
use futures_util::future::join_all;
use serde_json::{Value, json};

/// A ledger whose runbook `lane` runs one at a time for each service.
fn runbooks(ledger: &Ledger, idempotent: bool) -> Config {
    let config = ledger.runbooks(Config::new());
    let file = config.path().join("runbooks.yaml");
    let folder = ledger.folder().display();
    let text = std::fs::read_to_string(&file).unwrap()
        + &format!(
            "  lane: {{ operation: deploy, environment: development, command: [/bin/sh, run.sh, '{{{{ service }}}}'], working_dir: '{folder}', \
             args: {{ service: {{ pattern: '[a-z]+' }} }}, timeout: 1m, idempotent: {idempotent}, concurrency: {{ key: '{{{{ service }}}}' }} }}\n"
        );
    std::fs::write(file, text).unwrap();
    config
}

fn deployment(service: &str) -> Value {
    let mut task = high();
    task["action"] = json!({"type": "runbook", "name": "lane", "args": {"service": service}});
    task
}

#[tokio::test]
async fn actions_with_one_concurrency_key_run_in_release_order() {
    let ledger = Ledger::new();
    let app = TestApp::with(runbooks(&ledger, false)).await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    ledger.hold();
    let mut ids = Vec::new();
    for _ in 0..4 {
        let id = bot.submit_id(deployment("api")).await;
        alice.approve(&id).await.expect(200);
        if ids.is_empty() {
            eventually("the first start", || async { (ledger.starts(&id) == 1).then_some(()) }).await;
        }
        ids.push(id);
    }
    let other = bot.submit_id(deployment("web")).await;
    alice.approve(&other).await.expect(200);
    eventually("another key", || async { (ledger.starts(&other) == 1).then_some(()) }).await;
    assert_eq!(ledger.entries().len(), 2, "those with the key wait");
    for id in &ids[1..] {
        assert_eq!(alice.workflow(id).await["status"], "queued");
    }
    // A waiting workflow can be cancelled, and does not hold up those behind it.
    bot.post(&format!("/workflows/{}/cancel", ids[2]), json!({})).await.expect(200);
    ledger.release();
    for id in [&ids[0], &ids[1], &ids[3], &other] {
        alice.wait_for(id, "completed").await;
    }
    let of_key: Vec<_> =
        ledger.entries().into_iter().filter(|entry| entry.workflow != other).map(|entry| (entry.what, entry.workflow)).collect();
    let expected: Vec<_> =
        [&ids[0], &ids[1], &ids[3]].into_iter().flat_map(|id| [("start".to_owned(), id.clone()), ("end".to_owned(), id.clone())]).collect();
    assert_eq!(of_key, expected, "one after the other, in order");
    assert_eq!(events(&alice.workflow(&ids[2]).await).last(), Some(&"cancelled"));
}

#[tokio::test]
async fn many_with_one_key_are_never_two_at_once_and_none_is_forgotten() {
    let ledger = Ledger::new();
    let mut app = TestApp::with(runbooks(&ledger, false)).await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let ids = join_all((0..24).map(|_| async {
        let id = bot.submit_id(deployment("api")).await;
        alice.approve(&id).await.expect(200);
        id
    }))
    .await;
    for id in &ids {
        alice.wait_for(id, "completed").await;
    }
    let entries = ledger.entries();
    assert_eq!(entries.len(), 2 * ids.len());
    assert!(entries.chunks(2).all(|pair| pair[0].workflow == pair[1].workflow && pair[0].what == "start"), "{entries:#?}");
    app.stop().await;
}

#[tokio::test]
async fn a_server_that_is_killed_leaves_no_key_taken() {
    let ledger = Ledger::new();
    let config = runbooks(&ledger, true);
    let database = Database::migrated().await;
    let server = Process::serve(&config, &database).await;
    ledger.hold();
    let (bot, alice) = (server.client("deploy-bot"), server.client("alice"));
    let (first, second) = (bot.submit_id(deployment("api")).await, bot.submit_id(deployment("api")).await);
    alice.approve(&first).await.expect(200);
    eventually("its start", || async { (ledger.starts(&first) == 1).then_some(()) }).await;
    alice.approve(&second).await.expect(200);
    server.kill().await;
    let server = Process::serve(&config, &database).await;
    eventually("the one that was cut off, or the next", || async { (ledger.entries().len() >= 2).then_some(()) }).await;
    ledger.release();
    for id in [&first, &second] {
        server.client("alice").wait_for(id, "completed").await;
    }
    server.kill().await;
}
