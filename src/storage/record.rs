//! Events as they are written to the log, and read back.

use super::Error;
use crate::domain::workflow::{Event, Recorded};
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// An event as JSON text.
pub(super) fn write(event: &Event) -> String {
    serde_json::to_string(event).expect("events are made of strings, numbers, lists and objects")
}

/// An event from its row.
///
/// # Errors
/// A row that this version cannot read, or that somebody has changed.
pub(super) fn read(workflow_id: Uuid, version: i32, at: DateTime<Utc>, actor: String, data: &str) -> Result<Recorded, Error> {
    let corrupt = |detail: String| Error::Corrupt { workflow_id, detail };
    let event = serde_json::from_str(data).map_err(|error| corrupt(format!("event {version}: {error}")))?;
    let version = u32::try_from(version).map_err(|_| corrupt(format!("event {version} has no place in a log")))?;
    Ok(Recorded { version, at, actor, event })
}
