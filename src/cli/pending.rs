//! `parkbrake pending`: the requests that wait for a human.

use crate::cli::client::Connection;
use crate::cli::dev_home::Kind;
use crate::cli::facts::{list, text};
use crate::cli::terminal::{Page, print_json};
use crate::cli::{Error, show};
use crate::domain::risk::level::Level;
use reqwest::Method;
use std::process::ExitCode;

/// The most that a server gives at once.
const PAGE: usize = 500;

/// Lists the requests that wait for a human, the newest first. With --json, each page of the list is one line.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only those that I may decide
    #[arg(long)]
    mine: bool,
    /// Only those of this level: low, medium, high or critical
    #[arg(long, value_name = "LEVEL", value_parser = level)]
    risk_level: Option<Level>,
    /// Only those that this role is asked about
    #[arg(long)]
    role: Option<String>,
    /// At most so many; without it, all of them
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    #[command(flatten)]
    connection: Connection,
}

fn level(text: &str) -> Result<Level, String> {
    Level::parse(text).ok_or_else(|| "write low, medium, high or critical".to_owned())
}

/// Runs the command.
///
/// # Errors
/// Why the server did not say.
pub async fn run(args: Args) -> Result<ExitCode, Error> {
    let client = args.connection.client(Kind::Person)?;
    let mut left = args.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let mut cursor: Option<String> = None;
    let mut shown = 0;
    loop {
        let mut query = vec![("limit", left.min(PAGE).to_string())];
        query.extend(args.mine.then(|| ("mine", "true".to_owned())));
        query.extend(args.risk_level.map(|level| ("risk_level", level.to_string())));
        query.extend(args.role.clone().map(|role| ("role", role)));
        query.extend(cursor.clone().map(|cursor| ("cursor", cursor)));
        let answer = client.send(client.call(Method::GET, "/workflows/pending").query(&query)).await?;
        let items = list(&answer.value, "/workflows");
        if args.connection.json {
            print_json(&answer.body)?;
        } else {
            let mut page = Page::stdout();
            items.iter().take(left).for_each(|item| show::pending(&mut page, item));
            page.print()?;
        }
        shown += items.len().min(left);
        left = left.saturating_sub(items.len());
        let next = text(&answer.value, "/next_cursor").map(str::to_owned);
        if left == 0 || next.is_none() {
            break;
        }
        if next == cursor {
            return Err(Error::Other("the server gives the same page again and again: ask for fewer with --limit".to_owned()));
        }
        cursor = next;
    }
    if !args.connection.json {
        let mut page = Page::stdout();
        page.line(match shown {
            0 => "nothing waits for a human".to_owned(),
            1 => "1 request waits: `parkbrake approve ID` shows what it would run, and approves that".to_owned(),
            n => format!("{n} requests wait: `parkbrake approve ID` shows what one would run, and approves that"),
        });
        page.print()?;
    }
    Ok(ExitCode::SUCCESS)
}
