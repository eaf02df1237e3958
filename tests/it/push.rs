//! Browsers that are subscribed to notices: the page, whom a notice reaches, and whom it does not.

use crate::support::browser::Page;
use crate::support::called;
use crate::support::client::high;
use crate::support::server::Services;
use crate::support::services::PushService;
use crate::support::services::push::KEY;
use crate::support::{Browser, Config, TestApp, eventually};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{TimeDelta, Utc};

const PATH: &str = "/inbox/push";
const NOTIFICATIONS: &str = "
public_url: https://parkbrake.example.com
channels:
  browsers: { type: web_push, private_key: { from_env: PUSH }, subject: \"mailto:ops@example.com\", allow_private: true }
routes:
  - { levels: [medium, high, critical], channels: [browsers] }
";

struct Harness {
    app: TestApp,
    push: PushService,
}

/// The people of the tests, with values of `notify` for alice and tess.
fn policies(alice: &str, tess: &str) -> String {
    format!(
        "
people:
  alice: {{ roles: [team_lead]{alice} }}
  tom:   {{ roles: [tech_lead] }}
  tess:  {{ roles: [tech_lead]{tess} }}
  cora:  {{ roles: [cto, admin] }}
agents:
  deploy-bot: {{ on_behalf_of: tom }}
"
    )
}

/// Quiet hours that have begun and last for two more hours.
fn quiet() -> String {
    let at = |hours| (Utc::now() + TimeDelta::hours(hours)).format("%H:%M");
    format!(", notify: {{ quiet: {{ hours: \"{}-{}\", time_zone: UTC }} }}", at(-1), at(2))
}

impl Harness {
    async fn start(alice: &str, tess: &str) -> Self {
        let config = Config::new().write("hitl/approval-policies.yaml", &policies(alice, tess)).write("notifications.yaml", NOTIFICATIONS);
        let services = Services { secrets: vec![("PUSH", KEY.to_owned())], ..Services::default() };
        Self { app: TestApp::with_services(config, services).await, push: PushService::start().await }
    }

    /// What a person answers on the page to a browser that subscribes.
    #[track_caller]
    fn try_subscribe(&self, person: &str, name: &str) -> impl Future<Output = Page> {
        called(async move {
            let (subscription, browser) = (self.push.browser(name), Browser::of(self.app.addr, person).await);
            let page = browser.get(PATH).await.expect(200);
            let (_, form_token) = page.hidden(PATH).into_iter().find(|(name, _)| name == "form_token").unwrap();
            let (p256dh, auth) = (URL_SAFE_NO_PAD.encode(&subscription.p256dh), URL_SAFE_NO_PAD.encode(&subscription.auth));
            let fields = [("form_token", form_token.as_str()), ("endpoint", &subscription.endpoint), ("p256dh", &p256dh), ("auth", &auth)];
            browser.post(PATH, &fields).await
        })
    }

    #[track_caller]
    fn subscribe(&self, person: &'static str, name: &'static str) -> impl Future<Output = ()> {
        crate::support::called(async move {
            assert!(self.try_subscribe(person, name).await.location().starts_with("/inbox/push?done=subscribed&seal="));
        })
    }

    async fn submit(&self) -> String {
        self.app.client("deploy-bot").submit_id(high()).await
    }

    #[track_caller]
    fn cancelled(&self, person: &str, why: &str) -> impl Future<Output = ()> {
        called(async move {
            let query = "select count(*) from notice where recipient = $1 and status = 'cancelled' and error = $2";
            eventually(why, || async {
                let count = sqlx::query_scalar::<_, i64>(query).bind(person).bind(why);
                (count.fetch_one(&mut self.app.database.connect().await).await.unwrap() > 0).then_some(())
            })
            .await;
        })
    }

    #[track_caller]
    fn reaches(&self, browser: &str, count: usize) -> impl Future<Output = ()> {
        called(async move {
            eventually("the notice", || async { (self.push.messages(browser).len() == count).then_some(()) }).await;
            assert_eq!(self.push.complaints(), Vec::<String>::new());
        })
    }
}

#[tokio::test]
async fn a_subscribed_browser_is_notified_until_it_is_unsubscribed() {
    let harness = Harness::start("", "").await;
    let alice = Browser::of(harness.app.addr, "alice").await;
    alice.get("/inbox/people/alice").await.expect(200).has("href=\"/inbox/push\"");
    alice.get(PATH).await.expect(200).has("You have subscribed no browser").has("needs scripts");
    harness.subscribe("alice", "phone").await;

    let id = harness.submit().await;
    harness.reaches("phone", 1).await;
    let message = harness.push.messages("phone").remove(0);
    assert_eq!(message.said["path"], format!("/inbox/workflows/{id}"));
    alice.get(message.said["path"].as_str().unwrap()).await.expect(200);
    // Nobody else has subscribed a browser, and that is not a failure.
    harness.cancelled("tess", "this person has subscribed no browser").await;
    assert_eq!(harness.app.database.count("select count(*) from notice where status = 'dead'").await, 0);

    let page = alice.get(PATH).await.expect(200);
    page.lacks("/push/phone");
    let unsubscribe = page.html.split("action=\"").find_map(|rest| rest.split_once("/unsubscribe\"")).unwrap().0;
    let unsubscribe = format!("{unsubscribe}/unsubscribe");
    let tess = Browser::of(harness.app.addr, "tess").await;
    let own = tess.get(PATH).await.expect(200).lacks(&unsubscribe).hidden(PATH);
    let token = own.iter().find(|(name, _)| name == "form_token").map(|(_, value)| value.as_str()).unwrap();
    tess.post(&unsubscribe, &[("form_token", token)]).await.location();
    alice.get(PATH).await.expect(200).has(&unsubscribe);
    let after = alice.submit(&page, &unsubscribe, &[]).await.location().to_owned();
    alice.get(&after).await.expect(200).has("is no longer subscribed").has("You have subscribed no browser");
    harness.submit().await;
    harness.cancelled("alice", "this person has subscribed no browser").await;
    harness.reaches("phone", 1).await;
}

#[tokio::test]
async fn a_browser_that_its_push_service_does_not_know_any_more_is_removed() {
    let harness = Harness::start("", "").await;
    harness.subscribe("alice", "phone").await;
    harness.subscribe("alice", "laptop").await;
    harness.push.forget("phone");
    harness.submit().await;
    harness.reaches("laptop", 1).await;
    let left = "select count(*) from push_subscription";
    eventually("the removal", || async { (harness.app.database.count(left).await == 1).then_some(()) }).await;
}

#[tokio::test]
async fn only_people_with_a_browser_count_for_quiet_hours_and_levels() {
    let harness = Harness::start(&quiet(), ", notify: { levels: [critical] }").await;
    harness.subscribe("alice", "phone").await;
    harness.submit().await;
    // Tess would be told, but has no browser, so alice is told in her quiet hours.
    harness.reaches("phone", 1).await;
    harness.subscribe("tess", "laptop").await;
    harness.submit().await;
    harness.cancelled("tess", "this person does not want notices of this level").await;
    harness.reaches("phone", 2).await;

    let harness = Harness::start(&quiet(), "").await;
    harness.subscribe("alice", "phone").await;
    harness.subscribe("tess", "laptop").await;
    harness.submit().await;
    harness.reaches("laptop", 1).await;
    let waits = "select count(*) from notice where recipient = 'alice' and waited and status = 'pending'";
    eventually("alice's notice to wait", || async { (harness.app.database.count(waits).await == 1).then_some(()) }).await;
    harness.reaches("phone", 0).await;
}

#[tokio::test]
async fn level_preferences_are_ignored_if_nobody_else_has_a_browser() {
    let harness = Harness::start(", notify: { levels: [critical] }", "").await;
    harness.subscribe("alice", "phone").await;
    harness.submit().await;
    harness.reaches("phone", 1).await;
}

#[tokio::test]
async fn suspended_or_removed_people_get_no_push_notices() {
    let mut harness = Harness::start("", "").await;
    harness.subscribe("alice", "phone").await;
    harness.subscribe("tess", "laptop").await;
    harness.app.database.execute("insert into suspension (name) values ('alice')").await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    harness.submit().await;
    harness.reaches("laptop", 1).await;
    harness.reaches("phone", 0).await;

    harness.app.database.execute("update suspension set restored_at = clock_timestamp()").await;
    let path = harness.app.config.path().join("hitl/approval-policies.yaml");
    std::fs::write(path, policies("", "").replace("  alice:", "  anna:")).unwrap();
    harness.app.restart().await;
    harness.submit().await;
    harness.reaches("laptop", 2).await;
    harness.reaches("phone", 0).await;
}

#[tokio::test]
async fn a_browser_belongs_to_whoever_subscribed_it_last_and_nobody_has_more_than_ten() {
    let harness = Harness::start("", "").await;
    for name in ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"] {
        harness.subscribe("alice", name).await;
    }
    harness.try_subscribe("alice", "eleven").await.expect(403).has("you have 10 subscribed browsers already");
    harness.subscribe("alice", "ten").await;
    harness.subscribe("tess", "ten").await;
    harness.subscribe("alice", "eleven").await;
    harness.submit().await;
    harness.reaches("ten", 1).await;
    harness.reaches("eleven", 1).await;
    let of_tess = "select count(*) from push_subscription where principal = 'tess'";
    assert_eq!(harness.app.database.count(of_tess).await, 1);
}

