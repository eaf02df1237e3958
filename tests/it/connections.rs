//! Connections that request nothing, or never end, take no slot from those that request something.

use crate::support::client::high;
use crate::support::raw::{connect_from, exchange, is_closed, status};
use crate::support::server::settings;
use crate::support::{Client, Config, Database, TestApp};
use parkbrake::settings::{LimitSettings, Settings};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

async fn of_at_most(clients: usize) -> TestApp {
    let config = Config::new();
    let limits = LimitSettings { max_clients: Some(clients), ..LimitSettings::default() };
    let settings = Settings { limits, ..settings(&config) };
    TestApp::launch(config, &settings, Database::migrated().await).await
}

async fn idle(app: &TestApp, from: &str, count: usize) -> Vec<TcpStream> {
    let mut open = Vec::with_capacity(count);
    for _ in 0..count {
        open.push(connect_from(from, app.addr).await);
    }
    open
}

async fn closed(open: &mut [TcpStream]) -> usize {
    let mut closed = 0;
    for stream in open {
        closed += usize::from(is_closed(stream).await);
    }
    closed
}

#[tokio::test]
async fn a_person_gets_through_while_others_hold_thousands_of_idle_connections() {
    let app = of_at_most(1_000).await;
    let kept = app.client("alice");
    let id = app.client("deploy-bot").submit_id(high()).await;
    kept.workflow(&id).await;
    let began = Instant::now();
    let mut strangers = idle(&app, "127.0.0.2", 2_500).await;
    let mut neighbors = idle(&app, "127.0.0.1", 600).await;

    // On a connection that was open before, on a new one, and on a new one from an address that
    // already has all it may.
    kept.workflow(&id).await;
    Client::new(app.addr, "alice").workflow(&id).await;
    let mut stream = connect_from("127.0.0.2", app.addr).await;
    let answer = exchange(&mut stream, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    assert_eq!(status(&answer), 200, "{answer}");
    app.client("alice").approve(&id).await.expect(200);
    if began.elapsed() < Duration::from_secs(4) {
        assert!(closed(&mut strangers).await >= 2_000, "one address holds more than half of a thousand");
    }

    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(closed(&mut strangers).await + closed(&mut neighbors).await, 3_100, "silent for more than 5 s, and still open");
}

#[tokio::test]
async fn a_slow_request_head_is_cut_off_and_an_idle_connection_may_rest() {
    let app = TestApp::start().await;
    let began = Instant::now();
    let mut slow = connect_from("127.0.0.1", app.addr).await;
    let mut resting = connect_from("127.0.0.1", app.addr).await;
    let ask = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(status(&exchange(&mut resting, ask).await), 200);
    for byte in b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ".iter().chain(std::iter::repeat_n(&b'x', 100)) {
        if slow.write_all(&[*byte]).await.is_err() || is_closed(&mut slow).await {
            break;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let took = began.elapsed();
    assert!((9..16).contains(&took.as_secs()), "a head that came byte by byte was given up after {took:?}");
    assert_eq!(status(&exchange(&mut resting, ask).await), 200, "a connection that rested for 10 s");
}

#[tokio::test]
async fn a_slot_is_free_again_when_its_connection_has_ended() {
    let app = of_at_most(4).await;
    for _ in 0..40 {
        let mut stream = connect_from("127.0.0.1", app.addr).await;
        let answer = exchange(&mut stream, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
        assert_eq!(status(&answer), 200, "{answer}");
    }
    // Two are being answered, the most that one address may have, and neither is cut off for a
    // third.
    let id = app.client("deploy-bot").submit_id(high()).await;
    let path = format!("/workflows/{id}/wait?since=2&timeout=4s");
    let (one, two) = (Client::new(app.addr, "alice"), Client::new(app.addr, "tom"));
    let waiting = tokio::spawn({
        let path = path.clone();
        async move { tokio::join!(one.get(&path), two.get(&path)) }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut third = connect_from("127.0.0.1", app.addr).await;
    assert!([0, 503].contains(&status(&exchange(&mut third, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await)));
    let mut other = connect_from("127.0.0.2", app.addr).await;
    assert_eq!(status(&exchange(&mut other, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await), 200);
    let (one, two) = waiting.await.unwrap();
    one.expect(200);
    two.expect(200);
}
