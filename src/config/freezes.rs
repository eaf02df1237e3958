//! `freezes` of `hitl/approval-policies.yaml`: when nothing starts, and who may approve an
//! exception.

use crate::config::approval_policies::ApprovalPolicies;
use crate::config::names;
use crate::config::policy::held;
use crate::config::risk_rules::{self, RiskRules};
use crate::config::value::{At, Fields};
use crate::config::words::Words;
use crate::domain::hold::Freeze;
use crate::domain::hours::{DAY, Hours, Window};
use crate::domain::text::shown;
use chrono::{Days, NaiveDate, NaiveDateTime, NaiveTime, Weekday};
use chrono_tz::Tz;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const KEYS: [&str; 8] = ["weekdays", "hours", "from", "until", "time_zone", "environments", "operations", "exception"];
const WEEK: [Weekday; 7] = [Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri, Weekday::Sat, Weekday::Sun];

/// Reads the section, sorted by name.
pub fn read(at: &At<'_>, rules: &RiskRules<'_>, approvals: &ApprovalPolicies<'_>) -> Vec<Freeze> {
    let entries = at.entries("freezes: a name and when it applies, such as { weekdays: [sat, sun], time_zone: Europe/Berlin }");
    let mut freezes: Vec<Freeze> = Vec::new();
    for (name, at) in entries.unwrap_or_default() {
        if let Err(error) = names::freeze(name) {
            at.problem(error);
        }
        freezes.extend(freeze(name, &at, rules, approvals));
    }
    freezes.sort_by(|one, other| one.name.cmp(&other.name));
    freezes
}

fn freeze(name: &str, at: &At<'_>, rules: &RiskRules<'_>, approvals: &ApprovalPolicies<'_>) -> Option<Freeze> {
    let fields = at.fields(&KEYS)?;
    let zone = fields.required("time_zone", "write the time zone of these times, such as Europe/Berlin or UTC");
    let zone = zone.and_then(|at| at.parsed(time_zone));
    let window = window(at, &fields);
    let words = |key: &str, known: &Words<'_>| fields.get(key).map(|at| words(&at, known));
    let environments = words("environments", &rules.environments);
    let operations = words("operations", &rules.operations);
    let exception = fields.get("exception").map(|at| held(&risk_rules::roles(&at), approvals));
    let hours = Hours { window: window?, zone: zone? };
    Some(Freeze { name: name.to_owned(), hours, environments, operations, exception: exception.unwrap_or_default() })
}

/// The words that the freeze covers, in alphabetical order.
fn words(at: &At<'_>, known: &Words<'_>) -> Vec<String> {
    if at.is_empty() {
        at.problem("names none, so that the freeze would hold nothing; name some, or leave the key out for all");
    }
    let words = at.items("words").unwrap_or_default();
    words.iter().filter_map(|at| known.resolve(at)).collect::<BTreeSet<_>>().into_iter().collect()
}

fn window(at: &At<'_>, fields: &Fields<'_>) -> Option<Window> {
    let (weekdays, hours) = (fields.get("weekdays"), fields.get("hours"));
    let (from, until) = (fields.get("from"), fields.get("until"));
    match (weekdays.is_some() || hours.is_some(), from.is_some() || until.is_some()) {
        (true, true) => at.problem("has both a week and dates; write either weekdays and hours, or from and until"),
        (false, false) => at.problem("never begins; write weekdays and hours, or from and until"),
        (true, false) => return weekly(at, weekdays.as_ref(), hours.as_ref()),
        (false, true) => return between(fields),
    }
    None
}

fn weekly(at: &At<'_>, weekdays: Option<&At<'_>>, hours: Option<&At<'_>>) -> Option<Window> {
    let days = match weekdays {
        None => WEEK.to_vec(),
        Some(at) => {
            if at.is_empty() {
                at.problem("names no day, so that the freeze never begins; name some, or leave the key out for every day");
            }
            let unknown = |text: &str| format!("`{}` is not a day of the week; write mon, tue, wed, thu, fri, sat or sun", shown(text));
            let items = at.items("days of the week")?;
            let days: Vec<_> = items.iter().map(|at| at.parsed(|text| text.parse::<Weekday>().map_err(|_| unknown(text)))).collect();
            let days: Vec<Weekday> = days.into_iter().collect::<Option<_>>()?;
            WEEK.into_iter().filter(|day| days.contains(day)).collect()
        }
    };
    let (from, minutes) = match hours {
        None => (0, DAY),
        Some(at) => at.parsed(period)?,
    };
    if days.len() == WEEK.len() && minutes == DAY {
        at.problem("never ends; leave out a day or an hour. To stop everything until somebody says otherwise, use `parkbrake halt`");
        return None;
    }
    Some(Window::Weekly { days, from, minutes })
}