#[tokio::test]
async fn foreign_or_unusable_subscriptions_are_refused() {
    let harness = Harness::start("", "").await;
    let alice = Browser::of(harness.app.addr, "alice").await;
    let page = alice.get(PATH).await.expect(200);
    let token = page.hidden(PATH).into_iter().find(|(name, _)| name == "form_token").unwrap().1;
    let phone = harness.push.browser("phone");
    let (key, auth) = (URL_SAFE_NO_PAD.encode(&phone.p256dh), URL_SAFE_NO_PAD.encode(&phone.auth));
    let valid = [("form_token", token.as_str()), ("endpoint", &phone.endpoint), ("p256dh", &key), ("auth", &auth)];
    alice.send(alice.form(PATH, &valid).header("sec-fetch-site", "cross-site")).await.expect(403);
    alice.post(PATH, &valid[1..]).await.expect(403);
    assert!(Browser::new(harness.app.addr).post(PATH, &valid).await.location().starts_with("/sign-in"));
    let long = format!("https://push.example/{}", "x".repeat(2_000));
    for (name, value, word) in [
        ("endpoint", "", "is not an address"),
        ("endpoint", "file:///etc/passwd", "does not begin with"),
        ("endpoint", long.as_str(), "is longer"),
        ("p256dh", "!", "the field p256dh is not what a browser sends"),
        ("p256dh", "AAAA", "cannot be encrypted with the keys of this browser"),
        ("auth", "AAAA", "cannot be encrypted with the keys of this browser"),
    ] {
        let fields = valid.map(|(field, usual)| (field, if field == name { value } else { usual }));
        alice.post(PATH, &fields).await.expect(422).has("Nothing was done").has(word);
    }
    assert_eq!(harness.app.database.count("select count(*) from push_subscription").await, 0);
    assert!(harness.push.service.calls().is_empty());
}

#[tokio::test]
async fn without_a_push_channel_the_page_explains_what_is_missing() {
    let app = TestApp::start().await;
    let alice = Browser::of(app.addr, "alice").await;
    alice.get(PATH).await.expect(200).has("No channel sends notices to browsers").lacks("<form method=\"post\" action=\"/inbox/push\"");
    alice.get("/inbox/people/alice").await.expect(200).lacks("/inbox/push");
    let worker = alice.get("/inbox/push-worker.js").await;
    assert_eq!(worker.headers["content-type"], "text/javascript; charset=utf-8");
    worker.expect(200).has("notificationclick");
}
