//! How many database round trips one piece of work needs, and that nobody waits in vain for a
//! connection.

use crate::support::Database;
use crate::support::proxy::{Proxy, Which};
use parkbrake::storage::Storage;
use std::time::Duration;

#[tokio::test]
async fn a_query_over_a_connection_in_steady_use_is_one_round_trip() {
    let proxy = Proxy::before(&Database::create().await).await;
    let storage = Storage::connect(&proxy.url(), 3).unwrap();
    storage.now().await.unwrap();
    let before = proxy.round_trips();
    for _ in 0..20 {
        storage.now().await.unwrap();
    }
    assert_eq!(proxy.round_trips() - before, 20);
    storage.close().await;
}

#[tokio::test]
async fn a_connection_that_has_rested_is_tried_before_it_is_used() {
    let proxy = Proxy::before(&Database::create().await).await;
    let storage = Storage::connect(&proxy.url(), 3).unwrap();
    storage.now().await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    proxy.cut(Which::Existing);
    storage.now().await.expect("another connection");
    storage.close().await;
}

#[tokio::test]
async fn waiters_get_the_next_free_connection() {
    let proxy = Proxy::before(&Database::create().await).await;
    let storage = Storage::connect(&proxy.url(), 3).unwrap();
    // Of three connections, this test uses one for its own queries.
    let work = (0..50).map(|_| {
        let storage = storage.clone();
        tokio::spawn(async move {
            for _ in 0..20 {
                storage.now().await.unwrap();
            }
        })
    });
    for work in work.collect::<Vec<_>>() {
        work.await.unwrap();
    }
    storage.close().await;
    storage.now().await.unwrap_err();
}
