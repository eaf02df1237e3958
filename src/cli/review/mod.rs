//! `parkbrake review`: a full screen for deciding one request after the other. With an id, and as
//! `parkbrake reviews`: the reviews that follow when somebody breaks the glass.

mod desk;
mod draw;
mod screen;

use crate::cli::Error;
use crate::cli::client::Connection;
use crate::cli::dev_home::Kind;
use crate::cli::facts::{list, text};
use crate::cli::id::GivenId;
use crate::cli::pending::Filter;
use crate::cli::terminal::{Page, print_json};
use crate::domain::text::escaped;
use reqwest::Method;
use serde_json::json;
use std::process::ExitCode;

/// Decide waiting requests, one after the other, on a full screen. With an id and --finding: close
/// the review of a workflow for which somebody broke the glass.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A workflow for which somebody broke the glass: its id, or the last characters of it, at
    /// least 6
    #[arg(requires = "finding")]
    id: Option<GivenId>,
    /// What you found
    #[arg(long, value_name = "TEXT", requires = "id")]
    finding: Option<String>,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    connection: Connection,
}

/// List the open reviews.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    #[command(flatten)]
    connection: Connection,
}

/// Opens the screen, or closes a review.
///
/// # Errors
/// There is no terminal or no server, or the review was not closed; the error says why.
pub async fn run(args: Args) -> Result<ExitCode, Error> {
    let client = args.connection.client(Kind::Person)?;
    let (Some(id), Some(_)) = (&args.id, &args.finding) else {
        return screen::run(client, args.filter).await;
    };
    let id = client.find(id).await?;
    let call = client.call(Method::POST, &format!("/workflows/{id}/review")).json(&json!({"finding": args.finding}));
    let answer = client.send(call).await?;
    if args.connection.json {
        print_json(&answer.body)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut page = Page::stdout();
    let [by, broken_by] = ["/review/closed_by", "/review/broken_by"].map(|fact| escaped(text(&answer.value, fact).unwrap_or("?")));
    page.line(format_args!("reviewed by {by}; {broken_by} can break the glass again"));
    page.print()?;
    Ok(ExitCode::SUCCESS)
}

/// Lists the open reviews.
///
/// # Errors
/// Why there is no list.
pub async fn show(args: ListArgs) -> Result<ExitCode, Error> {
    let client = args.connection.client(Kind::Person)?;
    let answer = client.send(client.call(Method::GET, "/reviews")).await?;
    if args.connection.json {
        print_json(&answer.body)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut page = Page::stdout();
    let reviews = list(&answer.value, "/reviews");
    if reviews.is_empty() {
        page.line("no review is open");
    }
    for review in reviews {
        let [id, headline, by, since] =
            ["/workflow_id", "/headline", "/broken_by", "/since"].map(|fact| escaped(text(review, fact).unwrap_or("?")));
        page.line(format_args!("{id}  {headline}: {by} broke the glass at {since}"));
    }
    page.print()?;
    Ok(ExitCode::SUCCESS)
}
