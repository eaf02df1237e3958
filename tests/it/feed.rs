//! The stream of all workflows when something goes wrong: answers are lost, commits stall,
//! transactions stay open, servers change.

use crate::support::called;
use crate::support::client::{events, high};
use crate::support::proxy::{Fault, Proxy};
use crate::support::server::settings;
use crate::support::stream::{Message, Stream};
use crate::support::{Config, Database, TestApp, eventually};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

/// The received versions of a workflow, in order.
fn versions(heard: &[Message], workflow: &str) -> Vec<u64> {
    heard.iter().map(Message::key).filter(|(id, _)| id == workflow).map(|(_, version)| version).collect()
}

/// Reads until a version of a workflow has arrived.
#[track_caller]
fn until_version(stream: &mut Stream, workflow: &str, version: u64) -> impl Future<Output = Vec<Message>> {
    called(async move {
        let mut heard = Vec::new();
        while !versions(&heard, workflow).contains(&version) {
            heard.push(stream.next().await.expect("an open stream"));
        }
        heard
    })
}

/// Adds an event to the log, as if another server had written it.
fn one_more(workflow: &str, version: u32) -> String {
    format!(
        "insert into workflow_event (workflow_id, version, kind, actor, at, data)
         values ('{workflow}', {version}, 'escalated', 'parkbrake', clock_timestamp(), '{{}}')"
    )
}

#[tokio::test]
async fn lost_commit_answers_neither_reorder_nor_drop_events() {
    let database = Database::migrated().await;
    let proxy = Proxy::before(&database).await;
    let config = Config::new();
    let settings = settings(&config);
    let app = TestApp::launch(config, &settings, proxy.database()).await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let mut stream = alice.follow("/events").await;
    for fault in ["open_workflows", "advance_workflows"] {
        proxy.next(fault, Fault::LoseAnswer, 1);
        let key = |request: reqwest::RequestBuilder| request.header("idempotency-key", fault);
        let submit = key(bot.request(reqwest::Method::POST, "/orchestrate")).json(&high());
        let id = bot.send(submit).await.expect(202)["workflow_id"].as_str().unwrap().to_owned();
        alice.approve(&id).await.expect(200);
        bot.post(&format!("/workflows/{id}/result"), json!({"outcome": "succeeded"})).await.expect(200);
        let heard = until_version(&mut stream, &id, 5).await;
        assert_eq!(versions(&heard, &id), [1, 2, 3, 4, 5], "{fault}");
    }
    assert_eq!(proxy.applied(), 2);
}

#[tokio::test]
async fn a_stalled_commit_is_eventually_streamed_and_delays_no_other() {
    let app = TestApp::start().await;
    // This wait in a commit, as with a slow disk or a standby, is not ended by any statement
    // timeout.
    app.database
        .execute(
            "create table go (at timestamptz);
             create function stall() returns trigger language plpgsql as $$ begin
                 for n in 1..600 loop exit when exists (select from go); perform pg_sleep(0.1); end loop; return null; end $$;
             create constraint trigger stall after insert on workflow_event deferrable initially deferred for each row
                 when (new.actor = 'lone-bot' and new.version = 1) execute function stall()",
        )
        .await;
    let (bot, alice, lone) = (app.client("deploy-bot"), app.client("alice"), app.client("lone-bot"));
    let mut stream = alice.follow("/events").await;
    let stalled = tokio::spawn(async move { lone.post("/orchestrate", high()).await });
    let stalling = "select count(*) from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'";
    eventually("the commit that stalls", || async { (app.database.count(stalling).await == 1).then_some(()) }).await;
    let meanwhile = bot.submit_id(high()).await;
    alice.reject(&meanwhile).await.expect(200);
    assert_eq!(versions(&until_version(&mut stream, &meanwhile, 3).await, &meanwhile), [1, 2, 3]);
    assert_eq!(app.database.count(stalling).await, 1, "others waited for a commit that stalls");
    let left = stream.last_id.clone();
    // Longer than the server waits for a commit.
    tokio::time::sleep(Duration::from_secs(10)).await;
    app.database.execute("insert into go values (now())").await;
    stalled.await.unwrap();

    // Everybody receives it: listeners, clients that reconnect, and new clients.
    let is_stalled = |message: &Message| message.data["actor"] == "lone-bot" && message.event == "submitted";
    while !is_stalled(&stream.next().await.unwrap()) {}
    let mut back = alice.follow_from("/events", Some(&left)).await;
    while !is_stalled(&back.next().await.unwrap()) {}
}

