//! The statistics, as JSON and as tables.

use super::Success;
use crate::domain::figures::Times;
use crate::domain::risk::level::Level;
use crate::http::csv;
use crate::http::time::Time;
use crate::service::statistics::{Compared, DayFigures, Group, LevelFigures, STRETCHES, Statistics, WaitingFigures, Week};
use serde::Serialize;
use utoipa::ToSchema;

/// How long people let requests wait, in seconds.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Statistics)]
pub struct StatisticsAnswer<'a> {
    success: Success,
    /// The requests of the period were made at this time or later …
    from: Time,
    /// … and before this time.
    until: Time,
    /// When the preceding period begins, which ends at `from`.
    before: Time,
    /// Whether there were more requests than were evaluated.
    is_cut: bool,
    overall: Comparison,
    by_level: Vec<OfLevel>,
    /// By the first role that entitled the person with the last word.
    by_role: Vec<Named<'a>>,
    /// By the team of that person.
    by_team: Vec<Named<'a>>,
    by_requester: Vec<Named<'a>>,
    by_person: Vec<Named<'a>>,
    /// By the week in which the request was made.
    weeks: Vec<OfWeek>,
    stretches: Vec<Stretch>,
    /// By the day on which it was settled.
    days: Vec<OfDay>,
    /// The requests waiting now, whenever they were made.
    waiting: Vec<WaitingNow<'a>>,
}

/// Figures about decisions.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
struct DecisionTimes {
    decided: usize,
    mean_s: f64,
    median_s: f64,
    p90_s: f64,
    /// The share, from 0 to 1, of the decisions at levels with a goal that were made within it;
    /// null if there are none.
    #[schema(required)]
    within_goal: Option<f64>,
}

/// The figures of this period and of the preceding one.
#[derive(Debug, Serialize, ToSchema)]
struct Comparison {
    /// Null if nothing was decided.
    #[schema(required)]
    now: Option<DecisionTimes>,
    #[schema(required)]
    before: Option<DecisionTimes>,
}

/// The figures of one level.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StatisticsOfLevel)]
struct OfLevel {
    risk_level: Level,
    /// The goal in seconds; null if the configuration sets none.
    #[schema(required)]
    goal_s: Option<f64>,
    requests: usize,
    escalated: usize,
    /// Null if nothing was decided.
    #[schema(required)]
    now: Option<DecisionTimes>,
    /// The preceding period.
    #[schema(required)]
    before: Option<DecisionTimes>,
}

/// The figures of one role, team, requester or person.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StatisticsOfName)]
struct Named<'a> {
    name: &'a str,
    /// Null if nothing was decided.
    #[schema(required)]
    now: Option<DecisionTimes>,
    /// The preceding period.
    #[schema(required)]
    before: Option<DecisionTimes>,
}

/// The figures of one week.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StatisticsOfWeek)]
struct OfWeek {
    /// The Monday of that week.
    #[schema(examples("2026-11-23"))]
    week: String,
    /// Null if nothing was decided.
    #[schema(required)]
    times: Option<DecisionTimes>,
}

/// How many decisions took how long.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StatisticsStretch)]
struct Stretch {
    /// More than this many seconds.
    over_s: f64,
    /// At most this many seconds; null for the last entry.
    #[schema(required)]
    up_to_s: Option<f64>,
    decided: usize,
    /// The decisions in this entry and in all entries before it.
    cumulative: usize,
}

/// What was settled on one day, in UTC.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StatisticsOfDay)]
struct OfDay {
    #[schema(examples("2026-11-27"))]
    day: String,
    approved: usize,
    rejected: usize,
    expired: usize,
    cancelled: usize,
}

/// The requests waiting now at one level.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StatisticsWaiting)]
struct WaitingNow<'a> {
    #[schema(value_type = Level)]
    risk_level: &'a str,
    /// At most 100,000 are counted.
    count: i64,
    #[schema(required)]
    oldest: Option<Time>,
}

/// A part of the statistics that is available as a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(as = StatisticsTable, rename_all = "snake_case")]
pub enum Table {
    ByLevel,
    ByRole,
    ByTeam,
    ByRequester,
    ByPerson,
    Weeks,
    Stretches,
    Days,
    Waiting,
}

impl Table {
    const ALL: [Self; 9] = [
        Self::ByLevel,
        Self::ByRole,
        Self::ByTeam,
        Self::ByRequester,
        Self::ByPerson,
        Self::Weeks,
        Self::Stretches,
        Self::Days,
        Self::Waiting,
    ];

    /// The name of the part.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ByLevel => "by_level",
            Self::ByRole => "by_role",
            Self::ByTeam => "by_team",
            Self::ByRequester => "by_requester",
            Self::ByPerson => "by_person",
            Self::Weeks => "weeks",
            Self::Stretches => "stretches",
            Self::Days => "days",
            Self::Waiting => "waiting",
        }
    }

    /// The part with this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.as_str() == text)
    }

    /// The names of all parts.
    pub fn known() -> String {
        Self::ALL.map(Self::as_str).join(", ")
    }
}

impl From<Times> for DecisionTimes {
    fn from(times: Times) -> Self {
        let Times { decided, mean, median, p90, within_goal } = times;
        Self {
            decided,
            mean_s: millis(mean),
            median_s: millis(median),
            p90_s: millis(p90),
            within_goal: within_goal.map(|share| (share * 1e4).round() / 1e4),
        }
    }
}

/// Rounds to the millisecond.
fn millis(seconds: f64) -> f64 {
    (seconds * 1e3).round() / 1e3
}

impl From<Compared> for Comparison {
    fn from(times: Compared) -> Self {
        Self { now: times.now.map(DecisionTimes::from), before: times.before.map(DecisionTimes::from) }
    }
}

