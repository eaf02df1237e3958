//! Statistics of requests for approval, as figures and charts.

use crate::domain::figures::Times;
use crate::domain::risk::level::Level;
use crate::http::problem::Problem;
use crate::http::query::{Period, invalid, level};
use crate::service::statistics::{
    Compared, DayFigures, Group, LevelFigures, MOST_REQUESTS, MOST_WAITING, STRETCHES, Statistics, StatisticsQuery, WaitingFigures, Week,
};
use crate::web::Web;
use crate::web::charts::{Category, Chart, Unit, bar_chart, column_chart, duration};
use crate::web::form::{Fields, address};
use crate::web::page;
use crate::web::relative_time::RelativeTime;
use crate::web::session::Session;
use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Days, NaiveTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::json;

/// The periods with a button of their own, in days; the second is the default.
const WINDOWS: [u32; 3] = [7, 30, 90];

/// One chart, with the same figures as a table.
#[derive(Debug, Serialize)]
struct Figure {
    id: String,
    title: String,
    /// Empty if there is nothing to draw.
    svg: String,
    head: Vec<&'static str>,
    rows: Vec<Vec<String>>,
    /// Where the table can be downloaded.
    csv: String,
}

/// One of the figures at the top.
#[derive(Debug, Serialize)]
struct Headline {
    name: &'static str,
    value: String,
    before: String,
}

/// `GET /inbox/statistics`
pub async fn show(State(web): State<Web>, session: Session, query: Fields) -> Result<Response, Problem> {
    let (from_day, until_day, days) = (query.one("from")?, query.one("until")?, query.one("days")?);
    let (level_word, requester, team) = (query.one("level")?, query.one("requested_by")?.map(str::trim), query.one("team")?);
    let is_own = from_day.is_some() || until_day.is_some();
    let days = match days {
        None => WINDOWS[1],
        Some(text) => WINDOWS.into_iter().find(|days| days.to_string() == text).ok_or_else(|| invalid("days", "has to be 7, 30 or 90"))?,
    };
    let period =
        if is_own { Period::read(from_day, until_day)? } else { Period { from: Some(beginning(web.service.now(), days)), until: None } };
    let filter = StatisticsQuery {
        from: period.from,
        until: period.until,
        risk_level: level(level_word)?,
        requested_by: requester.map(str::to_owned),
        team: team.map(str::to_owned),
    };
    let statistics = web.service.statistics(&session.person, filter).await?;
    // The downloads cover exactly these days, even if midnight passes before somebody downloads
    // them.
    let (from, until) = (written(statistics.from), period.until.map(written));
    let csv = |table: &str| {
        let filters = [("risk_level", level_word), ("requested_by", requester), ("team", team), ("table", Some(table))];
        address("/statistics", &[&[("from", Some(from.as_str())), ("until", until.as_deref())], &filters[..]].concat())
    };
    let mut figures = vec![waiting(&statistics, &csv), trend(&statistics, &csv), by_level(&statistics, &csv)];
    let groups = [
        ("by-role", "by_role", "Time to the decision, by role", "Role", &statistics.roles),
        ("by-team", "by_team", "Time to the decision, by team", "Team", &statistics.teams),
        ("by-requester", "by_requester", "Time to the decision, by requester", "Requester", &statistics.requesters),
        ("by-person", "by_person", "Time to the decision, by person", "Person", &statistics.people),
    ];
    let has_teams = !web.service.teams().is_empty();
    let shown = groups.into_iter().filter(|(id, ..)| *id != "by-team" || has_teams);
    figures.extend(shown.map(|(id, table, title, head, groups)| by_group((id, title, head), groups, csv(table))));
    figures.extend([stretches(&statistics, &csv), outcomes(&statistics, &csv), escalations(&statistics, &csv)]);
    let requests: usize = statistics.levels.iter().map(|level| level.requests).sum();
    let with_days = |days: u32| {
        address(
            "/inbox/statistics",
            &[("days", Some(days.to_string().as_str())), ("level", level_word), ("requested_by", requester), ("team", team)],
        )
    };
    let windows: Vec<_> = WINDOWS.iter().map(|days| json!({"days": days, "address": with_days(*days)})).collect();
    let shown = json!({
        "section": "statistics", "days": if is_own { 0 } else { days }, "windows": windows, "requests": requests, "figures": figures,
        "headlines": headlines(&statistics.overall), "goals": goals(&statistics), "is_cut": statistics.is_cut, "most": MOST_REQUESTS,
        "from": statistics.from.format("%Y-%m-%d").to_string(), "last": (statistics.until - TimeDelta::microseconds(1)).format("%Y-%m-%d").to_string(),
        "levels": Level::ALL.map(Level::as_str), "teams": web.service.teams(),
        "filter": {"from": from_day, "until": until_day, "level": level_word, "requested_by": requester, "team": team}});
    Ok(page::render(&web, &session, "statistics.html", shown))
}