#[tokio::test]
async fn an_open_transaction_that_has_nothing_to_do_with_the_log_holds_up_nothing() {
    let app = TestApp::start().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let idle = app.database.hold("update token set revoked_at = revoked_at where principal = 'nora'").await;
    let mut stream = alice.follow("/events").await;
    let first = bot.submit_id(high()).await;
    stream.until(&first, "approval_requested").await;
    let second = bot.submit_id(high()).await;
    stream.until(&second, "approval_requested").await;
    // Its position has moved on: messages from before the last commit do not come again.
    let mut back = alice.follow_from("/events", Some(&stream.last_id)).await;
    let third = bot.submit_id(high()).await;
    let heard = back.until(&third, "approval_requested").await;
    assert_eq!(versions(&heard, &first), [0; 0]);
    idle.release().await;
}

#[tokio::test]
async fn events_of_a_late_transaction_reach_all_streams_and_delay_no_other() {
    let app = TestApp::start().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let (one, two) = (bot.submit_id(high()).await, bot.submit_id(high()).await);
    let start = alice.follow("/events").await.last_id;
    let mut stream = alice.follow("/events").await;
    // One gets its number long before it writes; the other writes long before it commits.
    let mut late = app.database.connect().await;
    sqlx::raw_sql("begin; select pg_current_xact_id()").execute(&mut late).await.unwrap();
    let mut open = app.database.connect().await;
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("begin; {}", one_more(&one, 3)))).execute(&mut open).await.unwrap();
    let mut passed_by = Vec::new();
    for _ in 0..5 {
        let id = bot.submit_id(high()).await;
        stream.until(&id, "approval_requested").await;
        passed_by.push(id);
    }
    let left = stream.last_id.clone();
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("{}; commit", one_more(&two, 3)))).execute(&mut late).await.unwrap();
    until_version(&mut stream, &two, 3).await;
    sqlx::raw_sql("commit").execute(&mut open).await.unwrap();
    until_version(&mut stream, &one, 3).await;
    for from in [&start, &left] {
        let mut back = alice.follow_from("/events", Some(from)).await;
        let last = bot.submit_id(high()).await;
        let heard = back.until(&last, "approval_requested").await;
        assert_eq!((versions(&heard, &one), versions(&heard, &two)), (vec![3], vec![3]));
        let mut order: BTreeMap<String, u64> = BTreeMap::new();
        for (id, version) in heard.iter().map(Message::key) {
            assert!(order.insert(id, version).unwrap_or_default() < version, "{heard:#?}");
        }
    }
}

#[tokio::test]
async fn waiters_see_events_of_another_server() {
    let app = TestApp::start().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let (rejected, waiting) = (bot.submit_id(high()).await, bot.submit_id(high()).await);
    alice.reject(&rejected).await.expect(200);
    let waiter = tokio::spawn({
        let (bot, path) = (bot.clone(), format!("/workflows/{waiting}/wait?since=2&timeout=20s"));
        async move { bot.get(&path).await.expect(200) }
    });
    // Between two polls, which come every 2 s.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let copy = format!(
        "insert into workflow_event (workflow_id, version, kind, actor, at, data)
         select '{waiting}', version, kind, actor, clock_timestamp(), data from workflow_event where workflow_id = '{rejected}' and version = 3"
    );
    app.database.execute(&copy).await;
    let answer = waiter.await.unwrap();
    assert_eq!(events(&answer["workflow"]), ["submitted", "approval_requested", "rejected"]);
}

