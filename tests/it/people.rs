//! From a request to the people: every channel for people at once, behind the real outbox, and the
//! effect of an outage.

use crate::support::client::high;
use crate::support::server::Services;
use crate::support::services::http::Reply;
use crate::support::services::pagerduty::ROUTING_KEY;
use crate::support::services::{Linear, PagerDuty, Slack, Smtp, linear};
use crate::support::{Config, TestApp, eventually};

const POLICIES: &str = "
people:
  alice: { roles: [team_lead], email: alice@example.com, slack: U01 }
  tom:   { roles: [tech_lead], email: tom@example.com }
  tess:  { roles: [tech_lead], email: tess@example.com, slack: U03 }
  cora:  { roles: [cto, admin], email: cora@example.com }
agents:
  deploy-bot: { on_behalf_of: tom }
";

/// A server, and all the services that it notifies.
struct Harness {
    app: TestApp,
    slack: Slack,
    linear: Linear,
    smtp: Smtp,
    pagerduty: PagerDuty,
}

impl Harness {
    async fn start(policies: &str) -> Self {
        let (slack, linear, smtp, pagerduty) = (Slack::start().await, Linear::start().await, Smtp::start().await, PagerDuty::start().await);
        let notifications = format!(
            "
public_url: https://parkbrake.example.com
channels:
  ops:    {{ type: slack, webhook_url: {{ from_env: ROOM }}, group: 0s }}
  mail:   {{ type: email, smtp_url: {{ from_env: SMTP }}, from: parkbrake@example.com, group: 0s }}
  issues: {{ type: linear, api_key: {{ from_env: LINEAR }}, team_id: '{}', api_url: '{}' }}
  call:   {{ type: pagerduty, routing_key: {{ from_env: PAGERDUTY }}, api_url: '{}' }}
routes:
  - {{ levels: [high], channels: [ops, mail, issues, call] }}
",
            linear::TEAM,
            linear.api_url(),
            pagerduty.api_url()
        );
        let secrets = vec![
            ("ROOM", slack.webhook_url()),
            ("SMTP", smtp.url()),
            ("LINEAR", linear::API_KEY.to_owned()),
            ("PAGERDUTY", ROUTING_KEY.to_owned()),
        ];
        let config = Config::new()
            .write("hitl/approval-policies.yaml", &format!("{POLICIES}{policies}"))
            .write("notifications.yaml", &notifications);
        let app = TestApp::with_services(config, Services { secrets, ..Services::default() }).await;
        Self { app, slack, linear, smtp, pagerduty }
    }

    /// The first lines of the messages in the room.
    fn room(&self) -> Vec<String> {
        self.slack.messages().iter().map(|message| message["text"].as_str().unwrap_or_default().to_owned()).collect()
    }

    fn mailed(&self) -> Vec<String> {
        let mut to: Vec<_> = self.smtp.mails().iter().map(|mail| mail.to.join(" ")).collect();
        to.sort();
        to
    }

    fn down(&self, down: bool) {
        for service in [&self.slack.service, &self.linear.service, &self.pagerduty.service] {
            service.down(down.then(|| Reply::new(503, "down")));
        }
        self.smtp.answer("CONNECT", down.then_some("421 4.3.2 down"));
    }

    #[track_caller]
    fn nobody_complains(&self) {
        let all = [self.slack.complaints(), self.linear.complaints(), self.smtp.complaints(), self.pagerduty.complaints()].concat();
        assert_eq!(all, Vec::<String>::new());
    }
}

#[tokio::test]
async fn every_channel_announces_a_request_and_its_end() {
    let harness = Harness::start("escalation: { high: [ { after: 1s, to: [cto] } ] }").await;
    let id = harness.app.client("deploy-bot").submit_id(high()).await;
    eventually("a call", || async { harness.pagerduty.open(&id) }).await;
    eventually("the room", || async { Some(harness.room()).filter(|room| room.len() >= 2) }).await;
    let asked = eventually("mails", || async { Some(harness.mailed()).filter(|mailed| mailed.len() >= 3) }).await;
    assert_eq!(asked, ["alice@example.com", "cora@example.com", "tess@example.com"], "those who may decide, when they are asked");
    let issue = eventually("a comment", || async { harness.linear.issues().pop().filter(|issue| !issue.comments.is_empty()) }).await;
    assert_eq!((issue.state.as_str(), issue.priority), ("Todo", 2));
    let link = format!("/workflows/{id}");
    assert!(
        harness.slack.messages()[0].to_string().contains(&link)
            && harness.smtp.mails()[0].text.contains(&link)
            && issue.description.contains(&link)
    );
    harness.app.client("alice").approve(&id).await.expect(200);
    eventually("the end of the call", || async { harness.pagerduty.open(&id).is_none().then_some(()) }).await;
    eventually("the issue's end", || async { (harness.linear.issue().state == "Done").then_some(()) }).await;
    let room = eventually("the decision", || async { Some(harness.room()).filter(|room| room.len() >= 3) }).await;
    assert!(room[0].starts_with("Approval needed (high risk): deploy") && room[1].starts_with("Escalated"), "{room:?}");
    assert!(room[2].starts_with("Approved by alice"), "{room:?}");
    harness.nobody_complains();
}

#[tokio::test]
async fn after_an_outage_and_a_restart_no_notice_is_lost_or_stale() {
    let mut harness = Harness::start("").await;
    harness.down(true);
    let kept = harness.app.client("deploy-bot").submit_id(high()).await;
    let settled = harness.app.client("deploy-bot").submit_id(high()).await;
    eventually("attempts", || async { (harness.slack.service.calls().len() >= 2).then_some(()) }).await;
    harness.app.client("alice").reject(&settled).await.expect(200);
    harness.app.restart().await;
    harness.down(false);
    let room = eventually("the room", || async { Some(harness.slack.messages()).filter(|room| !room.is_empty()) }).await;
    assert!(room[0].to_string().contains(&kept));
    eventually("mails", || async { (harness.mailed() == ["alice@example.com", "tess@example.com"]).then_some(()) }).await;
    eventually("an issue", || async { harness.linear.issues().pop() }).await;
    // Later notices show that no channel says anything about what was settled in the meantime:
    // nobody is asked about it any more.
    harness.app.client("alice").reject(&kept).await.expect(200);
    eventually("the rejection", || async { harness.room().iter().any(|line| line.starts_with("Rejected by alice")).then_some(()) }).await;
    eventually("the issue's end", || async { (harness.linear.issue().state == "Canceled").then_some(()) }).await;
    assert!(!harness.slack.messages().iter().any(|message| message.to_string().contains(&settled)), "{:#?}", harness.room());
    assert_eq!(harness.mailed().len(), 2);
    harness.nobody_complains();
}
