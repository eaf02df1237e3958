//! The channels for people, each with a service that accepts only what the real one accepts.

mod email;
mod linear;
mod pagerduty;
mod services;
mod slack;
mod templates;
mod web_push;

use crate::support::called;
use crate::support::notices::notice;
use crate::support::services::http::{Mishap, Reply, Service};
use parkbrake::actors::ports::{Channel, Notice, Undelivered};
use parkbrake::domain::notice::Kind;
use parkbrake::domain::risk::level::Level;
use std::time::Duration;

/// A valid notice of interest to every channel.
fn escalated() -> Notice {
    notice(Kind::Escalated, Level::High)
}

async fn deliver(channel: &impl Channel, notice: Notice) -> Result<(), Undelivered> {
    channel.deliver(vec![notice]).await
}

#[track_caller]
fn later(answer: &Result<(), Undelivered>) -> Option<Duration> {
    match answer {
        Err(Undelivered::Later { after, .. }) => *after,
        other => panic!("{other:?} is not for later"),
    }
}

#[track_caller]
fn refused(answer: Result<(), Undelivered>, word: &str) {
    match answer {
        Err(Undelivered::Refused { reason }) => assert!(reason.contains(word), "`{word}` is not in: {reason}"),
        other => panic!("{other:?} is no refusal"),
    }
}

/// Faults of any HTTP service, and how a channel handles them.
#[track_caller]
fn weathers_what_http_does(channel: &impl Channel, service: &Service, secrets: &[&str]) -> impl Future<Output = ()> {
    called(async move {
        let instead = |reply: Reply| service.next(Mishap::Instead(reply));
        for status in [429, 503] {
            instead(Reply::new(status, "slow down").with("retry-after", "7"));
            assert_eq!(later(&deliver(channel, escalated()).await), Some(Duration::from_secs(7)), "{status}");
        }
        let garbage = "\u{0}<html>\u{202e} it is not what you think";
        for reply in [
            Reply::new(500, garbage),
            Reply::new(502, ""),
            Reply::new(429, "{"),
            Reply::new(302, "").with("location", "http://127.0.0.1:9/"),
            Reply::new(408, garbage),
            Reply::new(503, garbage).with("retry-after", "soon"),
        ] {
            instead(reply.clone());
            let answer = deliver(channel, escalated()).await;
            assert_eq!(later(&answer), None, "{reply:?}");
            let reason = answer.unwrap_err().to_string();
            assert!(!reason.contains(['\u{0}', '\u{202e}']) && reason.len() < 300, "{reason}");
            assert!(secrets.iter().all(|secret| !reason.contains(secret)), "{reason}");
        }
        instead(Reply::new(410, "gone"));
        assert!(matches!(deliver(channel, escalated()).await, Err(Undelivered::Gone { .. })));
        service.down(Some(Reply::new(503, "down")));
        for _ in 0..2 {
            assert_eq!(later(&deliver(channel, escalated()).await), None);
        }
        service.down(None);
        deliver(channel, escalated()).await.expect("all is well again");
    })
}

/// Nobody listens; the reason says so, and contains no secret.
#[track_caller]
fn weathers_that_nobody_is_there(channel: &impl Channel, secrets: &[&str]) -> impl Future<Output = ()> {
    called(async move {
        let answer = deliver(channel, escalated()).await;
        assert_eq!(later(&answer), None);
        let reason = answer.unwrap_err().to_string();
        assert!(secrets.iter().all(|secret| !reason.contains(secret)), "{reason}");
    })
}

/// An address on this machine at which nobody listens.
fn nowhere() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    format!("127.0.0.1:{}", listener.local_addr().expect("an address").port())
}

/// All of them at once, because each takes as long as its timeout.
#[tokio::test]
async fn a_service_that_never_answers_is_given_up() {
    let silence = Mishap::Silent(Duration::from_secs(120));
    let (slack, channel) = slack::start().await;
    slack.service.next(silence.clone());
    let (linear, second) = linear::start().await;
    linear.service.next(silence.clone());
    let (pagerduty, third) = pagerduty::start().await;
    pagerduty.service.next(silence.clone());
    let (smtp, fourth) = email::start().await;
    smtp.answer("MAIL", Some("silence"));
    let (push, fifth) = web_push::start().await;
    push.service.next(silence);
    let mail = crate::support::notices::to_alice(escalated());
    let (one, two, three, four, five) = tokio::join!(
        deliver(&channel, escalated()),
        deliver(&second, escalated()),
        deliver(&third, escalated()),
        deliver(&fourth, mail.clone()),
        deliver(&fifth, mail)
    );
    for answer in [one, two, three, four, five] {
        assert_eq!(later(&answer), None);
        assert!(answer.unwrap_err().to_string().contains("in time"));
    }
}
