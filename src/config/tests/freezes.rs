//! Freezes, valid and invalid.

use super::invalid::refuses;
use super::*;
use crate::domain::hours::Window;
use chrono::Weekday;

#[test]
fn a_week_and_dates_are_read_with_their_words() {
    let freezes = "freezes:
  weekend: { weekdays: [Sat, sunday], time_zone: Europe/Berlin, environments: [prod], operations: [rollout, restart], exception: [cto] }
  nights:  { hours: \"22:00-06:00\", time_zone: UTC }
  holidays: { from: 2026-12-24, until: 2027-01-01, time_zone: America/New_York }
  release: { from: 2026-12-01T12:00, until: 2026-12-01T18:30, time_zone: UTC }
";
    let configuration = valid(&[(APPROVALS, &format!("{PEOPLE}{freezes}"))]);
    let named = |name: &str| configuration.freezes.iter().find(|freeze| freeze.name == name).unwrap();
    let weekend = named("weekend");
    assert_eq!(weekend.hours.window, Window::Weekly { days: vec![Weekday::Sat, Weekday::Sun], from: 0, minutes: 1_440 });
    assert_eq!(weekend.environments.as_deref(), Some(&["production".to_owned()][..]));
    assert_eq!(weekend.operations.as_deref(), Some(&["deploy".to_owned(), "restart".to_owned()][..]));
    assert_eq!(weekend.exception, ["cto"]);
    assert!(matches!(&named("nights").hours.window, Window::Weekly { days, from: 1_320, minutes: 480 } if days.len() == 7));
    let moments = |name: &str| match &named(name).hours.window {
        Window::Between { from, until } => [from.to_string(), until.to_string()],
        other => panic!("{other:?}"),
    };
    assert_eq!(moments("holidays"), ["2026-12-24 00:00:00", "2027-01-02 00:00:00"], "the last day is included");
    assert_eq!(moments("release"), ["2026-12-01 12:00:00", "2026-12-01 18:30:00"]);
    let other = valid(&[(APPROVALS, &format!("{PEOPLE}{}", freezes.replace("22:00", "21:00")))]);
    assert_ne!(other.version, configuration.version, "what holds starts is part of what is decided by");
}

#[test]
fn a_freeze_that_cannot_be_or_never_ends_is_refused() {
    let with = |freeze: &str| format!("{PEOPLE}freezes:\n  f: {{ {freeze} }}\n");
    let zone = |rest: &str| with(&format!("time_zone: UTC, {rest}"));
    refuses(
        APPROVALS,
        &[
            (&format!("{PEOPLE}freezes: [f]\n"), ":2: freezes: is a list", "a mapping of freezes"),
            (
                &format!("{PEOPLE}freezes: {{ Freeze: {{ weekdays: [sat], time_zone: UTC }} }}\n"),
                ":2: freezes.Freeze: `Freeze` cannot be used",
                "",
            ),
            (&with("weekdays: [sat]"), ":3: freezes.f.time_zone: is missing", "Europe/Berlin"),
            (&with("weekdays: [sat], time_zone: Europe/Bonn"), ":3: freezes.f.time_zone: `Europe/Bonn` is not a time zone", "IANA"),
            (&zone("weekdays: [sat], weekday: [sat]"), ":3: freezes.f.weekday: is not a known key", "weekdays"),
            (&zone("weekdays: [caturday]"), ":3: freezes.f.weekdays[0]: `caturday` is not a day of the week", "mon, tue"),
            (&zone("weekdays: []"), ":3: freezes.f.weekdays: names no day", "every day"),
            (&zone("hours: \"10:00-10:00\""), ":3: freezes.f.hours: ends when it begins", "00:00-24:00"),
            (&zone("hours: \"9-17\""), ":3: freezes.f.hours: is `9-17`", "22:00-06:00"),
            (&zone("hours: \"25:00-26:00\""), ":3: freezes.f.hours: is `25:00-26:00`", ""),
            (&zone("hours: \"24:00-06:00\""), ":3: freezes.f.hours: begins at 24:00", ""),
            (&zone("hours: \"00:00-24:00\""), ":3: freezes.f: never ends", "parkbrake halt"),
            (&zone("weekdays: [mon, tue, wed, thu, fri, sat, sun]"), ":3: freezes.f: never ends", "parkbrake halt"),
            (&zone("exception: [cto]"), ":3: freezes.f: never begins", "weekdays and hours"),
            (&zone("weekdays: [sat], from: 2026-12-24"), ":3: freezes.f: has both a week and dates", "either"),
            (&zone("from: 2026-12-24"), ":3: freezes.f.until: is missing", "last day"),
            (&zone("from: 2026-12-24, until: 2026-12-23"), ":3: freezes.f.until: is not after `from`", "empty"),
            (&zone("from: 2026-12-24T10:00, until: 2026-12-24T10:00"), ":3: freezes.f.until: is not after `from`", "empty"),
            (&zone("from: 24.12.2026, until: 2026-12-25"), ":3: freezes.f.from: is `24.12.2026`", "2026-12-24"),
            (&zone("weekdays: [sat], environments: [moon]"), ":3: freezes.f.environments[0]: `moon` is not one of the words", "production"),
            (&zone("weekdays: [sat], operations: []"), ":3: freezes.f.operations: names none", "leave the key out"),
            (&zone("weekdays: [sat], exception: [boss]"), ":3: freezes.f.exception[0]: `boss` is a role that nobody has", "cto"),
        ],
    );
}
