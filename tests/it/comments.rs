//! What people and agents say about a workflow, apart from decisions.

use crate::notices::told_to;
use crate::quotas::with_quotas;
use crate::support::client::{events, high, low};
use crate::support::hook::Hook;
use crate::support::{Answer, Browser, Client, Config, TestApp, eventually};
use serde_json::{Value, json};

impl Client {
    async fn comment(&self, id: &str, text: &str, ask: bool) -> Answer {
        self.post(&format!("/workflows/{id}/comments"), json!({"text": text, "ask": ask})).await
    }
}

fn said(workflow: &Value) -> Vec<(&str, &str, bool)> {
    workflow["comments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["author"].as_str().unwrap(), one["text"].as_str().unwrap(), one["ask"].as_bool().unwrap()))
        .collect()
}

#[tokio::test]
async fn a_question_is_asked_and_answered_and_decides_nothing() {
    let app = TestApp::with(Config::new().with_policies("policies: { high: { required: 2 } }")).await;
    let (bot, alice, tess) = (app.client("deploy-bot"), app.client("alice"), app.client("tess"));
    let id = bot.submit_id(high()).await;
    alice.approve(&id).await.expect(200);
    let waits = {
        let (bot, id) = (bot.clone(), id.clone());
        tokio::spawn(async move { bot.get(&format!("/workflows/{id}/wait?since=3&timeout=30s")).await.expect(200) })
    };
    let asked = alice.comment(&id, " Why not after the backup?\n", true).await;
    assert_eq!(asked.body, json!({"success": true, "workflow_id": id, "version": 4}));
    let woken = waits.await.unwrap();
    let question = &woken["workflow"]["question"];
    assert_eq!((&woken["workflow"]["version"], &question["by"]), (&json!(4), &json!("alice")));
    assert_eq!(alice.comment(&id, "Why not after the backup?", true).await.text, asked.text, "the same again is the same comment");

    bot.comment(&id, "It is running already", false).await.expect(200);
    let workflow = alice.workflow(&id).await;
    assert_eq!(said(&workflow), [("alice", "Why not after the backup?", true), ("deploy-bot", "It is running already", false)]);
    assert_eq!((&workflow["question"], &workflow["status"]), (&json!(null), &json!("pending_approval")));
    assert_eq!(workflow["approval"]["approvals"], 1, "the approval from before stands");
    let digest = workflow["digest"].clone();
    let approved = tess.post(&format!("/workflows/{id}/approve"), json!({"digest": digest})).await.expect(200);
    assert_eq!(approved["status"], "approved");
    assert_eq!(
        events(&tess.workflow(&id).await),
        ["submitted", "approval_requested", "approved", "commented", "commented", "approved", "execution_started"]
    );
}

#[tokio::test]
async fn everybody_with_access_comments_within_limits() {
    let app = TestApp::start().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let id = bot.submit_id(high()).await;
    app.client("nora").comment(&id, "I am only reading", false).await.expect(200);
    app.client("other-bot").comment(&id, "of the same person", false).await.expect(200);
    app.client("lone-bot").comment(&id, "hello?", false).await.problem(404, "workflow-not-found");
    for own in ["deploy-bot", "tom"] {
        app.client(own).comment(&id, "may I?", true).await.problem(403, "not-permitted");
    }
    for empty in ["", " \n", "\u{200b}\u{feff}"] {
        assert_eq!(alice.comment(&id, empty, false).await.problem(422, "invalid-task")["errors"][0]["pointer"], "/text");
    }
    alice.comment(&id, &"x".repeat(4 * 1024 + 1), false).await.problem(422, "invalid-task");
    alice.post(&format!("/workflows/{id}/comments"), json!({"ask": true})).await.problem(422, "invalid-task");
    alice.comment(&id, &"x".repeat(4 * 1024), false).await.expect(200);
    for turn in 3..200 {
        alice.comment(&id, &format!("once more, {turn}"), false).await.expect(200);
    }
    let problem = alice.comment(&id, "and again", false).await.problem(409, "wrong-state");
    assert!(problem["detail"].as_str().unwrap().contains("200 comments"), "{problem}");
    assert_eq!(alice.approve(&id).await.expect(200)["status"], "approved");
}

#[tokio::test]
async fn an_agent_comments_within_its_quota() {
    let app = with_quotas("{ submits_per_minute: 1, burst: 2 }").await;
    let bot = app.client("lone-bot");
    let id = bot.submit_id(low()).await;
    bot.comment(&id, "one", false).await.expect(200);
    bot.comment(&id, "two", false).await.problem(429, "rate-limited");
    app.client("alice").comment(&id, "people have none", false).await.expect(200);
}

/// Each comment is a commit; if one of them moved the deadline, it would never come.
#[tokio::test]
async fn comments_move_no_deadline() {
    let app = TestApp::with(Config::new().with_policies("policies: { low: { report_within: 2s } }")).await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let id = bot.submit_id(low()).await;
    for turn in 0..150 {
        alice.comment(&id, &format!("how far is it? {turn}"), true).await.expect(200);
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        if events(&bot.workflow(&id).await).contains(&"report_requested") {
            return;
        }
    }
    panic!("the requester was never asked to report: {:#}", bot.workflow(&id).await);
}

#[tokio::test]
async fn people_comment_after_the_end_and_nothing_else_can_follow() {
    let app = TestApp::start().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let id = bot.submit_id(low()).await;
    alice.comment(&id, "how far is it?", true).await.expect(200);
    bot.post(&format!("/workflows/{id}/result"), json!({"outcome": "failed", "error": "no"})).await.expect(200);
    alice.comment(&id, "what went wrong?", true).await.expect(200);
    bot.comment(&id, "the disk was full", false).await.expect(200);
    let workflow = alice.workflow(&id).await;
    assert_eq!((&workflow["status"], workflow["comments"].as_array().unwrap().len()), (&json!("failed"), 3));
    assert_eq!(app.database.count("select count(*) from workflow where report_due_at is not null").await, 0);
    bot.post(&format!("/workflows/{id}/result"), json!({"outcome": "succeeded"})).await.problem(409, "wrong-state");
    for end in ["cancelled", "rejected"] {
        let id = bot.submit_id(high()).await;
        match end {
            "cancelled" => drop(bot.post(&format!("/workflows/{id}/cancel"), json!({})).await.expect(200)),
            _ => drop(alice.reject(&id).await.expect(200)),
        }
        alice.comment(&id, "a pity", false).await.expect(200);
        assert_eq!(alice.workflow(&id).await["status"], end);
        alice.approve(&id).await.problem(409, if end == "rejected" { "already-decided" } else { "wrong-state" });
    }
}

/// Sent to a program, which receives everything.
#[tokio::test]
async fn reminders_rest_while_a_question_is_open_and_go_on_once_it_is_answered() {
    let hook = Hook::start().await;
    let app = TestApp::with(told_to(&[hook.channel("audit")])).await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let id = bot.submit_id(high()).await;
    hook.hears(&id, &["approval.requested"]).await;
    alice.comment(&id, "Why now?", true).await.expect(200);
    hook.hears(&id, &["approval.requested", "workflow.asked"]).await;
    let asked = hook.taken().pop().unwrap().body;
    assert_eq!((&asked["data"]["comment"], &asked["data"]["actor"]), (&json!("Why now?"), &json!("alice")));

    let fall_due = "update notice set first_due_at = clock_timestamp(), due_at = clock_timestamp() where kind = 'approval.reminded'";
    app.database.execute(fall_due).await;
    let rests = "select count(*) from notice where kind = 'approval.reminded' and status = 'pending' and attempts = 0 and due_at > clock_timestamp()";
    eventually("the reminder to rest", || async { (app.database.count(rests).await == 1).then_some(()) }).await;
    assert!(!hook.told(&id).contains(&"approval.reminded".to_owned()));

    bot.comment(&id, "Because it burns", false).await.expect(200);
    app.database.execute(fall_due).await;
    hook.hears(&id, &["approval.requested", "workflow.asked", "workflow.answered", "approval.reminded"]).await;
}

#[tokio::test]
async fn an_unanswered_question_pauses_reminders_for_at_most_an_hour() {
    let hook = Hook::start().await;
    let app = TestApp::with(told_to(&[hook.channel("audit")])).await;
    let id = app.client("deploy-bot").submit_id(high()).await;
    app.client("alice").comment(&id, "Why now?", true).await.expect(200);
    let workflow = app.client("alice").workflow(&id).await;
    let until = crate::support::client::time(&workflow["question"]["reminders_rest_until"]);
    assert_eq!(until - crate::support::client::time(&workflow["question"]["at"]), chrono::TimeDelta::hours(1));
}

#[tokio::test]
async fn people_comment_in_the_inbox_and_what_cannot_be_seen_is_shown_by_its_number() {
    let app = TestApp::start().await;
    let id = app.client("deploy-bot").submit_id(high()).await;
    let (alice, path) = (Browser::of(app.addr, "alice").await, format!("/inbox/workflows/{id}"));
    let page = alice.get(&path).await.expect(200);
    page.has("Ask the requester a question");
    let done = alice.submit(&page, &format!("{path}/comments"), &[("text", "safe\u{202e}<b>?"), ("ask", "yes")]).await;
    let shown = alice.get(done.location()).await.expect(200);
    shown.has("can read your comment").has("safe&lt;U+202E&gt;&lt;b&gt;?").has("A question of alice is open");
    let empty = alice.submit(&page, &format!("{path}/comments"), &[("text", "\u{200b}")]).await.expect(422);
    empty.has("has no visible text");
    assert_eq!(app.client("alice").workflow(&id).await["comments"][0]["via"], "inbox");
    Browser::of(app.addr, "tom").await.get(&path).await.expect(200).lacks("Ask the requester a question");
}
