//! Logs are read together: one query for all callers, an answer for each.

use crate::support::called;
use crate::support::client::high;
use crate::support::proxy::{Fault, Proxy};
use crate::support::{Database, TestApp, eventually, keys};
use futures_util::future::{BoxFuture, FutureExt as _, join_all};
use parkbrake::actors::log_reader::LogReader;
use parkbrake::actors::metrics::Metrics;
use parkbrake::domain::workflow::Recorded;
use parkbrake::storage::{Error, Storage};
use std::sync::Arc;
use uuid::Uuid;

type Read = BoxFuture<'static, Result<Arc<Vec<Recorded>>, Error>>;

fn reader(url: &str) -> (Arc<LogReader>, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::default());
    let storage = Storage::connect(url, 16).unwrap().with_keys(keys());
    (Arc::new(LogReader::new(storage, Arc::clone(&metrics))), metrics)
}

/// A database with some parked workflows, without a running server.
#[track_caller]
fn parked(count: usize) -> impl Future<Output = (Database, Vec<Uuid>)> {
    called(async move {
        let mut app = TestApp::start().await;
        let bot = app.client("deploy-bot");
        let mut ids = Vec::new();
        for _ in 0..count {
            ids.push(bot.submit_id(high()).await.parse().unwrap());
        }
        app.stop().await;
        (app.database, ids)
    })
}

/// Requests a log; the query is sent from here on.
#[track_caller]
fn ask(reader: &Arc<LogReader>, id: Uuid) -> Read {
    let reader = Arc::clone(reader);
    let mut read = async move { reader.read(id).await }.boxed();
    assert!((&mut read).now_or_never().is_none());
    read
}

#[tokio::test]
async fn logs_that_are_asked_for_at_the_same_time_are_read_with_one_query() {
    let (database, ids) = parked(12).await;
    let (reader, metrics) = reader(&database.url);
    let mut reads = Vec::new();
    for id in &ids {
        reads.push(ask(&reader, *id));
    }
    // Two that request the same one, one that requests a missing one, and one that disconnects.
    let again = ask(&reader, ids[2]);
    let nothing = ask(&reader, Uuid::now_v7());
    drop(ask(&reader, ids[3]));
    for (id, log) in ids.iter().zip(join_all(reads).await) {
        let workflow = parkbrake::domain::workflow::transition::replay(*id, log.unwrap().iter()).unwrap().unwrap();
        assert_eq!((workflow.id, workflow.version), (*id, 2));
    }
    assert_eq!(again.await.unwrap().len(), 2);
    assert!(nothing.await.unwrap().is_empty());
    let text = metrics.text();
    assert!(text.contains("parkbrake_log_batch_logs_count 1"), "{text}");
    assert!(text.contains("parkbrake_log_batch_logs_sum 13.0"), "{text}");
}

#[tokio::test]
async fn queries_that_are_held_up_hold_up_nobody_but_those_whom_they_are_for() {
    let (database, ids) = parked(4).await;
    let proxy = Proxy::before(&database).await;
    let (reader, _) = reader(&proxy.url());
    proxy.next("order by e.workflow_id, e.version", Fault::HoldRequest, 2);
    let held = [ids[0], ids[1]];
    for (index, id) in held.into_iter().enumerate() {
        let reader = Arc::clone(&reader);
        tokio::spawn(async move { reader.read(id).await });
        eventually("the query to be held", || async { (proxy.applied() == index + 1).then_some(()) }).await;
    }
    assert_eq!(reader.read(ids[2]).await.unwrap().len(), 2);
    assert_eq!(reader.read(ids[3]).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_log_that_cannot_be_trusted_is_an_error_of_its_own() {
    let (database, ids) = parked(3).await;
    let tampered = format!(
        "alter table workflow_event disable trigger user;
         update workflow_event set actor = 'mallory' where workflow_id = '{}' and version = 2;
         alter table workflow_event enable trigger user",
        ids[1]
    );
    database.execute(&tampered).await;
    let (reader, _) = reader(&database.url);
    let mut reads = Vec::new();
    for id in &ids {
        reads.push(ask(&reader, *id));
    }
    let read = join_all(reads).await;
    assert!(read[0].is_ok() && read[2].is_ok(), "{read:?}");
    assert!(matches!(&read[1], Err(Error::Tampered { workflow_id, .. }) if *workflow_id == ids[1]), "{read:?}");
}

#[tokio::test]
async fn a_failed_log_query_fails_every_waiter_and_can_be_repeated() {
    let (reader, _) = reader("postgres://nobody@127.0.0.1:1/nothing");
    for _ in 0..2 {
        let mut reads = Vec::new();
        for _ in 0..5 {
            reads.push(ask(&reader, Uuid::now_v7()));
        }
        for read in join_all(reads).await {
            assert!(matches!(read, Err(Error::Unavailable(_))), "{read:?}");
        }
    }
}
