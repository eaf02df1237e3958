//! Freezes: periods, by the clock of a time zone, in which nothing that they cover starts.

use crate::domain::hold::ResolvedTarget;
use crate::domain::hours::Hours;
use chrono::{DateTime, Utc};

/// A freeze of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freeze {
    pub name: String,
    pub hours: Hours,
    /// The environments that it covers; `None` is all.
    pub environments: Option<Vec<String>>,
    /// The operations that it covers; `None` is all.
    pub operations: Option<Vec<String>>,
    /// The roles that may approve an exception; empty if there are no exceptions.
    pub exception: Vec<String>,
}

impl Freeze {
    /// Whether it covers a target. Unknown parts of the target could be anything, so they are
    /// covered.
    pub fn covers(&self, target: &ResolvedTarget) -> bool {
        let among = |words: &Option<Vec<String>>, word: &Option<String>| match (words, word) {
            (None, _) | (_, None) => true,
            (Some(words), Some(word)) => words.contains(word),
        };
        among(&self.environments, &target.environment) && among(&self.operations, &target.operation)
    }

    /// When it ends, if it is in force now.
    pub fn holds_until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.hours.holds_until(now)
    }

    /// When it next begins, after this moment.
    pub fn begins_after(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.hours.begins_after(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::hours::Window;
    use chrono::Weekday;

    #[test]
    fn a_freeze_covers_its_words_and_what_nobody_knows() {
        let window = Window::Weekly { days: vec![Weekday::Sun], from: 0, minutes: 60 };
        let hours = Hours { window, zone: chrono_tz::Europe::Berlin };
        let mut freeze = Freeze { name: "f".to_owned(), hours, environments: None, operations: None, exception: Vec::new() };
        freeze.environments = Some(vec!["production".to_owned()]);
        freeze.operations = Some(vec!["deploy".to_owned()]);
        let target = |environment: Option<&str>, operation: Option<&str>| ResolvedTarget {
            environment: environment.map(str::to_owned),
            operation: operation.map(str::to_owned),
        };
        for (environment, operation, covered) in [
            (Some("production"), Some("deploy"), true),
            (Some("production"), Some("read"), false),
            (Some("staging"), Some("deploy"), false),
            (None, Some("deploy"), true),
            (Some("production"), None, true),
        ] {
            assert_eq!(freeze.covers(&target(environment, operation)), covered, "{environment:?} {operation:?}");
        }
    }
}