/// The beginning of a period of this many days that ends today.
fn beginning(now: DateTime<Utc>, days: u32) -> DateTime<Utc> {
    let first = now.date_naive().checked_sub_days(Days::new(u64::from(days) - 1));
    first.map_or(now - TimeDelta::days(i64::from(days)), |first| first.and_time(NaiveTime::MIN).and_utc())
}

fn written(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
}

fn headlines(overall: &Compared) -> Vec<Headline> {
    let headline = |name, show: &dyn Fn(&Times) -> String| {
        let said = |times: Option<Times>| times.as_ref().map_or_else(|| "none".to_owned(), show);
        Headline { name, value: said(overall.now), before: said(overall.before) }
    };
    vec![
        headline("Decisions", &|times| times.decided.to_string()),
        headline("Mean", &|times| duration(times.mean)),
        headline("Median", &|times| duration(times.median)),
        headline("90th percentile", &|times| duration(times.p90)),
        headline("Within the goal", &|times| share(times.within_goal)),
    ]
}

/// The goals of the levels, in words.
fn goals(statistics: &Statistics) -> Vec<String> {
    let goal = |level: &LevelFigures| Some(format!("{} for {}", duration(level.goal?), level.level));
    statistics.levels.iter().filter_map(goal).collect()
}

fn share(share: Option<f64>) -> String {
    share.map_or_else(|| "no goal".to_owned(), |share| format!("{:.0} %", share * 100.0))
}

/// The requests waiting now at each level.
fn waiting(statistics: &Statistics, csv: &dyn Fn(&str) -> String) -> Figure {
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
        categories: statistics.waiting.iter().map(|one| category(&one.level, &[usize::try_from(one.count).unwrap_or_default()])).collect(),
        unit: Unit::Count,
        goals: Vec::new(),
    };
    figure(&chart, bar_chart, vec!["Level", "Waiting", "The oldest came"], statistics.waiting.iter().map(row).collect(), csv("waiting"))
}

/// The median of each week, with the goals as lines.
fn trend(statistics: &Statistics, csv: &dyn Fn(&str) -> String) -> Figure {
    let mut goals: Vec<f64> = statistics.levels.iter().filter_map(|level| level.goal).collect();
    goals.sort_by(f64::total_cmp);
    goals.dedup();
    let is_empty = statistics.weeks.iter().all(|week| week.times.is_none());
    let weeks = || statistics.weeks.iter().filter(|_| !is_empty);
    let label = |week: &Week| week.monday.format("%-d %b").to_string();
    let chart = Chart {
        id: "weeks",
        title: "Median by week",
        description: "The median time to the decision in each week, with the goals as lines.",
        series: &["median"],
        categories: weeks()
            .map(|week| Category { label: label(week), values: vec![week.times.map_or(0.0, |times| times.median)] })
            .collect(),
        unit: Unit::Seconds,
        goals,
    };
    let row = |week: &Week| [vec![format!("from {}", week.monday)], cells(week.times)].concat();
    figure(
        &chart,
        column_chart,
        vec!["Week", "Decided", "Mean", "Median", "90th percentile", "Within the goal"],
        weeks().map(row).collect(),
        csv("weeks"),
    )
}

