//! Statistics of approval requests, each compared with the period before. For people.

use crate::domain::figures::{self, Sample, Times};
use crate::domain::risk::level::Level;
use crate::identity::Caller;
use crate::service::lists::only_people;
use crate::service::{Service, ServiceError};
use crate::storage::{self, Asked, SettledRow};
use chrono::{DateTime, Datelike as _, Days, NaiveDate, NaiveTime, TimeDelta, Utc};
use std::collections::BTreeMap;

/// The most requests that are examined.
pub const MOST_REQUESTS: i64 = storage::MOST_REQUESTS;
/// The highest count of waiting requests at each level.
pub const MOST_WAITING: i64 = storage::MOST_WAITING;
/// The upper ends of the histogram's intervals, in seconds.
pub const STRETCHES: [f64; 6] = [60.0, 300.0, 900.0, 3_600.0, 14_400.0, 86_400.0];
/// The default period, in days.
pub const USUAL_DAYS: u64 = 30;
/// The longest period.
const LONGEST: TimeDelta = TimeDelta::days(366);
/// The most groups in a breakdown: those with the most decisions.
const MOST_GROUPS: usize = 20;

/// A query for statistics.
#[derive(Debug, Default)]
pub struct StatisticsQuery {
    /// Default: [`USUAL_DAYS`] before the end.
    pub from: Option<DateTime<Utc>>,
    /// Default, and for a time in the future: now.
    pub until: Option<DateTime<Utc>>,
    pub risk_level: Option<Level>,
    pub requested_by: Option<String>,
    /// Only decisions of people of this team.
    pub team: Option<String>,
}

/// The statistics of the requests that were submitted in a period.
#[derive(Debug)]
pub struct Statistics {
    pub from: DateTime<Utc>,
    pub until: DateTime<Utc>,
    /// Where the period before begins, which is equally long.
    pub before: DateTime<Utc>,
    /// Whether there were more requests than were examined.
    pub is_cut: bool,
    pub overall: Compared,
    pub levels: Vec<LevelFigures>,
    /// By the role, the team, and the name of the person who decided last, and by requester.
    pub roles: Vec<Group>,
    pub teams: Vec<Group>,
    pub requesters: Vec<Group>,
    pub people: Vec<Group>,
    /// Every week of the period, beginning on Monday.
    pub weeks: Vec<Week>,
    /// How many decisions took up to each end of [`STRETCHES`]; the last count is of those that
    /// took longer.
    pub stretches: Vec<usize>,
    /// Every day of the period.
    pub days: Vec<DayFigures>,
    pub waiting: Vec<WaitingFigures>,
}

/// The figures of this period and of the one before; `None` if nothing was decided.
#[derive(Debug, Clone, Copy, Default)]
pub struct Compared {
    pub now: Option<Times>,
    pub before: Option<Times>,
}

/// The decisions of one group.
#[derive(Debug)]
pub struct Group {
    pub name: String,
    pub times: Compared,
}

/// The requests of one level.
#[derive(Debug)]
pub struct LevelFigures {
    pub level: Level,
    /// The goal of the level, in seconds.
    pub goal: Option<f64>,
    pub requests: usize,
    pub escalated: usize,
    pub times: Compared,
}

/// The decisions about requests of one week.
#[derive(Debug)]
pub struct Week {
    pub monday: NaiveDate,
    pub times: Option<Times>,
}

/// The requests settled on one day, in UTC.
#[derive(Debug, Clone, Copy)]
pub struct DayFigures {
    pub day: NaiveDate,
    pub approved: usize,
    pub rejected: usize,
    pub expired: usize,
    pub cancelled: usize,
}

/// The requests that wait now at one level; the count stops at [`MOST_WAITING`].
#[derive(Debug)]
pub struct WaitingFigures {
    pub level: String,
    pub count: i64,
    pub oldest: Option<DateTime<Utc>>,
}

impl Service {
    /// Computes the statistics of a period.
    ///
    /// # Errors
    /// The caller is an agent, the period is too long or does not end after it begins, or the
    /// database is unavailable.
    pub async fn statistics(&self, by: &Caller, query: StatisticsQuery) -> Result<Statistics, ServiceError> {
        only_people(by, "only people can read statistics")?;
        let now = self.engine.storage.now().await?;
        let until = query.until.map_or(now, |until| until.min(now));
        let usual = || (until - TimeDelta::microseconds(1)).date_naive() - Days::new(USUAL_DAYS - 1);
        let from = query.from.unwrap_or_else(|| usual().and_time(NaiveTime::MIN).and_utc());
        if from >= until {
            return Err(ServiceError::invalid("", "`from`: has to be before now and before `until`"));
        }
        if until - from > LONGEST {
            return Err(ServiceError::invalid(
                "",
                format!("`from`: a period has at most {} days; choose a shorter one", LONGEST.num_days()),
            ));
        }
        let before = from - (until - from);
        let mut asked = self.engine.storage.asked(before, from, until).await?;
        let is_cut = i64::try_from(asked.settled.len()).is_ok_and(|count| count >= MOST_REQUESTS);
        let of_level = |level: &str| query.risk_level.is_none_or(|only| only.as_str() == level);
        asked.settled.retain(|row| {
            let team = || self.team(row.decided_by.as_deref());
            of_level(&row.risk_level)
                && query.requested_by.as_ref().is_none_or(|only| *only == row.requested_by)
                && query.team.as_ref().is_none_or(|only| team() == Some(only))
        });
        asked.open.retain(|row| of_level(&row.risk_level) && query.requested_by.is_none() && query.team.is_none());
        Ok(self.figures(asked, (before, from, until), is_cut))
    }

