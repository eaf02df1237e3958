//! Event streams: everything arrives in order, even for clients that were disconnected, and nothing
//! arrives that a client may not see.

use crate::support::called;
use crate::support::client::{high, low};
use crate::support::stream::{Message, position};
use crate::support::{Client, Database, TestApp, eventually};
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use parkbrake::storage::Storage;
use reqwest::Method;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use uuid::Uuid;

fn names(heard: &[Message]) -> Vec<&str> {
    heard.iter().map(|message| message.event.as_str()).collect()
}

/// The time according to the database.
#[track_caller]
fn now(database: &Database) -> impl Future<Output = DateTime<Utc>> {
    called(async move { sqlx::query_scalar("select clock_timestamp()").fetch_one(&mut database.connect().await).await.unwrap() })
}

#[tokio::test]
async fn events_are_streamed_as_they_are_committed() {
    let app = TestApp::start().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let mut stream = alice.follow("/events").await;
    let mut task = high();
    task["task_id"] = json!("OPS-7");
    task["description"] = json!("line one\nevent: forged\ndata: {}\n\n");
    let id = bot.submit_id(task).await;
    alice.approve(&id).await.expect(200);
    bot.post(&format!("/workflows/{id}/result"), json!({"outcome": "succeeded"})).await.expect(200);

    let heard = stream.until(&id, "execution_succeeded").await;
    assert_eq!(names(&heard), ["submitted", "approval_requested", "approved", "execution_started", "execution_succeeded"]);
    let history = alice.workflow(&id).await["history"].clone();
    for (n, message) in heard.iter().enumerate() {
        let recorded = &history[n];
        // The status is that of the time at which the message was made, which may be later than the
        // event.
        let status = &message.data["status"];
        let since = &["pending_approval", "pending_approval", "executing", "executing", "completed"][n..];
        assert!(since.iter().any(|known| status == known), "{status} of {}", message.event);
        let expected = json!({
            "workflow_id": id, "version": n + 1, "event": recorded["event"], "actor": recorded["actor"], "at": recorded["at"],
            "status": status, "risk_level": "high", "task_id": "OPS-7",
        });
        assert_eq!(message.data, expected);
        assert_eq!(message.event, recorded["event"].as_str().unwrap());
    }
}

#[tokio::test]
async fn a_crowd_of_events_arrives_once_and_each_workflow_in_order() {
    let app = TestApp::start().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let mut stream = alice.follow("/events").await;
    let ways = (0..40).map(|_| async {
        let id = bot.submit_id(high()).await;
        alice.approve(&id).await.expect(200);
        id
    });
    let ids: BTreeSet<String> = join_all(ways).await.into_iter().collect();
    let mut versions: BTreeMap<String, u64> = BTreeMap::new();
    while versions.values().sum::<u64>() < 4 * 40 {
        let message = stream.next().await.unwrap();
        let (id, version) = message.key();
        let before = versions.insert(id, version).unwrap_or_default();
        assert_eq!(version, before + 1, "{message:?}");
    }
    assert_eq!(versions.into_keys().collect::<BTreeSet<_>>(), ids);
}

#[tokio::test]
async fn a_reconnecting_client_misses_no_event() {
    let mut app = TestApp::start().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let mut stream = alice.follow("/events").await;
    let first = bot.submit_id(high()).await;
    stream.until(&first, "submitted").await;
    let (last_id, _) = (stream.last_id.clone(), drop(stream));

    let away = bot.submit_id(high()).await;
    alice.reject(&away).await.expect(200);
    let mut stream = alice.follow_from("/events", Some(&last_id)).await;
    let live = bot.submit_id(high()).await;
    let heard = stream.until(&live, "approval_requested").await;
    let of = |id: &str, heard: &[Message]| -> Vec<u64> {
        heard.iter().map(Message::key).filter(|(workflow, _)| workflow == id).map(|(_, version)| version).collect()
    };
    assert_eq!(of(&away, &heard), [1, 2, 3]);
    assert!(of(&first, &heard).is_sorted(), "what was heard before may come again, in its order");
    assert_eq!(of(&live, &heard), [1, 2]);

    // The same through another server; the client reconnects where it left off.
    let last_id = stream.last_id.clone();
    let later = bot.submit_id(high()).await;
    app.restart().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let after = bot.submit_id(high()).await;
    let mut stream = alice.follow_from("/events", Some(&last_id)).await;
    let heard = stream.until(&after, "approval_requested").await;
    assert_eq!(of(&later, &heard), [1, 2]);
    assert_eq!(of(&after, &heard), [1, 2]);
    // The first request needs no header: a page that was just rendered has its position in the
    // address.
    let mut stream = alice.follow(&format!("/events?since={last_id}")).await;
    assert_eq!(of(&later, &stream.until(&after, "approval_requested").await), [1, 2]);
}

