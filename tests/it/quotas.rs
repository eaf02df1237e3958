//! Quotas: how fast an agent may submit, and how many of its requests may wait for people.

use crate::support::client::{high, low, medium};
use crate::support::{Answer, Client, Config, TestApp, eventually};
use futures_util::future::join_all;
use reqwest::Method;
use std::time::Duration;

const PEOPLE: &str = "
people:
  alice: { roles: [team_lead] }
  tom:   { roles: [tech_lead] }
  tess:  { roles: [tech_lead] }
  cora:  { roles: [cto, admin] }
  nora:  { roles: [auditor] }
agents:
  deploy-bot: { on_behalf_of: tom }
  other-bot:  { on_behalf_of: tom, quotas: { pending: 2 } }
  lone-bot:   {}
";

pub async fn with_quotas(quotas: &str) -> TestApp {
    TestApp::with(Config::new().write("hitl/approval-policies.yaml", &format!("{PEOPLE}quotas: {quotas}\n"))).await
}

fn count(answers: &[Answer], status: u16) -> usize {
    answers.iter().filter(|answer| answer.status == status).count()
}

async fn submit_at_once(client: &Client, count: usize) -> Vec<Answer> {
    join_all((0..count).map(|_| client.post("/orchestrate", high()))).await
}

#[tokio::test]
async fn an_agent_submits_at_its_rate_and_learns_when_to_come_back() {
    let app = with_quotas("{ submits_per_minute: 30, burst: 5 }").await;
    let bot = app.client("deploy-bot");
    let answers = submit_at_once(&bot, 20).await;
    assert!((5..=6).contains(&count(&answers, 202)), "{answers:?}");
    let refused = answers.into_iter().find(|answer| answer.status == 429).expect("a refusal");
    let pause: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=2).contains(&pause), "two seconds fill one: {pause}");
    let problem = refused.problem(429, "rate-limited");
    assert!(
        problem["detail"].as_str().unwrap().contains("deploy-bot may submit 30 tasks and comments a minute, and 5 at once"),
        "{problem}"
    );
    // Each agent has its own quota, and people have none.
    assert_eq!(count(&submit_at_once(&app.client("lone-bot"), 5).await, 202), 5);
    assert_eq!(count(&submit_at_once(&app.client("alice"), 30).await, 202), 30);
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    bot.post("/orchestrate", low()).await.expect(202);
}

#[tokio::test]
async fn an_agent_at_its_limit_replaces_what_waits_and_has_no_more_waiting_than_before() {
    let app = with_quotas("{ pending: 1 }").await;
    let bot = app.client("deploy-bot");
    let mut id = bot.submit_id(high()).await;
    for _ in 0..3 {
        let mut task = high();
        task["supersedes"] = id.clone().into();
        id = bot.submit_id(task).await;
        bot.post("/orchestrate", high()).await.problem(429, "rate-limited");
    }
    let waiting = "select count(*) from workflow where approval_status = 'pending' and requested_by = 'deploy-bot'";
    assert_eq!(app.database.count(waiting).await, 1);
}

#[tokio::test]
async fn an_agent_has_so_much_waiting_and_no_more_however_much_comes_at_once() {
    let mut app = with_quotas("{ pending: 10 }").await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let answers = submit_at_once(&bot, 60).await;
    assert_eq!((count(&answers, 202), count(&answers, 429)), (10, 50));
    let refused = answers.into_iter().find(|answer| answer.status == 429).expect("a refusal");
    assert_eq!(refused.headers["retry-after"], "10");
    let problem = refused.problem(429, "rate-limited");
    assert!(problem["detail"].as_str().unwrap().contains("10 requests of deploy-bot wait for people"), "{problem}");
    let waiting = "select count(*) from workflow where approval_status = 'pending' and requested_by = 'deploy-bot'";
    assert_eq!(app.database.count(waiting).await, 10);

    // Requests without an approval are not limited, nor are other agents; and each decision makes
    // room for one.
    bot.post("/orchestrate", low()).await.expect(202);
    assert_eq!(count(&submit_at_once(&app.client("other-bot"), 5).await, 202), 2, "two, as it is written for this one");
    app.client("lone-bot").post("/orchestrate", medium()).await.expect(202);
    let listed = alice.get("/workflows/pending?limit=3").await.expect(200);
    let mine = bot.get("/workflows?status=pending_approval&requested_by=deploy-bot").await.expect(200);
    assert_eq!(listed["workflows"].as_array().unwrap().len(), 3);
    for workflow in &mine["workflows"].as_array().unwrap()[..2] {
        alice.reject(workflow["workflow_id"].as_str().unwrap()).await.expect(200);
    }
    assert_eq!(count(&submit_at_once(&bot, 8).await, 202), 2);

    // The quota is in the database, so that a restart forgets nothing.
    app.restart().await;
    let bot = app.client("deploy-bot");
    assert_eq!(count(&submit_at_once(&bot, 8).await, 202), 0);
    app.client("lone-bot").post("/orchestrate", high()).await.expect(202);
    assert_eq!(app.database.count(waiting).await, 10);
}

#[tokio::test]
async fn a_repeated_submit_gets_its_answer_again_and_uses_no_quota() {
    let app = with_quotas("{ pending: 1 }").await;
    let bot = app.client("deploy-bot");
    let submit = || bot.send(bot.request(Method::POST, "/orchestrate").header("idempotency-key", "the-one").json(&high()));
    let first = submit().await.expect(202);
    for _ in 0..3 {
        assert_eq!(submit().await.expect(202), first);
    }
    bot.post("/orchestrate", high()).await.problem(429, "rate-limited");
    app.client("alice").reject(first["workflow_id"].as_str().unwrap()).await.expect(200);
    assert_eq!(submit().await.expect(202), first);
    bot.post("/orchestrate", high()).await.expect(202);
}

#[tokio::test]
async fn requests_whose_answer_was_lost_are_counted_until_the_database_has_been_asked() {
    let app = with_quotas("{ pending: 3 }").await;
    let bot = app.client("deploy-bot");
    bot.submit_id(high()).await;
    let hold = app.database.hold("lock table workflow_event in exclusive mode").await;
    // Five clients that disconnect: two fit, and none is registered yet.
    join_all((0..5).map(|_| async {
        let request = bot.request(Method::POST, "/orchestrate").json(&high()).timeout(Duration::from_millis(300));
        let _ = bot.try_send(request).await;
    }))
    .await;
    bot.post("/orchestrate", high()).await.problem(429, "rate-limited");
    hold.release().await;
    let waiting = "select count(*) from workflow where approval_status = 'pending'";
    eventually("both are committed", || async { (app.database.count(waiting).await == 3).then_some(()) }).await;
    bot.post("/orchestrate", high()).await.problem(429, "rate-limited");
    assert_eq!(app.database.count(waiting).await, 3);
}
