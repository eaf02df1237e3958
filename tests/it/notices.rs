//! Notices to programs: written with their events, delivered once committed, whatever fails in
//! between.

mod configuration;
mod deadlines;

use crate::support::called;
use crate::support::client::{critical, high, low};
use crate::support::hook::{Hook, Reply};
use crate::support::{Config, Database, Process, TestApp, eventually};
use serde_json::{Value, json};
use std::time::Duration;

const RULES: &str = "
risk_levels:
  low:      { auto_approve: true,  notify: false }
  medium:   { auto_approve: false, notify: true, approvers: [team_lead] }
  high:     { auto_approve: false, notify: true, approvers: [team_lead, tech_lead] }
  critical: { auto_approve: false, notify: true, approvers: [tech_lead, cto], require_justification: true }
";

/// A configuration that sends the notices of all levels to these channels.
pub fn told_to(channels: &[String]) -> Config {
    let names: Vec<&str> = channels.iter().filter_map(|channel| channel.trim().split_once(':')).map(|(name, _)| name).collect();
    let names = names.join(", ");
    let channels = channels.concat();
    Config::new().with_rules(RULES).write(
        "notifications.yaml",
        &format!("public_url: https://parkbrake.example.com/\nchannels:\n{channels}routes: [ {{ levels: [low, medium, high, critical], channels: [{names}] }} ]\n"),
    )
}

async fn told_to_one() -> (Hook, TestApp) {
    let hook = Hook::start().await;
    let app = TestApp::with(told_to(&[hook.channel("audit")])).await;
    (hook, app)
}

#[track_caller]
fn notices(app: &TestApp, query: &str) -> impl Future<Output = Vec<Value>> {
    called(
        async move { app.client("nora").get(&format!("/notices{query}")).await.expect(200)["notices"].as_array().expect("a list").clone() },
    )
}

/// Waits until the one notice of a kind has a status.
async fn becomes(app: &TestApp, kind: &str, status: &str) -> Value {
    eventually(&format!("{kind} {status}"), || async {
        notices(app, "").await.into_iter().find(|notice| notice["type"] == kind && notice["status"] == status)
    })
    .await
}

#[tokio::test]
async fn a_webhook_gets_every_notice_of_a_workflow_in_order_and_signed() {
    let (hook, app) = told_to_one().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let id = bot.submit_id(high()).await;
    hook.hears(&id, &["approval.requested"]).await;
    alice.approve(&id).await.expect(200);
    bot.post(&format!("/workflows/{id}/result"), json!({"outcome": "succeeded"})).await.expect(200);
    hook.hears(&id, &["approval.requested", "approval.decided", "workflow.executing", "workflow.succeeded"]).await;
    let taken = hook.taken();
    let data = |index: usize| &taken[index].body["data"];
    let workflow = alice.workflow(&id).await;
    for delivery in &taken {
        assert_eq!(delivery.body["data"]["digest"], workflow["digest"]);
        assert_eq!(delivery.body["data"]["link"], format!("https://parkbrake.example.com/inbox/workflows/{id}"));
    }
    let states: Vec<_> =
        taken.iter().map(|delivery| (delivery.body["data"]["status"].clone(), delivery.body["data"]["approval_status"].clone())).collect();
    let expected = [("pending_approval", "pending"), ("queued", "approved"), ("executing", "approved"), ("completed", "approved")];
    assert_eq!(states, expected.map(|(status, approval)| (json!(status), json!(approval))), "each as it was at its event");
    assert_eq!(
        (&data(0)["asked"], &data(0)["risk_level"], &data(0)["requested_by"]),
        (&json!(["alice", "tess"]), &json!("high"), &json!("deploy-bot"))
    );
    assert_eq!((&data(1)["decision"]["approver"], &data(1)["actor"], &data(1)["asked"]), (&json!("alice"), &json!("alice"), &json!([])));
    assert_eq!(taken[0].body["timestamp"], workflow["history"][1]["at"]);
    assert_eq!(notices(&app, &format!("?workflow_id={id}&status=delivered")).await.len(), 4);
    let metrics = alice.get("/metrics").await.expect(200);
    assert!(metrics.as_str().unwrap().contains("parkbrake_notices_delivered_total{channel=\"audit\"} 4"), "{metrics}");
}

