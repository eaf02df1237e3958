//! The stand-ins themselves: they accept nothing that the real services would refuse.

use crate::support::called;
use crate::support::services::linear::{API_KEY, TEAM};
use crate::support::services::pagerduty::ROUTING_KEY;
use crate::support::services::{Linear, PagerDuty, Slack, mail};
use crate::support::{Client, client};
use serde_json::{Value, json};

#[track_caller]
fn post(url: &str, key: &str, body: &Value) -> impl Future<Output = (u16, String)> {
    called(async move {
        // Any client will do; this one has TLS set up.
        let client = Client::with_token("127.0.0.1:9".parse().unwrap(), &client::token("nobody"));
        let request = client.request_to(url).header("authorization", key).json(body);
        let answer = client.send(request).await;
        (answer.status.as_u16(), answer.text)
    })
}

#[tokio::test]
async fn slack_refuses_what_block_kit_does_not_know() {
    let slack = Slack::start().await;
    let plain = |text: &str| json!({"type": "plain_text", "text": text});
    let section = json!({"type": "section", "text": plain("words")});
    let button = json!({"type": "button", "text": plain("x"), "action_id": "a"});
    let message = |block: Value| json!({"text": "words", "blocks": [block]});
    let valid = message(section.clone());
    assert_eq!(post(&slack.webhook_url(), "", &valid).await, (200, "ok".to_owned()));
    for invalid in [
        json!({"blocks": [section]}),
        json!({"text": "<!channel>", "blocks": [section]}),
        json!({"text": "words", "blocks": vec![section.clone(); 51]}),
        json!({"text": "words", "blocks": [], "shade": "red"}),
        message(json!({"type": "section"})),
        message(json!({"type": "section", "text": {"type": "mrkdwn", "text": "words"}})),
        message(json!({"type": "section", "text": plain("")})),
        message(json!({"type": "section", "text": plain(&"x".repeat(3001))})),
        message(json!({"type": "section", "fields": vec![plain("x"); 11]})),
        message(json!({"type": "header", "text": plain(&"🚀".repeat(76))})),
        message(json!({"type": "context", "elements": [{"type": "mrkdwn", "text": "<!here>"}]})),
        message(json!({"type": "actions", "elements": [button, button]})),
        message(json!({"type": "actions", "elements": [{"type": "button", "text": plain("x"), "action_id": "a", "url": "javascript:1"}]})),
        message(json!({"type": "banner"})),
    ] {
        assert_eq!(post(&slack.webhook_url(), "", &invalid).await, (400, "invalid_blocks".to_owned()), "{invalid}");
    }
    let elsewhere = slack.webhook_url().replace("secret", "other");
    assert_eq!(post(&elsewhere, "", &valid).await, (404, "no_service".to_owned()));
    assert_eq!(slack.messages().len(), 1);
}

