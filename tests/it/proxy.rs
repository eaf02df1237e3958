//! The proxy itself: each fault does what its name says.

use crate::support::proxy::{Fault, Proxy, Which};
use crate::support::{Database, eventually};
use sqlx::{Connection as _, PgConnection};
use std::time::Duration;

async fn table() -> (Database, Proxy) {
    let database = Database::create().await;
    database.execute("create table kept (n integer)").await;
    let proxy = Proxy::before(&database).await;
    (database, proxy)
}

async fn insert(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query("insert into kept values ($1)").bind(1).execute(connection).await.map(|_| ())
}

#[tokio::test]
async fn a_lost_answer_is_carried_out_and_the_connection_is_cut() {
    let (database, proxy) = table().await;
    let mut connection = PgConnection::connect(&proxy.url()).await.unwrap();
    proxy.next("insert into kept", Fault::LoseAnswer, 1);
    insert(&mut connection).await.unwrap_err();
    assert_eq!((proxy.applied(), database.count("select count(*) from kept").await), (1, 1));
    insert(&mut PgConnection::connect(&proxy.url()).await.unwrap()).await.unwrap();
    assert_eq!(database.count("select count(*) from kept").await, 2);
}

#[tokio::test]
async fn a_statement_that_is_cut_before_is_not_carried_out() {
    let (database, proxy) = table().await;
    let mut connection = PgConnection::connect(&proxy.url()).await.unwrap();
    proxy.next("insert into kept", Fault::CutBefore, 1);
    insert(&mut connection).await.unwrap_err();
    assert_eq!(database.count("select count(*) from kept").await, 0);
}

#[tokio::test]
async fn held_statements_and_frozen_connections_go_on_once_thawed() {
    let (database, proxy) = table().await;
    for fault in [Fault::HoldAnswer, Fault::HoldRequest] {
        let before = database.count("select count(*) from kept").await;
        let mut connection = PgConnection::connect(&proxy.url()).await.unwrap();
        proxy.next("insert into kept", fault, 1);
        let waiting = tokio::spawn(async move { insert(&mut connection).await });
        let carried_out = i64::from(fault == Fault::HoldAnswer);
        eventually("the fault", || async { (proxy.applied() > 0).then_some(()) }).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(database.count("select count(*) from kept").await - before, carried_out, "{fault:?}");
        assert!(!waiting.is_finished());
        proxy.thaw();
        waiting.await.unwrap().unwrap();
    }
    let mut frozen = PgConnection::connect(&proxy.url()).await.unwrap();
    insert(&mut frozen).await.unwrap();
    proxy.freeze(Which::Running("insert into kept"));
    insert(&mut PgConnection::connect(&proxy.url()).await.unwrap()).await.unwrap();
    let waiting = tokio::spawn(async move { insert(&mut frozen).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!waiting.is_finished());
    proxy.cut(Which::Running("insert into kept"));
    waiting.await.unwrap().unwrap_err();
}
