//! Slack: the messages, and what happens to them.

use super::{deliver, escalated, nowhere, refused, weathers_that_nobody_is_there, weathers_what_http_does};
use crate::support::called;
use crate::support::notices::{HOSTILE, INBOX, about, crowd, everything, notice, task, to_alice};
use crate::support::services::http::{Mishap, Reply};
use crate::support::services::{self};
use parkbrake::actors::ports::{Channel as _, Undelivered};
use parkbrake::domain::notice::Kind;
use parkbrake::domain::risk::level::Level;
use parkbrake::notify::slack::Slack;
use parkbrake::outbound::secret::Secret;
use serde_json::{Value, json};
use std::sync::Arc;

pub async fn start() -> (services::Slack, Slack) {
    with_buttons(&[]).await
}

#[track_caller]
fn with_buttons(levels: &[Level]) -> impl Future<Output = (services::Slack, Slack)> {
    called(async move {
        let service = services::Slack::start().await;
        let channel = Slack::new(Secret::new(service.webhook_url()), levels.to_vec(), Some(INBOX.to_owned()), None).unwrap();
        (service, channel)
    })
}

/// Everything in a message under a key of this name.
fn all<'a>(message: &'a Value, key: &str) -> Vec<&'a str> {
    match message {
        Value::Object(fields) => {
            let here = fields.get(key).and_then(Value::as_str);
            here.into_iter().chain(fields.values().flat_map(|inner| all(inner, key))).collect()
        }
        Value::Array(list) => list.iter().flat_map(|inner| all(inner, key)).collect(),
        _ => Vec::new(),
    }
}

#[tokio::test]
async fn slack_accepts_every_notice() {
    let (service, channel) = with_buttons(&Level::ALL).await;
    let mut sent = 0;
    for notice in everything() {
        let (kind, level) = (notice.kind, notice.workflow.submission.assessment.level);
        let answer = deliver(&channel, notice).await;
        assert_eq!(answer, Ok(()), "{kind:?} {level}: {:?}", service.complaints());
        sent += 1;
    }
    assert_eq!(service.messages().len(), sent);
}

#[tokio::test]
async fn a_request_shows_what_would_run_and_mentions_the_approvers() {
    let (service, channel) = start().await;
    let notice = notice(Kind::Requested, Level::High);
    let link = notice.link.clone().unwrap();
    deliver(&channel, notice).await.unwrap();
    let message = &service.messages()[0];
    assert_eq!(message["text"], "Approval needed (high risk): deploy api-gateway in production");
    let said = all(message, "text").join("\n");
    for words in ["<@U01>", r#"["deploy.sh","api","it's 1.4.2"]"#, "deploy-bot for tom", "> Deploy api 1.4.2", "team_lead or tech_lead"] {
        assert!(said.contains(words), "`{words}` is not in: {said}");
    }
    assert_eq!(all(message, "url"), [link]);
    assert_eq!(all(message, "value"), Vec::<&str>::new(), "no buttons that decide where none are configured");
}

#[tokio::test]
async fn text_from_outside_is_plain() {
    let (service, channel) = start().await;
    deliver(&channel, about(Kind::Requested, Level::High, crate::support::notices::hostile())).await.unwrap();
    let message = service.messages()[0].to_string();
    assert!(message.contains("<!channel>"), "it is shown, as it is, where it does nothing");
    assert!(!message.contains('\u{202e}') && !message.contains('\u{200b}'), "what cannot be seen is shown by its number");
    assert!(service.messages()[0]["text"].as_str().unwrap().contains("&lt;!channel&gt;"), "the notification is escaped");
}

#[tokio::test]
async fn long_texts_are_truncated_and_keep_the_link() {
    let (service, channel) = start().await;
    for text in ["🚀".repeat(1024), "x".repeat(4096), "\u{202e}".repeat(1365), "`<!channel>\n".repeat(340), "\n".repeat(4096)] {
        let mut task = task(&text);
        task.operation = text.clone();
        deliver(&channel, about(Kind::Requested, Level::High, task)).await.unwrap_or_else(|_| panic!("{:?}", service.complaints()));
    }
    assert!(service.messages().iter().all(|message| all(message, "url").len() == 1));
}

