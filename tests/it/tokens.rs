//! Tokens: without one nobody is authenticated, none is ever stored or logged, and the command line
//! creates and revokes them.

use crate::support::called;
use crate::support::client::high;
use crate::support::raw::connect_from;
use crate::support::server::{SECRET_KEY, keys, kind_of};
use crate::support::{Answer, Client, Config, Database, Process, TestApp, eventually};
use parkbrake::storage::{NewToken, Storage};
use reqwest::Method;
use serde_json::json;
use sqlx::Row as _;
use std::process::{Output, Stdio};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use uuid::Uuid;

/// Every call that needs a token.
const CALLS: [(&str, &str); 17] = [
    ("POST", "/orchestrate"),
    ("POST", "/risk/assess"),
    ("GET", "/workflows"),
    ("GET", "/workflows/pending"),
    ("GET", "/workflows/0198f0a0-0000-7000-8000-000000000000"),
    ("GET", "/workflows/0198f0a0-0000-7000-8000-000000000000/status"),
    ("GET", "/workflows/0198f0a0-0000-7000-8000-000000000000/wait"),
    ("POST", "/workflows/0198f0a0-0000-7000-8000-000000000000/approve"),
    ("POST", "/workflows/0198f0a0-0000-7000-8000-000000000000/reject"),
    ("POST", "/workflows/0198f0a0-0000-7000-8000-000000000000/cancel"),
    ("POST", "/workflows/0198f0a0-0000-7000-8000-000000000000/result"),
    ("GET", "/workflows/0198f0a0-0000-7000-8000-000000000000/events"),
    ("GET", "/events"),
    ("GET", "/notices"),
    ("POST", "/notices/0198f0a0-0000-7000-8000-000000000000/resend"),
    ("GET", "/metrics"),
    ("GET", "/workflows?limit=0"),
];

#[track_caller]
fn assert_refused(answer: Answer) {
    assert_eq!(answer.headers.get("www-authenticate").map(|value| value.as_bytes()), Some(&b"Bearer"[..]), "{}", answer.text);
    answer.problem(401, "unauthenticated");
}

/// Gives somebody a token that is valid for this time.
#[track_caller]
fn give(database: &Database, name: &str, token: &str, expires_in: Option<Duration>) -> impl Future<Output = ()> {
    called(async move {
        let storage = Storage::connect(&database.url, 1).unwrap().with_keys(keys());
        let new = NewToken { token_id: Uuid::new_v4(), token, principal: name, kind: kind_of(name), expires_in };
        storage.store_token(&new).await.unwrap();
        storage.close().await;
    })
}

#[tokio::test]
async fn nobody_is_served_without_a_token_that_is_known() {
    let app = TestApp::start().await;
    let nobody = Client::with_token(app.addr, "pbk_test_somebody");
    for (method, path) in CALLS {
        let request = nobody.request(Method::from_bytes(method.as_bytes()).unwrap(), path);
        assert_refused(nobody.send(request.header("content-type", "application/json").body("{")).await);
    }
    for open in ["/healthz", "/readyz"] {
        nobody.get(open).await.expect(200);
    }
    assert_eq!(app.database.count("select count(*) from workflow").await, 0);
}

#[tokio::test]
async fn malformed_tokens_are_refused() {
    let app = TestApp::start().await;
    // The first client sets up TLS for all.
    let client = app.client("alice");
    let plain = reqwest::Client::new();
    let ask = |headers: Vec<&[u8]>| {
        let mut request = plain.get(format!("http://{}/workflows", app.addr));
        for value in headers {
            request = request.header("authorization", reqwest::header::HeaderValue::from_bytes(value).unwrap());
        }
        client.send(request)
    };
    assert_refused(ask(vec![]).await);
    for written in [
        &b""[..],
        b"Bearer",
        b"Bearer ",
        b"pbk_test_alice",
        b"Basic pbk_test_alice",
        b"Basic YWxpY2U6cGJrX3Rlc3RfYWxpY2U=",
        b"Bearer pbk_test_alic",
        b"Bearer pbk_test_alicee",
        b"Bearer PBK_TEST_ALICE",
        b"Bearer \"pbk_test_alice\"",
        b"Bearer pbk_test_alice,pbk_test_tom",
        b"Bearer pbk_test_alice pbk_test_alice",
        b"Bearer ' or '1'='1",
        b"Bearer pbk_test_\xff",
    ] {
        assert_refused(ask(vec![written]).await);
    }
    for hash in [hex_hash("pbk_test_alice"), format!("\\x{}", hex_hash("pbk_test_alice"))] {
        assert_refused(ask(vec![format!("Bearer {hash}").as_bytes()]).await);
    }
    ask(vec![b"Bearer pbk_test_alice"]).await.expect(200);
    ask(vec![b"bearer  pbk_test_alice "]).await.expect(200);
}

