//! How requests for approval went, as figures and charts.

use crate::http::problem::Problem;
use crate::http::query::invalid;
use crate::service::{DayFigures, LevelFigures, MOST_REQUESTS, MOST_WAITING, Statistics, WaitingFigures};
use crate::web::Web;
use crate::web::charts::{Category, Chart, Unit, bar_chart, column_chart, duration};
use crate::web::form::Fields;
use crate::web::page;
use crate::web::relative_time::RelativeTime;
use crate::web::session::Session;
use axum::extract::State;
use axum::response::Response;
use chrono::{Days, NaiveDate, TimeDelta};
use serde::Serialize;
use serde_json::json;

/// How many days may be looked at; the second is what is shown first.
const WINDOWS: [u32; 3] = [7, 30, 90];
/// What the stretches of time are called into which decisions are sorted.
const STRETCHES: [&str; 7] = ["up to 1 min", "up to 5 min", "up to 15 min", "up to 1 h", "up to 4 h", "up to 1 d", "longer"];

/// One chart, with the same figures as a table.
#[derive(Debug, Serialize)]
struct Figure {
    id: String,
    title: String,
    /// Empty where there is nothing to draw.
    svg: String,
    head: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

/// `GET /inbox/statistics`
pub async fn show(State(web): State<Web>, session: Session, query: Fields) -> Result<Response, Problem> {
    let days = match query.one("days")? {
        None => WINDOWS[1],
        Some(text) => WINDOWS.into_iter().find(|days| days.to_string() == text).ok_or_else(|| invalid("days", "has to be 7, 30 or 90"))?,
    };
    // Whole days, today's as far as it has come.
    let now = web.service.now();
    let since = now.date_naive().checked_sub_days(Days::new(u64::from(days) - 1)).and_then(|day| day.and_hms_opt(0, 0, 0));
    let since = since.map_or(now - TimeDelta::days(i64::from(days)), |since| since.and_utc());
    let statistics = web.service.statistics(&session.person, since).await?;
    let figures = [
        waiting(&statistics),
        by_level(&statistics),
        by_role(&statistics),
        durations(&statistics),
        outcomes(&statistics),
        escalations(&statistics),
    ];
    let requests: i64 = statistics.levels.iter().map(|level| level.requests).sum();
    let shown = json!({
        "section": "statistics", "days": days, "windows": WINDOWS, "requests": requests, "figures": figures,
        "is_cut": statistics.is_cut(), "most": MOST_REQUESTS});
    Ok(page::render(&web, &session, "statistics.html", shown))
}

/// What waits now at each level.
fn waiting(statistics: &Statistics) -> Figure {
    let row = |one: &WaitingFigures| {
        let oldest = one.oldest.map_or_else(|| "none".to_owned(), |at| RelativeTime::of(at, statistics.until).words);
        let count = if one.count >= MOST_WAITING { format!("{MOST_WAITING} or more") } else { one.count.to_string() };
        vec![one.level.clone(), count, oldest]
    };
    let chart = Chart {
        id: "waiting",
        title: "Waiting now",
        description: "How many requests wait at each level.",
        series: &["waiting"],
        categories: statistics.waiting.iter().map(|one| category(&one.level, &[one.count])).collect(),
        unit: Unit::Count,
    };
    figure(&chart, bar_chart, vec!["Level", "Waiting", "The oldest came"], statistics.waiting.iter().map(row).collect())
}

/// How long decisions took at each level.
fn by_level(statistics: &Statistics) -> Figure {
    let decided: Vec<(&LevelFigures, f64, f64)> =
        statistics.levels.iter().filter_map(|level| Some((level, level.median?, level.p90?))).collect();
    let chart = Chart {
        id: "by-level",
        title: "Time to the decision, by level",
        description: "After how long half of the requests of each level were decided, and nine of ten.",
        series: &["half", "nine of ten"],
        categories: decided.iter().map(|(level, median, p90)| times(&level.level, *median, *p90)).collect(),
        unit: Unit::Seconds,
    };
    let row = |(level, median, p90): &(&LevelFigures, f64, f64)| {
        vec![level.level.clone(), level.decided.to_string(), duration(*median), duration(*p90)]
    };
    figure(&chart, bar_chart, vec!["Level", "Decided", "Half within", "Nine of ten within"], decided.iter().map(row).collect())
}

/// How long decisions took, by the role of the person that had the last word.
fn by_role(statistics: &Statistics) -> Figure {
    let chart = Chart {
        id: "by-role",
        title: "Time to the decision, by role",
        description: "After how long half of the requests that each role decided were decided, and nine of ten.",
        series: &["half", "nine of ten"],
        categories: statistics.roles.iter().map(|role| times(&role.role, role.median, role.p90)).collect(),
        unit: Unit::Seconds,
    };
    let rows = statistics.roles.iter();
    let rows = rows.map(|role| vec![role.role.clone(), role.decided.to_string(), duration(role.median), duration(role.p90)]);
    figure(&chart, bar_chart, vec!["Role", "Decided", "Half within", "Nine of ten within"], rows.collect())
}

/// How many decisions took how long.
fn durations(statistics: &Statistics) -> Figure {
    let decided = statistics.durations.iter().any(|count| *count > 0);
    let stretches = || STRETCHES.into_iter().zip(statistics.durations).filter(|_| decided);
    let chart = Chart {
        id: "durations",
        title: "How long decisions took",
        description: "How many requests were decided within which time.",
        series: &["decisions"],
        categories: stretches().map(|(name, count)| category(name, &[count])).collect(),
        unit: Unit::Count,
    };
    figure(
        &chart,
        bar_chart,
        vec!["Time", "Decisions"],
        stretches().map(|(name, count)| vec![name.to_owned(), count.to_string()]).collect(),
    )
}

/// How requests ended, on each day.
fn outcomes(statistics: &Statistics) -> Figure {
    let days = every_day(statistics);
    let of = |day: &DayFigures| [day.approved, day.rejected, day.expired, day.cancelled];
    let chart = Chart {
        id: "outcomes",
        title: "Outcomes by day",
        description: "How many requests were approved, rejected, left to expire and cancelled on each day.",
        series: &["approved", "rejected", "expired", "cancelled"],
        categories: days.iter().map(|day| category(&day.day.format("%-d %b").to_string(), &of(day))).collect(),
        unit: Unit::Count,
    };
    let row = |day: &DayFigures| [vec![day.day.to_string()], of(day).map(|count| count.to_string()).to_vec()].concat();
    figure(&chart, column_chart, vec!["Day", "Approved", "Rejected", "Expired", "Cancelled"], days.iter().map(row).collect())
}

/// Every day of the window, also those on which nothing was settled; none at all if that is true of all.
fn every_day(statistics: &Statistics) -> Vec<DayFigures> {
    if statistics.days.is_empty() {
        return Vec::new();
    }
    let last = statistics.until.date_naive();
    let days = statistics.since.date_naive().iter_days().take_while(|day| *day <= last);
    let settled = |day: NaiveDate| {
        let found = statistics.days.iter().find(|figures| figures.day == day);
        let count = |of: fn(&DayFigures) -> i64| found.map_or(0, of);
        let (approved, rejected) = (count(|day| day.approved), count(|day| day.rejected));
        DayFigures { day, approved, rejected, expired: count(|day| day.expired), cancelled: count(|day| day.cancelled) }
    };
    days.map(settled).collect()
}

/// How many requests nobody answered until the next were asked.
fn escalations(statistics: &Statistics) -> Figure {
    let chart = Chart {
        id: "escalations",
        title: "Escalations",
        description: "How many requests of each level escalated, of how many.",
        series: &["escalated", "all"],
        categories: statistics.levels.iter().map(|level| category(&level.level, &[level.escalated, level.requests])).collect(),
        unit: Unit::Count,
    };
    let row = |level: &LevelFigures| {
        let share = format!("{} %", (level.escalated * 100 + level.requests / 2) / level.requests.max(1));
        vec![level.level.clone(), level.requests.to_string(), level.escalated.to_string(), share]
    };
    figure(&chart, bar_chart, vec!["Level", "Requests", "Escalated", "Share"], statistics.levels.iter().map(row).collect())
}

fn figure(chart: &Chart<'_>, draw: fn(&Chart<'_>) -> String, head: Vec<&'static str>, rows: Vec<Vec<String>>) -> Figure {
    let svg = if chart.categories.is_empty() { String::new() } else { draw(chart) };
    Figure { id: chart.id.to_owned(), title: chart.title.to_owned(), svg, head, rows }
}

fn category(label: &str, counts: &[i64]) -> Category {
    let value = |count: &i64| f64::from(u32::try_from(*count).unwrap_or(u32::MAX));
    Category { label: label.to_owned(), values: counts.iter().map(value).collect() }
}

fn times(label: &str, median: f64, p90: f64) -> Category {
    Category { label: label.to_owned(), values: vec![median, p90] }
}
