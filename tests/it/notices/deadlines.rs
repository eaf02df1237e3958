//! Notices at certain times: reminders, and the warning before a request expires.

use super::{becomes, told_to};
use crate::support::client::high;
use crate::support::hook::Hook;
use crate::support::{TestApp, eventually};
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn reminders_continue_until_the_decision() {
    let mut hook = Hook::start().await;
    let config = told_to(&[hook.channel("audit")]).with_policies("remind_every: 1s\n");
    let app = TestApp::with(config).await;
    let id = app.client("deploy-bot").submit_id(high()).await;
    hook.hears(&id, &["approval.requested", "approval.reminded", "approval.reminded"]).await;
    let numbers: Vec<_> = hook.taken().iter().map(|delivery| delivery.body["data"]["reminder"].clone()).collect();
    assert_eq!(numbers, [Value::Null, json!(1), json!(2)]);
    assert_eq!(hook.taken()[2].body["data"]["actor"], "parkbrake");

    // After an outage as long as several reminders, only one of them is sent.
    hook.stop().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let before = hook.taken().len();
    hook.up().await;
    let taken = hook.attempted(before + 2).await;
    let gap = taken[before + 1].at - taken[before].at;
    assert!(gap > Duration::from_millis(900), "the next one comes {gap:?} later, not at once");

    app.client("alice").reject(&id).await.expect(200);
    eventually("the decision", || async { hook.told(&id).last().is_some_and(|kind| kind == "approval.decided").then_some(()) }).await;
    assert_eq!(app.database.count("select count(*) from notice where status = 'pending'").await, 0, "nothing more is to come");
    let events = "select count(*) from workflow_event";
    assert_eq!(app.database.count(events).await, 3, "reminders are not in the log");
}

#[tokio::test]
async fn before_it_expires_those_who_may_decide_are_warned_once_and_the_end_is_no_rejection() {
    let hook = Hook::start().await;
    let config = told_to(&[hook.channel("audit")]).with_policies("policies: { high: { expire_after: 3s, warn_before: 2s } }");
    let app = TestApp::with(config).await;
    let bot = app.client("deploy-bot");
    let id = bot.submit_id(high()).await;
    hook.hears(&id, &["approval.requested", "approval.expiring", "approval.expired"]).await;
    let taken = hook.taken();
    let warned = &taken[1].body["data"];
    assert_eq!((&warned["status"], &warned["actor"]), (&json!("pending_approval"), &json!("parkbrake")));
    assert_eq!(taken[2].body["data"]["approval_status"], "expired");
    let workflow = bot.workflow(&id).await;
    assert_eq!((&workflow["status"], &workflow["approval_status"]), (&json!("expired"), &json!("expired")));
}

#[tokio::test]
async fn decided_requests_cause_no_warning() {
    let hook = Hook::start().await;
    let config = told_to(&[hook.channel("audit")]).with_policies("policies: { high: { expire_after: 1h } }");
    let app = TestApp::with(config).await;
    let id = app.client("deploy-bot").submit_id(high()).await;
    app.client("alice").approve(&id).await.expect(200);
    let fall_due = "update notice set first_due_at = clock_timestamp(), due_at = clock_timestamp() where kind = 'approval.expiring'";
    app.database.execute(fall_due).await;
    assert_eq!(becomes(&app, "approval.expiring", "cancelled").await["error"], "the request was settled first");
    assert!(!hook.told(&id).contains(&"approval.expiring".to_owned()));
}
