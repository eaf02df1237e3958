//! Links that sign a person in: once, for ten minutes, by pressing a button, and only as long as
//! the proof behind them is valid.

use crate::support::browser::Page;
use crate::support::called;
use crate::support::client::token;
use crate::support::server::{SECRET_KEY, keys};
use crate::support::{Browser, Config, Database, Process, TestApp, eventually};
use futures_util::future::join_all;
use parkbrake::storage::{Proof, SignIn, Storage};
use reqwest::Method;
use serde_json::json;
use std::process::Output;
use tokio::process::Command;

/// The path of a new link for a person.
#[track_caller]
fn link(app: &TestApp, name: &str) -> impl Future<Output = String> {
    called(async move {
        let made = app.client(name).post("/sign-in/links", json!({})).await.expect(200);
        assert_eq!((&made["success"], &made["name"], &made["url"]), (&json!(true), &json!(name), &json!(null)), "{made}");
        made["path"].as_str().expect("a path").to_owned()
    })
}

fn code(path: &str) -> &str {
    path.strip_prefix("/sign-in/link?code=").expect("a link")
}

/// Presses the button on a link's page.
#[track_caller]
fn press(browser: &mut Browser, path: &str) -> impl Future<Output = Page> {
    called(async move {
        let page = browser.post("/sign-in/link", &[("code", code(path))]).await;
        if let Some(cookie) = page.headers.get("set-cookie") {
            browser.cookie = cookie.to_str().unwrap().split(';').next().map(str::to_owned);
        }
        page
    })
}

#[track_caller]
fn is_out(page: &Page) {
    assert!(page.location().starts_with("/sign-in"), "{}", page.location());
}

/// Runs the program to its end, like an operator on the server's machine.
#[track_caller]
fn operator(app: &TestApp, arguments: &[&str]) -> impl Future<Output = String> {
    called(async move {
        let mut command = Command::new(env!("CARGO_BIN_EXE_parkbrake"));
        command.args(arguments).env("PARKBRAKE_CONFIG", app.config.path()).env("DATABASE_URL", &app.database.url);
        let Output { status, stdout, stderr } = command.env("PARKBRAKE_SECRET_KEY", SECRET_KEY).output().await.expect("the program");
        assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
        String::from_utf8(stdout).expect("text")
    })
}

