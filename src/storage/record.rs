//! Writing events to the log, and reading them back.

use super::Error;
use super::terms::Terms;
use crate::domain::policy::SYSTEM;
use crate::domain::risk::target::Target;
use crate::domain::via::Via;
use crate::domain::workflow::{Event, Recorded, TermsName};
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// An event as JSON text, with its schema. Terms that are stored under this name are referred to
/// and not repeated.
pub(super) fn write(event: &Event, terms: Option<TermsName>) -> String {
    terms.and_then(|name| event.to_stored_naming(name)).unwrap_or_else(|| event.to_stored())
}

/// A target as JSON text.
pub(super) fn write_target(target: &Target) -> String {
    serde_json::to_string(target).expect("a target is made of strings")
}

/// An event from its row.
///
/// # Errors
/// This version cannot read the row, or somebody has changed it.
pub(super) fn read(
    workflow_id: Uuid,
    version: i32,
    at: DateTime<Utc>,
    (actor, via): (String, Option<&str>),
    data: &str,
    terms: &Terms,
) -> Result<Recorded, Error> {
    let corrupt = |detail: String| Error::Corrupt { workflow_id, detail };
    let event = Event::from_stored_with(data, |name| terms.named(name)).map_err(|error| corrupt(format!("event {version}: {error}")))?;
    let version = u32::try_from(version).map_err(|_| corrupt(format!("event {version} cannot be part of a log")))?;
    let via = match via {
        Some(word) => Via::parse(word).ok_or_else(|| corrupt(format!("event {version} names an unknown way in")))?,
        // Rows from before the way in was recorded: there were only the API and parkbrake itself.
        None if actor == SYSTEM => Via::System,
        None => Via::Rest,
    };
    Ok(Recorded { version, at, actor, via, event })
}
