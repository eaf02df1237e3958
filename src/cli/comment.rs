//! `parkbrake comment`: comments on a workflow, or asks its requester a question.

use crate::cli::Error;
use crate::cli::client::Connection;
use crate::cli::dev_home::Kind;
use crate::cli::id::GivenId;
use crate::cli::terminal::{Page, print_json};
use reqwest::Method;
use serde_json::json;
use std::process::ExitCode;

/// Adds a comment to a workflow, for everybody who may see it. A comment decides nothing.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The workflow's id, or the last characters of it: at least 6
    id: GivenId,
    /// The comment
    text: String,
    /// Ask the requester a question: reminders pause until it answers, for an hour at most
    #[arg(long)]
    ask: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Runs the command.
///
/// # Errors
/// Why the comment was not accepted.
pub async fn run(args: Args) -> Result<ExitCode, Error> {
    let client = args.connection.client(Kind::Person)?;
    let id = client.find(&args.id).await?;
    let body = json!({"text": args.text, "ask": args.ask});
    let answer = client.send(client.call(Method::POST, &format!("/workflows/{id}/comments")).json(&body)).await?;
    if args.connection.json {
        print_json(&answer.body)?;
    } else {
        let mut page = Page::stdout();
        page.line(if args.ask { "asked; the requester reads it" } else { "commented" });
        page.print()?;
    }
    Ok(ExitCode::SUCCESS)
}
