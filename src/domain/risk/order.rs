//! The orders of the list of waiting requests, and positions in it.

use crate::domain::risk::level::Level;
use chrono::{DateTime, Utc};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// The order of a list of waiting requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// The most dangerous first; within a level, by deadline.
    Level,
    /// By deadline, whatever the level.
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

/// The position of a request in a list of waiting requests. The next page begins after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListPosition {
    pub order: Order,
    pub level: Level,
    /// The next deadline, if there is one.
    pub due: Option<DateTime<Utc>>,
    pub workflow_id: Uuid,
}

impl ListPosition {
    /// The position of a request in a list that is newest first.
    pub fn of_newest(workflow_id: Uuid) -> Self {
        Self { order: Order::Newest, level: Level::Low, due: None, workflow_id }
    }
}

/// The form that browsers get; it is opaque to them.
impl fmt::Display for ListPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let due = self.due.map(|due| format!("{:x}", due.timestamp_micros())).unwrap_or_default();
        write!(f, "{}.{}.{due}.{}", self.order.as_str(), self.level, self.workflow_id.simple())
    }
}

impl FromStr for ListPosition {
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
    fn a_position_is_read_back_as_it_was_issued() {
        for order in Order::ALL {
            for due in [None, DateTime::from_timestamp_micros(1_795_700_000_123_456)] {
                let position = ListPosition { order, level: Level::High, due, workflow_id: Uuid::from_u128(7) };
                assert_eq!(position.to_string().parse(), Ok(position));
            }
        }
        for text in ["", "level", "level.high..", "level.odd..0", "odd.high..00000000000000000000000000000007", "due.high.x.7"] {
            assert_eq!(text.parse::<ListPosition>(), Err(()), "{text}");
        }
    }
}