#[tokio::test]
async fn streams_omit_events_that_the_caller_may_not_see() {
    let app = TestApp::start().await;
    let clients = ["alice", "deploy-bot", "other-bot", "lone-bot"].map(|name| app.client(name));
    let [alice, bot, other, lone] = &clients;
    let before = now(&app.database).await - TimeDelta::seconds(1);
    let mut streams = Vec::new();
    for client in &clients {
        streams.push(client.follow("/events").await);
    }
    let theirs = bot.submit_id(low()).await;
    let own = lone.submit_id(low()).await;
    // Clients that connect later read the same from storage.
    for client in &clients {
        streams.push(client.follow_from("/events", Some(&position(before))).await);
    }
    let mut heard = Vec::new();
    for (stream, hears) in streams.iter_mut().zip([&own, &theirs, &theirs, &own, &own, &theirs, &theirs, &own]) {
        let messages = stream.until(hears, "execution_started").await;
        heard.push(messages.iter().map(|message| message.key().0).collect::<BTreeSet<_>>());
    }
    for heard in heard.chunks(4) {
        assert_eq!(heard[0], BTreeSet::from([theirs.clone(), own.clone()]), "a person hears everything");
        assert_eq!(heard[1], BTreeSet::from([theirs.clone()]));
        assert_eq!(heard[2], BTreeSet::from([theirs.clone()]), "an agent of the same person");
        assert_eq!(heard[3], BTreeSet::from([own.clone()]));
    }
    let path = format!("/workflows/{theirs}/events");
    lone.get(&path).await.problem(404, "workflow-not-found");
    other.follow(&path).await.until(&theirs, "execution_started").await;
    alice.get(&format!("/workflows/{}/events", Uuid::new_v4())).await.problem(404, "workflow-not-found");
}

#[tokio::test]
async fn one_workflow_is_followed_by_its_versions_to_its_end() {
    let app = TestApp::start().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let id = bot.submit_id(high()).await;
    let path = format!("/workflows/{id}/events");
    let mut stream = bot.follow(&path).await;
    let heard = stream.until(&id, "approval_requested").await;
    assert_eq!(heard.iter().map(|message| message.id.as_str()).collect::<Vec<_>>(), ["1", "2"]);
    drop(stream);

    let mut stream = bot.follow_from(&path, Some("2")).await;
    alice.approve(&id).await.expect(200);
    assert_eq!(names(&stream.until(&id, "execution_started").await), ["approved", "execution_started"]);
    bot.post(&format!("/workflows/{id}/result"), json!({"outcome": "failed", "error": "no"})).await.expect(200);
    assert_eq!(stream.next().await.unwrap().event, "execution_failed");
    assert!(stream.next().await.is_none(), "nothing can follow");
    let done = bot.send(bot.request(Method::GET, &path).header("last-event-id", "5")).await;
    assert_eq!((done.status.as_u16(), done.text.as_str()), (204, ""), "a browser does not come back");
    // A client that connects late receives everything, and its connection is closed.
    let mut late = bot.follow(&path).await;
    assert_eq!(late.until(&id, "execution_failed").await.len(), 5);
    assert!(late.next().await.is_none());
}

