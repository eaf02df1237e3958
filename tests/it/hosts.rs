//! The host names of a server: any other name is refused, whatever address it leads to.

use crate::support::client::{high, token};
use crate::support::raw::{connect_from, exchange, status};
use crate::support::server::settings;
use crate::support::{Config, Database, Process, TestApp};
use std::net::SocketAddr;

/// Sends a request with this host name, and returns the answer.
async fn call(addr: SocketAddr, host: &str, request: &str, more: &str) -> String {
    let mut stream = connect_from("127.0.0.1", addr).await;
    let authorization = format!("Authorization: Bearer {}", token("alice"));
    exchange(&mut stream, format!("{request} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{authorization}\r\n{more}").as_bytes()).await
}

async fn get(addr: SocketAddr, host: &str, path: &str) -> u16 {
    status(&call(addr, host, &format!("GET {path}"), "\r\n").await)
}

#[tokio::test]
async fn a_name_that_resolves_to_the_server_and_is_not_its_own_reaches_nothing() {
    let app = TestApp::start().await;
    let own = app.addr.to_string();
    for host in [own.as_str(), "127.0.0.1", "[::1]:8001", "localhost", "LocalHost:1", "10.0.0.7:8001"] {
        assert_eq!(get(app.addr, host, "/workflows").await, 200, "{host}");
    }
    for path in ["/workflows", "/", "/sign-in", "/metrics", "/events", "/nothing", "/inbox/history"] {
        assert_eq!(get(app.addr, "rebound.example:8001", path).await, 421, "{path}");
    }
    let task = high().to_string();
    let body = format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{task}", task.len());
    let refused = call(app.addr, "rebound.example", "POST /orchestrate", &body).await;
    assert_eq!(status(&refused), 421);
    for said in ["\"code\":\"misdirected-request\"", "--allow-host rebound.example", "PARKBRAKE_ALLOW_HOSTS", "public_url"] {
        assert!(refused.contains(said), "{said} is not in {refused}");
    }
    assert_eq!(app.database.count("select count(*) from workflow").await, 0);
    let page = call(app.addr, "rebound.example", "GET /", "Accept: text/html\r\n\r\n").await;
    assert!(status(&page) == 421 && page.contains("<html") && page.contains("--allow-host"), "{page}");
    // Health checks may use any name.
    for path in ["/healthz", "/readyz"] {
        assert_eq!(get(app.addr, "parkbrake-7d9f.pods.example", path).await, 200, "{path}");
    }
}

#[tokio::test]
async fn a_server_goes_by_the_name_of_its_public_address_and_by_those_that_it_is_given() {
    let config = Config::new().write("notifications.yaml", "public_url: https://Park.example/\n");
    let database = Database::migrated().await;
    let mut given = settings(&config);
    given.allow_hosts = vec!["build.internal".to_owned()];
    let app = TestApp::launch(config, &given, database).await;
    for (host, expected) in
        [("park.example", 200), ("PARK.example.:443", 200), ("build.internal:8001", 200), ("other.internal", 421), ("a.park.example", 421)]
    {
        assert_eq!(get(app.addr, host, "/workflows").await, expected, "{host}");
    }
}

#[tokio::test]
async fn a_server_is_given_names_by_a_flag_or_by_a_variable_and_refuses_what_is_no_name() {
    let (config, database) = (Config::new(), Database::migrated().await);
    let server = Process::serve_with(&config, &database, &["--allow-host", "one.example", "--allow-host", "two.example"]).await;
    assert_eq!([get(server.addr, "one.example", "/workflows").await, get(server.addr, "two.example", "/workflows").await], [200, 200]);
    assert!(server.terminate().await);
    let server = Process::serve_with_variables(&config, &database, &[("PARKBRAKE_ALLOW_HOSTS", "one.example,Two.Example")]).await;
    assert_eq!([get(server.addr, "one.example", "/workflows").await, get(server.addr, "two.example", "/workflows").await], [200, 200]);
    assert_eq!(get(server.addr, "three.example", "/workflows").await, 421);
    assert!(server.terminate().await);
    let (code, said) = Process::refused(&config, &database, &["--allow-host", "https://one.example"]).await;
    assert!(code == Some(2) && said.join("\n").contains("write the host alone"), "{said:?}");
}
