//! Answers to people who press a button in Slack, sent to the address that came with the button
//! press.

use crate::domain::text::shown;
use crate::notify::http;
use crate::outbound::client;
use futures_util::future::BoxFuture;
use reqwest::{Client, Url};
use serde_json::Value;
use std::time::Duration;

/// How long an answer may take. Slack shows a button as busy until it is answered.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Where Slack accepts answers. An address that begins otherwise is not Slack's, whoever signed the
/// request.
pub const SLACK: &str = "https://hooks.slack.com/";

/// Sends answers to Slack, and nowhere else.
#[derive(Debug, Clone)]
pub struct Answers {
    client: Client,
    base: Url,
}

impl Answers {
    /// Sends answers only to addresses below a base, which is [`SLACK`] except in tests.
    ///
    /// # Errors
    /// The base is not an address, or TLS cannot be set up.
    pub fn new(base: &str) -> Result<Self, String> {
        let base = Url::parse(base).map_err(|_| format!("`{}` is not an address", shown(base)))?;
        Ok(Self { client: client::client(REQUEST_TIMEOUT)?, base })
    }

    /// Sends one answer. The decision is valid whether or not the answer arrives.
    pub fn send(&self, address: &str, answer: Value) -> BoxFuture<'static, ()> {
        let Some(address) = self.allowed(address) else {
            tracing::warn!(address = shown(address), "an answer to a button in Slack was not sent: the address is not Slack's");
            return Box::pin(std::future::ready(()));
        };
        let request = self.client.post(address).json(&answer);
        Box::pin(async move {
            let failure = match request.send().await {
                Ok(response) if response.status().is_success() => return,
                Ok(response) => format!("the answer was {}", response.status().as_u16()),
                Err(error) => http::unanswered(&error).to_string(),
            };
            tracing::warn!(reason = failure, "an answer to a button in Slack did not arrive; the decision is valid nevertheless");
        })
    }

    /// The address, if it is below the base. The parsed parts are compared, because different
    /// addresses may look alike.
    fn allowed(&self, address: &str) -> Option<Url> {
        let address = Url::parse(address).ok()?;
        let plain = address.username().is_empty() && address.password().is_none();
        (plain && address.origin() == self.base.origin() && address.path().starts_with(self.base.path())).then_some(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_go_to_slack_and_nowhere_else() {
        let answers = Answers::new(SLACK).unwrap();
        assert!(answers.allowed("https://hooks.slack.com/actions/T1/2/3").is_some());
        for elsewhere in [
            "https://hooks.slack.com.evil.example/actions",
            "https://hooks.slack.com@evil.example/",
            "http://hooks.slack.com/actions",
            "https://hooks.slack.com:8443/actions",
            "https://evil.example/https://hooks.slack.com/",
            "https://u:p@hooks.slack.com/actions",
            "http://169.254.169.254/latest",
            "file:///etc/passwd",
            "//hooks.slack.com/",
            "",
        ] {
            assert!(answers.allowed(elsewhere).is_none(), "{elsewhere}");
        }
    }
}