#[tokio::test]
async fn linear_refuses_what_its_schema_does_not_know() {
    let linear = Linear::start().await;
    let create = "mutation M($input: IssueCreateInput!) { issueCreate(input: $input) { success issue { id } } }";
    let input = json!({"teamId": TEAM, "title": "words"});
    let valid = json!({"query": create, "variables": {"input": input}});
    let (status, text) = post(&linear.api_url(), API_KEY, &valid).await;
    assert!(status == 200 && text.contains(r#""success":true"#), "{text}");
    let with = |field: &str, value: Value| {
        let mut valid = valid.clone();
        valid["variables"]["input"][field] = value;
        valid
    };
    for invalid in [
        json!({"query": create.replace("IssueCreateInput!", "IssueInput!"), "variables": {"input": input}}),
        json!({"query": create.replace("success issue", "success ticket"), "variables": {"input": input}}),
        json!({"query": create.replace("{ id }", ""), "variables": {"input": input}}),
        json!({"query": create.replace("mutation", "query"), "variables": {"input": input}}),
        json!({"query": create.replace(" } }", " }"), "variables": {"input": input}}),
        json!({"query": create, "variables": {"input": input, "more": 1}}),
        json!({"query": create, "variables": {}}),
        with("shade", json!("red")),
        with("priority", json!("1")),
        with("title", json!(7)),
        with("id", json!("no uuid")),
        with("id", json!("0198c0de-0000-7000-8000-000000000001")),
        with("teamId", json!("nobody's")),
    ] {
        let (_, text) = post(&linear.api_url(), API_KEY, &invalid).await;
        assert!(text.contains("errors"), "{invalid}: {text}");
    }
    for key in ["", "lin_api_other", &format!("Bearer {API_KEY}")] {
        let (_, text) = post(&linear.api_url(), key, &valid).await;
        assert!(text.contains("AUTHENTICATION_ERROR"), "{key}");
    }
    assert_eq!(linear.issues().len(), 1);
}

#[tokio::test]
async fn pagerduty_refuses_what_is_no_event() {
    let pagerduty = PagerDuty::start().await;
    let payload = json!({"summary": "words", "source": "here", "severity": "error"});
    let valid = json!({"routing_key": ROUTING_KEY, "event_action": "trigger", "dedup_key": "a", "payload": payload});
    assert_eq!(post(&pagerduty.api_url(), "", &valid).await.0, 202);
    let with = |pointer: &str, value: Value| {
        let mut invalid = valid.clone();
        *invalid.pointer_mut(pointer).unwrap() = value;
        invalid
    };
    for invalid in [
        with("/routing_key", json!("short")),
        with("/event_action", json!("ring")),
        with("/dedup_key", json!("x".repeat(256))),
        with("/payload/summary", json!("")),
        with("/payload/summary", json!("x".repeat(1025))),
        with("/payload/severity", json!("high")),
        with("/payload", json!({"summary": "words", "source": "here", "severity": "error", "shade": "red"})),
    ] {
        assert_eq!(post(&pagerduty.api_url(), "", &invalid).await.0, 400, "{invalid}");
    }
}

#[test]
fn a_mail_that_is_not_valid_is_not_read() {
    let head = "From: a@b\r\nTo: c@d\r\nSubject: x\r\nDate: Sun, 22 Nov 2026 12:00:00 +0000\r\nMessage-ID: <a@b>\r\nMIME-Version: 1.0\r\n\
        Content-Type: multipart/alternative; boundary=\"B\"\r\n";
    let part =
        |kind: &str, text: &str| format!("--B\r\nContent-Type: {kind}; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\n{text}\r\n");
    let body = format!("\r\n{}{}--B--\r\n", part("text/plain", "text"), part("text/html", "<p>html"));
    let read = |raw: String| mail::read("a@b".to_owned(), vec!["c@d".to_owned()], raw.as_bytes());
    let mail = read(format!("{head}{body}")).unwrap();
    assert_eq!((mail.text.as_str(), mail.html.as_str(), mail.header("Subject")), ("text", "<p>html", "x"));
    for invalid in [
        format!("{head}Subject: twice\r\n{body}"),
        format!("{}{body}", head.replace("Subject: x\r\n", "")),
        format!("{}{body}", head.replace("Subject: x", "Subject: ü")),
        format!("{}{body}", head.replace("Subject: x", "Subject: x\ny")),
        format!("{}{body}", head.replace("Subject: x", "Subject: =?utf-8?b?w?=")),
        format!("{}{body}", head.replace("<a@b>", "a@b")),
        format!("{}{body}", head.replace("+0000", "soon")),
        format!("{}{body}", head.replace("alternative", "mixed")),
        format!("{head}{}", body.replace("text/html", "text/plain")),
        format!("{head}{}", body.replace("--B--", "")),
        format!("{head}{}", body.replace("<p>", &"x".repeat(999))),
    ] {
        assert!(read(invalid.clone()).is_err(), "{invalid}");
    }
}
