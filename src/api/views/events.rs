//! The messages of event streams.

use crate::domain::risk::level::Level;
use crate::domain::workflow::FeedEntry;
use crate::domain::workflow::Status;
use crate::http::time::Time;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// The `data:` of a message: one event of one workflow.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StreamEvent)]
pub struct Happened<'a> {
    workflow_id: Uuid,
    /// The number of the event. No two events of a workflow have the same.
    version: u32,
    /// Its name; the same as the message's `event:`.
    event: &'a str,
    /// Who caused it: a principal, or `parkbrake`.
    actor: &'a str,
    at: Time,
    /// The status of the workflow when the message was made, which may be later than the event.
    #[schema(value_type = Status)]
    status: &'a str,
    #[schema(value_type = Level)]
    risk_level: &'a str,
    #[schema(required)]
    task_id: Option<&'a str>,
}

impl<'a> From<&'a FeedEntry> for Happened<'a> {
    fn from(entry: &'a FeedEntry) -> Self {
        Self {
            workflow_id: entry.workflow_id,
            version: entry.version,
            event: &entry.event,
            actor: &entry.actor,
            at: Time(entry.at),
            status: &entry.status,
            risk_level: &entry.risk_level,
            task_id: entry.task_id.as_deref(),
        }
    }
}

/// The `data:` of a `reset`: the client missed too much to catch up, and has to read the lists
/// again.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StreamReset)]
pub struct Reset<'a> {
    pub reason: &'a str,
}
