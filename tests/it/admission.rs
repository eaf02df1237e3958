//! Limits on work in progress: a request counts until it is done, whether or not the client is
//! still connected.

use crate::support::called;
use crate::support::client::{Answer, high, low};
use crate::support::server::settings;
use crate::support::{Client, Config, Database, TestApp, eventually};
use futures_util::future::join_all;
use parkbrake::settings::LimitSettings;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

const KIB: u64 = 1_024;

#[track_caller]
fn gauge(client: &Client, name: &str) -> impl Future<Output = u64> {
    called(async move {
        let metrics = client.get("/metrics").await.text;
        let line = metrics.lines().find_map(|line| line.strip_prefix(&format!("parkbrake_{name} "))).expect("a gauge");
        line.parse().expect("a number")
    })
}

async fn limited(limits: LimitSettings) -> TestApp {
    let config = Config::new();
    let settings = parkbrake::settings::Settings { limits, ..settings(&config) };
    TestApp::launch(config, &settings, Database::migrated().await).await
}

/// A task of this many bytes.
fn large(bytes: u64) -> Value {
    let mut task = high();
    task["metadata"] = json!({"log": "x".repeat(usize::try_from(bytes).unwrap())});
    task
}

/// Submits, and disconnects after some milliseconds; the answer, if it comes sooner.
async fn hang_up(client: &Client, task: &Value, after: u64) -> Option<Answer> {
    let request = client.request(Method::POST, "/orchestrate").json(task).timeout(Duration::from_millis(after));
    client.try_send(request).await.ok()
}

#[tokio::test]
async fn a_disconnected_client_keeps_its_permit_until_its_work_ends() {
    let limits = LimitSettings { max_requests_each: 50, max_body_mib_each: 4, ..LimitSettings::default() };
    let app = limited(limits).await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let hold = app.database.hold("lock table workflow_event in exclusive mode").await;

    let task = large(200 * KIB);
    let mut refused = None;
    // On a busy machine, the first of them disconnect before the server has read them.
    for round in 1..40 {
        let answers = join_all((0..20).map(|_| hang_up(&bot, &task, 100 + 50 * round))).await;
        let (requests, bytes) = (gauge(&alice, "requests_under_way").await, gauge(&alice, "request_bytes_under_way").await);
        assert!(requests <= 50 && bytes <= 4 * KIB * KIB, "{requests} requests of {bytes} bytes are under way");
        let resident = gauge(&alice, "workflows_resident").await;
        assert!(resident <= 20, "{resident} workflows are in memory, and 20 fit");
        refused = answers.into_iter().flatten().find(|answer| answer.status == StatusCode::TOO_MANY_REQUESTS);
        if round >= 6 && refused.is_some() {
            break;
        }
    }
    let refused = refused.expect("a refusal").problem(429, "rate-limited");
    assert!(refused["detail"].as_str().unwrap().contains("wait for some of them"), "{refused}");
    // Small requests count too.
    let small = high();
    join_all((0..60).map(|_| hang_up(&bot, &small, 150))).await;
    assert!(gauge(&alice, "requests_under_way").await <= 50);
    // Other principals can still submit and read.
    app.client("lone-bot").post("/risk/assess", low()).await.expect(200);

    hold.release().await;
    eventually("everything is answered or given up", || async {
        (gauge(&alice, "requests_under_way").await == 0 && gauge(&alice, "request_bytes_under_way").await == 0).then_some(())
    })
    .await;
    bot.submit(task).await;
}