/// How long decisions took at each level.
fn by_level(statistics: &Statistics, csv: &dyn Fn(&str) -> String) -> Figure {
    let decided: Vec<(&LevelFigures, Times)> = statistics.levels.iter().filter_map(|level| Some((level, level.times.now?))).collect();
    let chart = Chart {
        id: "by-level",
        title: "Time to the decision, by level",
        description: "The median and the 90th percentile of the time to the decision, for each level.",
        series: &["median", "90th percentile"],
        categories: decided.iter().map(|(level, times)| bars(level.level.as_str(), times)).collect(),
        unit: Unit::Seconds,
        goals: Vec::new(),
    };
    let row = |(level, _): &(&LevelFigures, Times)| {
        let goal = level.goal.map_or_else(|| "none".to_owned(), duration);
        [vec![level.level.to_string()], compared(&level.times), vec![goal]].concat()
    };
    let head = ["Level"].into_iter().chain(COMPARED).chain(["Goal"]).collect();
    figure(&chart, bar_chart, head, decided.iter().map(row).collect(), csv("by_level"))
}

/// The columns of [`compared`].
const COMPARED: [&str; 7] = ["Decided", "Mean", "Median", "90th percentile", "Within the goal", "Median before", "Within before"];

/// The figures of each group.
fn by_group((id, title, head): (&str, &str, &'static str), groups: &[Group], csv: String) -> Figure {
    let drawn = groups.iter().filter_map(|group| Some(bars(&group.name, &group.times.now?)));
    let chart = Chart {
        id,
        title,
        description: "The median and the 90th percentile of the time to the decision, for each.",
        series: &["median", "90th percentile"],
        categories: drawn.collect(),
        unit: Unit::Seconds,
        goals: Vec::new(),
    };
    let rows = groups.iter().map(|group| [vec![group.name.clone()], compared(&group.times)].concat());
    figure(&chart, bar_chart, [head].into_iter().chain(COMPARED).collect(), rows.collect(), csv)
}

fn cells(times: Option<Times>) -> Vec<String> {
    let Some(times) = times else {
        return vec!["0".to_owned(), "none".to_owned(), "none".to_owned(), "none".to_owned(), "none".to_owned()];
    };
    vec![times.decided.to_string(), duration(times.mean), duration(times.median), duration(times.p90), share(times.within_goal)]
}

fn compared(times: &Compared) -> Vec<String> {
    let before =
        times.before.map_or_else(|| ["none".to_owned(), "none".to_owned()], |times| [duration(times.median), share(times.within_goal)]);
    [cells(times.now), before.to_vec()].concat()
}

/// How many decisions took how long.
fn stretches(statistics: &Statistics, csv: &dyn Fn(&str) -> String) -> Figure {
    let total: usize = statistics.stretches.iter().sum();
    let (mut from, mut within) = (0.0, 0);
    let mut found: Vec<(String, usize, usize)> = Vec::new();
    for (end, count) in STRETCHES.into_iter().map(Some).chain([None]).zip(&statistics.stretches).filter(|_| total > 0) {
        within += count;
        let name = match end {
            Some(end) if from == 0.0 => format!("up to {}", length(end)),
            Some(end) => span(from, end),
            None => format!("over {}", length(from)),
        };
        found.push((name, *count, within));
        from = end.unwrap_or_default();
    }
    let chart = Chart {
        id: "durations",
        title: "How long decisions took",
        description: "How many decisions took how long.",
        series: &["decisions"],
        categories: found.iter().map(|(name, count, _)| category(name, &[*count])).collect(),
        unit: Unit::Count,
        goals: Vec::new(),
    };
    let percent = |count: usize| format!("{} %", (count * 100 + total / 2) / total.max(1));
    let row = |(name, count, within): &(String, usize, usize)| vec![name.clone(), count.to_string(), within.to_string(), percent(*within)];
    figure(&chart, bar_chart, vec!["Time", "Decisions", "Cumulative", "Share"], found.iter().map(row).collect(), csv("stretches"))
}

/// From one duration to another; the unit is written once if it is the same.
fn span(from: f64, to: f64) -> String {
    let (from, to) = (length(from), length(to));
    match (from.split_once(' '), to.split_once(' ')) {
        (Some((count, one)), Some((_, other))) if one == other => format!("{count} to {to}"),
        _ => format!("{from} to {to}"),
    }
}

/// A duration as a whole number of its unit.
fn length(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 3_600.0 => format!("{:.0} min", seconds / 60.0),
        seconds if seconds < 86_400.0 => format!("{:.0} h", seconds / 3_600.0),
        seconds => format!("{:.0} d", seconds / 86_400.0),
    }
}