impl<'a> From<&'a Group> for Named<'a> {
    fn from(group: &'a Group) -> Self {
        let Comparison { now, before } = group.times.into();
        Self { name: &group.name, now, before }
    }
}

impl<'a> From<&'a Statistics> for StatisticsAnswer<'a> {
    fn from(found: &'a Statistics) -> Self {
        let level = |level: &LevelFigures| {
            let Comparison { now, before } = level.times.into();
            OfLevel { risk_level: level.level, goal_s: level.goal, requests: level.requests, escalated: level.escalated, now, before }
        };
        let week = |week: &Week| OfWeek { week: week.monday.to_string(), times: week.times.map(DecisionTimes::from) };
        let day = |of: &DayFigures| OfDay {
            day: of.day.to_string(),
            approved: of.approved,
            rejected: of.rejected,
            expired: of.expired,
            cancelled: of.cancelled,
        };
        let waiting = |of: &'a WaitingFigures| WaitingNow { risk_level: &of.level, count: of.count, oldest: of.oldest.map(Time) };
        let named = |groups: &'a [Group]| groups.iter().map(Named::from).collect();
        Self {
            success: Success,
            from: Time(found.from),
            until: Time(found.until),
            before: Time(found.before),
            is_cut: found.is_cut,
            overall: found.overall.into(),
            by_level: found.levels.iter().map(level).collect(),
            by_role: named(&found.roles),
            by_team: named(&found.teams),
            by_requester: named(&found.requesters),
            by_person: named(&found.people),
            weeks: found.weeks.iter().map(week).collect(),
            stretches: stretches(&found.stretches),
            days: found.days.iter().map(day).collect(),
            waiting: found.waiting.iter().map(waiting).collect(),
        }
    }
}

fn stretches(counts: &[usize]) -> Vec<Stretch> {
    let ends = STRETCHES.into_iter().map(Some).chain([None]);
    let mut before = (0.0, 0);
    let mut found = Vec::with_capacity(counts.len());
    for (up_to_s, decided) in ends.zip(counts.iter().copied()) {
        let cumulative = before.1 + decided;
        found.push(Stretch { over_s: before.0, up_to_s, decided, cumulative });
        before = (up_to_s.unwrap_or_default(), cumulative);
    }
    found
}

/// The names of the columns of [`DecisionTimes`].
const TIMES: [&str; 5] = ["decided", "mean_s", "median_s", "p90_s", "within_goal"];

fn times(times: Option<DecisionTimes>) -> Vec<String> {
    let Some(times) = times else { return vec!["0".to_owned(), String::new(), String::new(), String::new(), String::new()] };
    let DecisionTimes { decided, mean_s, median_s, p90_s, within_goal } = times;
    vec![decided.to_string(), mean_s.to_string(), median_s.to_string(), p90_s.to_string(), shown(within_goal)]
}

fn compared(now: Option<DecisionTimes>, before: Option<DecisionTimes>) -> Vec<String> {
    [times(now), times(before)].concat()
}

fn shown<T: ToString>(value: Option<T>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn comparison_head(first: &[&str]) -> Vec<String> {
    let before = TIMES.map(|name| format!("before_{name}"));
    first.iter().copied().chain(TIMES).map(str::to_owned).chain(before).collect()
}

impl StatisticsAnswer<'_> {
    /// One part as comma-separated values, with a header row.
    pub fn table(&self, table: Table) -> String {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let named = |groups: &[Named<'_>]| {
            let rows = groups.iter().map(|group| [vec![group.name.to_owned()], compared(group.now, group.before)].concat());
            (comparison_head(&["name"]), rows.collect())
        };
        let (head, rows): (Vec<String>, Vec<Vec<String>>) = match table {
            Table::ByLevel => {
                let row = |of: &OfLevel| {
                    let first = vec![of.risk_level.to_string(), shown(of.goal_s), of.requests.to_string(), of.escalated.to_string()];
                    [first, compared(of.now, of.before)].concat()
                };
                (comparison_head(&["risk_level", "goal_s", "requests", "escalated"]), self.by_level.iter().map(row).collect())
            }
            Table::ByRole => named(&self.by_role),
            Table::ByTeam => named(&self.by_team),
            Table::ByRequester => named(&self.by_requester),
            Table::ByPerson => named(&self.by_person),
            Table::Weeks => {
                let rows = self.weeks.iter().map(|of| [vec![of.week.clone()], times(of.times)].concat());
                (names(&[&["week"][..], &TIMES].concat()), rows.collect())
            }
            Table::Stretches => {
                let row = |of: &Stretch| vec![of.over_s.to_string(), shown(of.up_to_s), of.decided.to_string(), of.cumulative.to_string()];
                (names(&["over_s", "up_to_s", "decided", "cumulative"]), self.stretches.iter().map(row).collect())
            }
            Table::Days => {
                let row = |of: &OfDay| {
                    [vec![of.day.clone()], [of.approved, of.rejected, of.expired, of.cancelled].map(|count| count.to_string()).to_vec()]
                        .concat()
                };
                (names(&["day", "approved", "rejected", "expired", "cancelled"]), self.days.iter().map(row).collect())
            }
            Table::Waiting => {
                let row = |of: &WaitingNow<'_>| {
                    let oldest = of.oldest.map(|at| at.0.to_rfc3339_opts(chrono::SecondsFormat::Micros, true));
                    vec![of.risk_level.to_owned(), of.count.to_string(), oldest.unwrap_or_default()]
                };
                (names(&["risk_level", "count", "oldest"]), self.waiting.iter().map(row).collect())
            }
        };
        let mut text = String::new();
        for row in std::iter::once(&head).chain(&rows) {
            csv::row(&mut text, row.iter().map(String::as_str));
        }
        text
    }
}
