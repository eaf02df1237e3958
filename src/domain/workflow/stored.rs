//! The stored form of an event: JSON that carries the schema it is written in. Stored events are read back for ever.

use crate::domain::workflow::Event;
use serde::{Deserialize, Serialize};

/// The schema of the events that this version writes. `tests/fixtures/events` has a folder for each.
pub const SCHEMA: u32 = 3;
/// The schema of events that carry none.
const UNMARKED: u32 = 1;

/// Why the stored form of an event cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    #[error("it is written in schema {0}, and this version of parkbrake reads up to schema {highest}: upgrade parkbrake", highest = SCHEMA + 1)]
    TooNew(u32),
    #[error("{0}")]
    NoEvent(#[from] serde_json::Error),
}

#[derive(Serialize)]
struct Stored<'a> {
    schema: u32,
    #[serde(flatten)]
    event: &'a Event,
}

#[derive(Deserialize)]
struct Marked {
    #[serde(default = "unmarked")]
    schema: u32,
}

fn unmarked() -> u32 {
    UNMARKED
}

impl Event {
    /// The text that is stored.
    pub fn to_stored(&self) -> String {
        serde_json::to_string(&Stored { schema: SCHEMA, event: self }).expect("events are made of strings, numbers, lists and objects")
    }

    /// Reads what [`Self::to_stored`] of this or an earlier version wrote. While servers are upgraded one by one, the next schema is read as
    /// far as this version knows it.
    ///
    /// # Errors
    /// What is no event that this version knows.
    pub fn from_stored(text: &str) -> Result<Self, Unreadable> {
        let Marked { schema } = serde_json::from_str(text)?;
        if schema > SCHEMA + 1 {
            return Err(Unreadable::TooNew(schema));
        }
        Ok(serde_json::from_str(text)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_carries_its_schema_and_is_read_with_an_earlier_one_or_none() {
        let event = Event::Expired { round: 1 };
        assert_eq!(event.to_stored(), r#"{"schema":3,"event":"expired","round":1}"#);
        for text in [r#"{"event":"expired","round":1}"#, r#"{"schema":2,"event":"expired","round":1}"#, &event.to_stored()] {
            assert_eq!(Event::from_stored(text).unwrap(), event, "{text}");
        }
    }

    #[test]
    fn the_next_schema_is_read_as_far_as_it_is_known_and_what_is_newer_says_to_upgrade() {
        let next = r#"{"schema":4,"event":"expired","round":1,"since":"a later version"}"#;
        assert_eq!(Event::from_stored(next).unwrap(), Event::Expired { round: 1 });
        assert!(matches!(Event::from_stored(r#"{"schema":4,"event":"foretold"}"#), Err(Unreadable::NoEvent(_))));
        let newer = Event::from_stored(r#"{"schema":5,"event":"expired","round":1}"#).unwrap_err().to_string();
        assert!(newer.contains("schema 5") && newer.contains("upgrade parkbrake"), "{newer}");
    }
}
