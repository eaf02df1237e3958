//! Web Push: what a browser gets, and what an answer of its push service means.

use super::{deliver, escalated, later, refused};
use crate::support::notices::{crowd, everything, notice, then, to_alice};
use crate::support::services::PushService;
use crate::support::services::http::{Mishap, Reply, lock};
use crate::support::services::push::{KEY, SUBJECT};
use chrono::Utc;
use futures_util::future::BoxFuture;
use parkbrake::actors::ports::{Channel as _, Notice, Subscriptions};
use parkbrake::clock::Clock;
use parkbrake::domain::notice::{Kind, Subscription};
use parkbrake::domain::risk::level::Level;
use parkbrake::notify::web_push::{Settings, WebPush};
use parkbrake::outbound::secret::Secret;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use uuid::Uuid;

/// The browsers of alice.
struct Browsers(Mutex<Vec<Subscription>>);

impl Subscriptions for Browsers {
    fn of<'a>(&'a self, person: &'a str) -> BoxFuture<'a, Result<Vec<Subscription>, String>> {
        assert_eq!(person, "alice");
        Box::pin(async { Ok(lock(&self.0).clone()) })
    }

    fn forget(&self, id: Uuid) -> BoxFuture<'_, Result<(), String>> {
        lock(&self.0).retain(|browser| browser.id != id);
        Box::pin(async { Ok(()) })
    }
}

fn channel(browsers: Vec<Subscription>, allow_private: bool) -> (WebPush, Arc<Browsers>) {
    let browsers = Arc::new(Browsers(Mutex::new(browsers)));
    let settings = Settings { subject: SUBJECT.to_owned(), allow_private };
    let clock = Arc::new(Clock::new(Utc::now()));
    (WebPush::new(&Secret::new(KEY), settings, clock, Arc::clone(&browsers) as Arc<dyn Subscriptions>).unwrap(), browsers)
}

/// A channel to the browser `phone` of alice.
pub async fn start() -> (PushService, WebPush) {
    let service = PushService::start().await;
    let (channel, _) = channel(vec![service.browser("phone")], true);
    (service, channel)
}

fn asked() -> Notice {
    to_alice(escalated())
}

#[tokio::test]
async fn a_browser_gets_a_title_and_the_way_to_the_request_and_nothing_else() {
    let (service, channel) = start().await;
    let high = to_alice(notice(Kind::Requested, Level::High));
    deliver(&channel, high.clone()).await.unwrap();
    deliver(&channel, to_alice(then(&high, Kind::Reminded))).await.unwrap();
    deliver(&channel, to_alice(notice(Kind::Requested, Level::Critical))).await.unwrap();
    let [first, second, third] = service.messages("phone").try_into().unwrap();
    let (id, topic) = (high.workflow.id, high.workflow.id.simple().to_string());
    let said = serde_json::json!({
        "title": "Approval needed (high risk): deploy api-gateway in production", "path": format!("/inbox/workflows/{id}"), "tag": topic,
    });
    assert_eq!(first.said, said);
    assert_eq!((first.topic.as_deref(), second.topic.as_deref()), (Some(topic.as_str()), Some(topic.as_str())), "the later replaces it");
    assert_ne!(third.topic, first.topic);
    assert_eq!([first.urgency, second.urgency, third.urgency], ["normal", "normal", "high"]);
}

#[tokio::test]
async fn every_notice_fits_a_push_message_and_groups_link_to_the_list() {
    let (service, channel) = start().await;
    for notice in everything() {
        let kind = notice.kind;
        assert_eq!(deliver(&channel, notice).await, Ok(()), "{kind:?}: {:?}", service.complaints());
    }
    channel.deliver(crowd(100)).await.unwrap();
    let last = service.messages("phone").pop().unwrap();
    assert_eq!((&last.said["path"], &last.said["tag"], last.topic.as_deref()), (&"/".into(), &"several".into(), None));
    assert_eq!(last.said["title"], "100 requests wait for approval, the worst of them critical");
    assert_eq!(last.urgency, "high");
}

#[tokio::test]
async fn a_browser_that_is_gone_is_removed_and_the_others_are_sent_to() {
    let service = PushService::start().await;
    let (channel, browsers) = channel(vec![service.browser("phone"), service.browser("laptop")], true);
    service.forget("phone");
    deliver(&channel, asked()).await.unwrap();
    assert_eq!(service.messages("laptop").len(), 1);
    assert_eq!(lock(&browsers.0).len(), 1);
    service.service.next(Mishap::Instead(Reply::new(404, "")));
    refused(deliver(&channel, asked()).await, "alice no longer has a subscribed browser");
    assert!(lock(&browsers.0).is_empty());
}

#[tokio::test]
async fn one_browser_is_enough() {
    let service = PushService::start().await;
    let mut broken = service.browser("broken");
    broken.endpoint = "http://127.0.0.1:1/push".to_owned();
    let (channel, browsers) = channel(vec![broken, service.browser("phone")], true);
    deliver(&channel, asked()).await.unwrap();
    assert_eq!((service.messages("phone").len(), lock(&browsers.0).len()), (1, 2));
}

#[tokio::test]
async fn answers_of_a_push_service_are_understood() {
    let (service, channel) = start().await;
    let instead = |reply: Reply| service.service.next(Mishap::Instead(reply));
    for status in [429, 503] {
        instead(Reply::new(status, "slow down").with("retry-after", "7"));
        assert_eq!(later(&deliver(&channel, asked()).await), Some(Duration::from_secs(7)), "{status}");
    }
    for status in [302, 408, 429, 500, 502] {
        instead(Reply::new(status, "<html>").with("location", "http://127.0.0.1:9/"));
        assert_eq!(later(&deliver(&channel, asked()).await), None, "{status}");
    }
    for status in [400, 401, 403, 413] {
        instead(Reply::new(status, "the key is\u{202e} another one"));
        let answer = deliver(&channel, asked()).await;
        assert!(!answer.as_ref().unwrap_err().to_string().contains(['\u{202e}']));
        refused(answer, &format!("with the status {status}: the key is<U+202E> another one"));
    }
    assert_eq!(service.messages("phone").len(), 0);
    deliver(&channel, asked()).await.expect("all is well again");
}

#[tokio::test]
async fn nothing_is_sent_to_this_machine_unless_that_is_allowed() {
    let service = PushService::start().await;
    let (channel, _) = channel(vec![service.browser("phone")], false);
    refused(deliver(&channel, asked()).await, "does not begin with https://");
    let mut browser = service.browser("phone");
    browser.endpoint = browser.endpoint.replace("http://", "https://");
    let (channel, _) = self::channel(vec![browser], false);
    refused(deliver(&channel, asked()).await, "allow_private");
    assert!(service.service.calls().is_empty());
}

#[test]
fn an_invalid_key_is_not_shown() {
    let browsers: Arc<dyn Subscriptions> = Arc::new(Browsers(Mutex::default()));
    let settings = Settings { subject: SUBJECT.to_owned(), allow_private: false };
    let problem = WebPush::new(&Secret::new("hunter2"), settings, Arc::new(Clock::new(Utc::now())), browsers).err().unwrap();
    assert!(problem.starts_with("its private key is not a private key of the curve P-256") && !problem.contains("hunter2"), "{problem}");
}
