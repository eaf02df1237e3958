//! Which notices people want, and their quiet hours.

use crate::support::client::{critical, high};
use crate::support::server::Services;
use crate::support::services::{Slack, Smtp};
use crate::support::{Config, TestApp, eventually};
use chrono::{TimeDelta, Utc};
use serde_json::json;

const NOTIFICATIONS: &str = "
public_url: https://parkbrake.example.com
channels:
  mail: { type: email, smtp_url: { from_env: SMTP }, from: parkbrake@example.com, group: 0s }
  room: { type: slack, webhook_url: { from_env: ROOM }, group: 0s }
routes:
  - { levels: [medium, high, critical], channels: [mail, room] }
";

struct Harness {
    app: TestApp,
    smtp: Smtp,
    slack: Slack,
}

/// The value of `notify` for quiet hours that have begun and last for two more hours.
fn quiet() -> String {
    let at = |hours| (Utc::now() + TimeDelta::hours(hours)).format("%H:%M");
    format!("{{ quiet: {{ hours: \"{}-{}\", time_zone: UTC }} }}", at(-1), at(2))
}

/// Sets `notify` for alice, tess and cora.
fn policies([alice, tess, cora]: [&str; 3], more: &str) -> String {
    format!(
        "
people:
  alice: {{ roles: [team_lead], email: alice@example.com, slack: U01{alice} }}
  tom:   {{ roles: [tech_lead], email: tom@example.com }}
  tess:  {{ roles: [tech_lead], email: tess@example.com, slack: U03{tess} }}
  cora:  {{ roles: [cto, admin], email: cora@example.com{cora} }}
agents:
  deploy-bot: {{ on_behalf_of: tom }}
{more}"
    )
}

/// A person with this value of `notify`.
fn told(notify: &str) -> String {
    format!(", notify: {notify}")
}

impl Harness {
    async fn start(people: [&str; 3], more: &str) -> Self {
        let (smtp, slack) = (Smtp::start().await, Slack::start().await);
        let secrets = vec![("SMTP", smtp.url()), ("ROOM", slack.webhook_url())];
        let config = Config::new().write("hitl/approval-policies.yaml", &policies(people, more)).write("notifications.yaml", NOTIFICATIONS);
        let app = TestApp::with_services(config, Services { secrets, ..Services::default() }).await;
        Self { app, smtp, slack }
    }

    /// The subjects of the mails to a person.
    fn mails(&self, name: &str) -> Vec<String> {
        let to = format!("{name}@example.com");
        let mails = self.smtp.mails();
        mails.iter().filter(|mail| mail.to == [to.clone()]).map(|mail| mail.header("Subject").to_owned()).collect()
    }

    async fn becomes(&self, what: &str, query: &'static str, count: i64) {
        eventually(what, || async { (self.app.database.count(query).await == count).then_some(()) }).await;
    }
}

#[tokio::test]
async fn notices_from_quiet_hours_become_one_mail() {
    let mut harness = Harness::start([&told(&quiet()), "", ""], "").await;
    let bot = harness.app.client("deploy-bot");
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(bot.submit_id(high()).await);
    }
    harness.becomes("three that wait", "select count(*) from notice where waited and status = 'pending' and recipient = 'alice'", 3).await;
    eventually("the mails to tess", || async { (harness.mails("tess").len() == 3).then_some(()) }).await;
    assert_eq!(harness.mails("alice"), Vec::<String>::new());
    let room = harness.slack.messages();
    assert!(room.iter().all(|message| message.to_string().contains("<@U03>") && !message.to_string().contains("<@U01>")), "{room:#?}");

    // A reminder of what waits anyway comes after that.
    let fall_due = "update notice set first_due_at = clock_timestamp(), due_at = clock_timestamp()
                    where recipient = 'alice' and kind = 'approval.reminded' and status = 'pending'";
    harness.app.database.execute(fall_due).await;
    let rests =
        "select count(*) from notice n where recipient = 'alice' and kind = 'approval.reminded' and not waited and status = 'pending'
                 and first_due_at > (select max(first_due_at) from notice where waited)";
    harness.becomes("the reminders to rest", rests, 3).await;

    // One is decided in the meantime; then the quiet hours end.
    harness.app.client("tess").reject(&ids[0]).await.expect(200);
    let path = harness.app.config.path().join("hitl/approval-policies.yaml");
    std::fs::write(path, policies(["", "", ""], "")).unwrap();
    harness.app.restart().await;
    let end = "update notice set first_due_at = clock_timestamp(), due_at = clock_timestamp() where waited and status = 'pending'";
    harness.app.database.execute(end).await;
    eventually("the mail to alice", || async { (!harness.mails("alice").is_empty()).then_some(()) }).await;
    harness.becomes("both delivered", "select count(*) from notice where waited and status = 'delivered'", 2).await;
    assert_eq!(harness.mails("alice"), ["2 requests wait for approval, the worst of them high"]);
    assert!(harness.smtp.complaints().is_empty() && harness.slack.complaints().is_empty());
}