/// A name of the IANA list.
pub(super) fn time_zone(text: &str) -> Result<Tz, String> {
    let unknown = |_| format!("`{}` is not a time zone; write a name of the IANA list, such as Europe/Berlin or UTC", shown(text));
    text.parse().map_err(unknown)
}

/// Every day, from one minute of the day on for so many minutes.
pub(super) fn daily((from, minutes): (u32, u32)) -> Window {
    Window::Weekly { days: WEEK.to_vec(), from, minutes }
}

/// Parses `22:00-06:00`: the minute of the day at which it begins, and its length in minutes.
pub(super) fn period(text: &str) -> Result<(u32, u32), String> {
    let unfit = || format!("is `{}`, but has to be a period of the day, such as 22:00-06:00 or 00:00-24:00", shown(text));
    let (from, until) = text.split_once('-').ok_or_else(unfit)?;
    let (from, until) = (minute(from).ok_or_else(unfit)?, minute(until).ok_or_else(unfit)?);
    match until {
        _ if from == DAY => Err("begins at 24:00, which is 00:00 of the next day; write that".to_owned()),
        until if until == from => Err("ends when it begins, so that it is empty; a whole day is 00:00-24:00".to_owned()),
        until if until > from => Ok((from, until - from)),
        until => Ok((from, until + DAY - from)),
    }
}

/// A time of the day, or its end.
fn minute(text: &str) -> Option<u32> {
    let (hour, minute) = text.trim().split_once(':')?;
    let two = |digits: &str| digits.parse::<u32>().ok().filter(|_| digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit()));
    let (hour, minute) = (two(hour)?, two(minute)?);
    (minute < 60 && (hour < 24 || (hour == 24 && minute == 0))).then_some(hour * 60 + minute)
}

fn between(fields: &Fields<'_>) -> Option<Window> {
    let from = fields.required("from", "write when it begins, such as 2026-12-24 or 2026-12-24T16:00");
    let until = fields.required("until", "write the last day, such as 2027-01-02, or when it ends, such as 2027-01-02T08:00");
    let from = from.and_then(|at| at.parsed(|text| moment(text, false)));
    let (until, at) = until.map(|at| (at.parsed(|text| moment(text, true)), at))?;
    let (from, until) = (from?, until?);
    if until <= from {
        at.problem("is not after `from`, so that the freeze is empty");
        return None;
    }
    Some(Window::Between { from, until })
}

/// A day, or a time on a day. If a day is the last one, all of it is included.
pub(super) fn moment(text: &str, is_last: bool) -> Result<NaiveDateTime, String> {
    let unfit =
        || format!("is `{}`, but has to be a day or a time by the local clock, such as 2026-12-24 or 2026-12-24T16:00", shown(text));
    if let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        let day = if is_last { day.checked_add_days(Days::new(1)).ok_or_else(unfit)? } else { day };
        return Ok(day.and_time(NaiveTime::MIN));
    }
    let forms = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"];
    forms.into_iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok()).ok_or_else(unfit)
}

/// The freezes as a document.
pub fn document(freezes: &[Freeze]) -> Value {
    let one = |freeze: &Freeze| {
        let window = match &freeze.hours.window {
            Window::Weekly { days, from, minutes } => {
                json!({ "weekdays": days.iter().map(Weekday::to_string).collect::<Vec<_>>(), "from": from, "minutes": minutes })
            }
            Window::Between { from, until } => json!({ "from": from.to_string(), "until": until.to_string() }),
        };
        let zone = freeze.hours.zone.name();
        json!({ "name": freeze.name, "window": window, "time_zone": zone, "environments": freeze.environments,
                "operations": freeze.operations, "exception": freeze.exception })
    };
    freezes.iter().map(one).collect()
}
