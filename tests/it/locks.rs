//! Locks: one transaction makes only those wait that need the same row, and a lost answer is not a
//! lost commit.

use crate::support::called;
use crate::support::client::{events, high};
use crate::support::proxy::{Fault, Proxy};
use crate::support::server::settings;
use crate::support::{Answer, Client, Config, Database, TestApp};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The time of an unblocked commit, even on a busy machine. Waiting for the lock would take
/// seconds.
const SOON: Duration = Duration::from_secs(1);

fn named(name: &str) -> Value {
    let mut task = high();
    task["task_id"] = json!(name);
    task
}

/// Submits and approves for a while, one after the other, and returns the longest time that an
/// answer took.
#[track_caller]
fn slowest(bot: &Client, alice: &Client, rounds: usize) -> impl Future<Output = Duration> {
    called(async move {
        let mut slowest = Duration::ZERO;
        for _ in 0..rounds {
            let began = Instant::now();
            let id = bot.submit_id(high()).await;
            slowest = slowest.max(began.elapsed());
            let began = Instant::now();
            alice.approve(&id).await.expect(200);
            slowest = slowest.max(began.elapsed());
        }
        slowest
    })
}

async fn submit_with_key(bot: &Client, key: &str) -> Answer {
    bot.send(bot.request(Method::POST, "/orchestrate").header("idempotency-key", key).json(&high())).await
}

#[tokio::test]
async fn a_locked_row_makes_only_its_own_decision_wait() {
    let app = TestApp::start().await;
    let (bot, alice, tom) = (app.client("deploy-bot"), app.client("alice"), app.client("tess"));
    let held = bot.submit_id(named("held")).await;
    let hold = app.database.hold("select from workflow where task_id = 'held' for update").await;
    let decision = async {
        let answer = tom.approve(&held).await;
        assert_eq!(answer.headers["retry-after"], "1");
        answer.problem(503, "busy");
    };
    let others = join_all((0..4).map(|_| slowest(&bot, &alice, 20)));
    let ((), others) = tokio::join!(decision, others);
    assert!(others.iter().all(|slowest| *slowest < SOON), "others waited: {others:?}");
    hold.release().await;
    tom.approve(&held).await.expect(200);
    assert_eq!(events(&tom.workflow(&held).await).iter().filter(|event| **event == "approved").count(), 1);
}

#[tokio::test]
async fn a_decision_whose_row_is_let_go_soon_enough_is_taken() {
    let app = TestApp::start().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let held = bot.submit_id(named("held")).await;
    let hold = app.database.hold("select from workflow where task_id = 'held' for update").await;
    let release = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        hold.release().await;
    };
    let (answer, ()) = tokio::join!(alice.approve(&held), release);
    answer.expect(200);
}

#[tokio::test]
async fn a_key_that_another_transaction_is_writing_makes_only_its_own_submit_wait() {
    let app = TestApp::start().await;
    let bot = app.client("deploy-bot");
    let key = "insert into idempotency_key (principal, key, fingerprint, workflow_id, created_at)
               values ('deploy-bot', 'held', 'x', gen_random_uuid(), now())";
    let hold = app.database.hold(key).await;
    let kept = async {
        // Several at once, because they share a batch.
        for answer in join_all((0..4).map(|_| submit_with_key(&bot, "held"))).await {
            answer.problem(503, "busy");
        }
    };
    let others = join_all((0..4).map(|caller| {
        let bot = &bot;
        async move {
            let mut slowest = Duration::ZERO;
            for n in 0..30 {
                let began = Instant::now();
                submit_with_key(bot, &format!("{caller}-{n}")).await.expect(202);
                slowest = slowest.max(began.elapsed());
            }
            slowest
        }
    }));
    let ((), others) = tokio::join!(kept, others);
    assert!(others.iter().all(|slowest| *slowest < SOON), "others waited: {others:?}");
    hold.release().await;
    let first = submit_with_key(&bot, "held").await.expect(202);
    assert_eq!(submit_with_key(&bot, "held").await.expect(202)["workflow_id"], first["workflow_id"]);
}

