//! `parkbrake reject`: rejects a request, with a reason.

use crate::cli::Error;
use crate::cli::client::Connection;
use crate::cli::dev_home::Kind;
use crate::cli::facts::text;
use crate::cli::id::GivenId;
use crate::cli::terminal::{Page, Style, print_json};
use crate::domain::text::escaped;
use reqwest::Method;
use serde_json::json;
use std::process::ExitCode;

/// Rejects a request; it will not run.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The workflow's id, or the last characters of it: at least 6
    id: GivenId,
    /// Why not; the requester reads it
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    connection: Connection,
}

/// Runs the command.
///
/// # Errors
/// Why it was not rejected.
pub async fn run(args: Args) -> Result<ExitCode, Error> {
    let client = args.connection.client(Kind::Person)?;
    let id = client.find(&args.id).await?;
    let call = client.call(Method::POST, &format!("/workflows/{id}/reject")).json(&json!({"reason": args.reason}));
    let answer = client.send(call).await?;
    if args.connection.json {
        print_json(&answer.body)?;
    } else {
        let mut page = Page::stdout();
        let by = escaped(text(&answer.value, "/rejected_by").unwrap_or("you"));
        let line = format!("{} by {by}; it will not run", page.paint(Style::of("rejected"), "rejected"));
        page.line(line);
        page.print()?;
    }
    Ok(ExitCode::SUCCESS)
}
