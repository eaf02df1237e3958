//! Times as people read them on a terminal: local time to the second, and durations.
//!
//! Text that is not a time is shown unchanged, because a response of another version is more useful
//! than none.

use crate::domain::text::escaped;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

/// The time of this machine. It orders and describes the server's answers, and decides nothing.
#[expect(clippy::disallowed_methods, reason = "a client is not a server: how long ago something was is shown by its own clock")]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}

/// Parses a time in a response.
pub fn read(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc())
}

/// A time in the time zone of this machine, to the second.
pub fn local(text: &str) -> String {
    let local = |at: DateTime<Utc>| at.with_timezone(&chrono::Local).to_rfc3339_opts(SecondsFormat::Secs, true);
    read(text).map_or_else(|| escaped(text), local)
}

/// A duration in its largest unit, rounded down: `45s 3m 2h 5d`.
pub fn size(distance: TimeDelta) -> String {
    let seconds = distance.num_seconds().max(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_shown_in_their_largest_unit() {
        for (seconds, said) in
            [(0, "0s"), (-5, "0s"), (59, "59s"), (60, "1m"), (3_599, "59m"), (3_600, "1h"), (172_799, "47h"), (172_800, "2d")]
        {
            assert_eq!(size(TimeDelta::seconds(seconds)), said);
        }
    }

    #[test]
    fn a_moment_is_shown_to_the_second_and_anything_else_as_it_is() {
        assert_eq!(read(&local("2026-11-27T06:57:00.9Z")), read("2026-11-27T06:57:00Z"));
        assert_eq!(local("soon\u{1b}"), "soon<U+001B>");
    }
}
