//! Signing in through an OpenID Connect provider, and provider answers that prove nobody's
//! identity.

use crate::support::browser::Page;
use crate::support::client::{medium, token};
use crate::support::server::Services;
use crate::support::services::http::Reply;
use crate::support::services::openid::{CLIENT, CLIENT_SECRET, OpenId, Signing, Subject};
use crate::support::{Browser, Config, TestApp};
use serde_json::{Value, json};

const PEOPLE: &str = "
people:
  alice: { roles: [team_lead], email: alice@example.com }
  tom:   { roles: [tech_lead], email: tom@example.com }
  cora:  { roles: [cto, admin] }
agents: { deploy-bot: {} }
";
const ALICE: Subject = Subject { subject: "248289761001", email: Some(("alice@example.com", true)) };
const TOM: Subject = Subject { subject: "tom at the provider", email: Some(("Tom@example.com", true)) };

async fn start(provider: &OpenId) -> TestApp {
    let config = Config::new()
        .write("hitl/approval-policies.yaml", PEOPLE)
        .write("notifications.yaml", "public_url: https://parkbrake.example.com\n")
        .write("sign-in.yaml", &settings(provider, "people: { alice: \"248289761001\" }, match_email: true"));
    TestApp::with_services(config, Services { secrets: vec![("OIDC", CLIENT_SECRET.to_owned())], ..Services::default() }).await
}

fn settings(provider: &OpenId, whom: &str) -> String {
    let (issuer, secret) = (provider.issuer(), "client_secret: { from_env: OIDC }");
    format!("openid_connect: {{ issuer: \"{issuer}\", client_id: {CLIENT}, {secret}, {whom} }}\n")
}

/// Stores the cookies that a page sets.
fn keep(browser: &mut Browser, page: &Page) {
    for cookie in page.headers.get_all("set-cookie") {
        let (name, value) = cookie.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
        let others = browser.cookie.take().unwrap_or_default();
        let mut kept: Vec<String> =
            others.split("; ").filter(|other| !other.is_empty() && !other.starts_with(&format!("{name}="))).map(str::to_owned).collect();
        if !value.is_empty() {
            kept.push(format!("{name}={value}"));
        }
        browser.cookie = Some(kept.join("; ")).filter(|kept| !kept.is_empty());
    }
}

/// Presses the link to the provider; returns where the browser is sent.
async fn go(browser: &mut Browser, next: &str) -> String {
    let page = browser.get(&format!("/sign-in/openid?next={}", next.replace('/', "%2F"))).await;
    keep(browser, &page);
    page.location().to_owned()
}

async fn back(browser: &mut Browser, path: &str) -> Page {
    let page = browser.get(path).await;
    keep(browser, &page);
    page
}

/// To the provider and back.
async fn sign_in(app: &TestApp, provider: &OpenId, subject: Subject) -> (Browser, Page) {
    let mut browser = Browser::new(app.addr);
    let address = go(&mut browser, "/").await;
    let path = provider.sign_in(&address, subject);
    let page = back(&mut browser, &path).await;
    (browser, page)
}

async fn sessions(app: &TestApp) -> i64 {
    app.database.count("select count(*) from session").await
}

/// A change to a token before it is signed.
type Twist = Box<dyn Fn(&mut Value) + Send>;