#[tokio::test]
async fn a_sign_in_link_is_used_up_only_by_its_button() {
    let app = TestApp::start().await;
    let path = link(&app, "alice").await;
    assert_eq!(code(&path).len(), "pbl_".len() + 32, "128 bits");
    let stored = "select count(*) from sign_in_link where octet_length(link_hash) = 32";
    assert_eq!(app.database.count(stored).await, 1);

    // Programs that scan mail open links, with and without a body.
    let mut browser = Browser::new(app.addr);
    for _ in 0..3 {
        let page = browser.get(&format!("{path}&next=%2Finbox%2Fhistory")).await.expect(200);
        page.has("Sign in as alice").lacks("You are signed in as");
        assert!(page.headers.get("set-cookie").is_none());
        browser.send(browser.request(Method::HEAD, &path)).await;
    }
    assert_eq!((app.database.count(stored).await, app.database.count("select count(*) from session").await), (1, 0));
    // Another site's form cannot press the button.
    let foreign = browser.form("/sign-in/link", &[("code", code(&path))]).header("sec-fetch-site", "cross-site");
    browser.send(foreign).await.expect(403);

    let page = browser.get(&format!("{path}&next=%2Finbox%2Fhistory")).await.expect(200);
    let page = browser.submit(&page, "/sign-in/link", &[]).await;
    assert_eq!(page.location(), "/inbox/history");
    let cookie = page.headers["set-cookie"].to_str().unwrap();
    assert!(cookie.starts_with("__Host-parkbrake=") && cookie.ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax"), "{cookie}");
    browser.cookie = cookie.split(';').next().map(str::to_owned);
    browser.get("/").await.expect(200).has("Signed in as </span>alice");

    let other = Browser::new(app.addr);
    other.get(&path).await.expect(401).has("has been used").lacks("alice");
    other.post("/sign-in/link", &[("code", code(&path))]).await.expect(401).has("has been used");
    assert_eq!(app.database.count(stored).await, 0);
}

#[tokio::test]
async fn concurrent_uses_of_one_link_sign_in_once() {
    let app = TestApp::start().await;
    let path = link(&app, "alice").await;
    let pressed = join_all((0..32).map(|_| async {
        let mut browser = Browser::new(app.addr);
        press(&mut browser, &path).await
    }))
    .await;
    let won = pressed.iter().filter(|page| page.headers.contains_key("set-cookie")).count();
    assert_eq!((won, app.database.count("select count(*) from session").await), (1, 1));
    assert!(pressed.iter().all(|page| [303, 401, 429].contains(&page.status.as_u16())));
}

#[tokio::test]
async fn a_link_changes_who_is_signed_in_only_by_its_button() {
    let app = TestApp::start().await;
    let mut browser = Browser::of(app.addr, "cora").await;
    let before = Browser::with_cookie(app.addr, browser.cookie.as_deref());
    let path = link(&app, "alice").await;
    browser.get(&path).await.expect(200).has("You are signed in as cora").has("Sign in as alice");
    browser.get("/").await.expect(200).has("Signed in as </span>cora");
    assert_eq!(press(&mut browser, &path).await.location(), "/");
    browser.get("/").await.expect(200).has("Signed in as </span>alice");
    is_out(&before.get("/").await);
    assert_eq!(app.database.count("select count(*) from session").await, 1, "the session from before has ended");
}

#[tokio::test]
async fn a_link_and_what_it_opened_end_with_the_token_that_it_was_asked_for_with() {
    let app = TestApp::start().await;
    let (spent, kept) = (link(&app, "alice").await, link(&app, "alice").await);
    let mut browser = Browser::new(app.addr);
    press(&mut browser, &spent).await.location();
    browser.get("/").await.expect(200);
    app.database.execute("update token set revoked_at = clock_timestamp() where principal = 'alice'").await;
    is_out(&browser.get("/").await);
    browser.get(&kept).await.expect(401);
    press(&mut browser, &kept).await.expect(401);
}

#[tokio::test]
async fn links_are_for_people_who_have_rights_today() {
    let mut app = TestApp::start().await;
    let (of_alice, of_tess) = (link(&app, "alice").await, link(&app, "tess").await);
    let problem = app.client("deploy-bot").post("/sign-in/links", json!({})).await.problem(403, "not-permitted");
    assert!(problem["detail"].as_str().unwrap().contains("only people"), "{problem}");
    // The cookie of a session is not a token: it cannot create more sessions.
    let cora = Browser::of(app.addr, "cora").await;
    let asked = cora.request(Method::POST, "/sign-in/links").header("sec-fetch-site", "same-origin");
    assert_eq!(cora.send(asked.header("content-type", "application/json").body("{}")).await.status, 401);

    operator(&app, &["person", "suspend", "alice"]).await;
    let mut browser = Browser::new(app.addr);
    press(&mut browser, &of_alice).await.expect(401);
    let without_tess = "people:\n  alice: { roles: [team_lead] }\n  tom: { roles: [tech_lead] }\n  cora: { roles: [cto, admin] }\n";
    std::fs::write(app.config.path().join("hitl/approval-policies.yaml"), without_tess).unwrap();
    app.restart().await;
    let mut browser = Browser::new(app.addr);
    browser.get(&of_tess).await.expect(401).has("Tess is neither a person");
    press(&mut browser, &of_tess).await.expect(401);
    assert_eq!(app.database.count("select count(*) from session where principal <> 'cora'").await, 0);
}

#[tokio::test]
async fn sign_out_ends_all_sessions_and_invalidates_links() {
    let app = TestApp::start().await;
    let (spent, kept) = (link(&app, "alice").await, link(&app, "alice").await);
    let mut by_link = Browser::new(app.addr);
    press(&mut by_link, &spent).await.location();
    let (by_token, cora) = (Browser::of(app.addr, "alice").await, Browser::of(app.addr, "cora").await);
    let said = operator(&app, &["person", "sign-out", "alice"]).await;
    assert!(said.starts_with("2 sessions of alice have ended"), "{said}");
    is_out(&by_link.get("/").await);
    is_out(&by_token.get("/").await);
    press(&mut by_link, &kept).await.expect(401);
    cora.get("/").await.expect(200);
    app.client("alice").get("/workflows").await.expect(200);
    assert!(operator(&app, &["person", "sign-out", "alice"]).await.starts_with("alice has no session"));

    // Suspending does the same, so that restoring does not revive a session.
    let again = Browser::of(app.addr, "alice").await;
    operator(&app, &["person", "suspend", "alice"]).await;
    operator(&app, &["person", "restore", "alice"]).await;
    is_out(&again.get("/").await);
}

#[tokio::test]
async fn rows_that_somebody_else_wrote_are_no_links() {
    let app = TestApp::start().await;
    let mut browser = Browser::new(app.addr);
    for change in [
        "update sign_in_link set principal = 'cora', token_id = (select token_id from token where principal = 'cora')",
        "update sign_in_link set principal = 'cora'",
        "update sign_in_link set made_at = made_at + interval '1 day'",
        "update sign_in_link set token_id = null, proof = 'mail:cora@example.com'",
        "update sign_in_link set seal = sha256('x')",
    ] {
        let path = link(&app, "alice").await;
        app.database.execute(change).await;
        browser.get(&path).await.expect(401);
        press(&mut browser, &path).await.expect(401);
        app.database.execute("delete from sign_in_link").await;
    }
    // Nor does a valid link make a session longer than a week, whoever writes to its row.
    press(&mut browser, &link(&app, "alice").await).await.location();
    browser.get("/").await.expect(200);
    app.database
        .execute("update session set created_at = created_at + interval '6 days', expires_at = expires_at + interval '6 days'")
        .await;
    is_out(&browser.get("/").await);
}

#[tokio::test]
async fn links_and_sessions_end_by_the_clock_of_the_database() {
    let database = Database::migrated().await;
    let storage = Storage::connect(&database.url, 1).unwrap().with_keys(keys());
    for (number, proof) in [(0, Proof::Mail("nora@example.com".to_owned())), (1, Proof::Mail("nora@example.com".to_owned()))] {
        let nora = SignIn { name: "nora".to_owned(), proof };
        storage.make_sign_in_link(&format!("code {number}"), &nora).await.unwrap().expect("a link");
    }
    let spent = storage.sign_in_link("code 0").await.unwrap().expect("it is good");
    assert!(storage.spend_sign_in_link(spent, "an id").await.unwrap());
    let looked_up_in_time = storage.sign_in_link("code 1").await.unwrap().expect("it is good");
    let at = async |later: &str| {
        database.execute("drop schema if exists later cascade; create schema later").await;
        let clock = "create function later.clock_timestamp() returns timestamptz language sql as";
        database.execute(&format!("{clock} $$ select pg_catalog.clock_timestamp() + interval '{later}' $$")).await;
        database
            .execute(
                "do $$ begin execute format('alter database %I set search_path = later, pg_catalog, public', current_database()); end $$",
            )
            .await;
        Storage::connect(&database.url, 1).unwrap().with_keys(keys())
    };
    let nine = at("9 minutes").await;
    assert!(nine.sign_in_link("code 1").await.unwrap().is_some());
    let eleven = at("11 minutes").await;
    assert!(eleven.sign_in_link("code 1").await.unwrap().is_none());
    assert!(!eleven.spend_sign_in_link(looked_up_in_time, "another id").await.unwrap(), "too late by a moment is too late");
    assert!(eleven.session("an id", true).await.unwrap().is_some());
    // However active it is, and whatever somebody wrote into its row.
    let week = at("7 days 1 minute").await;
    database
        .execute("update session set last_seen_at = last_seen_at + interval '7 days', expires_at = expires_at + interval '1 year'")
        .await;
    assert!(week.session("an id", true).await.unwrap().is_none());
    for storage in [storage, nine, eleven, week] {
        storage.close().await;
    }
}

#[tokio::test]
async fn the_newest_16_token_links_and_three_mailed_links_are_valid() {
    let database = Database::migrated().await;
    let storage = Storage::connect(&database.url, 1).unwrap().with_keys(keys());
    let by_mail = SignIn { name: "nora".to_owned(), proof: Proof::Mail("nora@example.com".to_owned()) };
    let mut made = Vec::new();
    for number in 0..5 {
        made.push(storage.make_sign_in_link(&format!("mail {number}"), &by_mail).await.unwrap().is_some());
    }
    assert_eq!(made, [true, true, true, false, false]);
    let token = storage.tokens().await.unwrap().into_iter().find(|token| token.principal == "nora").unwrap();
    let by_token = SignIn { proof: Proof::Token(token.token_id), ..by_mail };
    for number in 0..20 {
        storage.make_sign_in_link(&format!("token {number}"), &by_token).await.unwrap().expect("a link");
    }
    let good = join_all((0..20).map(|number| {
        let storage = storage.clone();
        async move { storage.sign_in_link(&format!("token {number}")).await.unwrap().is_some() }
    }))
    .await;
    assert_eq!(good, [[false; 4].as_slice(), &[true; 16]].concat(), "the newest stay");
    assert!(storage.sign_in_link("mail 0").await.unwrap().is_some(), "one kind does not drive out the other");
    storage.close().await;
}

#[tokio::test]
async fn the_link_is_opened_in_a_browser_where_that_is_wished_and_printed_either_way() {
    let app = TestApp::start().await;
    let folder = tempfile::tempdir().unwrap();
    let opened = folder.path().join("opened");
    let opener = folder.path().join("xdg-open");
    let login = |path: String| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_parkbrake"));
        command.args(["login", "--open"]).env("PARKBRAKE_URL", format!("http://{}", app.addr)).env("PARKBRAKE_TOKEN", token("alice"));
        command.env("PATH", path).env_remove("PARKBRAKE_AS");
        command
    };
    // There is no browser, and then one that fails.
    let nothing = folder.path().join("nothing");
    let with_one = folder.path().to_str().unwrap().to_owned();
    for (path, script) in [
        (nothing.to_str().unwrap().to_owned(), None),
        (with_one.clone(), Some("exit 3")),
        (with_one, Some(r#"printf %s "$1" > "$OPENED""#)),
    ] {
        if let Some(script) = script {
            std::fs::write(&opener, format!("#!/bin/sh\n{script}\n")).unwrap();
            std::fs::set_permissions(&opener, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        }
        let output = login(path).env("OPENED", &opened).output().await.expect("the program");
        let (said, complaint) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert!(output.status.success() && said.contains("/sign-in/link?code=pbl_"), "{said}{complaint}");
        let was_opened = script.is_some_and(|script| script.starts_with("printf"));
        assert_eq!(complaint.contains("open the link by hand"), !was_opened, "{complaint}");
        assert_eq!(std::fs::read_to_string(&opened).ok().as_deref(), was_opened.then(|| said.trim()));
    }
}

#[tokio::test]
async fn the_command_line_prints_a_link_and_no_code_is_in_the_log() {
    let (config, database) = (Config::new(), Database::migrated().await);
    let server = Process::serve_telling(&config, &database, "trace").await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_parkbrake"));
    command.arg("login").env("PARKBRAKE_URL", format!("http://{}", server.addr)).env("PARKBRAKE_TOKEN", token("alice"));
    let output = command.env_remove("PARKBRAKE_AS").output().await.expect("the program");
    let said = String::from_utf8(output.stdout).unwrap();
    let path = said.trim().strip_prefix(&format!("http://localhost:{}", server.addr.port())).expect("where browsers keep a session");
    let mut browser = Browser::new(server.addr);
    browser.get(path).await.expect(200).has("Sign in as alice");
    assert_eq!(press(&mut browser, path).await.location(), "/");
    eventually("a page", || async { (browser.get("/").await.status == 200).then_some(()) }).await;
    let log = server.log().await.join("\n");
    assert!(log.contains("a link for signing in was made") && log.contains("somebody signed in to the inbox"), "{log}");
    for secret in [code(path), browser.cookie.as_deref().unwrap().split_once('=').unwrap().1] {
        assert!(!log.contains(secret), "a secret is in the log");
    }
}