/// How requests ended, on each day.
fn outcomes(statistics: &Statistics, csv: &dyn Fn(&str) -> String) -> Figure {
    let of = |day: &DayFigures| [day.approved, day.rejected, day.expired, day.cancelled];
    let is_empty = statistics.days.iter().all(|day| of(day) == [0; 4]);
    let days = || statistics.days.iter().filter(|_| !is_empty);
    let chart = Chart {
        id: "outcomes",
        title: "Outcomes by day",
        description: "How many requests were approved, rejected, expired and cancelled on each day.",
        series: &["approved", "rejected", "expired", "cancelled"],
        categories: days().map(|day| category(&day.day.format("%-d %b").to_string(), &of(day))).collect(),
        unit: Unit::Count,
        goals: Vec::new(),
    };
    let row = |day: &DayFigures| [vec![day.day.to_string()], of(day).map(|count| count.to_string()).to_vec()].concat();
    figure(&chart, column_chart, vec!["Day", "Approved", "Rejected", "Expired", "Cancelled"], days().map(row).collect(), csv("days"))
}

/// How many requests escalated because nobody answered in time.
fn escalations(statistics: &Statistics, csv: &dyn Fn(&str) -> String) -> Figure {
    let chart = Chart {
        id: "escalations",
        title: "Escalations",
        description: "How many of the requests of each level escalated.",
        series: &["escalated", "all"],
        categories: statistics.levels.iter().map(|level| category(level.level.as_str(), &[level.escalated, level.requests])).collect(),
        unit: Unit::Count,
        goals: Vec::new(),
    };
    let row = |level: &LevelFigures| {
        let share = format!("{} %", (level.escalated * 100 + level.requests / 2) / level.requests.max(1));
        vec![level.level.to_string(), level.requests.to_string(), level.escalated.to_string(), share]
    };
    figure(&chart, bar_chart, vec!["Level", "Requests", "Escalated", "Share"], statistics.levels.iter().map(row).collect(), csv("by_level"))
}

fn figure(chart: &Chart<'_>, draw: fn(&Chart<'_>) -> String, head: Vec<&'static str>, rows: Vec<Vec<String>>, csv: String) -> Figure {
    let svg = if chart.categories.is_empty() { String::new() } else { draw(chart) };
    Figure { id: chart.id.to_owned(), title: chart.title.to_owned(), svg, head, rows, csv }
}

fn category(label: &str, counts: &[usize]) -> Category {
    let value = |count: &usize| f64::from(u32::try_from(*count).unwrap_or(u32::MAX));
    Category { label: label.to_owned(), values: counts.iter().map(value).collect() }
}

fn bars(label: &str, times: &Times) -> Category {
    Category { label: label.to_owned(), values: vec![times.median, times.p90] }
}
