//! Halts: while one is in force, nothing that it covers starts to run.

use crate::domain::via::Via;
use chrono::{DateTime, SecondsFormat, Utc};
use std::fmt;
use uuid::Uuid;

/// A halt in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Halt {
    pub id: Uuid,
    /// The halted environment; `None` is everything.
    pub environment: Option<String>,
    /// The admin who called the halt.
    pub by: String,
    pub via: Via,
    pub reason: String,
    pub since: DateTime<Utc>,
    /// Whether it is a drill, which ends on its own as soon as every server has confirmed it.
    pub is_drill: bool,
}

impl Halt {
    /// Whether it covers an action in this environment. An action whose environment is unknown may
    /// act in any, so every halt covers it.
    pub fn covers(&self, environment: Option<&str>) -> bool {
        match (&self.environment, environment) {
            (None, _) | (_, None) => true,
            (Some(halted), Some(environment)) => halted == environment,
        }
    }

    /// What is halted, in words.
    pub fn scope(&self) -> &str {
        self.environment.as_deref().unwrap_or("everything")
    }
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = self.since.to_rfc3339_opts(SecondsFormat::Secs, true);
        let drill = if self.is_drill { " for a drill" } else { "" };
        write!(f, "{} has halted {}{drill} since {since}: {}", self.by, self.scope(), self.reason)
    }
}