#[tokio::test]
async fn events_whose_commit_got_no_answer_are_streamed_from_the_log() {
    let app = TestApp::start().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let mut stream = alice.follow("/events").await;
    let id = bot.submit_id(high()).await;
    stream.until(&id, "approval_requested").await;
    // This is how the log looks if the answer to a batch was lost, or another server wrote: the
    // event is there, and nobody here knows it.
    let event = format!(
        "insert into workflow_event (workflow_id, version, kind, actor, at, data)
         values ('{id}', 3, 'escalated', 'parkbrake', clock_timestamp(), '{{}}')"
    );
    app.database.execute(&event).await;
    let heard = stream.until(&id, "escalated").await;
    assert_eq!(heard.last().unwrap().key(), (id, 3));
}

/// A client with a tiny buffer, which reads only when told to.
struct SlowReader {
    socket: TcpStream,
    text: Vec<u8>,
}

impl SlowReader {
    #[track_caller]
    fn open(app: &TestApp, path: &str) -> impl Future<Output = Self> {
        called(async move {
            let socket = TcpSocket::new_v4().unwrap();
            socket.set_recv_buffer_size(4096).unwrap();
            let mut socket = socket.connect(app.addr).await.unwrap();
            let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer pbk_test_alice\r\n\r\n");
            socket.write_all(request.as_bytes()).await.unwrap();
            let mut text = vec![0; 64];
            socket.read_exact(&mut text).await.unwrap();
            Self { socket, text }
        })
    }

    /// Reads until the second event of a workflow has arrived, and returns the workflows and
    /// versions of everything that arrived.
    #[track_caller]
    fn until(mut self, workflow: &str) -> impl Future<Output = BTreeSet<(String, u64)>> {
        called(async move {
            let end = format!("\"workflow_id\":\"{workflow}\",\"version\":2,");
            let mut buffer = vec![0; 1 << 20];
            let mut looked = 0;
            while !String::from_utf8_lossy(&self.text[looked..]).contains(&end) {
                looked = self.text.len().saturating_sub(end.len());
                let count =
                    tokio::time::timeout(Duration::from_secs(20), self.socket.read(&mut buffer)).await.expect("it goes on").unwrap();
                assert!(count > 0, "it ended");
                self.text.extend_from_slice(&buffer[..count]);
            }
            let text = String::from_utf8_lossy(&self.text);
            // Messages are sent whole, so chunk sizes never appear within a line; the last message
            // may be cut off.
            let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
            let data = data.filter_map(|data| serde_json::from_str::<serde_json::Value>(data).ok());
            data.map(|data| (data["workflow_id"].as_str().unwrap().to_owned(), data["version"].as_u64().unwrap())).collect()
        })
    }
}

/// Submits enough tasks for more batches than are kept for a listener.
async fn crowd(bot: &Client) -> Vec<String> {
    let mut ids = Vec::new();
    for _ in 0..200 {
        ids.extend(join_all((0..3).map(|_| bot.submit_id(high()))).await);
    }
    ids
}

#[tokio::test]
async fn a_slow_reader_gets_the_backlog_and_all_that_happened_while_it_was_read() {
    const OLD: u64 = 30_000;
    let app = TestApp::start().await;
    let bot = app.client("deploy-bot");
    let history = bot.submit_id(high()).await;
    let since = now(&app.database).await - TimeDelta::minutes(5);
    let backlog = format!(
        "insert into workflow_event (workflow_id, version, kind, actor, at, data)
         select '{history}', n, 'escalated', 'parkbrake', clock_timestamp() - interval '4 minutes' + n * interval '1 millisecond', '{{}}'
         from generate_series(3, {OLD}) n"
    );
    app.database.execute(&backlog).await;
    let slow = SlowReader::open(&app, &format!("/events?since={}", position(since))).await;
    let ids = crowd(&bot).await;
    // The crowd is submitted in parallel, so none of them is certainly the last.
    let heard = slow.until(&bot.submit_id(high()).await).await;
    assert!((1..=OLD).all(|version| heard.contains(&(history.clone(), version))), "of the backlog");
    assert!(ids.iter().all(|id| heard.contains(&(id.clone(), 1))), "of what came meanwhile");
}

#[tokio::test]
async fn a_stream_ends_when_the_caller_loses_access() {
    let app = TestApp::start().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let id = bot.submit_id(high()).await;
    let mut all = alice.follow("/events").await;
    let mut one = alice.follow(&format!("/workflows/{id}/events")).await;
    one.until(&id, "approval_requested").await;
    let storage = Storage::connect(&app.database.url, 1).unwrap();
    storage.revoke_tokens(None, "alice").await.unwrap();
    assert!(all.next().await.is_none());
    assert!(one.next().await.is_none());
    storage.close().await;
}

