//! Idempotency keys: one submit for each key of a principal.

use super::pool::within;
use super::{Error, Storage};
use uuid::Uuid;

/// The first use of a key.
#[derive(Debug)]
pub struct FirstUse {
    pub workflow_id: Uuid,
    pub fingerprint: String,
}

impl Storage {
    /// The first use of a key by this principal.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn first_use(&self, principal: &str, key: &str) -> Result<Option<FirstUse>, Error> {
        let mut db = self.lease().await?;
        let query = sqlx::query_as!(
            FirstUse,
            "select workflow_id, fingerprint from idempotency_key where principal = $1 and key = $2",
            principal,
            key
        );
        let first = within(query.fetch_optional(&mut *db)).await?;
        db.release();
        Ok(first)
    }
}
