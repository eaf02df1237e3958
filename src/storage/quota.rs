//! How many requests of one agent wait for people.

use super::pool::within;
use super::{Error, Storage};

impl Storage {
    /// Counts the requests of a requester that wait for people, up to `most`.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn count_pending_of(&self, requester: &str, most: u32) -> Result<u32, Error> {
        let mut db = self.lease().await?;
        // `is true` fits the requester's index alone. Without it, a plan from an empty table may
        // keep the index of everything that waits.
        let query = sqlx::query_scalar!(
            r#"select count(*) as "count!"
               from (select from workflow w where w.requested_by = $1 and (w.status = 'pending_approval') is true limit $2) waiting"#,
            requester,
            i64::from(most)
        );
        let count = within(query.fetch_one(&mut *db)).await?;
        db.release();
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }
}
