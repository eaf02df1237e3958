//! Lists that take forever do not keep anybody from deciding: they have connections of their own,
//! and only those.

use crate::support::client::{events, high, token};
use crate::support::hook::Hook;
use crate::support::{Browser, Config, TestApp, eventually};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The lists in progress, which the database never answers.
const READING: &str = "select count(*) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid() and state = 'active' and query like '%target_of(%'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn saturated_lists_do_not_block_decisions() {
    let hook = Hook::start().await;
    let notifications = format!("channels:\n{}routes: [ {{ levels: [high], channels: [audit] }} ]\n", hook.channel("audit"));
    let config =
        Config::new().with_policies("escalation: { high: [ { after: 1s, to: [cto] } ] }\n").write("notifications.yaml", &notifications);
    let app = TestApp::with(config).await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let waiting = bot.submit_id(high()).await;
    app.database
        .execute(
            "create or replace function target_of(stored text, document bytea) returns text language plpgsql volatile as
             $$ begin perform pg_sleep(600); return stored; end $$",
        )
        .await;
    let over = Arc::new(AtomicBool::new(false));
    // Each of them has something to show, and asks the database what it is about.
    let lists = ["/workflows", "/workflows?risk_level=high", "/workflows?status=pending_approval", "/workflows?requested_by=deploy-bot"];
    let listing: Vec<_> = (0..8)
        .map(|turn| {
            let (reader, over, path) = (app.client("nora"), Arc::clone(&over), lists[turn % lists.len()]);
            tokio::spawn(async move {
                let mut answers = Vec::new();
                while !over.load(Ordering::Relaxed) {
                    answers.push(reader.get(path).await.status.as_u16());
                }
                answers
            })
        })
        .collect();
    // Of five connections for reading, two are for lists.
    let all_held = async || {
        eventually("all connections for lists to be held", || async { (app.database.count(READING).await == 2).then_some(()) }).await
    };
    all_held().await;

    for _ in 0..5 {
        let id = bot.submit_id(high()).await;
        alice.approve(&id).await.expect(200);
        bot.post(&format!("/workflows/{id}/result"), json!({"outcome": "succeeded"})).await.expect(200);
        assert_eq!(alice.workflow(&id).await["status"], "completed");
        let kinds = ["approval.decided", "workflow.succeeded"];
        eventually("its notices", || async { kinds.iter().all(|kind| hook.told(&id).iter().any(|told| told == kind)).then_some(()) }).await;
        let mut browser = Browser::new(app.addr);
        assert_eq!(browser.sign_in(&token("alice"), "/inbox/history").await.location(), "/inbox/history");
    }
    // Even a fast list gets no connection of another kind.
    alice.get("/workflows/pending").await.problem(503, "unavailable");
    let mut stream = alice.follow("/events").await;
    let id = bot.submit_id(high()).await;
    stream.until(&id, "approval_requested").await;
    alice.reject(&id).await.expect(200);
    for id in [&waiting, &bot.submit_id(high()).await] {
        eventually("the timer", || async { events(&alice.workflow(id).await).contains(&"escalated").then_some(()) }).await;
    }
    all_held().await;
    over.store(true, Ordering::Relaxed);
    for reader in listing {
        let answers = reader.await.unwrap();
        assert!(answers.iter().all(|status| *status == 503), "a list was answered, so that not all were held: {answers:?}");
    }
}
