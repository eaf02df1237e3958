//! Times as people read them: UTC to the minute, and how long ago or how soon.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::Serialize;

/// A time, relative to another.
#[derive(Debug, Clone, Serialize)]
pub struct RelativeTime {
    /// For programs.
    pub iso: String,
    pub utc: String,
    /// In words; `static/inbox.js` computes the same words as time passes.
    pub words: String,
    pub is_past: bool,
}

impl RelativeTime {
    pub fn of(at: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        Self {
            iso: at.to_rfc3339_opts(SecondsFormat::Secs, true),
            utc: at.format("%Y-%m-%d %H:%M UTC").to_string(),
            words: words(at - now),
            is_past: at <= now,
        }
    }
}

fn words(distance: TimeDelta) -> String {
    let seconds = distance.num_seconds();
    let (unit, count) = match seconds.unsigned_abs() {
        0..60 => return if seconds > 0 { "in less than a minute" } else { "just now" }.to_owned(),
        size @ 60..3_600 => ("minute", size / 60),
        size @ 3_600..172_800 => ("hour", size / 3_600),
        size => ("day", size / 86_400),
    };
    let plural = if count == 1 { "" } else { "s" };
    if seconds > 0 { format!("in {count} {unit}{plural}") } else { format!("{count} {unit}{plural} ago") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_shown_in_one_unit() {
        for (seconds, said) in [
            (0, "just now"),
            (-59, "just now"),
            (1, "in less than a minute"),
            (60, "in 1 minute"),
            (-3_599, "59 minutes ago"),
            (3_600, "in 1 hour"),
            (-172_799, "47 hours ago"),
            (172_800, "in 2 days"),
        ] {
            assert_eq!(words(TimeDelta::seconds(seconds)), said);
        }
    }
}