    /// The teams of the configuration.
    pub fn teams(&self) -> Vec<&str> {
        let mut teams: Vec<&str> = self.engine.configuration.policy.people().values().filter_map(|person| person.team.as_deref()).collect();
        teams.sort_unstable();
        teams.dedup();
        teams
    }

    fn team(&self, person: Option<&str>) -> Option<&String> {
        self.engine.configuration.policy.people().get(person?)?.team.as_ref()
    }

    fn goal(&self, level: Level) -> Option<f64> {
        self.engine.configuration.policy.level(level).goal.as_ref().map(|goal| goal.within.as_secs_f64())
    }

    fn figures(&self, asked: Asked, (before, from, until): (DateTime<Utc>, DateTime<Utc>, DateTime<Utc>), is_cut: bool) -> Statistics {
        let goals = Level::ALL.map(|level| (level.as_str(), self.goal(level)));
        let sample = |row: &SettledRow| Sample {
            seconds: (row.resolved_at - row.requested_at).as_seconds_f64(),
            goal: goals.iter().find(|(level, _)| *level == row.risk_level).and_then(|(_, goal)| *goal),
        };
        let (now, earlier): (Vec<_>, Vec<_>) = asked.settled.iter().partition(|row| row.requested_at >= from);
        let decided = |rows: &[&SettledRow]| rows.iter().filter(|row| row.decided_by.is_some()).map(|row| sample(row)).collect::<Vec<_>>();
        let by = |name: &dyn Fn(&SettledRow) -> Option<String>| {
            let mut found: BTreeMap<String, [Vec<Sample>; 2]> = BTreeMap::new();
            for (index, rows) in [&now, &earlier].into_iter().enumerate() {
                for row in rows.iter().filter(|row| row.decided_by.is_some()) {
                    if let Some(name) = name(row) {
                        found.entry(name).or_default()[index].push(sample(row));
                    }
                }
            }
            let groups = found.into_iter().map(|(name, [now, before])| Group { name, times: Compared::of(now, before) });
            let mut groups: Vec<Group> = groups.filter(|group| group.times.now.is_some()).collect();
            groups.sort_by_key(|group| std::cmp::Reverse(group.times.now.map_or(0, |times| times.decided)));
            groups.truncate(MOST_GROUPS);
            groups
        };
        let levels = Level::ALL.into_iter().filter_map(|level| {
            let of =
                |rows: &[&SettledRow]| rows.iter().copied().filter(|row| row.risk_level == level.as_str()).cloned().collect::<Vec<_>>();
            let (rows, earlier) = (of(&now), of(&earlier));
            let open = asked.open.iter().find(|open| open.risk_level == level.as_str());
            let open = |count: fn(&storage::OpenFigures) -> i64| open.map_or(0, |open| usize::try_from(count(open)).unwrap_or_default());
            let requests = rows.len() + open(|open| open.count);
            let escalated = rows.iter().filter(|row| row.escalated).count() + open(|open| open.escalated);
            let times = Compared::of(decided(&rows.iter().collect::<Vec<_>>()), decided(&earlier.iter().collect::<Vec<_>>()));
            (requests > 0).then(|| LevelFigures { level, goal: self.goal(level), requests, escalated, times })
        });
        let samples = decided(&now);
        Statistics {
            from,
            until,
            before,
            is_cut,
            levels: levels.collect(),
            roles: by(&|row| row.role.clone()),
            teams: by(&|row| self.team(row.decided_by.as_deref()).cloned()),
            requesters: by(&|row| Some(row.requested_by.clone())),
            people: by(&|row| row.decided_by.clone()),
            weeks: weeks(from, until, &now, &sample),
            stretches: figures::histogram(STRETCHES, samples.iter().map(|sample| sample.seconds)),
            overall: Compared::of(samples, decided(&earlier)),
            days: days(from, until, &now),
            waiting: asked.waiting.into_iter().map(WaitingFigures::from).collect(),
        }
    }
}

impl Compared {
    fn of(now: Vec<Sample>, before: Vec<Sample>) -> Self {
        Self { now: figures::times(now), before: figures::times(before) }
    }
}

fn weeks(from: DateTime<Utc>, until: DateTime<Utc>, rows: &[&SettledRow], sample: &impl Fn(&SettledRow) -> Sample) -> Vec<Week> {
    let monday = |at: DateTime<Utc>| at.date_naive() - Days::new(u64::from(at.weekday().num_days_from_monday()));
    let mut found: BTreeMap<NaiveDate, Vec<Sample>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.decided_by.is_some()) {
        found.entry(monday(row.requested_at)).or_default().push(sample(row));
    }
    let last = monday(until - TimeDelta::microseconds(1));
    let mondays = monday(from).iter_weeks().take_while(|week| *week <= last);
    mondays.map(|monday| Week { monday, times: figures::times(found.remove(&monday).unwrap_or_default()) }).collect()
}

fn days(from: DateTime<Utc>, until: DateTime<Utc>, rows: &[&SettledRow]) -> Vec<DayFigures> {
    let last = until.date_naive();
    let days = from.date_naive().iter_days().take_while(|day| *day <= last);
    let mut days: BTreeMap<NaiveDate, DayFigures> =
        days.map(|day| (day, DayFigures { day, approved: 0, rejected: 0, expired: 0, cancelled: 0 })).collect();
    for row in rows {
        let Some(day) = days.get_mut(&row.resolved_at.date_naive()) else { continue };
        match row.outcome.as_str() {
            "approved" => day.approved += 1,
            "rejected" => day.rejected += 1,
            "expired" => day.expired += 1,
            _ => day.cancelled += 1,
        }
    }
    days.into_values().collect()
}

impl From<storage::WaitingRow> for WaitingFigures {
    fn from(row: storage::WaitingRow) -> Self {
        let storage::WaitingRow { level, count, oldest } = row;
        Self { level, count, oldest }
    }
}