#[tokio::test]
async fn requests_beyond_the_total_limit_get_a_retry_after() {
    let limits = LimitSettings { max_requests: 4, max_requests_each: 3, ..LimitSettings::default() };
    let app = limited(limits).await;
    let alice = app.client("alice");
    let hold = app.database.hold("lock table workflow_event in exclusive mode").await;
    let mut calls = JoinSet::new();
    for name in ["deploy-bot", "deploy-bot", "deploy-bot", "other-bot"] {
        let client = app.client(name);
        calls.spawn(async move { client.post("/orchestrate", high()).await });
    }
    // A request whose work has not begun ends with its connection.
    eventually("the work of all four has begun", || async { (gauge(&alice, "workflows_resident").await == 4).then_some(()) }).await;
    calls.shutdown().await;
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(gauge(&alice, "requests_under_way").await, 4);
    app.client("deploy-bot").post("/orchestrate", high()).await.problem(429, "rate-limited");
    let answer = app.client("lone-bot").post("/orchestrate", high()).await;
    assert_eq!(answer.headers["retry-after"], "1");
    answer.problem(503, "busy");
    app.client("lone-bot").post("/risk/assess", low()).await.problem(503, "busy");
    hold.release().await;
}

#[tokio::test]
async fn held_calls_do_not_block_changes() {
    let limits = LimitSettings { max_requests_each: 2, ..LimitSettings::default() };
    let app = limited(limits).await;
    let bot = app.client("deploy-bot");
    let mut waiting = Vec::new();
    for number in 1..=8 {
        let waiter = bot.clone();
        waiting.push(tokio::spawn(async move {
            let request = waiter.request(Method::POST, "/orchestrate").header("prefer", "wait=50").json(&low());
            waiter.send(request).await
        }));
        eventually("it is committed", || async {
            (app.database.count("select count(*) from workflow where status = 'executing'").await == number).then_some(())
        })
        .await;
    }
    // Eight of two callers are held, and none of them counts as a change in progress any more.
    assert_eq!(gauge(&app.client("alice"), "requests_under_way").await, 0);
    let listed = bot.get("/workflows?status=executing").await.expect(200);
    for workflow in listed["workflows"].as_array().unwrap() {
        let id = workflow["workflow_id"].as_str().unwrap();
        bot.post(&format!("/workflows/{id}/result"), json!({"outcome": "succeeded"})).await.expect(200);
    }
    for answer in join_all(waiting).await {
        let answer = answer.unwrap();
        assert_eq!(answer.headers["preference-applied"], "wait=50");
        assert_eq!(answer.expect(202)["status"], "completed");
    }
}

#[tokio::test]
async fn waits_have_a_limit_of_their_own() {
    let app = limited(LimitSettings { max_waits_each: 8, ..LimitSettings::default() }).await;
    let bot = app.client("deploy-bot");
    let id = bot.submit_id(low()).await;
    let since = bot.workflow(&id).await["version"].clone();
    let waiting: Vec<_> = (0..8)
        .map(|_| {
            let (waiter, path) = (bot.clone(), format!("/workflows/{id}/wait?since={since}&timeout=50s"));
            tokio::spawn(async move {
                loop {
                    // The check below takes a slot for a moment, and may come first.
                    let answer = waiter.get(&path).await;
                    if answer.status != 429 {
                        return answer;
                    }
                }
            })
        })
        .collect();
    let path = format!("/workflows/{id}/wait?since={since}&timeout=1s");
    let one_more = || bot.get(&path);
    let refused = eventually("all slots are taken", || async { Some(one_more().await).filter(|answer| answer.status == 429) }).await;
    refused.problem(429, "rate-limited");
    // A preference is not binding: if there is no slot to wait in, the call is answered at once.
    let began = Instant::now();
    let request = bot.request(Method::POST, "/orchestrate").header("prefer", "wait=30").json(&low());
    let answer = bot.send(request).await;
    assert!(!answer.headers.contains_key("preference-applied") && began.elapsed() < Duration::from_secs(10));
    answer.expect(202);
    // Other principals can wait, and the work itself is not delayed.
    app.client("alice").get(&format!("/workflows/{id}/wait?since={since}&timeout=1s")).await.expect(200);
    bot.post(&format!("/workflows/{id}/result"), json!({"outcome": "succeeded"})).await.expect(200);
    for answer in join_all(waiting).await {
        assert_eq!(answer.unwrap().expect(200)["workflow"]["status"], "completed");
    }
}
