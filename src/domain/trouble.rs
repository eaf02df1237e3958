//! Troubles of a running system that a person can do something about.

use chrono::{DateTime, Utc};

/// The troubles; there are none if all fields are empty or zero.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Troubles {
    /// Notices of the last days that parkbrake gave up delivering.
    pub dead_notices: i64,
    /// Channels with overdue notices.
    pub stuck: Vec<StuckChannel>,
    /// Workflows that are quarantined after repeated failures.
    pub quarantined: i64,
    /// Actions whose outcome is unknown.
    pub unknown_outcomes: i64,
    /// Open reviews of broken glass.
    pub open_reviews: i64,
    /// Waiting requests that nobody in the configuration could decide.
    pub undecidable: i64,
}

/// A channel that delivers nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StuckChannel {
    pub channel: String,
    pub waiting: i64,
    /// When the oldest of its notices was due.
    pub since: DateTime<Utc>,
}

impl Troubles {
    /// Each trouble as a sentence.
    pub fn lines(&self) -> Vec<String> {
        let some = |count: i64, one: &str, many: &str| {
            (count > 0).then(|| if count == 1 { format!("1 {one}") } else { format!("{count} {many}") })
        };
        let stuck = self.stuck.iter().map(|stuck| {
            let notices = if stuck.waiting == 1 { "1 notice waits".to_owned() } else { format!("{} notices wait", stuck.waiting) };
            format!(
                "The channel {} does not deliver: {notices}, the oldest since {}.",
                stuck.channel,
                stuck.since.format("%Y-%m-%d %H:%M UTC")
            )
        });
        let others = [
            some(
                self.dead_notices,
                "notice was given up in the last 7 days: somebody was not notified.",
                "notices were given up in the last 7 days: somebody was not notified.",
            ),
            some(
                self.quarantined,
                "workflow is in quarantine after repeated failures.",
                "workflows are in quarantine after repeated failures.",
            ),
            some(self.unknown_outcomes, "action has an outcome that nobody knows.", "actions have outcomes that nobody knows."),
            some(self.open_reviews, "review of broken glass is open.", "reviews of broken glass are open."),
            some(self.undecidable, "request waits that nobody can decide.", "requests wait that nobody can decide."),
        ];
        stuck.chain(others.into_iter().flatten()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trouble_is_a_sentence() {
        assert!(Troubles::default().lines().is_empty());
        let since = "2026-11-27T08:05:00Z".parse().unwrap();
        let troubles = Troubles {
            dead_notices: 1,
            stuck: vec![StuckChannel { channel: "ops".to_owned(), waiting: 123, since }],
            unknown_outcomes: 2,
            ..Troubles::default()
        };
        assert_eq!(
            troubles.lines(),
            [
                "The channel ops does not deliver: 123 notices wait, the oldest since 2026-11-27 08:05 UTC.",
                "1 notice was given up in the last 7 days: somebody was not notified.",
                "2 actions have outcomes that nobody knows.",
            ]
        );
    }
}
