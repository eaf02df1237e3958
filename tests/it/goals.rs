//! Reminders at shares of the goal.

use crate::notices::told_to;
use crate::support::client::high;
use crate::support::hook::Hook;
use crate::support::{Config, TestApp, eventually};
use serde_json::{Value, json};

const NEARS: &str = "approval.goal_nears";

/// A goal whose shares fall due when a test says so.
fn with_goal(hook: &Hook) -> Config {
    told_to(&[hook.channel("audit")]).with_policies("policies: { high: { goal: 10h, remind: [50%, 90%], expire_after: 24h } }")
}

/// Makes the reminder at a percentage of the goal due.
async fn falls_due(app: &TestApp, percent: u32) {
    let due = format!(
        "update notice set first_due_at = clock_timestamp(), due_at = clock_timestamp() where kind = '{NEARS}' and number = {percent} and status = 'pending'"
    );
    app.database.execute(&due).await;
}

fn percents(hook: &Hook) -> Vec<Value> {
    let nears = |body: &Value| (body["type"] == NEARS).then(|| body["data"]["goal_percent"].clone());
    hook.taken().iter().filter_map(|delivery| nears(&delivery.body)).collect()
}

#[tokio::test]
async fn each_goal_reminder_is_sent_once_despite_restarts() {
    let hook = Hook::start().await;
    let mut app = TestApp::with(with_goal(&hook)).await;
    let id = app.client("deploy-bot").submit_id(high()).await;
    hook.hears(&id, &["approval.requested"]).await;
    let planned =
        "select count(*) from notice where kind = 'approval.goal_nears' and first_due_at = created_at + interval '1 hour' * number / 10";
    assert_eq!(app.database.count(planned).await, 2, "at 50% and at 90% of ten hours");
    app.restart().await;
    falls_due(&app, 50).await;
    hook.hears(&id, &["approval.requested", NEARS]).await;
    app.restart().await;
    falls_due(&app, 50).await;
    falls_due(&app, 90).await;
    hook.hears(&id, &["approval.requested", NEARS, NEARS]).await;
    assert_eq!(percents(&hook), [json!(50), json!(90)]);
    let last = hook.taken().pop().unwrap().body;
    assert_eq!((&last["data"]["reminder"], &last["data"]["actor"]), (&Value::Null, &json!("parkbrake")));
    assert_eq!(last["data"]["asked"], json!(["alice", "tess"]));
    let nora = app.client("nora");
    let of_goal = eventually("both to be recorded", || async {
        let listed = nora.get("/notices?status=delivered").await.expect(200);
        let of_goal: Vec<Value> = listed["notices"].as_array()?.iter().filter(|notice| notice["type"] == NEARS).cloned().collect();
        (of_goal.len() == 2).then_some(of_goal)
    })
    .await;
    assert_eq!(of_goal.iter().map(|notice| &notice["goal_percent"]).collect::<Vec<_>>(), [&json!(90), &json!(50)]);
    assert!(of_goal.iter().all(|notice| notice["reminder"].is_null()));
}

#[tokio::test]
async fn a_decision_cancels_what_is_still_to_come_in_its_own_transaction() {
    let hook = Hook::start().await;
    let app = TestApp::with(with_goal(&hook)).await;
    let id = app.client("deploy-bot").submit_id(high()).await;
    let to_come = "select count(*) from notice where status = 'pending' and kind in ('approval.goal_nears', 'approval.expiring')";
    assert_eq!(app.database.count(to_come).await, 3);
    hook.hears(&id, &["approval.requested"]).await;
    app.client("alice").approve(&id).await.expect(200);
    assert_eq!(app.database.count(to_come).await, 0);
    hook.hears(&id, &["approval.requested", "approval.decided", "workflow.executing"]).await;
}

#[tokio::test]
async fn reminders_of_the_goal_rest_while_a_question_is_open() {
    let hook = Hook::start().await;
    let app = TestApp::with(with_goal(&hook)).await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let id = bot.submit_id(high()).await;
    let say = |text: &str, ask: bool| json!({"text": text, "ask": ask});
    alice.post(&format!("/workflows/{id}/comments"), say("Why now?", true)).await.expect(200);
    hook.hears(&id, &["approval.requested", "workflow.asked"]).await;
    falls_due(&app, 50).await;
    let rests =
        "select count(*) from notice where kind = 'approval.goal_nears' and number = 50 and attempts = 0 and due_at > clock_timestamp()";
    eventually("the reminder to rest", || async { (app.database.count(rests).await == 1).then_some(()) }).await;
    bot.post(&format!("/workflows/{id}/comments"), say("The backup is done.", false)).await.expect(200);
    falls_due(&app, 50).await;
    hook.hears(&id, &["approval.requested", "workflow.asked", "workflow.answered", NEARS]).await;
}

#[tokio::test]
async fn after_an_outage_only_the_latest_goal_reminder_is_sent() {
    let mut hook = Hook::down().await;
    let config = told_to(&[hook.channel("audit")]).with_policies("policies: { high: { goal: 2s, remind: [10%, 90%] } }");
    let app = TestApp::with(config).await;
    let id = app.client("deploy-bot").submit_id(high()).await;
    let passed = "select count(*) from notice where kind = 'approval.goal_nears' and first_due_at < clock_timestamp()";
    eventually("both shares to pass", || async { (app.database.count(passed).await == 2).then_some(()) }).await;
    hook.up().await;
    hook.hears(&id, &["approval.requested", NEARS]).await;
    assert_eq!(percents(&hook), [json!(90)]);
    let cancelled = app.client("nora").get("/notices?status=cancelled").await.expect(200);
    assert_eq!(cancelled["notices"][0]["error"], "a later share of the goal has passed as well");
}
