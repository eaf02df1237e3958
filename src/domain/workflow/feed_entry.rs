//! An event as those hear of it who follow what happens.

use crate::domain::workflow::{Event, Workflow};
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// One event as those hear of it who follow what happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedEntry {
    pub workflow_id: Uuid,
    pub version: u32,
    /// Its name in the log.
    pub event: String,
    pub actor: String,
    pub at: DateTime<Utc>,
    /// Where the workflow stood when this was read, which may be later than the event.
    pub status: String,
    pub risk_level: String,
    pub task_id: Option<String>,
    pub requested_by: String,
    pub on_behalf_of: Option<String>,
}

impl FeedEntry {
    /// An event of a workflow that stands as it does now.
    pub fn of(workflow: &Workflow, version: u32, actor: &str, at: DateTime<Utc>, event: &Event) -> Self {
        let submission = &workflow.submission;
        Self {
            workflow_id: workflow.id,
            version,
            event: event.name().to_owned(),
            actor: actor.to_owned(),
            at,
            status: workflow.status().as_str().to_owned(),
            risk_level: submission.assessment.level.as_str().to_owned(),
            task_id: submission.task_id.clone(),
            requested_by: submission.requested_by.clone(),
            on_behalf_of: submission.on_behalf_of.clone(),
        }
    }
}
