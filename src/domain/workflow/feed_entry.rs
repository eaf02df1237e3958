//! An event as the event stream sends it.

use crate::domain::workflow::{Event, Workflow};
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// One event as the event stream sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedEntry {
    pub workflow_id: Uuid,
    pub version: u32,
    /// Its name in the log.
    pub event: String,
    pub actor: String,
    pub at: DateTime<Utc>,
    /// The status of the workflow when this was read, which may be later than the event.
    pub status: String,
    pub risk_level: String,
    pub task_id: Option<String>,
    pub requested_by: String,
    pub on_behalf_of: Option<String>,
}

impl FeedEntry {
    /// An event with the present status of its workflow.
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
