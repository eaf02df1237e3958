//! `parkbrake comment`: comments on a workflow, or asks its requester a question.

use crate::cli::Error;
use crate::cli::client::Connection;
use crate::cli::dev_home::Kind;
use crate::cli::id::GivenId;
use crate::cli::terminal::{Page, print_json};
use reqwest::Method;
use serde_json::json;
use std::process::ExitCode;

/// Says something about a workflow, to everybody who may see it. Nothing is decided by it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The workflow's id, or the last characters of it: at least 6
    id: GivenId,
    /// What you say
    text: String,
    /// It is a question to the requester: reminders rest until it answers, for an hour at most
    #[arg(long)]
    ask: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Runs the command.
///
/// # Errors
/// Why it was not taken.
pub async fn run(args: Args) -> Result<ExitCode, Error> {
    let client = args.connection.client(Kind::Person)?;
    let id = client.find(&args.id).await?;
    let body = json!({"text": args.text, "ask": args.ask});
    let answer = client.send(client.call(Method::POST, &format!("/workflows/{id}/comments")).json(&body)).await?;
    if args.connection.json {
        print_json(&answer.body)?;
    } else {
        let mut page = Page::stdout();
        page.line(if args.ask { "asked; the requester reads it" } else { "said" });
        page.print()?;
    }
    Ok(ExitCode::SUCCESS)
}