#[tokio::test]
async fn streams_end_when_the_server_stops_and_do_not_hold_it_up() {
    let mut app = TestApp::start().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let id = bot.submit_id(high()).await;
    let mut streams = Vec::new();
    for _ in 0..20 {
        streams.push(alice.follow("/events").await);
        streams.push(bot.follow(&format!("/workflows/{id}/events?since=2")).await);
    }
    app.stop().await;
    for mut stream in streams {
        assert!(stream.next().await.is_none());
        assert!(!stream.was_cut_off, "the server waited for it until its patience was over");
    }
}

#[track_caller]
fn open_streams(client: &Client) -> impl Future<Output = String> {
    called(async move {
        let metrics = client.get("/metrics").await.text;
        metrics.lines().find_map(|line| line.strip_prefix("parkbrake_event_streams ")).expect("a gauge").to_owned()
    })
}

#[tokio::test]
async fn event_streams_are_limited() {
    let app = TestApp::start().await;
    let (alice, tom) = (app.client("alice"), app.client("tom"));
    let mut streams = Vec::new();
    for _ in 0..64 {
        streams.push(alice.follow("/events").await);
    }
    alice.get("/events").await.problem(429, "rate-limited");
    tom.follow("/events").await;
    eventually("only those of alice", || async { (open_streams(&alice).await == "64").then_some(()) }).await;
    drop(streams);
    eventually("none", || async { (open_streams(&alice).await == "0").then_some(()) }).await;
    alice.follow("/events").await;
}

#[tokio::test]
async fn a_client_beyond_the_backlog_gets_a_reset() {
    let app = TestApp::start().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let long_ago = position(now(&app.database).await - TimeDelta::hours(25));
    let mut stream = alice.follow_from("/events", Some(&long_ago)).await;
    let reset = stream.next().await.unwrap();
    assert_eq!(reset.event, "reset");
    let id = bot.submit_id(high()).await;
    stream.until(&id, "submitted").await;
}

#[tokio::test]
async fn an_event_id_that_was_never_sent_is_refused() {
    let app = TestApp::start().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let id = bot.submit_id(high()).await;
    let mut stream = alice.follow("/events").await;
    let last = bot.submit_id(high()).await;
    stream.until(&last, "approval_requested").await;
    let (order, _) = stream.last_id.split_once('.').unwrap();
    let far = i64::from_str_radix(order, 16).unwrap() + 1_000_000;
    let far = format!("{far:x}.{}.1", id.replace('-', ""));
    let tomorrow = position(now(&app.database).await + TimeDelta::hours(24));
    let of_one = format!("/workflows/{id}/events");
    let (ahead, malformed) = ("is later than", "is not an id");
    for (path, sent, expected) in [
        ("/events", far.as_str(), ahead),
        ("/events", "7fffffffffffffff.00000000000000000000000000000000.0", ahead),
        ("/events", &tomorrow, ahead),
        (&of_one, "3", ahead),
        ("/events", "yesterday", malformed),
        ("/events", "-", malformed),
        ("/events", "1.2.3", malformed),
        ("/events", "ffffffffffffffff.00000000000000000000000000000000.0", malformed),
        (&of_one, "one", malformed),
        (&of_one, "-1", malformed),
    ] {
        let by_header = alice.send(alice.request(Method::GET, path).header("last-event-id", sent)).await.problem(422, "invalid-task");
        let by_query = alice.get(&format!("{path}?since={sent}")).await.problem(422, "invalid-task");
        for (said, name) in [(by_header, "`Last-Event-ID`"), (by_query, "`since`")] {
            let detail = said["detail"].as_str().unwrap();
            assert!(detail.contains(name) && detail.contains(expected), "{path} {sent}: {detail}");
        }
    }
    alice.get("/events?from=1").await.problem(422, "invalid-task");
    assert_eq!(open_streams(&alice).await, "1", "none of them was opened");
}