#[tokio::test]
async fn levels_with_notify_false_send_no_notices() {
    let (hook, app) = told_to_one().await;
    let quiet = app.client("deploy-bot").submit_id(low()).await;
    let loud = app.client("deploy-bot").submit_id(high()).await;
    hook.hears(&loud, &["approval.requested"]).await;
    assert_eq!(hook.told(&quiet), Vec::<String>::new());
    assert_eq!(notices(&app, &format!("?workflow_id={quiet}")).await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_failed_delivery_is_repeated_with_the_same_id_before_later_notices() {
    let (hook, app) = told_to_one().await;
    hook.always(Reply::Status(500));
    let id = app.client("deploy-bot").submit_id(high()).await;
    hook.attempted(1).await;
    app.client("tess").reject(&id).await.expect(200);
    // The request was never accepted, so nobody is asked any more. One attempt may still be on its
    // way when the decision is committed; later notices are tried only after it.
    let decided = || async { hook.attempts().iter().any(|attempt| attempt.kind() == "approval.decided").then_some(()) };
    eventually("an attempt at the decision", decided).await;
    hook.always(Reply::Status(204));
    hook.hears(&id, &["approval.decided"]).await;
    becomes(&app, "approval.requested", "cancelled").await;
    let attempts = hook.attempts();

    hook.then([Reply::Status(500), Reply::With(302, "location", "/elsewhere")]);
    let next = app.client("deploy-bot").submit_id(high()).await;
    hook.hears(&next, &["approval.requested"]).await;
    let of_next: Vec<_> = hook.attempts().split_off(attempts.len()).into_iter().map(|attempt| (attempt.id, attempt.answered)).collect();
    assert_eq!(of_next.iter().map(|(_, answered)| answered.unwrap()).collect::<Vec<_>>(), [500, 302, 204], "a redirect is a failure");
    assert!(of_next.iter().all(|(id, _)| *id == of_next[0].0), "{of_next:?}");
    let delivered = becomes(&app, "approval.requested", "delivered").await;
    assert_eq!((&delivered["attempts"], &delivered["error"]), (&json!(3), &Value::Null));
    assert_eq!(of_next[0].0, format!("msg_{}", delivered["notice_id"].as_str().unwrap().replace('-', "")));
}

#[tokio::test]
async fn notices_of_one_workflow_are_delivered_in_order() {
    let hook = Hook::start().await;
    let app = TestApp::with(told_to(&[hook.channel("audit")])).await;
    let bot = app.client("deploy-bot");
    let id = bot.submit_id(high()).await;
    hook.hears(&id, &["approval.requested"]).await;
    hook.then([Reply::Status(503), Reply::Status(503), Reply::Status(503)]);
    app.client("alice").approve(&id).await.expect(200);
    bot.post(&format!("/workflows/{id}/result"), json!({"outcome": "failed", "error": "no"})).await.expect(200);
    hook.hears(&id, &["approval.requested", "approval.decided", "workflow.executing", "workflow.failed"]).await;
    let failed: Vec<_> =
        hook.attempts().into_iter().filter(|attempt| attempt.answered == Some(503)).map(|attempt| attempt.body["type"].clone()).collect();
    assert_eq!(failed, ["approval.decided", "approval.decided", "approval.decided"], "what comes after is not tried before");
}

#[tokio::test]
async fn the_other_side_is_left_alone_for_as_long_as_it_asks() {
    let (hook, app) = told_to_one().await;
    hook.then([Reply::With(429, "retry-after", "2")]);
    let bot = app.client("deploy-bot");
    bot.submit_id(high()).await;
    hook.attempted(1).await;
    bot.submit_id(high()).await;
    let attempts = hook.attempted(3).await;
    assert!(attempts[1].at - attempts[0].at >= Duration::from_millis(1_900), "for the channel as a whole, not only for what was refused");
}

#[tokio::test]
async fn a_notice_undelivered_for_a_day_is_dead_and_can_be_resent() {
    let (hook, app) = told_to_one().await;
    hook.always(Reply::Status(500));
    let (bot, cora, nora) = (app.client("deploy-bot"), app.client("cora"), app.client("nora"));
    let id = bot.submit_id(high()).await;
    hook.attempted(1).await;
    app.database.execute("update notice set first_due_at = first_due_at - interval '25 hours' where kind = 'approval.requested'").await;
    let dead = becomes(&app, "approval.requested", "dead").await;
    assert!(dead["error"].as_str().unwrap().contains("500") && dead["attempts"].as_u64().unwrap() >= 1, "{dead}");
    assert_eq!(notices(&app, "?status=dead&channel=audit").await, std::slice::from_ref(&dead));
    assert_eq!(notices(&app, "?status=dead&channel=other").await, Vec::<Value>::new());
    let metrics = nora.get("/metrics").await.expect(200);
    assert!(metrics.as_str().unwrap().contains("parkbrake_notices_dead_total{channel=\"audit\"} 1"), "{metrics}");

    hook.always(Reply::Status(204));
    let path = format!("/notices/{}/resend", dead["notice_id"].as_str().unwrap());
    nora.post(&path, json!({})).await.problem(403, "not-permitted");
    bot.post(&path, json!({})).await.problem(403, "not-permitted");
    bot.get("/notices").await.problem(403, "not-permitted");
    cora.post(&path, json!({"now": true})).await.problem(422, "invalid-task");
    let again = cora.post(&path, json!({})).await.expect(200)["notice"].clone();
    assert_eq!((&again["status"], &again["attempts"], &again["resends"]), (&json!("pending"), &json!(0), &json!(1)));
    hook.hears(&id, &["approval.requested"]).await;
    becomes(&app, "approval.requested", "delivered").await;
    // A delivered notice can be sent again, with the same id, as long as it is still true.
    cora.post(&path, json!({})).await.expect(200);
    hook.hears(&id, &["approval.requested", "approval.requested"]).await;
    let taken = hook.taken();
    assert_eq!(taken[0].id, taken[1].id);
    cora.reject(&id).await.problem(403, "not-an-approver");
    app.client("alice").reject(&id).await.expect(200);
    hook.hears(&id, &["approval.requested", "approval.requested", "approval.decided"]).await;
    let refused = cora.post(&path, json!({})).await.problem(409, "wrong-state");
    assert_eq!(refused["current_status"], "delivered");
    cora.post("/notices/no-id/resend", json!({})).await.problem(404, "notice-not-found");
    cora.post(&format!("/notices/{id}/resend"), json!({})).await.problem(404, "notice-not-found");
}

#[tokio::test]
async fn a_pending_notice_cannot_be_resent_and_lists_have_pages() {
    let hook = Hook::down().await;
    let app = TestApp::with(told_to(&[hook.channel("audit")])).await;
    let ids = [app.client("deploy-bot").submit_id(high()).await, app.client("deploy-bot").submit_id(high()).await];
    let cora = app.client("cora");
    let first = cora.get("/notices?limit=3").await.expect(200);
    let rest = cora.get(&format!("/notices?limit=3&cursor={}", first["next_cursor"].as_str().unwrap())).await.expect(200);
    let all: Vec<_> = [&first, &rest].into_iter().flat_map(|page| page["notices"].as_array().unwrap()).collect();
    assert_eq!((all.len(), &rest["next_cursor"]), (4, &Value::Null), "a request and its reminder for each");
    assert!(all.iter().take(2).all(|notice| notice["workflow_id"] == ids[1]), "the newest first");
    let waiting = format!("/notices/{}/resend", all[0]["notice_id"].as_str().unwrap());
    assert_eq!(cora.post(&waiting, json!({})).await.problem(409, "wrong-state")["current_status"], "pending");
    for query in ["?status=lost", "?workflow_id=x", "?cursor=x", "?limit=0", "?sort=x"] {
        cora.get(&format!("/notices{query}")).await.problem(422, "invalid-task");
    }
}

#[tokio::test]
async fn a_decision_cancels_what_has_not_been_asked() {
    let mut hook = Hook::down().await;
    let app = TestApp::with(told_to(&[hook.channel("audit")])).await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(bot.submit_id(high()).await);
    }
    alice.approve(&ids[0]).await.expect(200);
    alice.reject(&ids[1]).await.expect(200);
    bot.post(&format!("/workflows/{}/cancel", ids[2]), json!({})).await.expect(200);
    let asking = "select count(*) from notice where status = 'pending' and kind in ('approval.requested', 'approval.reminded')";
    assert_eq!(app.database.count(asking).await, 0, "in the transaction of the decision");
    hook.up().await;
    hook.hears(&ids[0], &["approval.decided", "workflow.executing"]).await;
    hook.hears(&ids[1], &["approval.decided"]).await;
    hook.hears(&ids[2], &["workflow.cancelled"]).await;
}

#[tokio::test]
async fn a_channel_that_does_not_answer_delays_only_itself() {
    let (stuck, refusing, quick) = (Hook::start().await, Hook::down().await, Hook::start().await);
    stuck.always(Reply::Silence);
    let app = TestApp::with(told_to(&[stuck.channel("a"), refusing.channel("b"), quick.channel("c")])).await;
    for _ in 0..5 {
        let id = app.client("deploy-bot").submit_id(high()).await;
        quick.hears(&id, &["approval.requested"]).await;
        assert_eq!(
            app.database.count("select count(*) from notice where channel = 'a' and attempts > 0").await,
            0,
            "it has not even failed"
        );
    }
    assert_eq!(stuck.attempts().len(), 1, "one delivery at a time");
}

#[tokio::test]
async fn a_destination_that_is_gone_gets_nothing_more_until_a_restart() {
    let (hook, mut app) = told_to_one().await;
    hook.then([Reply::Status(500), Reply::Status(410)]);
    let bot = app.client("deploy-bot");
    let mut ids = vec![bot.submit_id(high()).await];
    hook.attempted(2).await;
    ids.push(bot.submit_id(high()).await);
    let dead = eventually("both dead", || async { Some(notices(&app, "?status=dead").await).filter(|dead| dead.len() == 2) }).await;
    assert!(dead.iter().all(|notice| notice["error"].as_str().unwrap().contains("410 Gone")), "{dead:#?}");
    assert_eq!(hook.attempts().len(), 2, "the second was not even tried");

    app.restart().await;
    let cora = app.client("cora");
    for notice in &dead {
        cora.post(&format!("/notices/{}/resend", notice["notice_id"].as_str().unwrap()), json!({})).await.expect(200);
    }
    for id in &ids {
        hook.hears(id, &["approval.requested"]).await;
    }
}

#[tokio::test]
async fn a_server_that_is_killed_before_the_delivery_has_lost_nothing() {
    let hook = Hook::start().await;
    hook.then([Reply::Silence]);
    let (config, database) = (told_to(&[hook.channel("audit")]), Database::migrated().await);
    let server = Process::serve(&config, &database).await;
    let id = server.client("deploy-bot").submit_id(high()).await;
    // It is on its way, and nobody has confirmed it.
    let first = hook.attempted(1).await.remove(0);
    server.kill().await;
    let server = Process::serve(&config, &database).await;
    hook.hears(&id, &["approval.requested"]).await;
    assert_eq!(hook.taken()[0].id, first.id, "a receiver can tell that it is the same");
    assert!(server.terminate().await);
}

#[tokio::test]
async fn an_outage_of_every_channel_and_a_restart_lose_nothing() {
    let (mut one, mut two) = (Hook::down().await, Hook::down().await);
    let mut app = TestApp::with(told_to(&[one.channel("one"), two.channel("two")])).await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let mut ids = Vec::new();
    for _ in 0..6 {
        ids.push(bot.submit_id(high()).await);
    }
    alice.reject(&ids[0]).await.expect(200);
    app.restart().await;
    app.client("alice").approve(&ids[1]).await.expect(200);
    ids.push(app.client("deploy-bot").submit_id(critical()).await);
    app.database.execute("update notice set due_at = clock_timestamp() where status = 'pending' and kind <> 'approval.reminded'").await;
    one.up().await;
    two.up().await;
    for hook in [&one, &two] {
        hook.hears(&ids[0], &["approval.decided"]).await;
        hook.hears(&ids[1], &["approval.decided", "workflow.executing"]).await;
        for id in &ids[2..] {
            hook.hears(id, &["approval.requested"]).await;
        }
        let mut seen: Vec<_> = hook.taken().into_iter().map(|delivery| delivery.id).collect();
        seen.sort();
        let all = seen.len();
        seen.dedup();
        assert_eq!(seen.len(), all, "each once");
    }
    assert_eq!(app.database.count("select count(*) from notice where status = 'dead'").await, 0);
}
