//! `parkbrake pending`: the requests that wait for a human, as a table.

use crate::cli::client::{Answer, Client, Connection};
use crate::cli::dev_home::Kind;
use crate::cli::facts::{list, number, text, texts};
use crate::cli::table::{Cell, table};
use crate::cli::terminal::{BOLD, CLEAR, FAINT, PLAIN, Page, Style, complain, is_terminal, print_json, width};
use crate::cli::{Error, id, show, times};
use crate::domain::risk::level::Level;
use crate::domain::risk::target::DIFFERS;
use crate::domain::text::escaped;
use chrono::{DateTime, Utc};
use clap::ValueEnum;
use reqwest::Method;
use serde_json::Value;
use std::cmp::Reverse;
use std::process::ExitCode;
use std::time::Duration;

/// The most requests that a server returns at once.
const PAGE: usize = 500;
/// How often `--watch` reads the list.
const PAUSE: Duration = Duration::from_secs(2);

/// Lists the requests that wait for a human, the most dangerous first, and among equal levels the
/// one that escalates or expires next. With --json, each page of the server's list is one line.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    filter: Filter,
    /// The order of the table
    #[arg(long, value_enum, default_value_t = Sort::Level)]
    sort: Sort,
    /// Show whole ids and the requesters' descriptions
    #[arg(long)]
    wide: bool,
    /// Show the table again whenever it changes, until you press Ctrl-C
    #[arg(long, conflicts_with = "json")]
    watch: bool,
    #[command(flatten)]
    connection: Connection,
}

/// The filter of the list.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Filter {
    /// Only those that I may decide
    #[arg(long)]
    pub mine: bool,
    /// Only those of this level: low, medium, high or critical
    #[arg(long, value_name = "LEVEL", value_parser = level)]
    risk_level: Option<Level>,
    /// Only those that this role may decide
    #[arg(long)]
    role: Option<String>,
    /// At most this many, the newest; if left out, all of them
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
}

/// The order of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Sort {
    /// The most dangerous, then what escalates or expires next
    Level,
    /// What escalates or expires next
    Due,
    /// The one that has waited longest
    Oldest,
    /// The newest one
    Newest,
}

fn level(text: &str) -> Result<Level, String> {
    Level::parse(text).ok_or_else(|| "write low, medium, high or critical".to_owned())
}