fn hex_hash(token: &str) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn a_token_is_refused_once_its_time_is_up() {
    let app = TestApp::start().await;
    give(&app.database, "alice", "pbk_brief", Some(Duration::from_secs(1))).await;
    let brief = Client::with_token(app.addr, "pbk_brief");
    brief.get("/workflows").await.expect(200);
    // However often it is used in the meantime.
    let asking = tokio::spawn({
        let brief = brief.clone();
        async move { while brief.get("/workflows").await.status == 200 {} }
    });
    let over = "select count(*) from token where expires_at < clock_timestamp()";
    eventually("its end", || async { (app.database.count(over).await == 1).then_some(()) }).await;
    assert_refused(brief.get("/workflows").await);
    asking.await.unwrap();
    app.client("alice").get("/workflows").await.expect(200);
}

#[tokio::test]
async fn a_revoked_token_is_refused_within_two_seconds_under_load() {
    let app = TestApp::start().await;
    give(&app.database, "alice", "pbk_second", None).await;
    let (first, second) = (app.client("alice"), Client::with_token(app.addr, "pbk_second"));
    let id = app.client("deploy-bot").submit_id(high()).await;
    second.get("/workflows").await.expect(200);
    let latest = "(select token_id from token where principal = 'alice' order by created_at desc limit 1)";
    app.database.execute(&format!("update token set revoked_at = clock_timestamp() where token_id = {latest}")).await;
    let busy = tokio::spawn({
        let second = second.clone();
        async move { while second.get("/workflows").await.status == 200 {} }
    });
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_refused(second.get("/workflows").await);
    busy.await.unwrap();
    assert_refused(second.approve(&id).await);
    first.approve(&id).await.expect(200);
}

#[tokio::test]
async fn no_table_and_no_line_of_the_log_holds_a_token() {
    let (config, database) = (Config::new(), Database::migrated().await);
    let tokens: Vec<String> = ["alice", "deploy-bot"].map(|name| format!("pbk_{}{name}", "c0ffee".repeat(10))).to_vec();
    give(&database, "alice", &tokens[0], None).await;
    give(&database, "deploy-bot", &tokens[1], None).await;
    let unknown = format!("pbk_{}", "deadbeef".repeat(8));
    let server = Process::serve_telling(&config, &database, "trace").await;
    let (alice, bot) = (Client::with_token(server.addr, &tokens[0]), Client::with_token(server.addr, &tokens[1]));
    let id = bot.submit_id(high()).await;
    alice.approve(&id).await.expect(200);
    alice.post(&format!("/workflows/{id}/approve"), json!({"approved_by": "tom"})).await.problem(403, "identity-mismatch");
    bot.post("/orchestrate", json!({"description": 5})).await.problem(422, "invalid-task");
    bot.get("/workflows?limit=0").await.problem(422, "invalid-task");
    assert_refused(Client::with_token(server.addr, &unknown).get("/workflows").await);
    assert_refused(Client::with_token(server.addr, &format!("x {}", tokens[0])).get("/workflows").await);
    // If the database fails, the log contains the statement.
    database.execute("alter table token rename to elsewhere").await;
    eventually("nobody is known any more", || async { (alice.get("/workflows").await.status == 500).then_some(()) }).await;
    database.execute("alter table elsewhere rename to token").await;
    alice.get("/workflows").await.expect(200);

    let log = server.log().await;
    assert!(log.iter().any(|line| line.contains("\"level\":\"TRACE\"") || line.contains("\"level\":\"DEBUG\"")), "it was told all");
    assert!(log.iter().any(|line| line.contains("a request failed")));
    for secret in tokens.iter().chain([&unknown]) {
        assert!(!log.iter().any(|line| line.contains(secret.as_str())));
        assert_eq!(columns_with(&database, secret).await, Vec::<String>::new());
    }
    // The search does find existing text.
    assert!(columns_with(&database, "deploy-bot").await.len() > 3);
    assert!(columns_with(&database, "deploy api").await.contains(&"payload.document".to_owned()));
}

