//! Web Push (RFC 8030): notices to the browsers that a person has subscribed, through the push
//! service of each browser.
//!
//! A message is encrypted for one browser (RFC 8291), and parkbrake identifies itself to the
//! service with a signed token (VAPID, RFC 8292). Where a message goes was written by a person and
//! not by the operator, so an address is checked when the browser subscribes and before each
//! message, and nothing that one service does delays the others for long.

use crate::actors::ports::{Channel, Notice, Subscribing, Subscriptions, Undelivered};
use crate::clock::Clock;
use crate::domain::notice::Subscription;
use crate::domain::risk::level::Level;
use crate::domain::text::shown;
use crate::notify::http;
use crate::notify::message::{Message, cut};
use crate::outbound::client;
use crate::outbound::es256::Es256;
use crate::outbound::push_encryption::BrowserKeys;
use crate::outbound::secret::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use futures_util::future::{BoxFuture, join_all};
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, StatusCode, Url};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// How long a push service may take for one message.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a push service keeps a message for a browser that is not running, in seconds: as long
/// as parkbrake itself tries to deliver a notice.
const KEPT: &str = "86400";
/// How long a token is valid. A service accepts 24 hours at most.
const TOKEN: TimeDelta = TimeDelta::hours(12);
/// The most characters of a title. A browser shows less.
const LONGEST_TITLE: usize = 200;
/// The most bytes of an endpoint. Those of the large push services have about 200.
const LONGEST_ENDPOINT: usize = 1_024;
/// The most bytes of a refusal that are read, and the most characters that are repeated.
const LONGEST_ANSWER: usize = 4 * 1024;
const LONGEST_COMPLAINT: usize = 200;

/// The channel to the browsers of people.
pub struct WebPush {
    client: Client,
    key: Es256,
    settings: Settings,
    clock: Arc<Clock>,
    subscriptions: Arc<dyn Subscriptions>,
}

/// How parkbrake identifies itself, and where it sends messages.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whom a push service can ask about parkbrake.
    pub subject: String,
    /// Whether a push service may be on this machine or in a private network.
    pub allow_private: bool,
}

/// What became of a message to one browser.
enum Outcome {
    Delivered,
    /// The browser is no longer subscribed.
    Ended,
    Failed(Undelivered),
}

impl WebPush {
    /// A channel with a private key of the curve P-256.
    ///
    /// # Errors
    /// The key cannot be used, or TLS cannot be set up. No error shows the key.
    pub fn new(key: &Secret, settings: Settings, clock: Arc<Clock>, subscriptions: Arc<dyn Subscriptions>) -> Result<Self, String> {
        let client = client::for_address(REQUEST_TIMEOUT, settings.allow_private)?;
        Ok(Self { client, key: read_key(key)?, settings, clock, subscriptions })
    }

    /// Sends a message to every browser of its recipient. It is delivered once one of them has it:
    /// trying again would show it twice on that one.
    async fn send(&self, notices: &[Notice]) -> Result<(), Undelivered> {
        let (Some(words), Some(first)) = (Message::of(notices), notices.first()) else { return Ok(()) };
        let Some(person) = &first.recipient else {
            return Err(refused("the notice has no recipient, and a browser belongs to one".to_owned()));
        };
        let unread = |reason| Undelivered::Later { reason: format!("the subscribed browsers cannot be read: {reason}"), after: None };
        let browsers = self.subscriptions.of(&person.name).await.map_err(unread)?;
        let push = Push::of(&words, notices);
        let outcomes = join_all(browsers.iter().map(|browser| self.push(browser, &push))).await;
        let (mut is_delivered, mut failure) = (false, None);
        for (browser, outcome) in browsers.iter().zip(outcomes) {
            match outcome {
                Outcome::Delivered => is_delivered = true,
                Outcome::Ended => self.forget(browser).await,
                // Whatever one service refused, another may take it later.
                Outcome::Failed(later @ Undelivered::Later { .. }) => failure = Some(later),
                Outcome::Failed(refusal) => failure = failure.or(Some(refusal)),
            }
        }
        match failure {
            None if is_delivered => Ok(()),
            Some(reason) if is_delivered => {
                tracing::info!(%reason, "a notice reached one browser of its recipient and not another");
                Ok(())
            }
            Some(failure) => Err(failure),
            None => Err(refused(format!("{} no longer has a subscribed browser", shown(&person.name)))),
        }
    }

    async fn push(&self, browser: &Subscription, push: &Push) -> Outcome {
        match self.try_push(browser, push).await {
            Ok(outcome) => outcome,
            Err(failure) => Outcome::Failed(failure),
        }
    }

