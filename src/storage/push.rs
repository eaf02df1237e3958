//! The browsers that people have subscribed to notices (Web Push).

use super::pool::within;
use super::{Error, Storage};
use crate::domain::notice::Subscription;
use chrono::{DateTime, Utc};
use std::collections::BTreeSet;
use uuid::Uuid;

/// A subscribed browser, as its owner sees it.
#[derive(Debug)]
pub struct BrowserRow {
    pub subscription_id: Uuid,
    pub endpoint: String,
    /// A short name, such as `Firefox on Linux`.
    pub browser: String,
    pub subscribed_at: DateTime<Utc>,
}

impl Storage {
    /// Those of these people who have subscribed a browser.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn push_subscribers(&self, people: &[String]) -> Result<BTreeSet<String>, Error> {
        let mut db = self.lease_background().await?;
        let query = sqlx::query_scalar!("select distinct principal from push_subscription where principal = any ($1)", people);
        let found = within(query.fetch_all(&mut *db)).await?;
        db.release();
        Ok(found.into_iter().collect())
    }

    /// The subscriptions of a person, the oldest first.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn push_subscriptions(&self, person: &str) -> Result<Vec<Subscription>, Error> {
        let mut db = self.lease_background().await?;
        let query = sqlx::query_as!(
            Subscription,
            "select subscription_id as id, endpoint, p256dh, auth from push_subscription where principal = $1 order by subscribed_at",
            person
        );
        let found = within(query.fetch_all(&mut *db)).await?;
        db.release();
        Ok(found)
    }

    /// Removes a subscription that has ended.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn push_ended(&self, id: Uuid) -> Result<(), Error> {
        let mut db = self.lease_background().await?;
        within(sqlx::query!("delete from push_subscription where subscription_id = $1", id).execute(&mut *db)).await?;
        db.release();
        Ok(())
    }

    /// The browsers of a person, the oldest first.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn browsers(&self, person: &str) -> Result<Vec<BrowserRow>, Error> {
        let mut db = self.lease().await?;
        let query = sqlx::query_as!(
            BrowserRow,
            "select subscription_id, endpoint, browser, subscribed_at from push_subscription where principal = $1 order by subscribed_at",
            person
        );
        let found = within(query.fetch_all(&mut *db)).await?;
        db.release();
        Ok(found)
    }

    /// Subscribes a browser of a person. A browser that was subscribed before, whoever did it, now
    /// belongs to this person and has a new id. False if the person has `most` others already.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn subscribe_browser(&self, person: &str, subscription: &Subscription, browser: &str, most: i64) -> Result<bool, Error> {
        let mut db = self.lease().await?;
        let query = sqlx::query!(
            "insert into push_subscription (subscription_id, principal, endpoint, p256dh, auth, browser)
             select $1, $2, $3, $4, $5, $6
             where (select count(*) from push_subscription s where s.principal = $2 and s.endpoint <> $3) < $7
             on conflict (endpoint) do update
             set subscription_id = excluded.subscription_id, principal = excluded.principal, p256dh = excluded.p256dh,
                 auth = excluded.auth, browser = excluded.browser, subscribed_at = excluded.subscribed_at",
            subscription.id,
            person,
            subscription.endpoint,
            subscription.p256dh,
            subscription.auth,
            browser,
            most
        );
        let done = within(query.execute(&mut *db)).await?;
        db.release();
        Ok(done.rows_affected() > 0)
    }

    /// Removes a browser of a person.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn unsubscribe_browser(&self, person: &str, id: Uuid) -> Result<(), Error> {
        let mut db = self.lease().await?;
        let query = sqlx::query!("delete from push_subscription where principal = $1 and subscription_id = $2", person, id);
        within(query.execute(&mut *db)).await?;
        db.release();
        Ok(())
    }
}
