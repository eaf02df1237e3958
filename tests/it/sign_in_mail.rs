//! Signing in by a mailed link, if an operator has set that up.

use crate::support::browser::Page;
use crate::support::called;
use crate::support::server::Services;
use crate::support::services::Smtp;
use crate::support::{Browser, Config, TestApp, eventually};
use futures_util::future::join_all;
use regex::Regex;

const PEOPLE: &str = "
people:
  alice: { roles: [team_lead], email: alice@example.com }
  tom:   { roles: [tech_lead] }
  cora:  { roles: [cto, admin], email: cora@example.com }
agents: { deploy-bot: {} }
";
const NOTIFICATIONS: &str = "
public_url: https://parkbrake.example.com
channels: { mail: { type: email, smtp_url: { from_env: SMTP }, from: parkbrake@example.com } }
";

async fn start(smtp: &Smtp) -> TestApp {
    let config = Config::new()
        .write("hitl/approval-policies.yaml", PEOPLE)
        .write("notifications.yaml", NOTIFICATIONS)
        .write("sign-in.yaml", "mail: mail\n");
    TestApp::with_services(config, Services { secrets: vec![("SMTP", smtp.url())], ..Services::default() }).await
}

/// The path of the link in the newest mail, once there are this many.
#[track_caller]
fn mailed(smtp: &Smtp, many: usize) -> impl Future<Output = String> {
    called(async move {
        let text = eventually("a mail", || async { Some(smtp.mails()).filter(|mails| mails.len() == many)?.pop() }).await.text;
        let link = Regex::new(r"(?m)^https://parkbrake\.example\.com(/sign-in/link\?code=pbl_[0-9a-f]{32}\S*)\r?$").unwrap();
        link.captures(&text).unwrap_or_else(|| panic!("no link in {text:?}"))[1].to_owned()
    })
}

#[track_caller]
fn press(browser: &mut Browser, path: &str) -> impl Future<Output = Page> {
    called(async move {
        let page = browser.get(path).await.expect(200);
        let page = browser.submit(&page, "/sign-in/link", &[]).await;
        browser.cookie = page.headers["set-cookie"].to_str().unwrap().split(';').next().map(str::to_owned);
        page
    })
}

