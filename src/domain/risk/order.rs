//! The orders in which people read what waits for them, and places in such a list.

use crate::domain::risk::level::Level;
use chrono::{DateTime, Utc};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// What comes first in a list of requests that wait.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// The most dangerous; of one level, what falls due next.
    Level,
    /// What falls due next, of whatever level.
    Due,
    Oldest,
    #[default]
    Newest,
}

impl Order {
    pub const ALL: [Self; 4] = [Self::Level, Self::Due, Self::Oldest, Self::Newest];

    /// The word for it in addresses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Level => "level",
            Self::Due => "due",
            Self::Oldest => "oldest",
            Self::Newest => "newest",
        }
    }

    /// The order with this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|order| order.as_str() == text)
    }
}

/// Where a request stands in a list of what waits: the next page begins after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub order: Order,
    pub level: Level,
    /// When something falls due; nothing ever does where this is missing.
    pub due: Option<DateTime<Utc>>,
    pub workflow_id: Uuid,
}

impl Place {
    /// The place of a request in the list that has the newest first.
    pub fn of_newest(workflow_id: Uuid) -> Self {
        Self { order: Order::Newest, level: Level::Low, due: None, workflow_id }
    }
}

/// As it is handed out: opaque to browsers.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let due = self.due.map(|due| format!("{:x}", due.timestamp_micros())).unwrap_or_default();
        write!(f, "{}.{}.{due}.{}", self.order.as_str(), self.level, self.workflow_id.simple())
    }
}

impl FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let parts: Vec<&str> = text.split('.').collect();
        let [order, level, due, id] = parts[..] else { return Err(()) };
        let due = match due {
            "" => None,
            micros => Some(i64::from_str_radix(micros, 16).ok().and_then(DateTime::from_timestamp_micros).ok_or(())?),
        };
        Ok(Self {
            order: Order::parse(order).ok_or(())?,
            level: Level::parse(level).ok_or(())?,
            due,
            workflow_id: Uuid::try_parse(id).map_err(|_| ())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_back_as_it_was_handed_out() {
        for order in Order::ALL {
            for due in [None, DateTime::from_timestamp_micros(1_795_700_000_123_456)] {
                let place = Place { order, level: Level::High, due, workflow_id: Uuid::from_u128(7) };
                assert_eq!(place.to_string().parse(), Ok(place));
            }
        }
        for text in ["", "level", "level.high..", "level.odd..0", "odd.high..00000000000000000000000000000007", "due.high.x.7"] {
            assert_eq!(text.parse::<Place>(), Err(()), "{text}");
        }
    }
}
