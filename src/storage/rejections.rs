//! Recent rejections, for levels that remember them.

use super::pool::within;
use super::{Error, Storage};
use crate::domain::task::digest::Digest;
use std::time::Duration;
use uuid::Uuid;

impl Storage {
    /// The latest workflow of a requester whose task had this digest and was rejected within this
    /// time, by the database's clock.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn rejected_lately(&self, requested_by: &str, digest: &Digest, within_last: Duration) -> Result<Option<Uuid>, Error> {
        let mut db = self.lease().await?;
        let query = sqlx::query_scalar!(
            "select workflow_id from workflow
             where status = 'rejected' and requested_by = $1 and digest = $2 and resolved_at > clock_timestamp() - make_interval(secs => $3)
             order by resolved_at desc limit 1",
            requested_by,
            digest.as_str(),
            within_last.as_secs_f64()
        );
        let found = within(query.fetch_optional(&mut *db)).await?;
        db.release();
        Ok(found)
    }
}
