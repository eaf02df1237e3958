//! `notifications.yaml`, valid and invalid.

use super::*;
use crate::domain::notice::{Buttons, Medium, SecretName, Service};
use crate::domain::risk::level::Level;
use std::time::Duration;

const EVERYTHING: &str = r#"public_url: https://parkbrake.example.com/
channels:
  ops:    { type: slack, webhook_url: { from_env: SLACK_WEBHOOK_URL }, buttons: { signing_secret: { from_env: SIGNING } } }
  mail:   { type: email, smtp_url: { from_env: SMTP_URL }, from: parkbrake@example.com, group: 0s, template: mail.txt }
  linear: { type: linear, api_key: { from_env: LINEAR_API_KEY }, team_id: "t-1", done_state: "Done" }
  audit:  { type: webhook, url: "https://example.com/hook", secret: { from_env: HOOK_SECRET } }
  pager:  { type: pagerduty, routing_key: { from_env: PAGER } }
  push:   { type: web_push, private_key: { from_env: PUSH }, subject: "mailto:ops@example.com" }
routes:
  - { levels: [medium, high, critical], channels: [ops, linear, audit] }
  - { levels: [critical], channels: [mail, pager, audit, push] }
"#;

fn with(notifications: &str) -> Configuration {
    valid(&[(APPROVALS, PEOPLE), (NOTIFICATIONS, notifications), ("mail.txt", "{{ description }}")])
}

#[test]
fn the_documented_notifications_file_loads_with_defaults() {
    let read = with(EVERYTHING).notifications;
    assert_eq!(read.public_url.as_deref(), Some("https://parkbrake.example.com"));
    let secret = |name: &str| SecretName(name.to_owned());
    let ops = &read.channels["ops"];
    let buttons = Some(Buttons { signing_secret: secret("SIGNING"), levels: vec![Level::Medium], team_id: None });
    assert_eq!(ops.service, Service::Slack { webhook_url: secret("SLACK_WEBHOOK_URL"), buttons });
    assert_eq!((ops.group_within, &ops.template), (Duration::from_secs(60), &None));
    let mail = &read.channels["mail"];
    assert_eq!((mail.service.medium(), mail.group_within), (Medium::Email, Duration::ZERO));
    assert_eq!(mail.template.as_deref(), Some("{{ description }}"));
    let (api_url, done_state) = ("https://api.linear.app/graphql".to_owned(), Some("Done".to_owned()));
    let (api_key, team_id) = (secret("LINEAR_API_KEY"), "t-1".to_owned());
    assert_eq!(read.channels["linear"].service, Service::Linear { api_key, team_id, api_url, done_state, cancelled_state: None });
    let (url, timeout) = ("https://example.com/hook".to_owned(), Duration::from_secs(20));
    assert_eq!(read.channels["audit"].service, Service::Webhook { url, secret: secret("HOOK_SECRET"), timeout, allow_private: false });
    assert_eq!(read.channels["audit"].group_within, Duration::ZERO);
    let api_url = "https://events.pagerduty.com/v2/enqueue".to_owned();
    assert_eq!(read.channels["pager"].service, Service::PagerDuty { routing_key: secret("PAGER"), api_url });
    let push = Service::WebPush { private_key: secret("PUSH"), subject: "mailto:ops@example.com".to_owned(), allow_private: false };
    assert_eq!(read.channels["push"].service, push);
    let heard = |level| read.heard_at(level).map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(heard(Level::Low), Vec::<&str>::new());
    assert_eq!(heard(Level::High), ["audit", "linear", "ops"]);
    assert_eq!(heard(Level::Critical), ["audit", "linear", "mail", "ops", "pager", "push"], "each once, though two routes name it");
}

#[test]
fn without_the_file_there_are_no_channels() {
    assert_eq!(valid(&[(APPROVALS, PEOPLE)]).notifications, crate::domain::notice::Notifications::default());
    assert_eq!(with("{}").notifications, crate::domain::notice::Notifications::default());
}

/// The problems of `notifications.yaml`, without its name.
fn problems(text: &str) -> Vec<String> {
    let found = invalid(&[(APPROVALS, PEOPLE), (NOTIFICATIONS, text), ("bad.txt", "line\n{{ a"), ("hitl/big.txt", &"x".repeat(70_000))]);
    found.into_iter().map(|problem| problem.replace("notifications.yaml:", "")).collect()
}