#[tokio::test]
async fn a_locked_notice_does_not_hold_up_the_decision_that_ends_it() {
    let channel = "channels: { hook: { type: webhook, url: 'http://127.0.0.1:9/', secret: { from_env: HOOK_SECRET }, allow_private: true } }\nroutes: [ { levels: [high], channels: [hook] } ]";
    let app = TestApp::with(Config::new().write("notifications.yaml", channel)).await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let id = bot.submit_id(high()).await;
    assert!(app.database.count("select count(*) from notice").await > 0);
    let hold = app.database.hold("select from notice for update").await;
    let began = Instant::now();
    alice.approve(&id).await.expect(200);
    assert!(began.elapsed() < SOON, "it took {:?}", began.elapsed());
    hold.release().await;
}

#[tokio::test]
async fn a_table_that_is_locked_answers_busy_and_nothing_is_written() {
    let app = TestApp::start().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let ids = join_all((0..8).map(|_| bot.submit_id(high()))).await;
    let hold = app.database.hold("lock table workflow_event in share mode").await;
    for answer in join_all(ids.iter().map(|id| alice.approve(id))).await {
        answer.problem(503, "busy");
    }
    hold.release().await;
    for answer in join_all(ids.iter().map(|id| alice.approve(id))).await {
        answer.expect(200);
    }
    assert_eq!(app.database.count("select count(*) from workflow_event where kind = 'approved'").await, 8);
}

#[tokio::test]
async fn the_second_writer_takes_over_when_the_first_is_late() {
    let app = TestApp::start().await;
    app.database
        .execute(
            "create function late() returns trigger language plpgsql as $$ begin perform pg_sleep(3); return new; end $$;
             create trigger late before insert on workflow_event for each row when (new.actor = 'lone-bot' and new.version = 1)
                 execute function late()",
        )
        .await;
    let (bot, alice, lone) = (app.client("deploy-bot"), app.client("alice"), app.client("lone-bot"));
    let late = tokio::spawn(async move { lone.submit_id(high()).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let slowest = slowest(&bot, &alice, 10).await;
    assert!(slowest < SOON, "a few commits waited {slowest:?} behind a batch that is late");
    assert!(!late.is_finished(), "the batch is not late at all");
    late.await.unwrap();
}

/// A server that reaches its database through a proxy.
async fn behind_a_proxy(config: Config) -> (TestApp, Proxy, Database) {
    let database = Database::migrated().await;
    let proxy = Proxy::before(&database).await;
    let settings = settings(&config);
    (TestApp::launch(config, &settings, proxy.database()).await, proxy, database)
}

#[tokio::test]
async fn a_commit_that_was_written_without_an_answer_is_known_for_ones_own() {
    let runbooks = "runbooks: { once: { operation: deploy, environment: production, command: ['true'], timeout: 10s } }";
    let (app, proxy, database) = behind_a_proxy(Config::new().with_runbooks(runbooks)).await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let mut task = high();
    task["action"] = json!({"type": "runbook", "name": "once"});

    proxy.next("open_workflows", Fault::LoseAnswer, 1);
    let answer = bot.send(bot.request(Method::POST, "/orchestrate").header("idempotency-key", "k").json(&task)).await.expect(202);
    let id = answer["workflow_id"].as_str().unwrap().to_owned();
    assert_eq!(proxy.applied(), 1);
    assert_eq!(database.count("select count(*) from workflow").await, 1);

    proxy.next("advance_workflows", Fault::LoseAnswer, 1);
    let answer = alice.approve(&id).await.expect(200);
    assert_eq!((proxy.applied(), &answer["status"], &answer["approved_by"]), (2, &json!("approved"), &json!("alice")));
    let workflow = alice.wait_for(&id, "completed").await;
    assert_eq!(workflow["execution"]["attempts"].as_array().unwrap().len(), 1);
}
