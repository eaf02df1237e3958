//! Signing in to the inbox, and what a session can and cannot do.

use crate::support::client::{high, token};
use crate::support::{Browser, TestApp};
use futures_util::future::join_all;
use parkbrake::storage::Storage;
use reqwest::Method;
use std::time::Duration;

#[tokio::test]
async fn a_token_opens_the_inbox_and_the_cookie_is_tied_to_it() {
    let app = TestApp::start().await;
    let mut alice = Browser::new(app.addr);
    assert_eq!(alice.get("/").await.location(), "/sign-in");
    assert_eq!(alice.get("/inbox/history?level=high").await.location(), "/sign-in?next=%2Finbox%2Fhistory%3Flevel%3Dhigh");
    alice.get("/sign-in").await.expect(200).has("autocomplete=\"username\"").has("autocomplete=\"current-password\"");

    let page = alice.sign_in(&format!(" {}\n", token("alice")), "/inbox/history?level=high").await;
    assert_eq!(page.location(), "/inbox/history?level=high");
    let cookie = page.headers["set-cookie"].to_str().unwrap();
    let (pair, attributes) = cookie.split_once("; ").unwrap();
    let (name, id) = pair.split_once('=').unwrap();
    assert_eq!((name, id.len()), ("__Host-parkbrake", 64));
    assert_eq!(attributes, "Path=/; Secure; HttpOnly; SameSite=Lax");
    alice.get("/").await.expect(200).has("Waiting for you").has("alice");
    assert_eq!(alice.get("/sign-in").await.location(), "/");

    // The stored value differs from what the browser sends.
    assert_eq!(app.database.count("select count(*) from session where octet_length(session_hash) = 32").await, 1);
    let stored = sqlx::query_scalar::<_, String>("select encode(session_hash, 'hex') from session");
    assert_ne!(stored.fetch_one(&mut app.database.connect().await).await.unwrap(), id);

    let again = alice.sign_in(&token("alice"), "/").await;
    assert_ne!(again.headers["set-cookie"], page.headers["set-cookie"], "a session is never taken over");
    assert_eq!(app.database.count("select count(*) from session").await, 1);
}

#[tokio::test]
async fn only_people_with_a_valid_token_sign_in() {
    let app = TestApp::start().await;
    let mut browser = Browser::new(app.addr);
    app.database.execute("update token set revoked_at = clock_timestamp() where principal = 'tess'").await;
    let mut said = Vec::new();
    for wrong in ["", "pbk_test_nobody", &token("tess")] {
        let page = browser.sign_in(wrong, "/").await.expect(401);
        assert!(page.headers.get("set-cookie").is_none());
        said.push(page.html.split("role=\"alert\"").nth(1).unwrap().split("</div>").next().unwrap().to_owned());
    }
    assert!(said.windows(2).all(|two| two[0] == two[1]), "nobody learns why: {said:?}");
    browser.sign_in(&token("deploy-bot"), "/").await.expect(403).has("The inbox is for people");
    assert_eq!(app.database.count("select count(*) from session").await, 0);
}

#[tokio::test]
async fn wrong_tokens_neither_delay_nor_lock_out_others() {
    let app = TestApp::start().await;
    let guess = |number: usize| {
        let mut browser = Browser::new(app.addr);
        async move { browser.sign_in(&format!("pbk_guess_{number}"), "/").await }
    };
    // The first ones are only wrong; then the address, which all share here, has to wait.
    for number in 0..10 {
        guess(number).await.expect(401);
    }
    let page = guess(10).await.expect(429);
    page.has("too many wrong tokens came from your address");
    let pause: u64 = page.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&pause), "{pause}");

    let guessing = tokio::spawn(join_all((0..200).map(guess).collect::<Vec<_>>()));
    // If each wrong token took a second, as with a delay, this would take minutes.
    let beside = async {
        let mut honest = 0;
        while !guessing.is_finished() || honest == 0 {
            Browser::of(app.addr, "alice").await.get("/").await.expect(200);
            honest += 1;
        }
        guessing.await.unwrap()
    };
    let guessed = tokio::time::timeout(Duration::from_secs(100), beside).await.expect("wrong tokens hold up honest ones");
    assert!(guessed.into_iter().all(|page| page.status == 429));
}

#[tokio::test]
async fn signing_in_leads_to_no_other_site() {
    let app = TestApp::start().await;
    let mut browser = Browser::new(app.addr);
    for elsewhere in
        ["https://evil.example/", "//evil.example", "/\\evil.example", "/inbox/\\evil", "/workflows", "/inbox/a\r\nx: y", "javascript:1"]
    {
        assert_eq!(browser.sign_in(&token("alice"), elsewhere).await.location(), "/", "{elsewhere:?}");
    }
    // Another site cannot sign anybody in, either.
    let form = Browser::new(app.addr).form("/sign-in", &[("token", &token("alice"))]).header("sec-fetch-site", "cross-site");
    let page = browser.send(form).await.expect(403);
    assert!(page.headers.get("set-cookie").is_none());
}

