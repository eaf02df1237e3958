//! The reviews that are due after somebody has broken the glass: listing the open ones, and closing
//! one.

use crate::domain::workflow::{Command, Workflow};
use crate::identity::Caller;
use crate::service::admission::Permit;
use crate::service::decide::short;
use crate::service::lists::only_people;
use crate::service::{Service, ServiceError, about};
use chrono::{DateTime, Utc};
use std::sync::Arc;
use uuid::Uuid;

/// An open review.
#[derive(Debug)]
pub struct OpenReview {
    pub workflow_id: Uuid,
    /// The target in a line; `None` if it cannot be read.
    pub headline: Option<String>,
    /// Who broke the glass.
    pub broken_by: String,
    pub since: DateTime<Utc>,
}

impl Service {
    /// Closes a review with the caller's findings. Another person broke the glass.
    ///
    /// # Errors
    /// The refusal, or an error if the outcome is not known.
    pub async fn close_review(
        &self,
        by: &Caller,
        id: Uuid,
        finding: Option<String>,
        permit: Arc<Permit>,
    ) -> Result<Arc<Workflow>, ServiceError> {
        let finding = short("/finding", finding)?;
        let command = Command::Review { by: by.principal(), finding, deciders: Vec::new() };
        Ok(self.engine.command_for(id, command, permit).await.map_err(about(id))?.workflow)
    }

    /// The open reviews, oldest first.
    ///
    /// # Errors
    /// The caller is an agent, or the database is unavailable.
    pub async fn open_reviews(&self, by: &Caller) -> Result<Vec<OpenReview>, ServiceError> {
        only_people(by, "only people can list reviews")?;
        let rows = self.engine.storage.open_reviews().await?;
        let ids: Vec<Uuid> = rows.iter().map(|row| row.workflow_id).collect();
        let targets = self.targets(by, &ids).await?;
        let open = |row: crate::storage::OpenReviewRow| OpenReview {
            workflow_id: row.workflow_id,
            headline: targets.get(&row.workflow_id).map(|about| about.target.headline()),
            broken_by: row.approver,
            since: row.opened_at,
        };
        Ok(rows.into_iter().map(open).collect())
    }
}