#[tokio::test]
async fn many_requests_are_one_message() {
    let (service, channel) = start().await;
    for size in [2, 12, 40, 50, 100] {
        let crowd = crowd(size);
        let links: Vec<String> = crowd.iter().filter_map(|notice| notice.link.clone()).collect();
        channel.deliver(crowd).await.unwrap_or_else(|_| panic!("{:?}", service.complaints()));
        let message = service.messages().pop().unwrap();
        let worst = if size > 3 { "critical" } else { "medium" };
        assert_eq!(message["text"], format!("{size} requests wait for approval, the worst of them {worst}"));
        let urls = all(&message, "url");
        let shown = size.min(40);
        assert!(links[..shown].iter().all(|link| urls.contains(&link.as_str())), "a link for each");
        assert_eq!(urls.last(), Some(&INBOX));
        let said = all(&message, "text").join("\n");
        assert_eq!(said.contains(&format!("and {} more", size - shown)), size > 40, "{said}");
        assert_eq!(said.matches("<@U01>").count(), 1, "each person is mentioned once");
    }
    assert_eq!(service.messages().len(), 5);
}

#[tokio::test]
async fn buttons_are_where_they_are_configured_and_words_are_not_needed() {
    let (service, channel) = with_buttons(&[Level::Medium]).await;
    let asks = notice(Kind::Requested, Level::Medium);
    let value = format!("{} {}", asks.workflow.id, asks.workflow.submission.digest);
    deliver(&channel, asks).await.unwrap();
    assert_eq!(all(&service.messages()[0], "value"), [value.as_str(), &value]);
    assert_eq!(all(&service.messages()[0], "action_id"), ["parkbrake_approve", "parkbrake_reject", "parkbrake_open"]);
    let mut wordy = notice(Kind::Requested, Level::Medium);
    if let Some(round) = wordy.workflow.rounds.last_mut() {
        Arc::make_mut(&mut round.terms).require_justification = true;
    }
    for without in [notice(Kind::Requested, Level::High), notice(Kind::Decided, Level::Medium), wordy] {
        deliver(&channel, without).await.unwrap();
        assert_eq!(all(&service.messages().pop().unwrap(), "action_id"), ["parkbrake_open"]);
    }
    channel.deliver(crowd(3)).await.unwrap();
    assert!(all(&service.messages().pop().unwrap(), "value").is_empty(), "nobody decides many at once");
}

/// A request with short texts only, as JSON that the tests change.
fn short() -> Value {
    serde_json::to_value(task("Deploy api 1.4.2")).unwrap()
}

/// Every text of a document, at any depth, as JSON.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Object(fields) => fields.values().flat_map(texts).collect(),
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::String(_) => vec![value.to_string()],
        _ => Vec::new(),
    }
}

#[tokio::test]
async fn a_button_appears_only_under_everything_that_it_decides_about() {
    let (service, channel) = with_buttons(&Level::ALL).await;
    let findings = |count: usize| -> Value {
        (0..count).map(|n| json!({"severity": "low", "id": format!("CVE-{n}"), "title": "an old library"})).collect()
    };
    let with = |pointer: &str, value: Value| {
        let mut document = short();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        document.pointer_mut(parent).unwrap()[name] = value;
        document
    };
    let hidden_at_the_end = format!("--note={}; rm -rf /srv/data", "routine restart of the cache node ".repeat(20));
    let shown = [
        short(),
        with("/metadata", json!({"ticket": "OPS-7", "a.b": {"deep": ["x", {"y": "z"}]}})),
        with("/security_findings", findings(5)),
        with("/action/runs/env", json!(["DEPLOY_TOKEN", "A=B"])),
        with("/action/args", json!({"service": "api"})),
    ];
    for document in shown {
        let notice = about(Kind::Requested, Level::Medium, serde_json::from_value(document.clone()).unwrap());
        deliver(&channel, notice).await.unwrap_or_else(|_| panic!("{:?}", service.complaints()));
        let message = service.messages().pop().unwrap();
        assert_eq!(all(&message, "action_id"), ["parkbrake_approve", "parkbrake_reject", "parkbrake_open"], "{document}");
        let said = all(&message, "text").join("\n");
        for text in texts(&document) {
            assert!(said.contains(&text), "{text} is not in: {said}");
        }
    }
    let more_than_a_message = [
        with("/action/runs/command", json!(["/bin/echo", hidden_at_the_end, "and more"])),
        with("/action/runs/command", json!(vec!["argument"; 60])),
        with("/action/runs/command", json!(["x", "\u{200b}".repeat(80)])),
        with("/action/args", json!({"note": "x".repeat(3000)})),
        with("/action/runs/env", json!((0..200).map(|n| format!("VARIABLE_{n}")).collect::<Vec<_>>())),
        with("/action/runs/working_dir", json!("d/".repeat(2_000))),
        with("/metadata", json!({"plan": "x".repeat(3000)})),
        with("/metadata", json!((0..200).map(|n| (format!("key-{n}"), json!("value"))).collect::<serde_json::Map<_, _>>())),
        with("/security_findings", findings(60)),
        with("/description", json!("long ".repeat(700))),
        with("/resource", json!("r".repeat(100))),
        with("/task_id", json!("🚀".repeat(1_500))),
    ];
    for document in more_than_a_message {
        let notice = about(Kind::Requested, Level::Medium, serde_json::from_value(document.clone()).unwrap());
        deliver(&channel, notice).await.unwrap_or_else(|_| panic!("{:?}", service.complaints()));
        let message = service.messages().pop().unwrap();
        assert_eq!(all(&message, "action_id"), ["parkbrake_open"], "{document}");
        assert!(all(&message, "text").join("\n").contains("it is decided in the inbox"), "{message}");
    }
    let mut reasoned = notice(Kind::Requested, Level::Medium);
    let reason = reasoned.workflow.submission.assessment.reasons[0].clone();
    Arc::make_mut(&mut reasoned.workflow.submission).assessment.reasons = vec![reason; 11];
    deliver(&channel, reasoned).await.unwrap();
    assert_eq!(all(&service.messages().pop().unwrap(), "action_id"), ["parkbrake_open"], "the eleventh reason is not told");
}

