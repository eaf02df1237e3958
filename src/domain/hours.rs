//! Periods by the clock of a time zone: of freezes, and of people's quiet hours.
//!
//! A window is written in local time. When clocks go back, an ambiguous time begins a window at its
//! first occurrence and ends one at its last, so that a window is never shorter than it reads. When
//! clocks go forward, a skipped time means the moment of the change.

use chrono::{DateTime, Datelike as _, Days, LocalResult, NaiveDate, NaiveDateTime, TimeDelta, TimeZone as _, Utc, Weekday};
use chrono_tz::Tz;

/// Minutes in a day.
pub const DAY: u32 = 24 * 60;
/// The most windows without a gap between them that are joined. A week has fewer than eight.
const LONGEST_CHAIN: usize = 8;
/// Within this many minutes after a skipped local time there is a valid one: some zones have
/// skipped a whole day.
const LONGEST_GAP: i64 = 2 * DAY as i64;

/// A window, and the time zone of its clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hours {
    pub window: Window,
    pub zone: Tz,
}

/// A period by the local clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Window {
    /// Weekly, on each of these days: from a minute of the day, for this many minutes, at most a
    /// day. It may extend past midnight.
    Weekly { days: Vec<Weekday>, from: u32, minutes: u32 },
    /// Once.
    Between { from: NaiveDateTime, until: NaiveDateTime },
}

impl Hours {
    /// When it ends, if it is in force now: at the end of the last of the windows that follow each
    /// other without a gap.
    pub fn holds_until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let mut until = self.window_at(now)?;
        for _ in 0..LONGEST_CHAIN {
            match self.window_at(until) {
                Some(later) if later > until => until = later,
                _ => break,
            }
        }
        Some(until)
    }

    /// When it next begins, after this moment.
    pub fn begins_after(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.windows_around(now).map(|(from, _)| from).filter(|from| *from > now).min()
    }

    /// The end of the latest window that this moment is in.
    fn window_at(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.windows_around(at).filter(|(from, until)| *from <= at && at < *until).map(|(_, until)| until).max()
    }

    /// The windows from two days before a moment to eight days after it, each as its begin and end.
    fn windows_around(&self, at: DateTime<Utc>) -> impl Iterator<Item = (DateTime<Utc>, DateTime<Utc>)> {
        let moments = |from, until| (moment(self.zone, from, Turn::Begins), moment(self.zone, until, Turn::Ends));
        let windows: Vec<_> = match &self.window {
            Window::Between { from, until } => vec![moments(*from, *until)],
            Window::Weekly { days, from, minutes } => {
                let today = at.with_timezone(&self.zone).date_naive();
                let first = today.checked_sub_days(Days::new(2)).unwrap_or(today);
                let dates = first.iter_days().take(11).filter(|date| days.contains(&date.weekday()));
                dates.map(|date| moments(minute_of(date, *from), minute_of(date, from + minutes))).collect()
            }
        };
        windows.into_iter()
    }

    /// The moment at which something ends that lasts until a time of a local clock.
    pub fn end(zone: Tz, local: NaiveDateTime) -> DateTime<Utc> {
        moment(zone, local, Turn::Ends)
    }
}

/// The moment at which the local clock shows a time.
fn moment(zone: Tz, local: NaiveDateTime, turn: Turn) -> DateTime<Utc> {
    let found = match zone.from_local_datetime(&local) {
        LocalResult::Single(moment) => Some(moment),
        LocalResult::Ambiguous(first, last) => Some(if turn == Turn::Begins { first } else { last }),
        LocalResult::None => {
            let later = (1..=LONGEST_GAP).map(|minutes| local + TimeDelta::minutes(minutes));
            later.map(|local| zone.from_local_datetime(&local)).find_map(LocalResult::earliest)
        }
    };
    found.map_or_else(|| local.and_utc(), |moment| moment.with_timezone(&Utc))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Begins,
    Ends,
}

