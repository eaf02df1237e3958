//! The open reviews of broken glass. The commits of their workflows open and close them
//! (`checkpoint.rs`).

use super::pool::within;
use super::{Error, Storage};
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// An open review.
#[derive(Debug)]
pub struct OpenReviewRow {
    pub workflow_id: Uuid,
    /// Who broke the glass.
    pub approver: String,
    pub opened_at: DateTime<Utc>,
}

impl Storage {
    /// The open reviews, oldest first. There is at most one for each person.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn open_reviews(&self) -> Result<Vec<OpenReviewRow>, Error> {
        let mut db = self.lease().await?;
        let query = sqlx::query_as!(
            OpenReviewRow,
            "select workflow_id, approver, opened_at from glass_review where closed_at is null order by opened_at, workflow_id"
        );
        let rows = within(query.fetch_all(&mut *db)).await?;
        db.release();
        Ok(rows)
    }
}