#[tokio::test]
async fn only_ids_of_members_are_mentioned() {
    let (service, channel) = start().await;
    let mut notice = escalated();
    let person = |slack: &str| parkbrake::actors::ports::Contact { slack: Some(slack.to_owned()), ..notice.asked[0].clone() };
    notice.asked = ["!channel", "U01> <!here", "U02", "", "u03"].map(person).to_vec();
    deliver(&channel, notice).await.unwrap();
    let said = all(&service.messages()[0], "text").join("\n");
    assert!(said.contains("Asked: <@U02>") && !said.contains("<!here"), "{said}");
}

#[tokio::test]
async fn answers_of_slack_are_understood() {
    let (service, channel) = start().await;
    let secret = service.webhook_url();
    weathers_what_http_does(&channel, &service.service, &[&secret, "/services/"]).await;
    let answer = |status: u16, body: &str| service.service.next(Mishap::Instead(Reply::new(status, body)));
    for (status, word) in [(400, "invalid_blocks"), (400, "invalid_payload"), (403, "action_prohibited"), (404, "something_new")] {
        answer(status, word);
        refused(deliver(&channel, escalated()).await, word);
    }
    for (status, word) in
        [(404, "no_service"), (410, "channel_is_archived"), (404, "channel_not_found"), (403, "invalid_token"), (404, "no_team")]
    {
        answer(status, word);
        let gone = deliver(&channel, escalated()).await;
        assert!(matches!(gone, Err(Undelivered::Gone { .. })), "{word}: {gone:?}");
    }
    answer(200, "<html>please sign in</html>");
    assert!(matches!(deliver(&channel, escalated()).await, Err(Undelivered::Later { .. })));
    let wrong = format!("{}/services/T0/B0/other", service.service.url);
    let gone = deliver(&Slack::new(Secret::new(wrong), vec![], None, None).unwrap(), escalated()).await;
    assert!(matches!(gone, Err(Undelivered::Gone { .. })));
    let nowhere = format!("http://{}/services/secret", nowhere());
    weathers_that_nobody_is_there(&Slack::new(Secret::new(nowhere), vec![], None, None).unwrap(), &["secret"]).await;
}

#[tokio::test]
async fn an_invalid_address_is_not_repeated() {
    let error = Slack::new(Secret::new("hooks.slack.com/services/secret"), vec![], None, None).err().unwrap();
    assert!(!error.contains("secret"), "{error}");
    assert_eq!(format!("{:?}", Secret::new("secret")), "Secret");
}

#[tokio::test]
async fn a_custom_template_is_the_text_and_stays_plain() {
    let service = services::Slack::start().await;
    let own = "{{ notice.operation }} by {{ notice.requested_by }}: {{ notice.description }}";
    let channel = Slack::new(Secret::new(service.webhook_url()), vec![], None, Some(own)).unwrap();
    deliver(&channel, to_alice(about(Kind::Requested, Level::High, task(HOSTILE)))).await.unwrap();
    let said = all(&service.messages()[0], "text").join("\n");
    assert!(said.contains("deploy by deploy-bot: </script>") && !said.contains("Why this level"), "{said}");
    let empty = Slack::new(Secret::new(service.webhook_url()), vec![], None, Some("{# nothing #}")).unwrap();
    deliver(&empty, escalated()).await.unwrap_or_else(|_| panic!("{:?}", service.complaints()));
}
