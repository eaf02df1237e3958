//! `parkbrake cancel`: the requester, or an admin, takes a task back.

use crate::cli::Error;
use crate::cli::client::Connection;
use crate::cli::dev_home::Kind;
use crate::cli::facts::text;
use crate::cli::terminal::{Page, print_json};
use crate::domain::text::escaped;
use reqwest::Method;
use serde_json::{Map, Value};
use std::process::ExitCode;
use uuid::Uuid;

/// Takes back a task that has not run.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The workflow's id
    id: Uuid,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

/// Runs the command.
///
/// # Errors
/// Why it was not cancelled.
pub async fn run(args: Args) -> Result<ExitCode, Error> {
    let client = args.connection.client(Kind::Agent)?;
    let body: Map<String, Value> = args.reason.map(|reason| ("reason".to_owned(), Value::String(reason))).into_iter().collect();
    let answer = client.send(client.call(Method::POST, &format!("/workflows/{}/cancel", args.id)).json(&body)).await?;
    if args.connection.json {
        print_json(&answer.body)?;
    } else {
        let mut page = Page::stdout();
        page.line(escaped(text(&answer.value, "/status").unwrap_or("cancelled")));
        page.print()?;
    }
    Ok(ExitCode::SUCCESS)
}