    async fn try_push(&self, browser: &Subscription, push: &Push) -> Result<Outcome, Undelivered> {
        let url = address(&browser.endpoint, self.settings.allow_private).map_err(refused)?;
        let encrypted = keys(browser).encrypt(push.message.as_bytes()).map_err(|_| refused(UNENCRYPTED.to_owned()))?;
        let mut request = self
            .client
            .post(url.clone())
            .header(AUTHORIZATION, self.authorization(&url)?)
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(CONTENT_ENCODING, "aes128gcm")
            .header("ttl", KEPT)
            .header("urgency", push.urgency)
            .body(encrypted);
        if let Some(topic) = &push.topic {
            request = request.header("topic", topic);
        }
        let response = request.send().await.map_err(|error| http::unanswered(&error))?;
        let status = response.status();
        if matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE) {
            return Ok(Outcome::Ended);
        }
        let outcome = http::outcome(&response).map(|()| Outcome::Delivered);
        let is_final = status.is_client_error() && !matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
        if !is_final {
            return outcome;
        }
        let said = http::body(response, LONGEST_ANSWER).await.unwrap_or_default();
        let said = cut(&shown(said.trim()), LONGEST_COMPLAINT);
        let said = if said.is_empty() { String::new() } else { format!(": {said}") };
        Err(refused(format!("the browser's push service refused the message with the status {}{said}", status.as_u16())))
    }

    /// How parkbrake identifies itself to the push service at this address.
    fn authorization(&self, url: &Url) -> Result<HeaderValue, Undelivered> {
        let expires = (self.clock.now() + TOKEN).timestamp();
        let claims = json!({"aud": url.origin().ascii_serialization(), "exp": expires, "sub": self.settings.subject});
        let token = self.key.token(&claims).map_err(|reason| Undelivered::Later { reason, after: None })?;
        let written = format!("vapid t={token}, k={}", URL_SAFE_NO_PAD.encode(self.key.public_key()));
        let mut value = HeaderValue::from_str(&written).map_err(|_| refused("no header can hold the token".to_owned()))?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// Removes a browser that is not subscribed any more. If that fails, its service says so again
    /// the next time.
    async fn forget(&self, browser: &Subscription) {
        match self.subscriptions.forget(browser.id).await {
            Ok(()) => tracing::info!(subscription.id = %browser.id, "an expired subscription was removed"),
            Err(reason) => {
                tracing::warn!(subscription.id = %browser.id, reason, "an expired subscription could not be removed")
            }
        }
    }
}

impl Channel for WebPush {
    fn deliver(&self, message: Vec<Notice>) -> BoxFuture<'_, Result<(), Undelivered>> {
        Box::pin(async move { self.send(&message).await })
    }
}

/// What is sent to every browser of a person.
struct Push {
    message: String,
    urgency: &'static str,
    /// A message that the service still keeps is replaced by a later one with the same topic.
    topic: Option<String>,
}

impl Push {
    /// The service worker of the inbox (`src/web/static/push_worker.js`) reads the message. It gets
    /// a path and not an address, so that it opens nothing but pages of this server.
    fn of(words: &Message, notices: &[Notice]) -> Self {
        let only = if let [only] = notices { Some(only.workflow.id) } else { None };
        let path = only.map_or_else(|| "/".to_owned(), |id| format!("/inbox/workflows/{id}"));
        // Without its dashes, an id is exactly as long as a topic may be.
        let topic = only.map(|id| id.simple().to_string());
        Self {
            message: json!({"title": cut(&words.title, LONGEST_TITLE), "path": path, "tag": topic.as_deref().unwrap_or("several")})
                .to_string(),
            urgency: if words.worst == Level::Critical { "high" } else { "normal" },
            topic,
        }
    }
}

/// What a browser needs to subscribe to this channel.
pub struct Invitation {
    public_key: String,
    allow_private: bool,
}

impl Invitation {
    /// An invitation with the public key of the channel.
    ///
    /// # Errors
    /// The key cannot be used. The error does not show it.
    pub fn new(key: &Secret, allow_private: bool) -> Result<Self, String> {
        Ok(Self { public_key: URL_SAFE_NO_PAD.encode(read_key(key)?.public_key()), allow_private })
    }
}

impl Subscribing for Invitation {
    fn public_key(&self) -> &str {
        &self.public_key
    }

    fn check(&self, subscription: &Subscription) -> Result<(), String> {
        address(&subscription.endpoint, self.allow_private)?;
        keys(subscription).encrypt(b"").map(drop).map_err(|_| UNENCRYPTED.to_owned())
    }
}

const UNENCRYPTED: &str = "messages cannot be encrypted with the keys of this browser: subscribe it again";

fn read_key(key: &Secret) -> Result<Es256, String> {
    Es256::of_pem(key.expose()).map_err(|problem| format!("its private key {problem}"))
}

fn keys(subscription: &Subscription) -> BrowserKeys<'_> {
    BrowserKeys { p256dh: &subscription.p256dh, auth: &subscription.auth }
}

/// The address of an endpoint, if messages may be sent there. A name is checked once more when it
/// has been resolved.
fn address(endpoint: &str, allow_private: bool) -> Result<Url, String> {
    let unfit = |why: &str| format!("the address of the browser's push service {why}");
    if endpoint.len() > LONGEST_ENDPOINT {
        return Err(unfit("is longer than that of any push service"));
    }
    let url = Url::parse(endpoint).map_err(|_| unfit("is not an address"))?;
    let is_plain = url.username().is_empty() && url.password().is_none() && matches!(url.scheme(), "https" | "http");
    if !is_plain || (url.scheme() == "http" && !allow_private) {
        return Err(unfit("does not begin with https://"));
    }
    if !allow_private && client::is_inside(&url) {
        return Err(unfit("leads to this machine or into a private network, which needs `allow_private: true`"));
    }
    Ok(url)
}

fn refused(reason: String) -> Undelivered {
    Undelivered::Refused { reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_go_to_public_addresses_over_tls() {
        let long = format!("https://push.example/{}", "x".repeat(LONGEST_ENDPOINT));
        for (endpoint, word) in [
            ("http://push.example/x", "https://"),
            ("ftp://push.example/x", "https://"),
            ("https://u:p@push.example/x", "https://"),
            ("https://127.0.0.1/x", "allow_private"),
            ("https://[::1]/x", "allow_private"),
            ("https://169.254.169.254/latest", "allow_private"),
            ("push.example/x", "not an address"),
            (long.as_str(), "longer"),
        ] {
            let problem = address(endpoint, false).unwrap_err();
            assert!(problem.contains(word), "{endpoint}: {problem}");
        }
        assert!(address("https://fcm.googleapis.com/fcm/send/x", false).is_ok());
        for inside in ["http://127.0.0.1:9/x", "https://10.0.0.1/x"] {
            assert!(address(inside, true).is_ok(), "{inside}");
        }
    }
}
