//! `parkbrake withdraw`: withdraws an approval.

use crate::cli::Error;
use crate::cli::client::Connection;
use crate::cli::dev_home::Kind;
use crate::cli::facts::{number, text};
use crate::cli::id::GivenId;
use crate::cli::terminal::{Page, print_json};
use crate::domain::text::escaped;
use reqwest::Method;
use serde_json::{Map, Value};
use std::process::ExitCode;

/// Withdraws your approval, while more approvals are needed.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The workflow's id, or the last characters of it: at least 6
    id: GivenId,
    /// The reason
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

/// Runs the command.
///
/// # Errors
/// Why the approval was not withdrawn.
pub async fn run(args: Args) -> Result<ExitCode, Error> {
    let client = args.connection.client(Kind::Person)?;
    let id = client.find(&args.id).await?;
    let body: Map<String, Value> = args.reason.map(|reason| ("reason".to_owned(), Value::String(reason))).into_iter().collect();
    let answer = client.send(client.call(Method::POST, &format!("/workflows/{id}/withdraw")).json(&body)).await?;
    if args.connection.json {
        print_json(&answer.body)?;
    } else {
        let mut page = Page::stdout();
        let by = escaped(text(&answer.value, "/withdrawn_by").unwrap_or("you"));
        let needed = number(&answer.value, "/approvals_remaining").unwrap_or(1);
        page.line(format!("the approval of {by} is withdrawn; approvals still needed: {needed}"));
        page.print()?;
    }
    Ok(ExitCode::SUCCESS)
}
