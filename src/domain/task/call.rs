//! A webhook call that is ready to be made.
//!
//! An approval covers the address, the timeout, and whether the call may be repeated; the document
//! also has the arguments to send. The secret that signs the call is named and never stored.

use crate::domain::duration;
use crate::domain::task::retry::Retry;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One call of a configured destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    pub url: String,
    /// The server's environment variable that holds the secret; without one the call is not signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// How long the call may take, from connecting to the last byte of the response.
    #[serde(with = "duration::text")]
    pub timeout: Duration,
    /// Whether it may be called again, with the same key, if its outcome is unknown.
    pub idempotent: bool,
    /// Whether the address may be on the server's machine or in a private network.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_private: bool,
    /// How failed attempts are retried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
}

impl Call {
    /// How the call differs now from this approved one; `None` if it does not.
    pub fn difference(&self, now: &Self) -> Option<String> {
        let secret = |call: &Self| call.secret.as_deref().unwrap_or("none").to_owned();
        let tries = |call: &Self| call.retry.map_or_else(|| "one attempt".to_owned(), |retry| retry.to_string());
        let parts = [
            ("its url", self.url.clone(), now.url.clone()),
            ("the variable of its secret", secret(self), secret(now)),
            ("its timeout", duration::show(self.timeout).to_string(), duration::show(now.timeout).to_string()),
            ("`idempotent`", self.idempotent.to_string(), now.idempotent.to_string()),
            ("`allow_private`", self.allow_private.to_string(), now.allow_private.to_string()),
            ("`retry`", tries(self), tries(now)),
        ];
        let changed = parts.into_iter().find(|(_, approved, now)| approved != now);
        changed.map(|(what, approved, now)| format!("{what} is `{now}` now, and `{approved}` was approved"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Change = fn(&mut Call);

    #[test]
    fn every_part_of_a_call_makes_a_difference() {
        let approved = Call {
            url: "https://ci.example.com/run".to_owned(),
            secret: Some("CI_SECRET".to_owned()),
            timeout: Duration::from_secs(30),
            idempotent: false,
            allow_private: false,
            retry: None,
        };
        assert_eq!(approved.difference(&approved), None);
        let changes: [(&str, Change); 7] = [
            ("its url is `https://evil.test/`", |now| now.url = "https://evil.test/".to_owned()),
            ("secret is `none`", |now| now.secret = None),
            ("secret is `OTHER`", |now| now.secret = Some("OTHER".to_owned())),
            ("its timeout is `1h`", |now| now.timeout = Duration::from_secs(3_600)),
            ("`idempotent` is `true`", |now| now.idempotent = true),
            ("`retry` is `up to 3 attempts", |now| now.retry = Some(Retry { attempts: 3, backoff: Duration::from_secs(30) })),
            ("`allow_private` is `true`", |now| now.allow_private = true),
        ];
        for (words, change) in changes {
            let mut now = approved.clone();
            change(&mut now);
            let difference = approved.difference(&now).unwrap_or_default();
            assert!(difference.contains(words), "{words}: {difference}");
        }
    }
}