#[tokio::test]
async fn a_link_by_mail_signs_in_and_leads_to_where_somebody_wanted_to_go() {
    let smtp = Smtp::start().await;
    let app = start(&smtp).await;
    let mut browser = Browser::new(app.addr);
    browser.get("/sign-in").await.expect(200).has("Mail me a link");
    browser.post("/sign-in/mail", &[("name", "Alice"), ("next", "/inbox/history")]).await.expect(200).has("Check your mail");
    let path = mailed(&smtp, 1).await;
    let mail = smtp.mails().pop().unwrap();
    assert_eq!((mail.to.as_slice(), mail.header("Subject")), (&["alice@example.com".to_owned()][..], "Sign in to parkbrake"));
    assert!(mail.text.contains("as alice") && mail.html.contains("as alice"));
    assert_eq!(press(&mut browser, &path).await.location(), "/inbox/history");
    browser.get("/").await.expect(200).has("Signed in as </span>alice");
    assert_eq!(app.database.count("select count(*) from notice").await, 0, "no table holds the link");
    assert_eq!(smtp.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn the_answer_is_the_same_whoever_is_named_and_only_people_with_an_address_get_mail() {
    let smtp = Smtp::start().await;
    let app = start(&smtp).await;
    let browser = Browser::new(app.addr);
    let mut answers = Vec::new();
    let now = Regex::new("data-now=\"[^\"]*\"").unwrap();
    for name in ["nobody", "tom", "deploy-bot", "alice"] {
        let page = browser.post("/sign-in/mail", &[("name", name), ("next", "/")]).await.expect(200);
        answers.push(now.replace(&page.html, "").replace(name, "NAME"));
    }
    assert!(answers.windows(2).all(|two| two[0] == two[1]), "{answers:?}");
    mailed(&smtp, 1).await;
    // Another site's form cannot request a link.
    let foreign = browser.form("/sign-in/mail", &[("name", "cora"), ("next", "/")]).header("sec-fetch-site", "cross-site");
    browser.send(foreign).await.expect(403);
    browser.post("/sign-in/mail", &[("name", " "), ("next", "/")]).await.expect(422).has("Write your name");
    // Three for one person, and no more; others still get theirs.
    let asks = ["alice", "alice", "alice", "alice", "cora"].map(|name| {
        let browser = &browser;
        async move { browser.post("/sign-in/mail", &[("name", name), ("next", "/")]).await.expect(200) }
    });
    join_all(asks).await;
    let to = |address: &str| smtp.mails().iter().filter(|mail| mail.to == [address]).count();
    eventually("the others", || async { (to("alice@example.com") == 3 && to("cora@example.com") == 1).then_some(()) }).await;
    // An address that asks again and again has to wait.
    let mut last = 200;
    for _ in 0..12 {
        last = browser.post("/sign-in/mail", &[("name", "nobody"), ("next", "/")]).await.status.as_u16();
    }
    assert_eq!(last, 429);
    assert_eq!((to("alice@example.com"), to("cora@example.com")), (3, 1));
}

#[tokio::test]
async fn a_sign_in_by_mail_ends_with_its_address_or_by_an_operator() {
    let smtp = Smtp::start().await;
    let mut app = start(&smtp).await;
    let mut browser = Browser::new(app.addr);
    for many in [1, 2] {
        browser.post("/sign-in/mail", &[("name", "alice"), ("next", "/")]).await.expect(200);
        let path = mailed(&smtp, many).await;
        if many == 1 {
            press(&mut browser, &path).await.location();
        }
    }
    let kept = mailed(&smtp, 2).await;
    // The session does not depend on a token.
    app.database.execute("update token set revoked_at = clock_timestamp() where principal = 'alice'").await;
    browser.get("/").await.expect(200);
    std::fs::write(app.config.path().join("hitl/approval-policies.yaml"), PEOPLE.replace("alice@", "alice.new@")).unwrap();
    app.restart().await;
    let mut browser = Browser::with_cookie(app.addr, browser.cookie.as_deref());
    assert!(browser.get("/").await.location().starts_with("/sign-in"));
    browser.get(&kept).await.expect(401).has("has another mail address now");

    browser.post("/sign-in/mail", &[("name", "alice"), ("next", "/")]).await.expect(200);
    press(&mut browser, &mailed(&smtp, 3).await).await.location();
    browser.get("/").await.expect(200);
    app.database.execute("delete from session where principal = 'alice'").await;
    assert!(browser.get("/").await.location().starts_with("/sign-in"));
}

#[tokio::test]
async fn sign_in_by_mail_is_off_by_default() {
    let smtp = Smtp::start().await;
    let config = Config::new().write("hitl/approval-policies.yaml", PEOPLE).write("notifications.yaml", NOTIFICATIONS);
    let app = TestApp::with_services(config, Services { secrets: vec![("SMTP", smtp.url())], ..Services::default() }).await;
    let browser = Browser::new(app.addr);
    browser.get("/sign-in").await.expect(200).lacks("Mail me a link");
    browser.post("/sign-in/mail", &[("name", "alice"), ("next", "/")]).await.expect(403).has("sends no links by mail");
    assert_eq!(app.database.count("select count(*) from sign_in_link").await, 0);
}

#[tokio::test]
async fn a_mail_server_that_is_busy_is_tried_again() {
    let smtp = Smtp::start().await;
    let app = start(&smtp).await;
    smtp.answer("CONNECT", Some("421 4.3.2 busy"));
    let browser = Browser::new(app.addr);
    browser.post("/sign-in/mail", &[("name", "alice"), ("next", "/")]).await.expect(200);
    eventually("a link", || async { (app.database.count("select count(*) from sign_in_link").await == 1).then_some(()) }).await;
    smtp.answer("CONNECT", None);
    mailed(&smtp, 1).await;
}
