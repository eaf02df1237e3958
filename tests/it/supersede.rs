//! A task supersedes an earlier request of the same requester; and people are not asked again about
//! a task that was rejected recently.

use crate::support::called;
use crate::support::client::{at, events, high, low};
use crate::support::{Browser, Client, Config, TestApp};
use futures_util::future::join_all;
use serde_json::{Value, json};

/// The same deployment with another version, which supersedes an earlier request.
fn instead_of(id: &str) -> Value {
    let mut task = high();
    task["metadata"] = json!({"version": "1.4.3"});
    task["supersedes"] = json!(id);
    task
}

fn first() -> Value {
    let mut task = high();
    task["metadata"] = json!({"version": "1.4.2"});
    task
}

impl Client {
    async fn orchestrate(&self, task: Value) -> crate::support::Answer {
        self.post("/orchestrate", task).await
    }

    #[track_caller]
    fn waiting(&self) -> impl Future<Output = Vec<String>> {
        called(async move {
            let page = self.get("/workflows/pending").await.expect(200);
            page["workflows"].as_array().unwrap().iter().map(|one| one["workflow_id"].as_str().unwrap().to_owned()).collect()
        })
    }
}

#[tokio::test]
async fn a_task_takes_the_place_of_an_earlier_request_and_shows_what_is_different() {
    let app = TestApp::start().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let older = bot.submit_id(first()).await;
    let taken = bot.submit(instead_of(&older)).await;
    let newer = taken["workflow_id"].as_str().unwrap();
    assert_eq!(taken["status"], "pending_approval");
    assert_eq!(alice.waiting().await, [newer]);

    let (old, new) = (alice.workflow(&older).await, alice.workflow(newer).await);
    assert_eq!(
        (&old["status"], &old["approval_status"], &old["superseded_by"]),
        (&json!("superseded"), &json!("cancelled"), &json!(newer))
    );
    assert_eq!(events(&old), ["submitted", "approval_requested", "superseded"]);
    assert_eq!((&old["history"][2]["actor"], &old["history"][2]["detail"]["by"]), (&json!("deploy-bot"), &json!(newer)));
    let changed = json!({"workflow_id": older, "differences_left_out": 0, "differences": [
        {"pointer": "/metadata/version", "before": "\"1.4.2\"", "after": "\"1.4.3\""}]});
    assert_eq!((&new["supersedes"], &new["superseded_by"], &old["supersedes"]), (&changed, &json!(null), &json!(null)));
    assert!(at(&old, "superseded") <= at(&new, "submitted"));
    assert!(!new["task"].as_object().unwrap().contains_key("supersedes"), "it is no part of what people approve");

    let problem = alice.approve(&older).await.problem(409, "wrong-state");
    assert_eq!(problem["current_status"], "superseded");
    assert!(problem["detail"].as_str().unwrap().contains(newer), "{problem}");
    bot.post(&format!("/workflows/{older}/cancel"), json!({})).await.problem(409, "wrong-state");
    assert_eq!(bot.get("/workflows?status=superseded").await.expect(200)["workflows"][0]["workflow_id"], older.as_str());
    alice.approve(newer).await.expect(200);

    let browser = Browser::of(app.addr, "alice").await;
    browser
        .get(&format!("/inbox/workflows/{newer}"))
        .await
        .expect(200)
        .has("the request that it superseded")
        .has("version</code></th>")
        .has("1.4.2");
    browser.get(&format!("/inbox/workflows/{older}")).await.expect(200).has("superseded it with").lacks("Approve exactly this");
    browser.get("/inbox/history?status=superseded").await.expect(200).has(&older);
}

#[tokio::test]
async fn only_the_same_requester_takes_the_place_of_what_still_waits() {
    let app = TestApp::start().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let older = bot.submit_id(first()).await;
    for (name, status, code) in
        [("other-bot", 403, "not-permitted"), ("tom", 403, "not-permitted"), ("lone-bot", 404, "workflow-not-found")]
    {
        app.client(name).orchestrate(instead_of(&older)).await.problem(status, code);
    }
    bot.orchestrate(instead_of("not-an-id")).await.problem(422, "invalid-task");
    bot.orchestrate(instead_of(&uuid::Uuid::now_v7().to_string())).await.problem(404, "workflow-not-found");
    let alone = bot.submit_id(low()).await;
    assert_eq!(bot.orchestrate(instead_of(&alone)).await.problem(409, "wrong-state")["current_status"], "executing");
    assert_eq!(alice.waiting().await, [older.as_str()], "nothing was parked");

    alice.approve(&older).await.expect(200);
    let problem = bot.orchestrate(instead_of(&older)).await.problem(409, "already-decided");
    assert_eq!((&problem["decision"]["approver"], &problem["decision"]["verdict"]), (&json!("alice"), &json!("approved")));
    let second = bot.submit_id(first()).await;
    let third = bot.submit_id(instead_of(&second)).await;
    let problem = bot.orchestrate(instead_of(&second)).await.problem(409, "wrong-state");
    assert!(problem["detail"].as_str().unwrap().contains(&third), "{problem}");
    assert_eq!(alice.waiting().await, [third]);
}