/// The time this many minutes after midnight, which may be on the next day.
fn minute_of(date: NaiveDate, minute: u32) -> NaiveDateTime {
    date.and_time(chrono::NaiveTime::MIN) + TimeDelta::minutes(i64::from(minute))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono_tz::Europe::Berlin;

    fn weekly(days: &[Weekday], from: u32, minutes: u32) -> Hours {
        Hours { window: Window::Weekly { days: days.to_vec(), from, minutes }, zone: Berlin }
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn until(hours: &Hours, now: &str) -> Option<String> {
        hours.holds_until(at(now)).map(|until| until.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
    }

    #[test]
    fn a_night_that_begins_on_friday_ends_on_saturday() {
        let hours = weekly(&[Weekday::Fri], 22 * 60, 8 * 60);
        // Winter: Berlin is an hour ahead. 2026-11-27 is a Friday.
        assert_eq!(until(&hours, "2026-11-27T20:59:59Z"), None);
        assert_eq!(until(&hours, "2026-11-27T21:00:00Z").as_deref(), Some("2026-11-28T05:00:00Z"));
        assert_eq!(until(&hours, "2026-11-28T04:59:59Z").as_deref(), Some("2026-11-28T05:00:00Z"));
        assert_eq!(until(&hours, "2026-11-28T05:00:00Z"), None);
        assert_eq!(hours.begins_after(at("2026-11-27T21:00:00Z")), Some(at("2026-12-04T21:00:00Z")));
        assert_eq!(hours.begins_after(at("2026-11-27T20:00:00Z")), Some(at("2026-11-27T21:00:00Z")));
    }

    #[test]
    fn windows_that_follow_each_other_are_one() {
        let hours = weekly(&[Weekday::Sat, Weekday::Sun], 0, DAY);
        assert_eq!(until(&hours, "2026-11-28T12:00:00Z").as_deref(), Some("2026-11-29T23:00:00Z"));
        let six_days = weekly(&[Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri, Weekday::Sat], 0, DAY);
        assert_eq!(until(&six_days, "2026-11-23T00:00:00Z").as_deref(), Some("2026-11-28T23:00:00Z"));
    }

    #[test]
    fn where_clocks_go_back_the_local_time_that_comes_twice_is_twice() {
        // 2026-10-25, 03:00 becomes 02:00: 02:30 comes at 00:30Z and at 01:30Z.
        let hours = weekly(&[Weekday::Sun], 60, 90);
        assert_eq!(until(&hours, "2026-10-24T23:00:00Z").as_deref(), Some("2026-10-25T01:30:00Z"), "from 01:00 to the second 02:30");
        let begins = weekly(&[Weekday::Sun], 150, 60);
        assert_eq!(until(&begins, "2026-10-25T00:29:59Z"), None);
        assert_eq!(until(&begins, "2026-10-25T00:30:00Z").as_deref(), Some("2026-10-25T02:30:00Z"), "from the first 02:30");
        let day = weekly(&[Weekday::Sun], 0, DAY);
        let (from, to) = (at("2026-10-24T22:00:00Z"), day.holds_until(at("2026-10-24T22:00:00Z")).unwrap());
        assert_eq!(to - from, TimeDelta::hours(25), "that day has 25 hours");
    }

    #[test]
    fn where_clocks_go_forward_a_time_that_never_comes_is_the_moment_of_the_change() {
        // 2026-03-29, 02:00 becomes 03:00 at 01:00Z.
        let ends = weekly(&[Weekday::Sun], 60, 90);
        assert_eq!(until(&ends, "2026-03-29T00:00:00Z").as_deref(), Some("2026-03-29T01:00:00Z"), "02:30 never comes");
        let begins = weekly(&[Weekday::Sun], 150, 60);
        assert_eq!(until(&begins, "2026-03-29T00:59:59Z"), None);
        assert_eq!(until(&begins, "2026-03-29T01:00:00Z").as_deref(), Some("2026-03-29T01:30:00Z"));
        let gone = weekly(&[Weekday::Sun], 120, 45);
        assert_eq!(until(&gone, "2026-03-29T01:00:00Z"), None, "a window that lies in the gap is none that year");
        let day = weekly(&[Weekday::Sun], 0, DAY);
        let (from, to) = (at("2026-03-28T23:00:00Z"), day.holds_until(at("2026-03-28T23:00:00Z")).unwrap());
        assert_eq!(to - from, TimeDelta::hours(23));
    }

    #[test]
    fn dates_are_read_by_the_local_clock() {
        let window = Window::Between { from: "2026-12-24T00:00:00".parse().unwrap(), until: "2027-01-02T08:00:00".parse().unwrap() };
        let hours = Hours { window, zone: chrono_tz::America::New_York };
        assert_eq!(until(&hours, "2026-12-24T04:59:59Z"), None);
        assert_eq!(until(&hours, "2026-12-24T05:00:00Z").as_deref(), Some("2027-01-02T13:00:00Z"));
        assert_eq!(hours.begins_after(at("2026-12-01T00:00:00Z")), Some(at("2026-12-24T05:00:00Z")));
        assert_eq!(hours.begins_after(at("2026-12-24T05:00:00Z")), None);
    }
}