#[tokio::test]
async fn a_subject_or_verified_address_signs_in_and_returns_to_the_page() {
    let provider = OpenId::start().await;
    let app = start(&provider).await;
    let mut browser = Browser::new(app.addr);
    browser.get("/sign-in?next=%2Finbox%2Fhistory").await.expect(200).has("Sign in with 127.0.0.1");
    let address = go(&mut browser, "/inbox/history").await;
    let attempt = browser.cookie.clone().unwrap();
    assert!(attempt.starts_with("__Host-parkbrake-openid="), "{attempt}");
    let path = provider.sign_in(&address, ALICE);
    let page = back(&mut browser, &path).await;
    assert_eq!(page.location(), "/inbox/history");
    let session = browser.cookie.clone().unwrap();
    assert!(session.starts_with("__Host-parkbrake=") && !session.contains("openid"), "the attempt is over: {session}");
    browser.get("/").await.expect(200).has("Signed in as </span>alice");
    // The other signature algorithm, and the other proof.
    provider.sign_with(Signing::Rs256);
    let (tom, page) = sign_in(&app, &provider, TOM).await;
    assert_eq!(page.location(), "/");
    tom.get("/").await.expect(200).has("Signed in as </span>tom");
    assert_eq!(provider.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn invalid_provider_answers_sign_nobody_in() {
    let provider = OpenId::start().await;
    let app = start(&provider).await;
    let now = || chrono::Utc::now().timestamp();
    let twists: Vec<(&str, Twist)> = vec![
        ("another nonce", Box::new(|claims| claims["nonce"] = json!("0".repeat(64)))),
        ("no nonce", Box::new(|claims| drop(claims.as_object_mut().unwrap().remove("nonce")))),
        ("another audience", Box::new(|claims| claims["aud"] = json!("somebody-else"))),
        ("an audience beside us", Box::new(|claims| claims["aud"] = json!([CLIENT, "somebody-else"]))),
        ("another issuer", Box::new(|claims| claims["iss"] = json!("https://login.example.com"))),
        ("expired", Box::new(move |claims| claims["exp"] = json!(now() - 1))),
        ("issued an hour ago", Box::new(move |claims| claims["iat"] = json!(now() - 3_600))),
        ("issued in an hour", Box::new(move |claims| claims["iat"] = json!(now() + 3_600))),
        ("a subject that nobody has", Box::new(|claims| (claims["sub"], claims["email"]) = (json!("eve"), json!("eve@example.com")))),
        ("an address that is not verified", Box::new(|claims| (claims["sub"], claims["email_verified"]) = (json!("eve"), json!(false)))),
        // A person with a known subject cannot be proved by a mail address.
        ("an address of somebody with a subject", Box::new(|claims| claims["sub"] = json!("eve"))),
    ];
    for (what, twist) in twists {
        provider.twist(twist);
        let (browser, page) = sign_in(&app, &provider, ALICE).await;
        page.expect(401);
        assert_eq!((browser.cookie, sessions(&app).await), (None, 0), "{what}");
    }
    provider.twist(|_| {});
    for signing in [Signing::Foreign, Signing::Hs256, Signing::None] {
        provider.sign_with(signing);
        let (browser, page) = sign_in(&app, &provider, ALICE).await;
        page.expect(401);
        assert_eq!((browser.cookie, sessions(&app).await), (None, 0), "{signing:?}");
    }
    assert_eq!(provider.complaints(), Vec::<String>::new(), "what is wrong is seen here, and not there");
}

#[tokio::test]
async fn a_new_provider_key_is_fetched() {
    let provider = OpenId::start().await;
    let app = start(&provider).await;
    for _ in 0..3 {
        let (_, page) = sign_in(&app, &provider, ALICE).await;
        assert_eq!(page.location(), "/");
        provider.rotate();
    }
}

#[tokio::test]
async fn an_openid_callback_needs_the_browser_that_began_it() {
    let provider = OpenId::start().await;
    let app = start(&provider).await;
    let (mut one, mut other) = (Browser::new(app.addr), Browser::new(app.addr));
    let address = go(&mut one, "/").await;
    let elsewhere = go(&mut other, "/").await;
    let path = provider.sign_in(&address, ALICE);
    // Without the cookie, with another attempt's, and with another state.
    back(&mut Browser::new(app.addr), &path).await.expect(401).has("begun in another browser");
    let with = |cookie: &Browser| Browser::with_cookie(app.addr, cookie.cookie.as_deref());
    back(&mut with(&other), &path).await.expect(401).has("begun in another browser");
    // The code of one attempt with the state of the other: the provider refuses it.
    let value = |path: &str, name: &str| path.split(['?', '&']).find_map(|pair| pair.strip_prefix(&format!("{name}="))).unwrap().to_owned();
    let of_other = provider.sign_in(&elsewhere, TOM);
    let mixed = path.replace(&value(&path, "state"), &value(&of_other, "state"));
    back(&mut with(&other), &mixed).await.expect(401);
    assert_eq!(provider.complaints(), ["the verifier is not the challenge's"]);
    // From another issuer.
    back(&mut with(&other), &of_other.replace("iss=http", "iss=https")).await.expect(401).has("begun in another browser");
    assert_eq!(sessions(&app).await, 0);

    let of_other_again = provider.sign_in(&elsewhere, TOM);
    let before = with(&other);
    assert_eq!(back(&mut other, &of_other_again).await.location(), "/");
    // Again: the browser has no attempt any more, and the provider accepts no code twice.
    let mut again = with(&other);
    back(&mut again, &of_other_again).await.expect(401).has("begun in another browser");
    back(&mut with(&before), &of_other_again).await.expect(401);
    assert_eq!(sessions(&app).await, 1);
}

#[tokio::test]
async fn a_session_ends_when_the_configuration_no_longer_maps_its_proof() {
    let provider = OpenId::start().await;
    let mut app = start(&provider).await;
    let (alice, _) = sign_in(&app, &provider, ALICE).await;
    let (tom, _) = sign_in(&app, &provider, TOM).await;
    let on = |app: &TestApp, browser: &Browser| Browser::with_cookie(app.addr, browser.cookie.as_deref());
    for (whom, alice_is_in, tom_is_in) in [
        ("people: { alice: \"248289761001\" }, match_email: true", true, true),
        ("people: { alice: \"248289761001\" }", true, false),
        ("people: { alice: \"another\" }, match_email: true", false, true),
        ("people: { alice: \"another\", tom: \"a third\" }, match_email: true", false, false),
    ] {
        std::fs::write(app.config.path().join("sign-in.yaml"), settings(&provider, whom)).unwrap();
        app.restart().await;
        for (browser, is_in) in [(&alice, alice_is_in), (&tom, tom_is_in)] {
            let page = on(&app, browser).get("/").await;
            assert_eq!(page.status == 200, is_in, "{whom}: {}", page.status);
        }
    }
}

/// The sign-in link on the page of a request whose approver signed in too long ago.
#[track_caller]
fn again(page: &Page) -> String {
    let (before, _) = page.html.split_once("\">Sign in again</a>").unwrap_or_else(|| panic!("no way to sign in again in {}", page.html));
    before.rsplit_once('"').unwrap().1.replace("&#x2f;", "/").replace("&amp;", "&")
}

#[tokio::test]
async fn a_stale_sign_in_goes_through_the_provider_and_keeps_the_draft() {
    let provider = OpenId::start().await;
    let mut app = start(&provider).await;
    let now = || chrono::Utc::now().timestamp();
    provider.twist(move |claims| claims["auth_time"] = json!(now() - 7_200));
    let (before, _) = sign_in(&app, &provider, ALICE).await;
    // The rule is newer than the session.
    let policies = "policies: { medium: { require_recent_sign_in: 1h } }";
    std::fs::write(app.config.path().join("hitl/approval-policies.yaml"), format!("{PEOPLE}{policies}\n")).unwrap();
    app.restart().await;
    let mut browser = Browser::with_cookie(app.addr, before.cookie.as_deref());
    let id = app.client("deploy-bot").submit(medium()).await["workflow_id"].as_str().unwrap().to_owned();
    let (here, approve) = (format!("/inbox/workflows/{id}"), format!("/inbox/workflows/{id}/approve"));
    let page = browser.get(&here).await.expect(200);
    page.has("requires a sign-in within the last 1h, and yours is older").lacks("Approve exactly this").has(">Reject</button>");
    let digest = app.client("alice").workflow(&id).await["digest"].as_str().unwrap().to_owned();
    let form_token = page.hidden("/sign-out")[0].1.clone();
    let fields = [("form_token", form_token.as_str()), ("digest", &digest), ("justification", "read <b>all</b> of it")];
    let refused = browser.post(&approve, &fields).await.expect(403);
    refused.has("Nothing was decided").has("what you wrote is here when you come back");
    let address = again(&refused);
    assert_eq!(address, format!("/sign-in/openid?again=yes&next=%2Finbox%2Fworkflows%2F{id}"));

    // A provider that does not ask again, or does not say when it did, proves nothing.
    let stale: [Twist; 2] = [
        Box::new(move |claims| claims["auth_time"] = json!(now() - 7_200)),
        Box::new(|claims| drop(claims.as_object_mut().unwrap().remove("auth_time"))),
    ];
    for twist in stale {
        provider.twist(twist);
        let page = browser.get(&address).await;
        keep(&mut browser, &page);
        let asked = reqwest::Url::parse(page.location()).unwrap();
        let asks = |name: &str, value: &str| asked.query_pairs().any(|(one, said)| one == name && said == value);
        assert!(asks("prompt", "login") && asks("max_age", "0"), "{asked}");
        let path = provider.sign_in(page.location(), ALICE);
        back(&mut browser, &path).await.expect(401).has("does not say that you have signed in again just now");
    }
    // An attempt without the mark for signing in again is a different attempt.
    let page = browser.get(&address).await;
    let attempt = page.headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().replace("-again.", ".");
    let path = provider.sign_in(page.location(), ALICE);
    Browser::with_cookie(app.addr, Some(&attempt)).get(&path).await.expect(401).has("begun in another browser");

    provider.twist(|_| {});
    let page = browser.get(&address).await;
    keep(&mut browser, &page);
    let path = provider.sign_in(page.location(), ALICE);
    assert_eq!(back(&mut browser, &path).await.location(), here);
    let page = browser.get(&here).await.expect(200);
    page.has("Nothing was decided yet").has("read &lt;b&gt;all&lt;&#x2f;b&gt; of it</textarea>");
    let done = browser.submit(&page, &approve, &[("justification", "read <b>all</b> of it")]).await;
    assert!(done.location().contains("done=approved"), "{}", done.location());
    browser.get(&here).await.expect(200).lacks("Nothing was decided yet");
    assert_eq!(sessions(&app).await, 1, "the session of before has ended");
}

#[tokio::test]
async fn people_renew_a_sign_in_the_way_they_signed_in() {
    let app = TestApp::with(Config::new().with_policies("policies: { medium: { require_recent_sign_in: 1s } }")).await;
    let mut browser = Browser::of(app.addr, "alice").await;
    let id = app.client("deploy-bot").submit(medium()).await["workflow_id"].as_str().unwrap().to_owned();
    let here = format!("/inbox/workflows/{id}");
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let address = again(&browser.get(&here).await.expect(200));
    assert_eq!(address, format!("/sign-in?again=yes&next=%2Finbox%2Fworkflows%2F{id}"));
    browser.get(&address).await.expect(200).has("Your token");
    let before = browser.cookie.clone();
    assert_eq!(browser.sign_in(&token("alice"), &here).await.location(), here);
    assert_ne!(browser.cookie, before);
}

#[tokio::test]
async fn a_group_of_the_provider_gives_a_role_for_deciding_in_that_session_and_for_nothing_else() {
    let provider = OpenId::start().await;
    let mut app = start(&provider).await;
    let with_groups = settings(&provider, "match_email: true, groups: { claim: teams, scope: teams, roles: { sre-oncall: [team_lead] } }");
    let write = |app: &TestApp, text: &str| std::fs::write(app.config.path().join("sign-in.yaml"), text).unwrap();
    write(&app, &with_groups);
    app.restart().await;
    provider.twist(|claims| claims["teams"] = json!(["everybody", "sre-oncall"]));
    let mut before = Browser::new(app.addr);
    let address = go(&mut before, "/").await;
    assert!(address.contains("teams"), "the scope is asked for: {address}");
    let path = provider.sign_in(&address, TOM);
    back(&mut before, &path).await;
    let tom = |app: &TestApp| Browser::with_cookie(app.addr, before.cookie.as_deref());
    let approve = async |app: &TestApp, id: &str| {
        let page = tom(app).get(&format!("/inbox/workflows/{id}")).await.expect(200);
        tom(app).submit(&page, &format!("/inbox/workflows/{id}/approve"), &[]).await
    };
    app.client("cora").post("/halt", json!({"reason": "so that nothing starts"})).await.expect(200);
    // Nobody acts for tom here: these are the bot's own requests.
    let first = app.client("deploy-bot").submit_id(medium()).await;
    app.client("tom").approve(&first).await.problem(403, "not-an-approver");
    assert!(tom(&app).get("/?mine=1").await.expect(200).ids().contains(&first), "it waits for him");
    tom(&app).get("/inbox/people/tom").await.expect(200).has("You may decide as team_lead in this session, too, by the group sre-oncall");
    tom(&app).get("/inbox/policy").await.expect(200).has("<code>sre-oncall</code> gives team_lead");
    let whoami: Value = serde_json::from_str(&tom(&app).get("/whoami").await.html).unwrap();
    assert_eq!((&whoami["roles"], &whoami["by_groups"]), (&json!(["tech_lead"]), &json!([{"role": "team_lead", "group": "sre-oncall"}])));
    assert!(approve(&app, &first).await.location().contains("done=approved"));
    let history = app.client("alice").workflow(&first).await["history"].to_string();
    assert!(history.contains(r#""by_groups":[{"role":"team_lead","group":"sre-oncall"}]"#), "{history}");
    tom(&app).get(&format!("/inbox/workflows/{first}")).await.expect(200).has("as team_lead by the group sre-oncall");

    // The role is valid as long as the configuration accepts the group for it, also at the start.
    app.client("cora").post("/resume", json!({"reason": "go on"})).await.expect(200);
    app.client("deploy-bot").wait_for(&first, "executing").await;
    app.client("cora").post("/halt", json!({"reason": "once more"})).await.expect(200);
    let second = app.client("deploy-bot").submit_id(medium()).await;
    assert!(approve(&app, &second).await.location().contains("done=approved"));
    write(&app, &settings(&provider, "match_email: true"));
    app.restart().await;
    app.client("cora").post("/resume", json!({"reason": "go on"})).await.expect(200);
    let asked = app.client("deploy-bot").wait_for(&second, "pending_approval").await;
    assert!(asked.to_string().contains("the approval of tom no longer counts"), "{asked}");
    tom(&app).get(&format!("/inbox/workflows/{second}")).await.expect(200).lacks("Approve exactly this");
}

#[tokio::test]
async fn a_failing_or_refusing_provider_blocks_no_sign_in_with_a_token() {
    let provider = OpenId::start().await;
    let app = start(&provider).await;
    provider.service.down(Some(Reply::new(503, "down")));
    let browser = Browser::new(app.addr);
    browser.get("/sign-in/openid").await.expect(503).has("does not answer correctly").has("Your token");
    provider.service.down(None);
    let mut browser = Browser::new(app.addr);
    let address = go(&mut browser, "/").await;
    let path = provider.sign_in(&address, ALICE);
    let state = path.split('&').find(|pair| pair.starts_with("state=")).unwrap().to_owned();
    let denied = format!("/sign-in/openid/callback?error=access_denied&error_description=%3Cb%3Enot%20today&{state}");
    back(&mut browser, &denied).await.expect(401).has("&lt;b&gt;not today").lacks("<b>not");
    assert_eq!(browser.sign_in(&token("alice"), "/").await.location(), "/");
    // Another site cannot send anybody through the provider.
    let browser = Browser::new(app.addr);
    let request = browser.request(reqwest::Method::GET, "/sign-in/openid").header("sec-fetch-site", "cross-site");
    browser.send(request).await.expect(403).has("Another site has sent you here");
}

#[tokio::test]
async fn without_a_provider_there_is_no_way_to_one() {
    let app = TestApp::start().await;
    let browser = Browser::new(app.addr);
    browser.get("/sign-in").await.expect(200).lacks("Sign in with");
    browser.get("/sign-in/openid").await.expect(403).has("sign-in.yaml");
    browser.get("/sign-in/openid/callback?code=x&state=y").await.expect(401);
}
