//! Subscribing browsers to notices (Web Push).

use crate::domain::notice::Subscription;
use crate::domain::policy::PrincipalKind;
use crate::identity::Caller;
use crate::service::admission::Permit;
use crate::service::{Service, ServiceError};
use chrono::{DateTime, Utc};
use std::sync::Arc;
use uuid::Uuid;

/// The most browsers of one person.
const MOST: i64 = 10;

/// A browser that its owner has subscribed.
#[derive(Debug)]
pub struct Browser {
    pub id: Uuid,
    /// Where its push service takes messages. It is shown to nobody.
    pub endpoint: String,
    pub name: String,
    pub since: DateTime<Utc>,
}

/// What a browser says when it subscribes.
#[derive(Debug)]
pub struct NewBrowser {
    pub endpoint: String,
    pub p256dh: Vec<u8>,
    pub auth: Vec<u8>,
    pub name: String,
}

impl Service {
    /// The key with which browsers subscribe; `None` if no channel sends notices to them.
    pub fn push_key(&self) -> Option<&str> {
        self.subscribing.as_deref().map(|subscribing| subscribing.public_key())
    }

    /// The caller's browsers, the oldest first.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn browsers(&self, by: &Caller) -> Result<Vec<Browser>, ServiceError> {
        let rows = self.engine.storage.browsers(&by.name).await?;
        Ok(rows
            .into_iter()
            .map(|row| Browser { id: row.subscription_id, endpoint: row.endpoint, name: row.browser, since: row.subscribed_at })
            .collect())
    }

    /// Subscribes a browser of the caller.
    ///
    /// # Errors
    /// The caller is an agent or has too many browsers, no channel sends notices to browsers, no
    /// message can be sent to this one, or the database is unavailable.
    pub async fn subscribe_browser(&self, by: &Caller, browser: NewBrowser, permit: Arc<Permit>) -> Result<(), ServiceError> {
        if by.kind != PrincipalKind::Person {
            return Err(ServiceError::NotPermitted("only people subscribe browsers".to_owned()));
        }
        let Some(subscribing) = &self.subscribing else {
            let missing = "no channel sends notices to browsers: an operator can configure one of the type web_push";
            return Err(ServiceError::NotPermitted(missing.to_owned()));
        };
        let NewBrowser { endpoint, p256dh, auth, name } = browser;
        let subscription = Subscription { id: self.engine.clock.new_id(), endpoint, p256dh, auth };
        subscribing.check(&subscription).map_err(|problem| ServiceError::invalid("", problem))?;
        let done = self.engine.storage.subscribe_browser(&by.name, &subscription, &name, MOST).await?;
        drop(permit);
        if !done {
            let full = format!("you have {MOST} subscribed browsers already; unsubscribe one of them first");
            return Err(ServiceError::NotPermitted(full));
        }
        tracing::info!(person = by.name, browser = name, "a browser was subscribed to notices");
        Ok(())
    }

    /// Unsubscribes a browser of the caller. Repeating this changes nothing.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn unsubscribe_browser(&self, by: &Caller, id: Uuid, permit: Arc<Permit>) -> Result<(), ServiceError> {
        self.engine.storage.unsubscribe_browser(&by.name, id).await?;
        drop(permit);
        Ok(())
    }
}