/// Every column that contains this text in some row, as text or as bytes.
async fn columns_with(database: &Database, text: &str) -> Vec<String> {
    let mut db = database.connect().await;
    let columns = "select table_name::text, column_name::text, data_type::text from information_schema.columns
                   where table_schema = 'public' order by table_name, ordinal_position";
    let mut found = Vec::new();
    for row in sqlx::query(columns).fetch_all(&mut db).await.unwrap() {
        let (table, column, kind): (String, String, String) = (row.get(0), row.get(1), row.get(2));
        let holds = match kind.as_str() {
            "bytea" => format!("position(convert_to($1, 'UTF8') in \"{column}\") > 0"),
            _ => format!("position($1 in \"{column}\"::text) > 0"),
        };
        let query = format!("select exists (select from \"{table}\" where {holds})");
        let holds: bool = sqlx::query_scalar(sqlx::AssertSqlSafe(query)).bind(text).fetch_one(&mut db).await.unwrap();
        if holds {
            found.push(format!("{table}.{column}"));
        }
    }
    found
}

/// Runs the program to its end.
#[track_caller]
fn parkbrake(database: Option<&Database>, config: &Config, arguments: &[&str]) -> impl Future<Output = Output> {
    called(async move {
        let mut command = Command::new(env!("CARGO_BIN_EXE_parkbrake"));
        command
            .args(arguments)
            .env("PARKBRAKE_CONFIG", config.path())
            .env_remove("DATABASE_URL")
            .env("PARKBRAKE_SECRET_KEY", SECRET_KEY)
            .stdin(Stdio::null());
        if let Some(database) = database {
            command.env("DATABASE_URL", &database.url);
        }
        command.output().await.expect("the program")
    })
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

#[tokio::test]
async fn the_command_line_creates_lists_and_revokes_tokens() {
    let app = TestApp::start().await;
    let (database, config) = (&app.database, &app.config);
    let made = parkbrake(Some(database), config, &["token", "create", "alice", "--expires", "30d"]).await;
    assert_eq!((made.status.code(), text(&made.stderr)), (Some(0), ""));
    let token = text(&made.stdout).strip_suffix('\n').expect("one line");
    let digits = token.strip_prefix("pbk_").expect("a prefix that scanners know");
    assert!(digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()), "{token}");
    let alice = Client::with_token(app.addr, token);
    let id = app.client("deploy-bot").submit_id(high()).await;
    assert_eq!(alice.approve(&id).await.expect(200)["approved_by"], "alice");
    let another = parkbrake(Some(database), config, &["token", "create", "alice"]).await;
    assert_ne!(another.stdout, made.stdout);

    let list = parkbrake(Some(database), config, &["token", "list"]).await;
    assert_eq!(list.status.code(), Some(0));
    let list = text(&list.stdout);
    assert!(!list.contains("pbk_") && !list.contains(digits) && !list.contains(&hex_hash(token)), "{list}");
    let line = list.lines().find(|line| line.contains(" alice ") && !line.contains(" never ")).expect("the one that expires");
    assert!(line.ends_with("good"), "{line}");
    let token_id = line.split_whitespace().next().unwrap();
    Uuid::parse_str(token_id).expect("an id");

    let revoked = parkbrake(Some(database), config, &["token", "revoke", token_id]).await;
    assert_eq!((revoked.status.code(), text(&revoked.stderr)), (Some(0), ""));
    eventually("its end", || async { (alice.get("/workflows").await.status == 401).then_some(()) }).await;
    Client::with_token(app.addr, text(&another.stdout).trim_end()).get("/workflows").await.expect(200);
    let list = parkbrake(Some(database), config, &["token", "list"]).await;
    let line = text(&list.stdout).lines().find(|line| line.starts_with(token_id)).unwrap().to_owned();
    assert!(line.ends_with("revoked"), "{line}");

    // By name, all that are left: this one and the one from the harness.
    let revoked = parkbrake(Some(database), config, &["token", "revoke", "alice"]).await;
    assert!(text(&revoked.stdout).starts_with("revoked 2;"), "{}", text(&revoked.stdout));
    let again = parkbrake(Some(database), config, &["token", "revoke", "alice"]).await;
    assert_eq!((again.status.code(), text(&again.stdout)), (Some(1), ""));
    assert!(text(&again.stderr).contains("there is no valid token"), "{}", text(&again.stderr));
}