#[tokio::test]
async fn if_everybody_has_quiet_hours_all_are_notified_at_once() {
    let quiet = told(&quiet());
    let harness = Harness::start([&quiet, &quiet, ""], "").await;
    harness.app.client("deploy-bot").submit_id(high()).await;
    eventually("both mails", || async { (harness.mails("alice").len() == 1 && harness.mails("tess").len() == 1).then_some(()) }).await;
    let room = eventually("the room", || async { harness.slack.messages().pop() }).await.to_string();
    assert!(room.contains("<@U01>") && room.contains("<@U03>"), "{room}");
    assert_eq!(harness.app.database.count("select count(*) from notice where waited").await, 0);
}

#[tokio::test]
async fn quiet_hours_delay_neither_what_is_critical_nor_an_escalation_nor_what_is_sent_again() {
    let quiet = told(&quiet());
    let harness = Harness::start(["", &quiet, &quiet], "escalation: { high: [ { after: 1s, to: [cto] } ] }").await;
    let bot = harness.app.client("deploy-bot");
    bot.submit_id(critical()).await;
    eventually("critical", || async { (harness.mails("tess").len() == 1 && harness.mails("cora").len() == 1).then_some(()) }).await;
    bot.submit_id(high()).await;
    eventually("the escalation", || async { (harness.mails("cora").len() == 2).then_some(()) }).await;
    assert!(harness.mails("cora")[1].starts_with("Escalated (high risk)"), "{:?}", harness.mails("cora"));
    assert_eq!(harness.mails("tess").len(), 1, "tess has quiet hours, and alice was told");
    let asks = "select count(*) from notice where recipient = 'tess' and waited and kind = 'approval.requested'";
    assert_eq!(harness.app.database.count(asks).await, 1);

    harness.app.database.execute("update notice set status = 'dead' where waited and kind = 'approval.requested'").await;
    let cora = harness.app.client("cora");
    let dead = cora.get("/notices?status=dead").await.expect(200);
    let path = format!("/notices/{}/resend", dead["notices"][0]["notice_id"].as_str().unwrap());
    cora.post(&path, json!({})).await.expect(200);
    eventually("what is sent again", || async { (harness.mails("tess").len() == 2).then_some(()) }).await;
}

#[tokio::test]
async fn level_preferences_apply_unless_nobody_would_be_notified() {
    let only_critical = told("{ levels: [critical] }");
    let harness = Harness::start([&only_critical, "", ""], "").await;
    harness.app.client("deploy-bot").submit_id(high()).await;
    eventually("the mail to tess", || async { (harness.mails("tess").len() == 1).then_some(()) }).await;
    let room = eventually("the room", || async { harness.slack.messages().pop() }).await.to_string();
    assert!(room.contains("<@U03>") && !room.contains("<@U01>"), "{room}");
    assert_eq!(harness.app.database.count("select count(*) from notice where recipient = 'alice'").await, 0);

    let harness = Harness::start([&only_critical, &only_critical, ""], "").await;
    harness.app.client("deploy-bot").submit_id(high()).await;
    eventually("both mails", || async { (harness.mails("alice").len() == 1 && harness.mails("tess").len() == 1).then_some(()) }).await;
}
