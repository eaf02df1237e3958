//! Which notices a person wants, and when.

use crate::domain::hours::Hours;
use crate::domain::risk::level::Level;
use chrono::{DateTime, Utc};

/// A person's preferences for notices. By default, they get every notice at once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attention {
    /// The levels for which they want notices; `None` is all of them.
    pub levels: Option<Vec<Level>>,
    pub quiet: Option<Quiet>,
}

/// The hours during which notices to a person wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quiet {
    pub hours: Hours,
    /// The levels whose notices are not delayed.
    pub except: Vec<Level>,
}

impl Attention {
    /// Whether the person wants notices for a level.
    pub fn wants(&self, level: Level) -> bool {
        self.levels.as_ref().is_none_or(|levels| levels.contains(&level))
    }

    /// Until when notices for a level wait, if the person has quiet hours now.
    pub fn quiet_until(&self, level: Level, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.quiet.as_ref().filter(|quiet| !quiet.except.contains(&level))?.hours.holds_until(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::hours::Window;
    use chrono::Weekday;

    #[test]
    fn quiet_hours_hold_by_the_local_clock_and_not_for_the_excepted_levels() {
        let days = vec![Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri, Weekday::Sat, Weekday::Sun];
        let hours = Hours { window: Window::Weekly { days, from: 22 * 60, minutes: 9 * 60 }, zone: "Europe/Berlin".parse().unwrap() };
        let attention = Attention { levels: None, quiet: Some(Quiet { hours, except: vec![Level::Critical] }) };
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        for (now, until) in [
            ("2026-11-27T20:59:59Z", None),
            ("2026-11-27T21:00:00Z", Some("2026-11-28T06:00:00Z")),
            ("2026-11-28T05:59:59Z", Some("2026-11-28T06:00:00Z")),
            ("2026-11-28T06:00:00Z", None),
            ("2026-07-01T20:00:00Z", Some("2026-07-02T05:00:00Z")),
        ] {
            assert_eq!(attention.quiet_until(Level::High, at(now)), until.map(at), "{now}");
            assert_eq!(attention.quiet_until(Level::Critical, at(now)), None, "{now}");
        }
        assert_eq!(Attention::default().quiet_until(Level::Low, at("2026-11-27T23:00:00Z")), None);
    }

    #[test]
    fn a_person_gets_notices_only_of_chosen_levels() {
        let attention = Attention { levels: Some(vec![Level::High, Level::Critical]), quiet: None };
        assert_eq!(Level::ALL.map(|level| attention.wants(level)), [false, false, true, true]);
        assert_eq!(Level::ALL.map(|level| Attention::default().wants(level)), [true; 4]);
    }
}