#[tokio::test]
async fn a_failed_token_creation_leaves_nothing_and_gives_the_reason() {
    let (config, database) = (Config::new(), Database::migrated().await);
    let before = database.count("select count(*) from token").await;
    for (arguments, code, why) in [
        (vec!["token", "create", "two words"], 2, "two words"),
        (vec!["token", "create", ""], 2, ""),
        (vec!["token", "create", "parkbrake"], 2, "parkbrake"),
        (vec!["token", "create", "nobody"], 1, "agents are: deploy-bot, lone-bot, other-bot"),
        (vec!["token", "create", "a/b"], 2, "a/b"),
        (vec!["token", "create", &"x".repeat(65)], 2, "64"),
        (vec!["token", "create", "alice", "--expires", "soon"], 2, "soon"),
        (vec!["token", "create", "alice", "--expires", "0s"], 2, "0s"),
        (vec!["token", "create", "alice", "--expires", "-1d"], 2, ""),
        (vec!["token", "create", "alice", "--expires", "9999d"], 2, "9999d"),
        (vec!["token", "create"], 2, "NAME"),
        (vec!["token", "revoke"], 2, ""),
        (vec!["token"], 2, ""),
        (vec!["token", "revoke", "nobody"], 1, "nobody"),
    ] {
        let refused = parkbrake(Some(&database), &config, &arguments).await;
        let said = text(&refused.stderr);
        assert_eq!((refused.status.code(), text(&refused.stdout)), (Some(code), ""), "{arguments:?}: {said}");
        assert!(said.contains(why) && !said.is_empty(), "{arguments:?}: {said}");
    }
    assert_eq!(database.count("select count(*) from token").await, before);
}

#[tokio::test]
async fn without_a_database_the_token_command_names_what_is_missing() {
    let config = Config::new();
    let refused = parkbrake(None, &config, &["token", "create", "alice"]).await;
    assert_eq!((refused.status.code(), text(&refused.stdout)), (Some(1), ""));
    assert!(text(&refused.stderr).contains("DATABASE_URL is not set"), "{}", text(&refused.stderr));
    let empty = Database::create().await;
    let refused = parkbrake(Some(&empty), &config, &["token", "create", "alice"]).await;
    assert_eq!((refused.status.code(), text(&refused.stdout)), (Some(1), ""));
    assert!(text(&refused.stderr).contains("parkbrake migrate"), "{}", text(&refused.stderr));
}

/// Backends that wait to read this table.
async fn waiting(database: &Database) -> i64 {
    let waiting = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%from token%'";
    database.count(waiting).await
}

#[tokio::test]
async fn disconnecting_during_a_token_lookup_leaks_no_connection() {
    let app = TestApp::start().await;
    let hold = app.database.hold("lock table token in access exclusive mode").await;
    let mut most = 0;
    // Longer than a look-up waits for the lock.
    for round in 0..60 {
        let mut gone = Vec::new();
        for caller in 0..2 {
            let mut stream = connect_from("127.0.0.1", app.addr).await;
            let head = format!("GET /workflows HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer pbk_{round}_{caller}\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            gone.push(stream);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        most = most.max(waiting(&app.database).await);
        drop(gone);
    }
    // Of five connections for reading, two are for calls.
    assert!((1..=2).contains(&most), "{most} connections were opened for those who had gone");
    hold.release().await;
    eventually("an end of the look-ups", || async { (waiting(&app.database).await == 0).then_some(()) }).await;
    let (good, wrong) = (app.client("alice"), Client::with_token(app.addr, "pbk_0_0"));
    eventually("room for others", || async { (good.get("/workflows").await.status == 200).then_some(()) }).await;
    for _ in 0..8 {
        assert_refused(wrong.get("/workflows").await);
        good.get("/workflows").await.expect(200);
    }
}
