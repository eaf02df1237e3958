//! Halts, and servers and answers that are lost.

use super::look;
use crate::support::client::low;
use crate::support::proxy::{Fault, Proxy};
use crate::support::server::settings;
use crate::support::{Config, Database, Ledger, Process, TestApp, eventually};
use futures_util::future::join_all;
use serde_json::json;

#[tokio::test]
async fn a_server_that_is_killed_while_halted_and_started_again_is_halted_still() {
    let ledger = Ledger::new();
    let config = ledger.runbooks(Config::new());
    let database = Database::migrated().await;
    let server = Process::serve(&config, &database).await;
    let (bot, cora) = (server.client("deploy-bot"), server.client("cora"));
    cora.halt(None).await;
    let ids = join_all((0..5).map(|_| bot.submit_id(look()))).await;
    let external = bot.submit_id(low()).await;
    server.kill().await;

    let server = Process::serve(&config, &database).await;
    let (bot, cora) = (server.client("deploy-bot"), server.client("cora"));
    let later = bot.submit(low()).await;
    assert_eq!(later["status"], "queued", "also right after its start");
    eventually("the halt known", || async { (cora.get("/readyz").await.body["halts"][0]["environment"].is_null()).then_some(()) }).await;
    for id in ids.iter().chain([&external]) {
        assert_eq!(bot.workflow(id).await["status"], "queued");
    }
    assert_eq!(ledger.entries().len(), 0);
    cora.resume(None).await;
    for id in &ids {
        bot.wait_for(id, "completed").await;
        assert_eq!(ledger.starts(id), 1);
    }
    bot.wait_for(&external, "executing").await;
    assert!(server.terminate().await);
}

#[tokio::test]
async fn a_halt_whose_commit_answer_was_lost_is_answered_and_recorded_once() {
    let config = Config::new();
    let database = Database::migrated().await;
    let proxy = Proxy::before(&database).await;
    let settings = settings(&config);
    let app = TestApp::launch(config, &settings, proxy.database()).await;
    let cora = app.client("cora");
    proxy.next("halt_starts", Fault::LoseAnswer, 1);
    let halted = cora.halt(None).await;
    assert_eq!((&halted["changed"], proxy.applied()), (&json!(true), 1));
    proxy.next("resume_starts", Fault::LoseAnswer, 1);
    cora.resume(None).await;
    assert_eq!(database.count("select count(*) from operations_log").await, 2);
    assert_eq!(database.count("select count(*) from halt").await, 0);
}