#[tokio::test]
async fn a_session_ends_with_its_token_by_hand_and_by_time() {
    let app = TestApp::start().await;
    let out = |page: &crate::support::browser::Page| assert!(page.location().starts_with("/sign-in"));

    let alice = Browser::of(app.addr, "alice").await;
    let page = alice.get("/").await.expect(200);
    let gone = alice.submit(&page, "/sign-out", &[]).await;
    assert_eq!(gone.location(), "/sign-in");
    assert!(gone.headers["set-cookie"].to_str().unwrap().contains("Max-Age=0"));
    out(&alice.get("/").await);
    assert_eq!(app.database.count("select count(*) from session").await, 0);

    let cora = Browser::of(app.addr, "cora").await;
    cora.get("/").await.expect(200);
    let storage = Storage::connect(&app.database.url, 1).unwrap();
    assert_eq!(storage.revoke_tokens(None, "cora").await.unwrap(), 1);
    storage.close().await;
    out(&cora.get("/").await);

    let tom = Browser::of(app.addr, "tom").await;
    app.database.execute("update token set expires_at = clock_timestamp() where principal = 'tom'").await;
    out(&tom.get("/").await);

    let nora = Browser::of(app.addr, "nora").await;
    app.database.execute("update session set last_seen_at = clock_timestamp() - interval '11 hours' where principal = 'nora'").await;
    let idle = "select count(*) from session where principal = 'nora' and last_seen_at < clock_timestamp() - interval '1 hour'";
    nora.get("/?fragment=list").await.expect(200);
    nora.send(nora.request(Method::GET, "/workflows")).await;
    assert_eq!(app.database.count(idle).await, 1, "what a script fetches is not done by hand");
    nora.get("/").await.expect(200);
    assert_eq!(app.database.count(idle).await, 0);
    app.database.execute("update session set last_seen_at = clock_timestamp() - interval '13 hours' where principal = 'nora'").await;
    out(&nora.get("/").await);
    app.database.execute("update session set last_seen_at = clock_timestamp() where principal = 'nora'").await;
    nora.get("/").await.expect(200);
    app.database.execute("update session set expires_at = clock_timestamp() where principal = 'nora'").await;
    out(&nora.get("/").await);
}

#[tokio::test]
async fn a_cookie_reads_and_never_changes_anything_through_the_api() {
    let app = TestApp::start().await;
    let id = app.client("deploy-bot").submit_id(high()).await;
    let alice = Browser::of(app.addr, "alice").await;
    let read = alice.get("/workflows/pending").await;
    assert_eq!(read.status, 200);
    read.has(&id);
    assert_eq!(alice.get("/metrics").await.status, 200);

    for (path, body) in [("approve", "{}"), ("reject", "{}"), ("cancel", "{}"), ("result", "{\"outcome\":\"succeeded\"}")] {
        let request = alice.request(Method::POST, &format!("/workflows/{id}/{path}"));
        let request = request.header("content-type", "application/json").header("sec-fetch-site", "same-origin").body(body);
        let answer = alice.send(request).await;
        assert_eq!(answer.status, 401, "{path}");
    }
    for path in ["/orchestrate", "/risk/assess"] {
        let request = alice.request(Method::POST, path).header("content-type", "application/json").body(high().to_string());
        assert_eq!(alice.send(request).await.status, 401);
    }
    // If a request has a token, only the token counts.
    let wrong = alice.request(Method::GET, "/workflows").bearer_auth("pbk_wrong");
    assert_eq!(alice.send(wrong).await.status, 401);
    assert_eq!(app.client("alice").workflow(&id).await["status"], "pending_approval");
    assert_eq!(app.database.count("select count(*) from workflow").await, 1);
}

#[tokio::test]
async fn a_form_that_is_not_of_this_session_changes_nothing() {
    let app = TestApp::start().await;
    let id = app.client("deploy-bot").submit_id(high()).await;
    let alice = Browser::of(app.addr, "alice").await;
    let cora = Browser::of(app.addr, "cora").await;
    let page = alice.get(&format!("/inbox/workflows/{id}")).await.expect(200);
    let approve = format!("/inbox/workflows/{id}/approve");
    let reject = format!("/inbox/workflows/{id}/reject");
    let own = page.hidden(&approve);
    let field = |name: &str| own.iter().find(|(field, _)| field == name).unwrap().1.clone();
    let (form_token, digest) = (field("form_token"), field("digest"));
    let others = cora.get("/").await.expect(200).hidden("/sign-out")[0].1.clone();
    assert_ne!(form_token, others);

    for action in [approve.as_str(), &reject, "/inbox/reject", "/sign-out"] {
        for token in [None, Some(""), Some("00"), Some(others.as_str()), Some(&form_token[..62])] {
            let mut fields = vec![("digest", digest.as_str()), ("id", id.as_str())];
            fields.extend(token.map(|token| ("form_token", token)));
            alice.post(action, &fields).await.expect(403).has("did not come from a page of your session");
        }
        let fields = [("form_token", form_token.as_str()), ("digest", digest.as_str()), ("id", id.as_str())];
        for (name, value) in [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("origin", "https://evil.example"),
            ("origin", "null"),
            ("x", "y"),
        ] {
            alice.send(alice.form(action, &fields).header(name, value)).await.expect(403);
        }
        // Without the session's cookie, the form token alone is worthless.
        assert!(Browser::new(app.addr).post(action, &fields).await.location().starts_with("/sign-in"));
    }
    // Reading decides nothing, whatever the address.
    for path in [approve.as_str(), &reject, "/inbox/reject"] {
        assert_eq!(alice.get(&format!("{path}?form_token={form_token}&digest={digest}&id={id}")).await.status, 405);
    }
    assert_eq!(app.client("alice").workflow(&id).await["status"], "pending_approval");
    alice.get("/").await.expect(200);

    // The same form from its own page is accepted; an older browser sends `Origin` instead.
    let origin = format!("http://{}", app.addr);
    let fields = [("form_token", form_token.as_str()), ("digest", digest.as_str())];
    alice.send(alice.form(&approve, &fields).header("origin", origin)).await.location();
    assert_eq!(app.client("alice").workflow(&id).await["approval_status"], "approved");
}
