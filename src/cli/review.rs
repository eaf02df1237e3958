//! `parkbrake review` and `parkbrake reviews`: what somebody else finds where the glass was broken.

use crate::cli::Error;
use crate::cli::client::Connection;
use crate::cli::dev_home::Kind;
use crate::cli::facts::{list, text};
use crate::cli::terminal::{Page, print_json};
use crate::domain::text::escaped;
use reqwest::Method;
use serde_json::json;
use std::process::ExitCode;
use uuid::Uuid;

/// Close the review of a workflow for which somebody broke the glass.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The workflow's id
    id: Uuid,
    /// What you found
    #[arg(long, value_name = "TEXT")]
    finding: String,
    #[command(flatten)]
    connection: Connection,
}

/// List the open reviews.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    #[command(flatten)]
    connection: Connection,
}

/// Closes a review.
///
/// # Errors
/// Why it was not closed.
pub async fn run(args: Args) -> Result<ExitCode, Error> {
    let client = args.connection.client(Kind::Person)?;
    let call = client.call(Method::POST, &format!("/workflows/{}/review", args.id)).json(&json!({"finding": args.finding}));
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