#[test]
fn invalid_settings_are_reported_with_line_and_key() {
    let hook = |more: &str| format!("channels:\n  a: {{ type: webhook, url: \"https://a.example\", secret: {{ from_env: S }}, {more} }}\n");
    let slack = |more: &str| format!("channels:\n  a: {{ type: slack, webhook_url: {{ from_env: S }}, {more} }}\n");
    let push = |subject: &str| format!("channels:\n  a: {{ type: web_push, private_key: {{ from_env: S }}, subject: \"{subject}\" }}\n");
    for (text, expected) in [
        ("public_url: parkbrake.example.com\n".to_owned(), "1: public_url: is not an address"),
        ("public_url: \"https://a.example/?x=1\"\n".to_owned(), "1: public_url: is the address that links begin with"),
        ("channel: {}\n".to_owned(), "1: channel: is not a known key"),
        ("channels: { a: { url: x } }\n".to_owned(), "1: channels.a: has no `type`"),
        ("channels:\n  a: { type: teams }\n".to_owned(), "2: channels.a.type: is `teams`, but has to be slack"),
        ("channels: { A: { type: slack } }\n".to_owned(), "1: channels.A: `A` cannot be used"),
        ("channels: { a: { type: slack } }\n".to_owned(), "1: channels.a.webhook_url: is missing"),
        (
            "channels: { a: { type: slack, webhook_url: \"https://hooks.slack.com/x\" } }\n".to_owned(),
            "1: channels.a.webhook_url: is a secret",
        ),
        (slack("timeout: 20s"), "2: channels.a.timeout: is not a known key"),
        (slack("group: 2h"), "2: channels.a.group: is more than 1h"),
        (slack("buttons: {}"), "2: channels.a.buttons.signing_secret: is missing"),
        (slack("buttons: { signing_secret: { from_env: S }, levels: [] }"), "2: channels.a.buttons.levels: is empty"),
        (slack("template: nowhere.txt"), "2: channels.a.template: names the file `nowhere.txt`"),
        (slack("template: bad.txt"), "2: channels.a.template: names the file `bad.txt`, which is not a valid template in line 2"),
        (slack("template: hitl/big.txt"), "2: channels.a.template: names a file of more than 65536 bytes"),
        (hook("group: 60s"), "2: channels.a.group: is not a known key"),
        (hook("timeout: 31s"), "2: channels.a.timeout: is more than 30s"),
        (hook("allow_private: yes"), "2: channels.a.allow_private: is the text `yes`, but has to be true or false"),
        (hook("url: \"https://u:p@a.example\""), "2: channels.a.url: appears twice"),
        (
            "channels: { a: { type: email, smtp_url: { from_env: S }, from: \"P <p@a.example>\" } }\n".to_owned(),
            "1: channels.a.from: is not an address",
        ),
        (
            "channels: { a: { type: web_push, private_key: hunter2, subject: \"mailto:a@b.example\" } }\n".to_owned(),
            "1: channels.a.private_key: is a secret",
        ),
        ("channels: { a: { type: web_push, private_key: { from_env: S } } }\n".to_owned(), "1: channels.a.subject: is missing"),
        (push("ops@example.com"), "2: channels.a.subject: has to be an address"),
        (push("mailto:ops"), "2: channels.a.subject: is not an address"),
        (push("http://a.example"), "2: channels.a.subject: has to be an address"),
        (
            push("mailto:a@b.example") + push("mailto:a@b.example").replace("channels:\n  a:", "  b:").as_str(),
            "3: channels.b: is a second channel of the type web_push",
        ),
        (
            "routes: [ { levels: [high], channels: [ops] } ]\n".to_owned(),
            "1: routes[0].channels[0]: `ops` is not a channel; under `channels` there is: none",
        ),
        ("routes: [ { levels: [urgent], channels: [] } ]\n".to_owned(), "1: routes[0].levels[0]: is `urgent`"),
        ("routes: [ { channels: [] } ]\n".to_owned(), "1: routes[0].levels: is missing"),
    ] {
        let found = problems(&text);
        assert!(found.iter().any(|problem| problem.starts_with(expected)), "{expected}: {found:?}");
    }
}

#[test]
fn a_secret_in_the_file_is_not_repeated() {
    let text = "channels: { a: { type: webhook, url: \"https://a.example\", secret: whsec_dGhpcyBpcyBhIHNlY3JldA } }\n";
    assert!(problems(text).iter().all(|problem| !problem.contains("dGhp")));
}

const APP: &str = "type: github, private_key: { from_env: KEY }, webhook_secret: { from_env: HOOK }";
const WITH_AGENTS: &str = "people: { ann: { roles: [team_lead, tech_lead, cto, admin] }, ben: { roles: [team_lead, tech_lead, cto, admin] } }\n\
                           agents: { deployments: {}, others: {} }\n";