#[tokio::test]
async fn a_task_without_approval_supersedes_a_pending_one_and_is_released() {
    let app = TestApp::start().await;
    let bot = app.client("deploy-bot");
    let older = bot.submit_id(first()).await;
    let mut task = low();
    task["supersedes"] = json!(older);
    assert_eq!(bot.submit(task).await["status"], "executing");
    assert_eq!(bot.workflow(&older).await["status"], "superseded");
}

#[tokio::test]
async fn the_same_key_gives_the_first_answer_and_supersedes_once() {
    let app = TestApp::start().await;
    let bot = app.client("deploy-bot");
    let older = bot.submit_id(first()).await;
    let send = async || {
        let request = bot.request(reqwest::Method::POST, "/orchestrate").header("idempotency-key", "instead").json(&instead_of(&older));
        bot.send(request).await
    };
    let (one, two) = tokio::join!(send(), send());
    let first = [&one, &two].into_iter().find(|answer| answer.status == 202).expect("one of them");
    for answer in [&one, &two, &send().await] {
        assert!(answer.text == first.text || answer.body["code"] == "idempotency-key-in-use", "{}", answer.text);
    }
    assert_eq!(app.database.count("select count(*) from workflow").await, 2);
}

/// Exactly one wins: the decision about the old request, or the task that supersedes it. At no time
/// do both wait, or neither.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_decision_and_a_task_that_takes_the_place_at_the_same_moment_one_wins() {
    let app = TestApp::start().await;
    let (bot, alice) = (app.client("lone-bot"), app.client("alice"));
    let ids = join_all((0..32).map(|_| bot.submit_id(first()))).await;
    join_all(ids.iter().enumerate().map(|(turn, id)| {
        let (bot, alice) = (&bot, &alice);
        async move {
            let (yes, instead) = if turn % 2 == 0 {
                tokio::join!(alice.approve(id), bot.orchestrate(instead_of(id)))
            } else {
                let (instead, yes) = tokio::join!(bot.orchestrate(instead_of(id)), alice.approve(id));
                (yes, instead)
            };
            let old = bot.workflow(id).await;
            if instead.status == 202 {
                assert_eq!(old["superseded_by"], instead.body["workflow_id"]);
                assert_eq!(yes.problem(409, "wrong-state")["current_status"], "superseded");
                assert_eq!(events(&old), ["submitted", "approval_requested", "superseded"]);
            } else {
                assert_eq!(instead.problem(409, "already-decided")["decision"]["approver"], "alice");
                assert_eq!((yes.status.as_u16(), &old["status"]), (200, &json!("executing")));
            }
        }
    }))
    .await;
    let olds: i64 = app.database.count("select count(*) from workflow where status in ('superseded', 'executing')").await;
    let news = app.database.count("select count(*) from workflow where status = 'pending_approval'").await;
    let superseded = app.database.count("select count(*) from workflow where status = 'superseded'").await;
    assert_eq!((olds, news), (32, superseded), "as many wait as have taken a place");
}

fn remembering() -> Config {
    Config::new().with_policies("policies: { high: { rejected_memory: 1h } }")
}

#[tokio::test]
async fn a_recently_rejected_task_is_refused_without_asking_again() {
    let app = TestApp::with(remembering()).await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let id = bot.submit_id(first()).await;
    alice.reject(&id).await.expect(200);
    let problem = bot.orchestrate(first()).await.problem(409, "already-rejected");
    let decision = &problem["decision"];
    assert_eq!((&decision["approver"], &decision["justification"]), (&json!("alice"), &json!("not today")));
    assert_eq!(problem["workflow_id"], id.as_str());
    assert_eq!(app.database.count("select count(*) from workflow").await, 1, "nothing was parked");

    // People are asked about another task, another requester, and another level.
    assert_eq!(bot.submit(instead_of_nothing()).await["status"], "pending_approval");
    assert_eq!(app.client("other-bot").submit(first()).await["status"], "pending_approval");
    // Nor does superseding another one release it.
    let other = bot.submit_id(instead_of_nothing()).await;
    let mut again = first();
    again["supersedes"] = json!(other);
    bot.orchestrate(again).await.problem(409, "already-rejected");
    assert_eq!(bot.workflow(&other).await["status"], "pending_approval", "it keeps its place");

    // The rejection is remembered by the database's clock.
    app.database.execute("update workflow set resolved_at = resolved_at - interval '61 minutes' where status = 'rejected'").await;
    assert_eq!(bot.submit(first()).await["status"], "pending_approval");
}

fn instead_of_nothing() -> Value {
    let mut task = first();
    task["metadata"]["version"] = json!("1.4.4");
    task
}

#[tokio::test]
async fn a_key_that_was_answered_is_answered_the_same_after_the_rejection() {
    let app = TestApp::with(remembering()).await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let send = async || {
        let request = bot.request(reqwest::Method::POST, "/orchestrate").header("idempotency-key", "once").json(&first());
        bot.send(request).await
    };
    let answer = send().await;
    alice.reject(answer.body["workflow_id"].as_str().unwrap()).await.expect(200);
    assert_eq!(send().await.text, answer.text);
    bot.orchestrate(first()).await.problem(409, "already-rejected");
}

#[tokio::test]
async fn without_a_memory_the_same_is_asked_again() {
    let app = TestApp::start().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let id = bot.submit_id(first()).await;
    alice.reject(&id).await.expect(200);
    assert_eq!(bot.submit(first()).await["status"], "pending_approval");
}