/// Runs the command.
///
/// # Errors
/// Why the server did not answer.
pub async fn run(args: Args) -> Result<ExitCode, Error> {
    let client = args.connection.client(Kind::Person)?;
    if args.connection.json {
        read(&client, &args.filter, |answer| print_json(&answer.body)).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut before = String::new();
    loop {
        let mut items = match read(&client, &args.filter, |_| Ok(())).await {
            Ok(items) => items,
            // The last table stays on the terminal; the server may only be restarting.
            Err(error) if args.watch && !before.is_empty() && error.is_passing() => {
                complain(&format!("parkbrake: {error}\nparkbrake: trying again"));
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            Err(error) => return Err(error),
        };
        let now = times::now();
        args.sort.sort(&mut items, now);
        let mut page = Page::stdout();
        print(&mut page, &items, args.wide, now);
        // If the output is a file, a change of the ages alone is not worth a new table.
        let news = if is_terminal() { page.text().to_owned() } else { items.iter().map(Value::to_string).collect() };
        if news != before {
            if args.watch && is_terminal() {
                page.put_before(CLEAR);
            }
            page.print()?;
            before = news;
        }
        if !args.watch {
            return Ok(ExitCode::SUCCESS);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Reads the waiting requests, the newest first, and passes on each page.
///
/// # Errors
/// Why the server did not answer.
pub(super) async fn read(
    client: &Client,
    filter: &Filter,
    mut each: impl FnMut(&Answer) -> Result<(), Error>,
) -> Result<Vec<Value>, Error> {
    let mut left = filter.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let (mut cursor, mut items): (Option<String>, Vec<Value>) = (None, Vec::new());
    loop {
        let mut query = vec![("limit", left.min(PAGE).to_string())];
        query.extend(filter.mine.then(|| ("mine", "true".to_owned())));
        query.extend(filter.risk_level.map(|level| ("risk_level", level.to_string())));
        query.extend(filter.role.clone().map(|role| ("role", role)));
        query.extend(cursor.clone().map(|cursor| ("cursor", cursor)));
        let answer = client.send(client.call(Method::GET, "/workflows/pending").query(&query)).await?;
        each(&answer)?;
        let page = list(&answer.value, "/workflows");
        items.extend(page.iter().take(left).cloned());
        left = left.saturating_sub(page.len());
        let next = text(&answer.value, "/next_cursor").map(str::to_owned);
        if left == 0 || next.is_none() {
            return Ok(items);
        }
        if next == cursor {
            return Err(Error::Other("the server returns the same page again and again: ask for fewer with --limit".to_owned()));
        }
        cursor = next;
    }
}

impl Sort {
    /// Puts requests into this order.
    pub fn sort(self, items: &mut [Value], now: DateTime<Utc>) {
        // A level that this version does not know may be a worse one.
        let level = |item: &Value| {
            let level = Level::parse(asked_level(item));
            Reverse((level.is_none(), level))
        };
        // Requests without a deadline come last.
        let due = |item: &Value| due(item, now).map_or(DateTime::<Utc>::MAX_UTC, |(at, _)| at);
        let asked = |item: &Value| text(item, "/requested_at").and_then(times::read);
        match self {
            Self::Level => items.sort_by_cached_key(|item| (level(item), due(item), asked(item))),
            Self::Due => items.sort_by_cached_key(|item| (due(item), level(item), asked(item))),
            Self::Oldest => items.sort_by_cached_key(asked),
            Self::Newest => items.sort_by_cached_key(|item| Reverse(asked(item))),
        }
    }
}

/// The level of what people are asked about: the waiting step, or the whole request.
pub(super) fn asked_level(item: &Value) -> &str {
    text(item, "/step/risk_level").or_else(|| text(item, "/risk_level")).unwrap_or("?")
}

/// What happens next if nobody decides, and when.
fn due(item: &Value, now: DateTime<Utc>) -> Option<(DateTime<Utc>, &str)> {
    let steps = list(item, "/timetable").iter();
    let steps = steps.filter_map(|step| Some((times::read(text(step, "/at")?)?, text(step, "/what").unwrap_or("?"))));
    steps.filter(|(at, _)| *at > now).min()
}

fn print(page: &mut Page, items: &[Value], wide: bool, now: DateTime<Utc>) {
    if items.is_empty() {
        page.line("nothing waits for a human");
        return;
    }
    let rows: Vec<Vec<Cell>> = items.iter().map(|item| row(item, wide, now)).collect();
    let mut headings = vec!["LEVEL", "AGE", "DUE", "BY", "WHAT", "NEEDS", "ID"];
    headings.extend(wide.then_some("CLAIMS"));
    table(page, &headings, &rows, if wide { 7 } else { 4 }, width());
    page.line("");
    page.line(match items.len() {
        1 => "1 request waits: `parkbrake approve ID` shows what it would run, and approves that".to_owned(),
        n => format!("{n} requests wait: `parkbrake approve ID` shows what one would run, and approves that"),
    });
}

fn row(item: &Value, wide: bool, now: DateTime<Utc>) -> Vec<Cell> {
    let word = |pointer: &str| escaped(text(item, pointer).unwrap_or("?"));
    let level = asked_level(item);
    let asked = text(item, "/requested_at").and_then(times::read);
    let due = due(item, now).map(|(at, what)| format!("{} {}", escaped(what), times::size(at - now)));
    let (id, what) = (word("/workflow_id"), what(item));
    let mut row = vec![
        (escaped(level).to_uppercase(), Style::of(level)),
        (asked.map_or_else(|| "?".to_owned(), |at| times::size(now - at)), PLAIN),
        due.map_or_else(|| ("no deadline".to_owned(), FAINT), |due| (due, PLAIN)),
        (word("/requested_by"), PLAIN),
        (what.text, if what.differs { Style::of(show::WARNING) } else { PLAIN }),
        needs(item),
        (if wide { id } else { id::short(&id).to_owned() }, BOLD),
    ];
    row.extend(wide.then(|| (word("/description"), FAINT)));
    row
}

/// The action and its target.
pub(super) struct What {
    pub text: String,
    /// Whether the requester called the target something else.
    pub differs: bool,
}

/// The action and its target, as far as parkbrake knows.
pub(super) fn what(item: &Value) -> What {
    let named = item.get("target").filter(|target| target.is_object()).map_or_else(|| "?".to_owned(), show::named);
    let differs = !list(item, "/target/differs").is_empty();
    let named = number(item, "/step/n").map_or_else(|| named.clone(), |step| format!("{named} (step {step})"));
    What { text: if differs { format!("{DIFFERS} {named}") } else { named }, differs }
}

/// The people whose decision it waits for.
pub(super) fn needs(item: &Value) -> Cell {
    if item["undecidable"] == true {
        return ("nobody can decide".to_owned(), Style::of("critical"));
    }
    let (given, required) = (number(item, "/approvals").unwrap_or(0), number(item, "/required").unwrap_or(1));
    let count = if required > 1 || given > 0 { format!(" {given}/{required}") } else { String::new() };
    (format!("{}{count}", escaped(&texts(item, "/approvers").join(", "))), PLAIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn item(id: &str, level: &str, asked: &str, due: &[&str]) -> Value {
        let timetable: Vec<Value> = due.iter().map(|at| json!({"at": at, "what": "escalate", "to": ["cto"]})).collect();
        json!({"workflow_id": id, "risk_level": level, "requested_at": asked, "requested_by": "bot", "approvers": ["team_lead", "cto"],
            "required": 2, "approvals": 1, "timetable": timetable, "target": {"operation": "deploy", "environment": "production", "differs": []}})
    }

    fn items() -> Vec<Value> {
        vec![
            item("a", "medium", "2026-11-27T06:00:00Z", &["2026-11-27T07:01:00Z"]),
            item("b", "critical", "2026-11-27T05:00:00Z", &[]),
            item("c", "critical", "2026-11-27T06:30:00Z", &["2026-11-27T06:59:00Z", "2026-11-27T09:00:00Z"]),
            item("d", "of tomorrow", "2026-11-27T04:00:00Z", &[]),
        ]
    }

    #[test]
    fn the_most_dangerous_comes_first_and_then_what_is_due_next() {
        let now = times::read("2026-11-27T07:00:00Z").unwrap();
        let order = |sort: Sort| {
            let mut items = items();
            sort.sort(&mut items, now);
            items.iter().map(|item| text(item, "/workflow_id").unwrap().to_owned()).collect::<String>()
        };
        assert_eq!(order(Sort::Level), "dcba");
        assert_eq!(order(Sort::Due), "acdb");
        assert_eq!(order(Sort::Oldest), "dbac");
        assert_eq!(order(Sort::Newest), "cabd");
    }

    #[test]
    fn a_stepwise_plan_is_sorted_by_the_level_of_its_waiting_step() {
        let now = times::read("2026-11-27T07:00:00Z").unwrap();
        let mut items = items();
        items[1]["step"] = json!({"n": 2, "risk_level": "low"});
        Sort::Level.sort(&mut items, now);
        let order: String = items.iter().map(|item| text(item, "/workflow_id").unwrap()).collect();
        assert_eq!(order, "dcab");
        let cells = row(&items[3], false, now).into_iter().map(|(text, _)| text).collect::<Vec<_>>().join("|");
        assert_eq!(cells, "LOW|2h|no deadline|bot|deploy in production (step 2)|team_lead, cto 1/2|b");
    }

    #[test]
    fn a_row_shows_age_due_time_and_needed_roles() {
        let now = times::read("2026-11-27T07:00:00Z").unwrap();
        let cells = |item: &Value| row(item, false, now).into_iter().map(|(text, _)| text).collect::<Vec<_>>().join("|");
        assert_eq!(cells(&items()[0]), "MEDIUM|1h|escalate 1m|bot|deploy in production|team_lead, cto 1/2|a");
        let mut item = items()[1].clone();
        item["undecidable"] = true.into();
        item["target"]["differs"] = json!([{"field": "operation", "claimed": "read", "known": "deploy", "from": "runbook"}]);
        assert_eq!(cells(&item), "CRITICAL|2h|no deadline|bot|DIFFERS deploy in production|nobody can decide|b");
    }
}