#[test]
fn a_github_app_is_read_and_takes_no_route() {
    let text = format!(
        "channels:\n  a: {{ {APP}, app_id: 1234, agent: deployments }}\n  b: {{ {APP}, app_id: Iv23, agent: others, api_url: \"https://github.example.com/api/v3/\" }}\n"
    );
    let read = valid(&[(APPROVALS, WITH_AGENTS), (NOTIFICATIONS, &text)]);
    let apps: Vec<_> = read.notifications.github_apps().map(|(name, app)| (name, app.app_id.as_str(), app.api_url.as_str())).collect();
    assert_eq!(apps, [("a", "1234", "https://api.github.com"), ("b", "Iv23", "https://github.example.com/api/v3")]);
    assert!(read.notes.iter().all(|note| !note.contains("named by no route")), "{:?}", read.notes);
    assert!(read.variables().is_superset(&["KEY".to_owned(), "HOOK".to_owned()].into()), "both are masked");
}

#[test]
fn a_github_app_asks_in_the_name_of_an_agent_of_its_own() {
    for (text, expected) in [
        (format!("channels:\n  a: {{ {APP}, app_id: 1, agent: nobody }}\n"), "2: channels.a.agent: `nobody` is not an agent"),
        (format!("channels:\n  a: {{ {APP}, app_id: 1, agent: ann }}\n"), "2: channels.a.agent: `ann` is not an agent"),
        (
            format!("channels:\n  a: {{ {APP}, app_id: 1, agent: others }}\n  b: {{ {APP}, app_id: 2, agent: others }}\n"),
            "3: channels.b.agent: the channel a asks in the name of others already",
        ),
        (format!("channels:\n  a: {{ {APP}, app_id: 1 }}\n"), "2: channels.a.agent: is missing"),
        (format!("channels:\n  a: {{ {APP}, agent: others }}\n"), "2: channels.a.app_id: is missing"),
        (format!("channels:\n  a: {{ {APP}, app_id: 1, agent: others, template: x }}\n"), "2: channels.a.template: is not a known key"),
        (
            "channels:\n  a: { type: github, app_id: 1, agent: others, private_key: MIIE, webhook_secret: { from_env: HOOK } }\n"
                .to_owned(),
            "2: channels.a.private_key: is a secret",
        ),
    ] {
        let found = invalid(&[(APPROVALS, WITH_AGENTS), (NOTIFICATIONS, &text)]);
        assert!(found.iter().any(|problem| problem.replace("notifications.yaml:", "").starts_with(expected)), "{expected}: {found:?}");
    }
}

#[test]
fn a_route_is_not_blamed_for_a_channel_that_cannot_be_read() {
    let found = problems("channels:\n  a: { type: teams }\nroutes: [ { levels: [high], channels: [a] } ]\n");
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn probable_mistakes_are_noted() {
    let text = "channels:\n  a: { type: webhook, url: \"https://a.example\", secret: { from_env: S } }\n  m: { type: email, smtp_url: { from_env: S }, from: a@b }\n  \
                p: { type: web_push, private_key: { from_env: S }, subject: \"mailto:a@b.example\", allow_private: true }\n\
                routes: [ { levels: [low, high], channels: [m, p] } ]\n";
    assert_eq!(
        with(text).notes[1..],
        [
            "the channel a is named by no route, so nothing is sent there",
            "a route names low, but risk_levels.low.notify is false, so nobody is notified of such tasks",
            "public_url is not set, so messages have no links",
            "the channel p allows private addresses, so everybody who signs in can make the server call some",
            "these people have no email, so no mail reaches them: alice, cora, tom",
        ]
    );
}

#[test]
fn notices_are_part_of_the_version_however_they_are_written() {
    let version = |text: &str| with(text).version;
    let without = valid(&[(APPROVALS, PEOPLE)]).version;
    assert_eq!(version("{}"), without);
    let split = EVERYTHING.replace(
        "levels: [medium, high, critical], channels: [ops, linear, audit]",
        "levels: [critical, high], channels: [audit, linear, ops] }\n  - { levels: [medium], channels: [linear, ops, audit]",
    );
    assert_eq!(version(&split), version(EVERYTHING));
    assert_eq!(version(&EVERYTHING.replace("example.com/\n", "example.com\n")), version(EVERYTHING));
    for (from, to) in [("group: 0s", "group: 30s"), ("SMTP_URL", "OTHER"), ("[critical]", "[high]"), ("mail.txt }", "none }")] {
        let changed = EVERYTHING.replace(from, to);
        let files = [(APPROVALS, PEOPLE), (NOTIFICATIONS, changed.as_str()), ("mail.txt", "{{ description }}"), ("none", "another text")];
        assert_ne!(valid(&files).version, version(EVERYTHING), "{from}");
    }
}
