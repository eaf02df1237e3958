//! Pages of lists, and cursors.

use chrono::{DateTime, Utc};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// A page of a list, and where the next page begins. A page may hold fewer entries than requested,
/// or none, and still have a next page.
#[derive(Debug)]
pub struct Page<T, C = Cursor> {
    pub items: Vec<T>,
    pub next: Option<C>,
}

impl<T, C> Page<T, C> {
    /// Converts the entries of the page.
    pub fn map<U>(self, of: impl FnMut(T) -> U) -> Page<U, C> {
        Page { items: self.items.into_iter().map(of).collect(), next: self.next }
    }
}

/// A position in a list that is ordered by time, newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    pub at: DateTime<Utc>,
    pub workflow_id: Uuid,
}

impl Cursor {
    /// Before the first entry: no event is as new.
    pub const FIRST: Self = Self { at: DateTime::from_timestamp_nanos(i64::MAX), workflow_id: Uuid::max() };

    /// The position of a workflow in a list that is ordered by id. An id contains its time.
    pub fn of(workflow_id: Uuid) -> Self {
        let at = workflow_id.get_timestamp().and_then(|time| {
            let (seconds, nanos) = time.to_unix();
            DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos)
        });
        Self { at: at.unwrap_or_default(), workflow_id }
    }
}

/// The form that clients get; it is opaque to them.
impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}.{}", self.at.timestamp_micros(), self.workflow_id.simple())
    }
}

impl FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (micros, id) = text.split_once('.').ok_or(())?;
        let at = i64::from_str_radix(micros, 16).ok().and_then(DateTime::from_timestamp_micros).ok_or(())?;
        Ok(Self { at, workflow_id: Uuid::try_parse(id).map_err(|_| ())? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_back_as_it_was_issued() {
        let cursor = Cursor { at: DateTime::from_timestamp_micros(1_795_700_000_123_456).unwrap(), workflow_id: Uuid::from_u128(7) };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for text in ["", "1", "1.", ".1", "x.0", "1.0.0"] {
            assert_eq!(text.parse::<Cursor>(), Err(()), "{text}");
        }
    }
}
