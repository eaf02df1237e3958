//! Tool calls of coding agents: the workflow of each call, by the keys that `0030_tool_calls.sql`
//! describes.

use super::pool::within;
use super::{Error, Storage};
use crate::domain::task::digest::Digest;
use crate::domain::tools::ToolUse;
use uuid::Uuid;

/// The last workflow that was parked for the same call.
#[derive(Debug)]
pub struct LatestCall {
    /// Counted from 1.
    pub number: u32,
    pub workflow_id: Uuid,
}

/// The key of the workflow of this number that is parked for a call.
pub fn call_key(identity: &Digest, number: u32) -> String {
    // A fixed number of digits, so that the text order is the numeric order.
    format!(" call {identity} {number:010}")
}

/// The key of one allowed call.
pub fn use_key(used: &ToolUse) -> String {
    format!(" use {}", used.digest())
}

impl Storage {
    /// The last workflow that was parked for the same call of a requester.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn latest_call(&self, principal: &str, identity: &Digest) -> Result<Option<LatestCall>, Error> {
        let mut db = self.lease().await?;
        let query = sqlx::query!(
            r#"select key, workflow_id from idempotency_key
               where principal = $1 and starts_with(key, ' call ')
                 and key collate "C" > $2 and key collate "C" < $3
               order by key collate "C" desc limit 1"#,
            principal,
            format!(" call {identity} "),
            // The next character after the blank.
            format!(" call {identity}!")
        );
        let found = within(query.fetch_optional(&mut *db)).await?;
        db.release();
        let number = |key: &str| key.rsplit(' ').next().and_then(|number| number.parse().ok());
        Ok(found.and_then(|row| Some(LatestCall { number: number(&row.key)?, workflow_id: row.workflow_id })))
    }

    /// Stores which workflow allowed a call, so that its result finds it.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn keep_use(&self, principal: &str, used: &ToolUse, identity: &Digest, workflow_id: Uuid) -> Result<(), Error> {
        self.keep(principal, &use_key(used), identity.as_str(), workflow_id).await.map(drop)
    }

    /// Records that a requester is told, once, that a request ended without a decision. Returns
    /// whether this call is the one that is told, even if it asks again; the next call may ask
    /// people again.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn tells(&self, principal: &str, used: &ToolUse, workflow_id: Uuid) -> Result<bool, Error> {
        let key = format!(" told {workflow_id}");
        if self.keep(principal, &key, used.digest().as_str(), workflow_id).await? {
            return Ok(true);
        }
        Ok(self.first_use(principal, &key).await?.is_some_and(|told| told.fingerprint == used.digest().as_str()))
    }

    /// Stores a key, and returns whether it was new.
    async fn keep(&self, principal: &str, key: &str, fingerprint: &str, workflow_id: Uuid) -> Result<bool, Error> {
        let mut db = self.lease().await?;
        let query = sqlx::query!(
            "insert into idempotency_key (principal, key, fingerprint, workflow_id, created_at)
             values ($1, $2, $3, $4, clock_timestamp()) on conflict do nothing",
            principal,
            key,
            fingerprint,
            workflow_id
        );
        let written = within(query.execute(&mut *db)).await?;
        db.release();
        Ok(written.rows_affected() == 1)
    }
}
