//! A suspended person has no rights, whatever they did before.

use super::{done, parkbrake, refused, unauthenticated};
use crate::support::client::{events, high};
use crate::support::{Browser, Config, Database, TestApp};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn suspension_takes_every_right_away_within_a_second_and_restoring_gives_them_back() {
    let app = TestApp::start().await;
    let bot = app.client("deploy-bot");
    let id = bot.submit_id(high()).await;
    let (alice, browser) = (app.client("alice"), Browser::of(app.addr, "alice").await);
    alice.get("/workflows").await.expect(200);
    browser.get("/").await.expect(200);

    let said = done(parkbrake(&app, &["person", "suspend", "alice", "--reason", "laptop stolen"]).await);
    assert!(said.contains("alice is suspended"), "{said}");
    tokio::time::sleep(Duration::from_secs(1)).await;
    unauthenticated(alice.approve(&id).await, "alice is suspended");
    unauthenticated(alice.reject(&id).await, "alice is suspended");
    assert!(browser.get("/").await.location().starts_with("/sign-in"));
    let list = done(parkbrake(&app, &["person", "list"]).await);
    assert!(list.lines().any(|line| line.starts_with("alice ") && line.ends_with(": laptop stolen")), "{list}");
    assert!(list.lines().any(|line| line.starts_with("tom ") && line.ends_with("good")), "{list}");
    assert!(done(parkbrake(&app, &["person", "suspend", "alice"]).await).contains("already"));

    done(parkbrake(&app, &["person", "suspend", "deploy-bot"]).await);
    tokio::time::sleep(Duration::from_secs(1)).await;
    unauthenticated(bot.post("/orchestrate", high()).await, "deploy-bot is suspended");
    app.client("other-bot").submit_id(high()).await;

    for name in ["alice", "deploy-bot"] {
        done(parkbrake(&app, &["person", "restore", name]).await);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    bot.get("/workflows").await.expect(200);
    assert_eq!(alice.approve(&id).await.expect(200)["approved_by"], "alice");
    assert!(refused(&parkbrake(&app, &["person", "restore", "alice"]).await).contains("alice is not suspended"));
    assert!(refused(&parkbrake(&app, &["person", "suspend", "Alice"]).await).contains("people are: alice"));
}

/// A server's knowledge of suspensions may be a moment old; its commits do not rely on it.
#[tokio::test]
async fn a_decision_that_overtakes_a_suspension_by_a_moment_is_not_written() {
    let app = TestApp::start().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    for command in ["approve", "reject"] {
        let id = bot.submit_id(high()).await;
        alice.get("/workflows").await.expect(200);
        app.database.execute("insert into suspension (name) values ('alice')").await;
        let answer = alice.post(&format!("/workflows/{id}/{command}"), json!({})).await;
        assert!([401, 403].contains(&answer.status.as_u16()), "{command}: {answer:?}");
        app.database.execute("update suspension set restored_at = clock_timestamp() where restored_at is null").await;
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        assert_eq!(events(&alice.workflow(&id).await), ["submitted", "approval_requested"], "{command}");
    }
}

#[tokio::test]
async fn suspending_an_approver_asks_again_about_queued_work() {
    let folder = tempfile::tempdir().unwrap();
    let (go, ran) = (folder.path().join("go"), folder.path().join("ran"));
    let script = format!("echo \"$PARKBRAKE_WORKFLOW_ID\" >> {}; while [ ! -e {} ]; do sleep 0.05; done", ran.display(), go.display());
    let runbook = format!(
        "runbooks:\n  slow: {{ operation: deploy, environment: production, resource_type: code, command: [/bin/sh, -c, '{script}'] }}"
    );
    let config = Config::new().with_runbooks(&runbook);
    let settings = parkbrake::settings::Settings { turns: 1, turns_per_requester: 1, ..crate::support::server::settings(&config) };
    let app = TestApp::launch(config, &settings, Database::migrated().await).await;
    let bot = app.client("deploy-bot");
    let task =
        json!({"description": "deploy", "operation": "deploy", "environment": "production", "action": {"type": "runbook", "name": "slow"}});
    let (first, second) = (bot.submit_id(task.clone()).await, bot.submit_id(task).await);
    app.client("tess").approve(&first).await.expect(200);
    bot.wait_for(&first, "executing").await;
    app.client("alice").approve(&second).await.expect(200);
    assert_eq!(bot.workflow(&second).await["status"], "queued");
    done(parkbrake(&app, &["person", "suspend", "alice"]).await);
    std::fs::write(&go, "").unwrap();
    let asked = bot.wait_for(&second, "pending_approval").await;
    let said = asked["history"].as_array().unwrap().last().unwrap().to_string();
    assert!(said.contains("alice is suspended"), "{said}");
    app.client("tess").approve(&second).await.expect(200);
    bot.wait_for(&second, "completed").await;
    let ran = std::fs::read_to_string(ran).unwrap();
    assert_eq!(ran.lines().collect::<Vec<_>>(), [first.as_str(), second.as_str()]);
}