#[tokio::test]
async fn an_agent_that_may_see_little_finds_it_in_a_long_backlog() {
    let app = TestApp::start().await;
    let (bot, lone, alice) = (app.client("deploy-bot"), app.client("lone-bot"), app.client("alice"));
    let start = alice.follow("/events").await.last_id;
    let other = bot.submit_id(high()).await;
    app.database
        .execute(&format!(
            "insert into workflow_event (workflow_id, version, kind, actor, at, data)
             select '{other}', n, 'escalated', 'parkbrake', clock_timestamp(), '{{}}' from generate_series(3, 30000) n"
        ))
        .await;
    let own = lone.submit_id(high()).await;
    let mut stream = lone.follow_from("/events", Some(&start)).await;
    assert_eq!(versions(&stream.until(&own, "approval_requested").await, &own), [1, 2]);
    let next = lone.submit_id(high()).await;
    stream.until(&next, "approval_requested").await;
}

#[tokio::test]
async fn after_the_database_was_restored_from_a_dump_the_stream_goes_on() {
    let app = TestApp::start().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let old = bot.submit_id(high()).await;
    // As in a database whose transaction numbers are much higher than here.
    let restored = format!(
        "insert into workflow_event (workflow_id, version, kind, actor, at, data, feed_order)
         values ('{old}', 3, 'escalated', 'parkbrake', clock_timestamp(), '{{}}', 1000000000000)"
    );
    app.database.execute(&restored).await;
    let mut stream = alice.follow("/events").await;
    let first = bot.submit_id(high()).await;
    let heard = stream.until(&first, "approval_requested").await;
    assert_eq!(versions(&heard, &old), [0; 0], "it is none of what happens from now on");
    let mut back = alice.follow_from("/events", Some(&stream.last_id)).await;
    let second = bot.submit_id(high()).await;
    assert_eq!(versions(&back.until(&second, "approval_requested").await, &second), [1, 2]);

    // A position from before the restore, of events that are now lost, is invalid, even after as
    // many new events.
    let told_before = format!("e8d4a51001.{}.1", old.replace('-', ""));
    let mut lost = alice.follow_from("/events", Some(&told_before)).await;
    assert_eq!(lost.next().await.unwrap().event, "reset");
    let third = bot.submit_id(high()).await;
    lost.until(&third, "submitted").await;
}

#[tokio::test]
async fn a_copied_database_reuses_no_event_id_of_the_original() {
    let mut app = TestApp::start().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let mut stream = alice.follow("/events").await;
    let kept = bot.submit_id(high()).await;
    stream.until(&kept, "approval_requested").await;
    let known = stream.last_id.clone();
    let lost = bot.submit_id(high()).await;
    stream.until(&lost, "approval_requested").await;
    let order: i64 =
        sqlx::query_scalar(sqlx::AssertSqlSafe(format!("select max(feed_order) from workflow_event where workflow_id = '{lost}'")))
            .fetch_one(&mut app.database.connect().await)
            .await
            .unwrap();
    let after_the_copy = format!("{order:x}.{}.2", lost.replace('-', ""));
    app.stop().await;
    // Like a copy that was made before the last of them: another history, in which they have not
    // happened.
    app.database
        .execute(&format!(
            "set session_replication_role = replica;
             delete from workflow_event where feed_order > (select max(feed_order) from workflow_event where workflow_id = '{kept}');
             delete from workflow where workflow_id = '{lost}';
             update feed_base set life = 'of the original'"
        ))
        .await;
    app.restart().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let new = bot.submit_id(high()).await;
    let mut back = alice.follow_from("/events", Some(&known)).await;
    assert_eq!(versions(&back.until(&new, "approval_requested").await, &new), [1, 2]);
    let mut gone = alice.follow_from("/events", Some(&after_the_copy)).await;
    assert_eq!(gone.next().await.unwrap().event, "reset");
    // The next start continues the same history.
    let mut same = alice.follow("/events").await;
    let last = bot.submit_id(high()).await;
    same.until(&last, "approval_requested").await;
    app.restart().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let mut back = alice.follow_from("/events", Some(&same.last_id)).await;
    let newest = bot.submit_id(high()).await;
    assert_eq!(versions(&back.until(&newest, "approval_requested").await, &newest), [1, 2]);
    assert_eq!(app.database.count("select count(*) from feed_base where goes_on_at between 1099511627776 and 1500000000000").await, 1);
}
