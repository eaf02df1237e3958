//! Every configuration that a server ran with, by its digest.

use super::pool::within;
use super::{Error, Storage};
use crate::domain::task::digest::Digest;

impl Storage {
    /// Stores a configuration, so that the `policy_version` of an event can always be looked up.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn keep_policy(&self, version: &Digest, document: &str) -> Result<(), Error> {
        let mut db = self.lease().await?;
        let query = sqlx::query!(
            "insert into policy_snapshot (version, document) values ($1, $2) on conflict (version) do nothing",
            version.as_str(),
            document
        );
        within(query.execute(&mut *db)).await?;
        db.release();
        Ok(())
    }
}
