//! Simultaneous decisions, and decisions at the deadline.

use super::assert_the_table_agrees;
use crate::support::called;
use crate::support::client::{at, events, high, time};
use crate::support::{Answer, Client, Config, TestApp, eventually};
use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_sixty_four_approvals_at_once_one_decides_and_the_action_starts_once() {
    let app = TestApp::start().await;
    let id = app.client("lone-bot").submit_id(high()).await;
    let people = ["alice", "tom", "tess"].map(|name| (name, app.client(name)));
    let answers = join_all((0..64).map(|turn| {
        let (name, client) = &people[turn % people.len()];
        let id = &id;
        async move { (*name, client.approve(id).await) }
    }))
    .await;
    let workflow = app.client("alice").workflow(&id).await;
    assert_eq!(events(&workflow), ["submitted", "approval_requested", "approved", "execution_started"]);
    let winner = workflow["decisions"][0]["approver"].as_str().unwrap();
    let told: Vec<_> = answers.iter().filter(|(name, _)| *name == winner).collect();
    assert!(told.len() > 20);
    for (name, answer) in &answers {
        if *name == winner {
            assert_eq!((answer.status.as_u16(), &answer.text), (200, &told[0].1.text));
        } else {
            assert_eq!((answer.status.as_u16(), answer.body["decision"]["approver"].as_str()), (409, Some(winner)), "{}", answer.text);
        }
    }
    assert_the_table_agrees(&app, &id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_approval_and_rejection_yield_one_decision() {
    let app = TestApp::start().await;
    let (bot, alice, tess) = (app.client("lone-bot"), app.client("alice"), app.client("tess"));
    let ids = join_all((0..24).map(|_| bot.submit_id(high()))).await;
    join_all(ids.iter().enumerate().map(|(turn, id)| {
        let (app, alice, tess) = (&app, &alice, &tess);
        async move {
            // The order alternates.
            let (yes, no) = if turn % 2 == 0 {
                tokio::join!(alice.approve(id), tess.reject(id))
            } else {
                let (no, yes) = tokio::join!(tess.reject(id), alice.approve(id));
                (yes, no)
            };
            let workflow = app.client("nora").workflow(id).await;
            assert_eq!(workflow["decisions"].as_array().unwrap().len(), 1);
            let (winner, loser, verdict) = if yes.status == 200 { (&yes, no, "approved") } else { (&no, yes, "rejected") };
            assert_eq!((winner.status.as_u16(), &winner.body["status"]), (200, &json!(verdict)));
            assert_eq!(workflow["approval_status"], verdict);
            assert_eq!(loser.problem(409, "already-decided")["decision"], workflow["decisions"][0]);
            assert_eq!(workflow["execution"].is_null(), verdict == "rejected");
            assert_the_table_agrees(app, id).await;
        }
    }))
    .await;
}

/// Checks that a request had one end, in time.
#[track_caller]
fn assert_one_end_in_time(app: &TestApp, id: &str, answer: &Answer) -> impl Future<Output = bool> {
    called(async move {
        let workflow = app.client("nora").wait_for_settled(id).await;
        let expires = time(&workflow["approval"]["expires_at"]);
        let approved = workflow["approval_status"] == "approved";
        if approved {
            assert_eq!(events(&workflow)[2..], ["approved", "execution_started"]);
            assert!(at(&workflow, "approved") < expires, "{workflow:#}");
            assert_eq!(answer.status.as_u16(), 200, "{}", answer.text);
        } else {
            assert_eq!(events(&workflow)[2..], ["expired"], "{workflow:#}");
            assert!(at(&workflow, "expired") >= expires, "{workflow:#}");
            assert_eq!((answer.status.as_u16(), answer.body["code"].as_str()), (410, Some("expired")), "{}", answer.text);
        }
        assert_the_table_agrees(app, id).await;
        approved
    })
}

impl Client {
    /// Waits until a request is no longer pending.
    #[track_caller]
    fn wait_for_settled(&self, id: &str) -> impl Future<Output = Value> {
        called(async move {
            let answer = self.get(&format!("/workflows/{id}/wait?since=2&timeout=10s")).await.expect(200);
            assert_ne!(answer["workflow"]["approval_status"], "pending", "{answer}");
            answer["workflow"].clone()
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_approval_at_the_deadline_is_in_time_or_too_late_and_never_both() {
    let app = TestApp::with(Config::new().with_policies("policies: { high: { expire_after: 1s } }")).await;
    let (bot, alice) = (app.client("lone-bot"), app.client("alice"));
    let accepted = join_all((0..40).map(|_| bot.submit(high()))).await;
    let database_now: DateTime<Utc> =
        sqlx::query_scalar("select clock_timestamp()").fetch_one(&mut app.database.connect().await).await.unwrap();
    let asked = tokio::time::Instant::now();
    let outcomes = join_all(accepted.iter().enumerate().map(|(turn, accepted)| {
        let (app, alice) = (&app, &alice);
        async move {
            let id = accepted["workflow_id"].as_str().unwrap();
            // This sleep aims rather than waits: from 60 ms before the deadline to 60 ms after it.
            let left = (time(&accepted["approval"]["expires_at"]) - database_now).num_microseconds().unwrap();
            let aim = left - 60_000 + 3_000 * i64::try_from(turn).unwrap();
            tokio::time::sleep_until(asked + std::time::Duration::from_micros(aim.try_into().unwrap_or(0))).await;
            let answer = alice.approve(id).await;
            assert_one_end_in_time(app, id, &answer).await
        }
    }))
    .await;
    assert!(outcomes.contains(&false), "some of them were too late");
}

#[tokio::test]
async fn an_approval_that_had_to_wait_beyond_the_deadline_is_too_late() {
    let app = TestApp::with(Config::new().with_policies("policies: { high: { expire_after: 2s } }")).await;
    let alice = app.client("alice");
    let accepted = app.client("lone-bot").submit(high()).await;
    let (id, expires) = (accepted["workflow_id"].as_str().unwrap().to_owned(), time(&accepted["approval"]["expires_at"]));
    let hold = app.database.hold("select from workflow for update").await;
    let approval = tokio::spawn({
        let (alice, id) = (alice.clone(), id.clone());
        async move { alice.approve(&id).await }
    });
    let database = &app.database;
    eventually("the deadline passes", || async {
        let now: DateTime<Utc> = sqlx::query_scalar("select clock_timestamp()").fetch_one(&mut database.connect().await).await.unwrap();
        (now > expires).then_some(())
    })
    .await;
    hold.release().await;
    let answer = approval.await.unwrap();
    assert!(!assert_one_end_in_time(&app, &id, &answer).await);
}

#[tokio::test]
async fn after_the_end_of_its_time_every_decision_is_gone() {
    let app = TestApp::with(Config::new().with_policies("policies: { high: { expire_after: 1s } }")).await;
    let id = app.client("lone-bot").submit_id(high()).await;
    app.client("alice").wait_for(&id, "expired").await;
    for answer in [app.client("alice").approve(&id).await, app.client("tess").reject(&id).await] {
        answer.problem(410, "expired");
    }
    assert_eq!(app.client("lone-bot").cancel(&id).await.problem(409, "wrong-state")["current_status"], "expired");
    assert_the_table_agrees(&app, &id).await;
}
